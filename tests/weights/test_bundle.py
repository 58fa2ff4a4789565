import dataclasses
import json

import jax
import numpy as np
import pytest
from flax import nnx
from hypothesis import given
from hypothesis import strategies as st

from scaling_search.errors import UserError
from scaling_search.rule import Scale
from scaling_search.weights.bundle import read_bundle, read_description, write_bundle
from scaling_search.weights.description import Description
from scaling_search.weights.files import read_arrays, write_arrays
from scaling_search.weights.hugging_face import timm_architecture, write_model_folder
from scaling_search.weights.transfer import BASELINE, export_weights, namings_of

OPTIONS = ("depth=0.3", "width=0.25", "resolution=32")
SMALL = Description(
    family="efficientnet",
    options=OPTIONS,
    scale=Scale(1.2, 1.1, 1.0),
    classes=("a cat", "größer", "c"),
    mean=(0.5, 0.4, 0.3),
    std=(0.2, 0.25, 1 / 3),
    input_resolution=33,
)


@pytest.fixture(scope="module")
def network():
    return SMALL.network.build(SMALL.scale, 3, rngs=nnx.Rngs(5))


def assert_same_weights(network, other):
    jax.tree.map(np.testing.assert_array_equal, export_weights(network, None), export_weights(other, None))


@pytest.mark.parametrize("naming", [None, "timm"])
def test_a_bundle_comes_back_as_it_went(naming, network, tmp_path):
    file = tmp_path / "w.safetensors"
    write_bundle(file, network, SMALL, naming and namings_of(SMALL.network)[naming])
    read, description = read_bundle(file)
    assert description == SMALL
    assert_same_weights(read, network)


def test_a_network_that_is_not_registered_is_given_by_its_family(network, tmp_path):
    write_bundle(tmp_path / "w.safetensors", network, dataclasses.replace(SMALL, family="mine", options=()))
    with pytest.raises(UserError, match="unknown family 'mine'"):
        read_bundle(tmp_path / "w.safetensors")
    read, _ = read_bundle(tmp_path / "w.safetensors", SMALL.network)
    assert_same_weights(read, network)


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", "{}", "3", json.dumps(json.loads(SMALL.to_json()) | {"scale": {"depth": -1}})),
        *(json.dumps(json.loads(SMALL.to_json()) | {name: "x"}) for name in ("mean", "std", "scale", "crop")),
    ],
)
def test_a_description_of_another_form_is_refused(text, network, tmp_path):
    write_arrays(tmp_path / "w.safetensors", {"a": np.ones(1, np.float32)}, {"scaling_search": text or " "})
    with pytest.raises(UserError, match=r"description|scale a network"):
        read_description(tmp_path / "w.safetensors")


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(max_size=3), st.lists, max_leaves=4), st.data())
def test_any_field_of_another_kind_is_refused_or_read(value, data):
    fields = json.loads(SMALL.to_json())
    fields[data.draw(st.sampled_from(sorted(fields)))] = value
    try:
        Description.from_json(json.dumps(fields))
    except UserError as error:
        assert str(error)


@pytest.mark.parametrize(
    "change",
    [
        *({"classes": ()}, {"std": (0.1, 0.0, 0.1)}, {"mean": (float("nan"), 0.0, 0.0)}),
        *({"crop": 1.5}, {"crop": 0.0}, {"input_resolution": 0}),
    ],
)
def test_a_description_that_makes_no_sense_is_refused(change):
    with pytest.raises(UserError):
        dataclasses.replace(SMALL, **change)


def test_weights_that_do_not_say_what_they_are_for_are_refused(tmp_path):
    write_arrays(tmp_path / "w.safetensors", {"a": np.ones(1, np.float32)}, {})
    with pytest.raises(UserError, match="do not say which network they are for"):
        read_bundle(tmp_path / "w.safetensors")


def of(family, *options, scale=BASELINE):
    return Description(family, options, scale, ("a", "b"), (0.5, 0.5, 0.5), (0.2, 0.2, 0.2), 32)


