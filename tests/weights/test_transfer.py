import functools

import jax
import numpy as np
import pytest
from flax import nnx

from scaling_search.errors import UserError
from scaling_search.family import load_family
from scaling_search.networks.efficientnet import EFFICIENTNET_TINY, EfficientNetFamily
from scaling_search.rule import Scale
from scaling_search.weights.transfer import Imported, export_weights, import_weights, load_network, namings_of

TINY = EfficientNetFamily(depth=0.3, width=0.25, resolution=32, dropout=0.0)
IMAGES = np.random.default_rng(0).standard_normal((2, 32, 32, 3)).astype(np.float32)


def built(family=TINY, seed=0, num_classes=7):
    network = family.build(Scale(), num_classes, rngs=nnx.Rngs(seed))
    network.eval()
    return network


@functools.cache
def original(seed=1, num_classes=7):
    """A network that no test changes."""
    return built(num_classes=num_classes)


@pytest.mark.parametrize("naming", ["timm", "torchvision", "efficientnet_pytorch", "scaling-search"])
def test_what_is_exported_comes_back_and_answers_the_same(naming):
    namings = namings_of(TINY)
    network = original()
    arrays = export_weights(network, namings[naming])
    assert len(arrays) == len({id(array) for array in arrays.values()})
    read, found = load_network(TINY, arrays)
    assert found.naming == naming
    assert not found.notes
    np.testing.assert_array_equal(read(IMAGES), network(IMAGES))


def test_kernels_are_turned_as_pytorch_has_them():
    arrays = export_weights(original(), namings_of(TINY)["timm"])
    network = original()
    assert arrays["conv_stem.weight"].shape == (8, 3, 3, 3)
    np.testing.assert_array_equal(arrays["conv_stem.weight"][5, 2, 0, 1], network.stem.kernel[0, 1, 2, 5])
    assert arrays["classifier.weight"].shape == (7, network.classifier.kernel.shape[0])
    assert arrays["blocks.1.0.conv_dw.weight"].shape[1:] == (1, 3, 3)
    assert arrays["blocks.1.0.se.conv_reduce.weight"].shape[2:] == (1, 1)


def test_without_its_head_the_rest_is_taken_over_whatever_the_number_of_classes():
    arrays = export_weights(original(num_classes=1000), None)
    network = built(seed=2, num_classes=7)
    head = np.asarray(network.classifier.kernel[...])
    import_weights(network, arrays, namings_of(TINY), head=False)
    np.testing.assert_array_equal(network.classifier.kernel[...], head)
    np.testing.assert_array_equal(network.stem.kernel[...], arrays["stem.kernel"])
    without = {name: array for name, array in arrays.items() if not name.startswith("classifier")}
    import_weights(built(seed=2), without, namings_of(TINY), head=False)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda arrays: arrays.pop("bn1.weight"), "missing, such as bn1.weight"),
        (lambda arrays: arrays.update(odd=np.zeros(1)), "no place, such as odd"),
        (lambda arrays: arrays.update({"bn1.weight": np.zeros(3)}), r"shape \(3,\), needs \(8,\)"),
        (lambda arrays: arrays.update({"bn1.weight": np.full(8, np.nan)}), "not finite"),
        (lambda arrays: arrays.update({"bn1.weight": np.ones(8, np.int8)}), "holds int8 numbers"),
        (lambda arrays: arrays.update({"bn1.weight": np.ones(8, bool)}), "holds bool numbers"),
        (lambda arrays: arrays.update({"bn1.weight": np.ones(8, np.complex64)}), "holds complex64 numbers"),
        (lambda arrays: arrays.pop("classifier.bias"), r"1 tensor is missing, such as classifier\.bias"),
    ],
)
def test_other_weights_are_refused_and_change_nothing(change, complaint):
    network = built(seed=3)
    before = export_weights(network, None)
    arrays = export_weights(original(), namings_of(TINY)["timm"])
    change(arrays)
    with pytest.raises(UserError, match=complaint):
        import_weights(network, arrays, namings_of(TINY))
    jax.tree.map(np.testing.assert_array_equal, before, export_weights(network, None))


def test_counters_and_auxiliary_heads_of_a_file_are_passed_over():
    arrays = export_weights(original(), namings_of(TINY)["timm"])
    arrays |= {"bn1.num_batches_tracked": np.array(3), "AuxLogits.fc.weight": np.zeros((7, 2))}
    arrays |= {"total_ops": np.zeros(1), "blocks.0.0.total_params": np.zeros(1), "n_averaged": np.array(9)}
    assert import_weights(built(), arrays, namings_of(TINY)) == Imported("timm", classes=7)


def assert_same_weights(network, other):
    jax.tree.map(np.testing.assert_array_equal, export_weights(network, None), export_weights(other, None))


