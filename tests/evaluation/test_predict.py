import numpy as np
import pytest
from flax import nnx

from scaling_search.errors import UserError
from scaling_search.evaluation.predict import evaluate, logits_of, predict


class Brightness(nnx.Module):
    """Its logits are the mean of each channel of what it is given."""

    calls = 0

    def __call__(self, images):
        Brightness.calls += 1  # Counts compilations, since a compiled call does not come here.
        return images.mean((1, 2))


NAMES = ("red", "green", "blue")
PICTURES = np.zeros((5, 4, 4, 3), np.uint8)
PICTURES[range(5), ..., [0, 1, 2, 0, 1]] = 255
PLAIN = {"mean": (0.0,) * 3, "std": (1.0,) * 3}


def test_images_are_named_in_their_order_however_they_are_batched():
    for batch_size in (1, 2, 5, 8):
        found = list(predict(Brightness(), iter(PICTURES), NAMES, **PLAIN, top=2, batch_size=batch_size))
        assert [one[0].name for one in found] == ["red", "green", "blue", "red", "green"]
        assert [len(one) for one in found] == [2] * 5
        assert found[0][0].logit == 1.0
        assert found[0][0].probability == pytest.approx(np.e / (np.e + 2))
        assert found[2][1].index == 0


def test_one_shape_is_compiled_however_many_images_there_are():
    Brightness.calls = 0
    logits_of(Brightness(), PICTURES, **PLAIN, batch_size=2)
    assert Brightness.calls == 1


def test_pixels_are_normalised_as_the_network_was_trained():
    mean, std = (0.5, 0.25, 0.0), (0.5, 0.25, 2.0)
    logits = logits_of(Brightness(), PICTURES[:1], mean=mean, std=std)
    np.testing.assert_allclose(logits, [[1.0, -1.0, 0.0]], rtol=1e-6)
    in_floats = logits_of(Brightness(), PICTURES[:1] / np.float32(255), mean=mean, std=std)
    np.testing.assert_allclose(in_floats, logits, rtol=1e-6)


def test_a_network_is_judged_by_labels():
    found = evaluate(Brightness(), PICTURES, np.array([0, 1, 2, 0, 2]), **PLAIN, batch_size=2)
    assert found.top1 == pytest.approx(0.8)
    assert found.confusion[2, 1] == 1


def test_nothing_to_judge_and_other_names_are_refused():
    with pytest.raises(UserError, match="no images"):
        evaluate(Brightness(), [], np.zeros(0, int), **PLAIN)
    with pytest.raises(UserError, match="2 names of classes given; the network has 3 classes"):
        list(predict(Brightness(), PICTURES, NAMES[:2], **PLAIN))