@pytest.mark.parametrize(
    ("description", "architecture"),
    [
        (of("efficientnet"), ("tf_efficientnet_b0", {})),
        (of("efficientnet", scale=Scale(1.2, 1.1, 1.15)), ("tf_efficientnet_b2", {})),
        (of("efficientnet_b3", "dropout=0.5"), ("tf_efficientnet_b3", {})),
        (of("efficientnet_b1", "padding=SYMMETRIC", "batch_norm_epsilon=1e-5"), ("efficientnet_b1", {})),
        (of("efficientnet_b1", "padding=SYMMETRIC"), ("efficientnet_b1", {"bn_eps": 1e-3})),
        (of("efficientnet_b1", "batch_norm_epsilon=1e-5"), ("efficientnet_b1", {"pad_type": "same"})),
        (of("efficientnet_b1", "batch_norm_epsilon=1e-4"), ("tf_efficientnet_b1", {"bn_eps": 1e-4})),
        (of("efficientnet_lite0"), ("tf_efficientnet_lite0", {})),
        (of("efficientnet", "lite=True"), ("tf_efficientnet_lite0", {})),
        (of("efficientnet", "stem_stride=1"), None),
        (of("efficientnet_tiny"), None),
        (of("resnet50"), ("resnet50", {})),
        (of("resnet50", scale=Scale(1.2)), None),
        (of("polynet"), None),
    ],
)
def test_timms_own_networks_are_known(description, architecture):
    assert timm_architecture(description) == architecture


def test_a_folder_of_a_network_that_timm_lacks_comes_back(network, tmp_path):
    write_model_folder(tmp_path / "new" / "model", network, SMALL)
    config = json.loads((tmp_path / "new" / "model" / "config.json").read_text())
    assert config["label_names"] == list(SMALL.classes)
    assert config["pretrained_cfg"]["input_size"] == [3, 33, 33]
    read, description = read_bundle(tmp_path / "new" / "model")
    assert description == SMALL
    assert_same_weights(read, network)


def test_a_folder_of_timms_is_read_by_its_config(tmp_path):
    description = of("mobilenet_v2")
    network = description.network.build(Scale(), 2, rngs=nnx.Rngs(1))
    write_model_folder(tmp_path, network, description)
    write_arrays(tmp_path / "model.safetensors", read_arrays(tmp_path), {"format": "pt"})
    read, found = read_bundle(tmp_path)
    assert found == description
    assert_same_weights(read, network)


@pytest.mark.parametrize(
    ("architecture", "options"),
    [
        ("efficientnet_b0.ra_in1k", ("padding=SYMMETRIC", "batch_norm_epsilon=1e-05")),
        ("tf_efficientnet_b0.ns_jft_in1k", ("padding=SAME", "batch_norm_epsilon=0.001")),
    ],
)
def test_an_efficientnet_of_timms_is_padded_as_it_was_trained(architecture, options, tmp_path):
    config = {"architecture": architecture, "num_classes": 5, "mean": [0.5] * 3, "std": [0.5] * 3}
    config |= {"input_size": [3, 224, 224], "crop_pct": 0.875}
    (tmp_path / "config.json").write_text(json.dumps(config))
    write_arrays(tmp_path / "model.safetensors", {"a": np.ones(1, np.float32)}, {})
    found = read_description(tmp_path)
    assert (found.family, found.options, found.classes) == ("efficientnet_b0", options, ("0", "1", "2", "3", "4"))
    assert (found.crop, found.input_resolution) == (0.875, 224)


@pytest.mark.slow
@pytest.mark.parametrize(
    "description",
    [
        of("efficientnet", scale=Scale(1.1, 1.0)),
        of("efficientnet_b0", "padding=SYMMETRIC"),
        of("efficientnet_b0", "batch_norm_epsilon=1e-5"),
        of("mobilenet_v2"),
    ],
    ids=["tf_efficientnet_b1", "symmetric", "epsilon", "mobilenet_v2"],
)
def test_timm_loads_the_folder_and_answers_the_same(description, tmp_path):
    timm, torch = pytest.importorskip("timm"), pytest.importorskip("torch")
    network = description.network.build(description.scale, 2, rngs=nnx.Rngs(1))
    rng = np.random.default_rng(0)
    for _, module in nnx.iter_modules(network):
        if hasattr(module, "var"):  # Small enough that epsilon matters, and not so small that rounding grows.
            module.mean[...] = 0.1 * rng.standard_normal(module.mean.shape)
            module.var[...] = rng.uniform(0.4, 1.2, module.var.shape)
    network.eval()
    write_model_folder(tmp_path, network, description)
    theirs = timm.create_model(f"local-dir:{tmp_path}", pretrained=True).eval()
    # Of an even side, since at odd ones both paddings are the same.
    images = rng.standard_normal((2, 64, 64, 3)).astype(np.float32)
    with torch.no_grad():
        expected = theirs(torch.from_numpy(images.transpose(0, 3, 1, 2).copy())).numpy()
    assert expected.shape == (2, 2)
    found = np.asarray(jax.jit(lambda x: network(x))(images))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * np.abs(expected).max())
    assert theirs.pretrained_cfg["label_names"] == ["a", "b"]
    assert theirs.pretrained_cfg["mean"] == [0.5, 0.5, 0.5]