@pytest.mark.parametrize(
    ("prefix", "naming"),
    [
        ("module.", "timm"),
        ("model.", "torchvision"),
        ("_orig_mod.module.", "efficientnet_pytorch"),
        ("my_detector.backbone.", "scaling-search"),
    ],
)
def test_prefixes_are_stripped_in_every_naming(prefix, naming):
    network = original()
    arrays = {prefix + name: array for name, array in export_weights(network, namings_of(TINY)[naming]).items()}
    read, found = load_network(TINY, arrays | {"criterion.weight": np.ones(7, np.float32)})
    assert found.naming == naming
    assert found.notes[0] == f"stripped {prefix!r} from the names of tensors"
    assert "criterion.weight" in found.notes[1]
    assert_same_weights(read, network)


def test_what_is_under_the_networks_prefix_and_not_its_own_is_refused():
    arrays = {f"module.{name}": array for name, array in export_weights(original(), namings_of(TINY)["timm"]).items()}
    with pytest.raises(UserError, match=r"no place, such as module\.blocks\.9"):
        load_network(TINY, arrays | {"module.blocks.9.0.bn1.bias": np.zeros(8)})


def test_the_averaged_copy_is_taken_on_request():
    timm = namings_of(TINY)["timm"]
    trained, averaged = original(), original(seed=2)
    arrays = {f"model.{name}": array for name, array in export_weights(trained, timm).items()}
    arrays |= {f"model_ema.module.{name}": array for name, array in export_weights(averaged, timm).items()}
    arrays |= {"model_ema.n_averaged": np.array(7)}
    read, found = load_network(TINY, arrays)
    assert found.other_copies == ("model_ema.module.",)
    assert_same_weights(read, trained)
    read, found = load_network(TINY, arrays, averaged=True)
    assert "'model.'" in found.notes[1]
    assert_same_weights(read, averaged)


@pytest.mark.parametrize("prefix", ["", "module.", "backbone."])
def test_weights_without_a_head_are_refused_or_get_a_new_one(prefix):
    arrays = export_weights(original(), namings_of(TINY)["timm"])
    arrays = {prefix + name: array for name, array in arrays.items() if not name.startswith("classifier")}
    with pytest.raises(UserError, match="have no head"):
        load_network(TINY, arrays)
    network, found = load_network(TINY, arrays, new_head=12)
    assert network.classifier.bias.shape == (12,)
    assert found.notes[-1] == "the weights have no head: the network's is new and untrained"
    np.testing.assert_array_equal(network.stem.kernel, original().stem.kernel)


def test_a_head_of_another_kind_is_left_out_where_the_head_is_new():
    arrays = export_weights(original(), namings_of(TINY)["timm"])
    arrays |= {f"classifier.1.{leaf}": arrays.pop(f"classifier.{leaf}") for leaf in ("weight", "bias")}
    with pytest.raises(UserError, match="have no head"):
        load_network(TINY, arrays)
    network, found = load_network(TINY, arrays, new_head=12)
    assert network.classifier.bias.shape == (12,)
    assert found.notes[0] == "left out what is not the network's: classifier.1.bias and 1 more"


def test_a_head_of_other_classes_is_left_out_on_request_and_named():
    arrays = export_weights(original(num_classes=1000), namings_of(TINY)["timm"])
    found = import_weights(built(num_classes=7), arrays, namings_of(TINY), head=False)
    assert found.notes == ["the head is new and untrained: that of the weights, of 1000 classes, was left out"]
    with pytest.raises(UserError, match="the number of classes differs"):
        import_weights(built(num_classes=7), arrays, namings_of(TINY))


@pytest.mark.parametrize("naming", ["timm", "torchvision", "efficientnet_pytorch"])
def test_the_background_of_tensorflows_models_is_dropped(naming):
    network = original(num_classes=1001)
    arrays = {f"model.{name}": array for name, array in export_weights(network, namings_of(TINY)[naming]).items()}
    read, found = load_network(TINY, arrays)
    assert found.without_background
    np.testing.assert_array_equal(read.classifier.kernel, network.classifier.kernel[:, 1:])
    np.testing.assert_array_equal(read.stem.kernel, network.stem.kernel)
    all_of_them, found = load_network(TINY, arrays, num_classes=1001)
    assert not found.notes[1:]
    assert_same_weights(all_of_them, network)


def test_a_network_of_ones_own_may_have_1001_classes():
    network = original(num_classes=1001)
    read, _ = load_network(TINY, export_weights(network, None))
    assert_same_weights(read, network)


def test_weights_of_another_network_are_refused():
    with pytest.raises(UserError, match="not this network's"):
        load_network(load_family("resnet50"), export_weights(built(EFFICIENTNET_TINY), namings_of(TINY)["timm"]))
