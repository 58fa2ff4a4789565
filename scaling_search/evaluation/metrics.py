"""What predictions are worth: accuracies, a confusion matrix and calibration, from logits and labels. NumPy alone."""

from dataclasses import dataclass

import numpy as np

from scaling_search.errors import UserError

BINS = 15
"""Of the calibration error, as in its source."""


@dataclass(frozen=True, eq=False)
class Bin:
    """Images whose likeliest class is given a probability in one interval."""

    above: float
    """The probability from which the interval goes, not included."""
    up_to: float
    images: int
    confidence: float
    """The mean probability of the likeliest class; NaN where there are no images."""
    accuracy: float
    """The share of images that are of that class; NaN where there are none."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A network judged on labelled images."""

    images: int
    top1: float
    """The share of images whose class is the likeliest, 0..1."""
    top5: float
    """The share of images whose class is among the five likeliest; 1 where there are not more classes."""
    cross_entropy: float
    """The mean negative log-probability of an image's class, in nats."""
    per_class: np.ndarray
    """(classes,): top-1 accuracy on the images of each class; NaN where there are none."""
    confusion: np.ndarray
    """(classes, classes) int64: images by their class (rows) and the likeliest class (columns)."""
    calibration_error: float
    """The expected calibration error, 0..1."""
    bins: tuple[Bin, ...]
    """What the calibration error is made of, for a reliability diagram."""


def evaluation_of(logits: np.ndarray, labels: np.ndarray) -> Evaluation:
    """Judges logits (N, classes) by labels (N,), indices of classes.

    Raises UserError where there are no images, shapes differ, a label is not a class or a logit is not finite.
    """
    logits, labels = _checked(logits, labels)
    probabilities = softmax(logits)
    confusion = confusion_matrix(logits.argmax(1), labels, logits.shape[1])
    totals = confusion.sum(1)
    per_class = np.divide(np.diag(confusion), totals, out=np.full(len(totals), np.nan), where=totals > 0)
    bins = reliability(probabilities, labels)
    return Evaluation(
        images=len(labels),
        top1=float(np.diag(confusion).sum() / len(labels)),
        top5=top_k_accuracy(logits, labels, 5),
        cross_entropy=float(-log_softmax(logits)[np.arange(len(labels)), labels].mean()),
        per_class=per_class,
        confusion=confusion,
        calibration_error=calibration_error(bins),
        bins=bins,
    )


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Log-probabilities (N, classes) float64 of logits (N, classes)."""
    shifted = np.asarray(logits, np.float64) - np.max(logits, axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(1, keepdims=True)))


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities (N, classes) float64 of logits (N, classes)."""
    return np.asarray(np.exp(log_softmax(logits)))


def top_classes(logits: np.ndarray, k: int) -> np.ndarray:
    """(N, min(k, classes)): the likeliest classes, the likeliest first; of equal ones the first in order."""
    return np.argsort(-np.asarray(logits), axis=1, kind="stable")[:, :k]


def top_k_accuracy(logits: np.ndarray, labels: np.ndarray, k: int) -> float:
    """The share of images whose class is among the `k` likeliest, 0..1."""
    return float((top_classes(logits, k) == np.asarray(labels)[:, None]).any(1).mean())


def confusion_matrix(predicted: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """(classes, classes) int64: how many images of each class (rows) were taken for each (columns)."""
    counts = np.bincount(np.asarray(labels) * classes + np.asarray(predicted), minlength=classes**2)
    return counts.reshape(classes, classes).astype(np.int64)


def reliability(probabilities: np.ndarray, labels: np.ndarray, bins: int = BINS) -> tuple[Bin, ...]:
    """Confidence and accuracy in `bins` intervals of equal width over (0, 1], from probabilities (N, classes).

    "On Calibration of Modern Neural Networks" (Guo et al., ICML 2017), section 2.
    """
    confidence = probabilities.max(1)
    correct = probabilities.argmax(1) == labels
    edges = np.linspace(0, 1, bins + 1)
    place = np.clip(np.searchsorted(edges, confidence, side="left") - 1, 0, bins - 1)
    return tuple(
        Bin(
            above=float(edges[index]),
            up_to=float(edges[index + 1]),
            images=int(inside.sum()),
            confidence=float(confidence[inside].mean()) if inside.any() else float("nan"),
            accuracy=float(correct[inside].mean()) if inside.any() else float("nan"),
        )
        for index in range(bins)
        for inside in [place == index]
    )


def calibration_error(bins: tuple[Bin, ...]) -> float:
    """The expected calibration error: the mean gap between accuracy and confidence, each bin by its images.

    "Obtaining Well Calibrated Probabilities Using Bayesian Binning" (Naeini et al., AAAI 2015).
    """
    total = sum(one.images for one in bins)
    return sum(one.images / total * abs(one.accuracy - one.confidence) for one in bins if one.images)


def _checked(logits: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    logits, labels = np.asarray(logits), np.asarray(labels)
    if logits.ndim != 2 or labels.shape != logits.shape[:1]:
        raise UserError(
            f"logits of shape {logits.shape} and labels of shape {labels.shape} given", "(N, classes) and (N,)"
        )
    if not logits.size:
        raise UserError("no images given", "at least one is judged")
    if labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() >= logits.shape[1]:
        raise UserError(
            f"labels of type {labels.dtype} from {labels.min()} to {labels.max()} given",
            f"integers from 0 to {logits.shape[1] - 1}, the network's classes",
        )
    if not np.isfinite(logits).all():
        raise UserError("the network's logits are not all finite", hint="look at its weights, and at the images")
    return logits, labels
