import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from scaling_search.errors import UserError
from scaling_search.evaluation.metrics import (
    calibration_error,
    confusion_matrix,
    evaluation_of,
    reliability,
    softmax,
    top_classes,
    top_k_accuracy,
)

LOGITS = np.array([[3.0, 1.0, 0.0], [0.0, 2.0, 1.0], [5.0, 4.0, 0.0], [1.0, 1.0, 1.0]])
LABELS = np.array([0, 2, 1, 0])

judged = st.integers(1, 8).flatmap(
    lambda classes: st.integers(1, 20).flatmap(
        lambda images: st.tuples(
            arrays(np.float32, (images, classes), elements=st.floats(-50, 50, width=32)),
            arrays(np.int32, images, elements=st.integers(0, classes - 1)),
        )
    )
)


def test_a_small_case_by_hand():
    found = evaluation_of(LOGITS, LABELS)
    assert found.images == 4
    assert found.top1 == 0.5
    assert found.top5 == 1.0
    np.testing.assert_array_equal(found.confusion, [[2, 0, 0], [1, 0, 0], [0, 1, 0]])
    np.testing.assert_array_equal(found.per_class, [1.0, 0.0, 0.0])
    assert top_k_accuracy(LOGITS, LABELS, 2) == 1.0


def test_a_class_without_images_has_no_accuracy():
    assert math.isnan(evaluation_of(LOGITS[:1], LABELS[:1]).per_class[2])


def test_of_equal_logits_the_first_comes_first():
    np.testing.assert_array_equal(top_classes(np.zeros((1, 4)), 2), [[0, 1]])


def test_the_cross_entropy_of_a_network_that_knows_nothing():
    assert evaluation_of(np.zeros((3, 10)), np.array([1, 2, 3])).cross_entropy == pytest.approx(math.log(10))


def test_the_calibration_error_by_hand():
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.6, 0.4]])
    bins = reliability(probabilities, np.array([0, 1, 0, 0]), bins=10)
    assert [(one.images, one.accuracy) for one in bins if one.images] == [(2, 1.0), (2, 0.5)]
    # Half of the images at 0.9 are right, all at 0.6: 0.5 * |0.5 - 0.9| + 0.5 * |1 - 0.6|.
    assert calibration_error(bins) == pytest.approx(0.4)


def test_a_bin_takes_its_upper_edge():
    bins = reliability(np.array([[0.5, 0.5], [1.0, 0.0]]), np.array([0, 0]), bins=2)
    assert [one.images for one in bins] == [1, 1]


@given(judged)
def test_what_holds_of_every_evaluation(case):
    logits, labels = case
    found = evaluation_of(logits, labels)
    assert found.confusion.sum() == found.images == len(labels)
    np.testing.assert_array_equal(found.confusion.sum(1), np.bincount(labels, minlength=logits.shape[1]))
    assert found.top1 == pytest.approx((logits.argmax(1) == labels).mean())
    assert 0 <= found.top1 <= found.top5 <= 1
    assert 0 <= found.calibration_error <= 1
    assert sum(one.images for one in found.bins) == len(labels)
    weights = np.bincount(labels, minlength=logits.shape[1])
    assert np.nansum(found.per_class * weights) / len(labels) == pytest.approx(found.top1)


@given(judged)
def test_probabilities_sum_to_one_and_keep_the_order(case):
    logits, _ = case
    shares = softmax(logits)
    np.testing.assert_allclose(shares.sum(1), 1)
    np.testing.assert_allclose(softmax(logits + 7), shares, rtol=1e-4)


def test_logits_of_any_size_do_not_overflow():
    found = evaluation_of(np.array([[1e30, -1e30]], np.float32), np.array([1]))
    assert math.isfinite(found.cross_entropy)
    assert found.calibration_error == 1.0


@pytest.mark.parametrize(
    ("logits", "labels", "complaint"),
    [
        (np.zeros((0, 3)), np.zeros(0, int), "no images"),
        (np.zeros((2, 3)), np.zeros(3, int), "labels of shape"),
        (np.zeros(3), np.zeros(3, int), "logits of shape"),
        (np.zeros((2, 3)), np.array([0, 3]), "integers from 0 to 2"),
        (np.zeros((2, 3)), np.array([0, -1]), "integers from 0 to 2"),
        (np.zeros((2, 3)), np.array([0.0, 1.0]), "integers from 0 to 2"),
        (np.array([[np.nan, 0.0]]), np.array([0]), "not all finite"),
    ],
)
def test_what_cannot_be_judged_is_refused(logits, labels, complaint):
    with pytest.raises(UserError, match=complaint):
        evaluation_of(logits, labels)


def test_it_agrees_with_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    logits, labels = rng.standard_normal((200, 7)), rng.integers(0, 7, 200)
    found = evaluation_of(logits, labels)
    np.testing.assert_array_equal(found.confusion, metrics.confusion_matrix(labels, logits.argmax(1)))
    assert found.top5 == pytest.approx(metrics.top_k_accuracy_score(labels, logits, k=5))
    assert found.cross_entropy == pytest.approx(metrics.log_loss(labels, softmax(logits)))
    np.testing.assert_array_equal(confusion_matrix(logits.argmax(1), labels, 7), found.confusion)
