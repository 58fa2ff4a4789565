import jax
import numpy as np
import pytest
from flax import nnx

from scaling_search.errors import UserError
from scaling_search.family import load_family
from scaling_search.networks.efficientnet import EFFICIENTNET_TINY, EfficientNetFamily
from scaling_search.rule import Scale
from scaling_search.weights.transfer import export_weights, import_weights, load_network, namings_of

TINY = EfficientNetFamily(depth=0.3, width=0.25, resolution=32, dropout=0.0)
IMAGES = np.random.default_rng(0).standard_normal((2, 32, 32, 3)).astype(np.float32)


def built(family=TINY, seed=0, num_classes=7):
    network = family.build(Scale(), num_classes, rngs=nnx.Rngs(seed))
    network.eval()
    return network


@pytest.mark.parametrize("naming", ["timm", "torchvision", "efficientnet_pytorch", "scaling-search"])
def test_what_is_exported_comes_back_and_answers_the_same(naming):
    namings = namings_of(TINY)
    network = built(seed=1)
    arrays = export_weights(network, namings[naming])
    assert len(arrays) == len({id(array) for array in arrays.values()})
    read, found = load_network(TINY, arrays)
    assert found == naming
    np.testing.assert_array_equal(read(IMAGES), network(IMAGES))


def test_kernels_are_turned_as_pytorch_has_them():
    arrays = export_weights(built(), namings_of(TINY)["timm"])
    network = built()
    assert arrays["conv_stem.weight"].shape == (8, 3, 3, 3)
    np.testing.assert_array_equal(arrays["conv_stem.weight"][5, 2, 0, 1], network.stem.kernel[0, 1, 2, 5])
    assert arrays["classifier.weight"].shape == (7, network.classifier.kernel.shape[0])
    assert arrays["blocks.1.0.conv_dw.weight"].shape[1:] == (1, 3, 3)
    assert arrays["blocks.1.0.se.conv_reduce.weight"].shape[2:] == (1, 1)


def test_without_its_head_the_rest_is_taken_over_whatever_the_number_of_classes():
    arrays = export_weights(built(seed=1, num_classes=1000), None)
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
        (lambda arrays: arrays.update({"bn1.weight": np.full(8, np.nan)}), "no finite numbers"),
    ],
)
def test_other_weights_are_refused_and_change_nothing(change, complaint):
    network = built(seed=3)
    before = export_weights(network, None)
    arrays = export_weights(built(seed=1), namings_of(TINY)["timm"])
    change(arrays)
    with pytest.raises(UserError, match=complaint):
        import_weights(network, arrays, namings_of(TINY))
    jax.tree.map(np.testing.assert_array_equal, before, export_weights(network, None))


def test_counters_and_auxiliary_heads_of_a_file_are_passed_over():
    arrays = export_weights(built(), namings_of(TINY)["timm"])
    arrays |= {"bn1.num_batches_tracked": np.array(3), "AuxLogits.fc.weight": np.zeros((7, 2))}
    assert import_weights(built(), arrays, namings_of(TINY)) == "timm"


def test_weights_of_another_network_are_refused():
    with pytest.raises(UserError, match="not this network's"):
        load_network(load_family("resnet50"), export_weights(built(EFFICIENTNET_TINY), namings_of(TINY)["timm"]))
