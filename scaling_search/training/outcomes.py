"""What a training ends with: its judgements, the points of its learning curve, its outcome and its weights."""

import resource
import sys
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from flax import nnx

from scaling_search.data import Prepared
from scaling_search.training.stopping import Best, Judgement
from scaling_search.trial import Epoch, Outcome

Weights = Callable[[], nnx.State[Any, Any]]
"""The averaged weights of a network, as it holds them."""


def stops(best: Best | None, epoch: int, judgements: Sequence[Judgement], averaged: Weights) -> bool:
    """Whether early stopping ends a training after an epoch."""
    if best is None or not judgements:
        return False
    # A copy, as the next step is given the memory of these.
    return best.judged(epoch, judgements[1], judgements[0], lambda: jax.tree.map(lambda leaf: leaf.copy(), averaged()))


def result(best: Best | None, averaged: Weights) -> Weights:
    """The weights of the best epoch, or, without early stopping, those at the end."""
    weights = None if best is None else best.weights
    return averaged if weights is None else lambda: weights


def outcome_of(curve: Sequence[Epoch], losses: np.ndarray, steps_per_epoch: int, best: Best | None) -> Outcome:
    """The outcome of a training that came to its end, or to a loss that is not finite."""
    # Seeds that are trained together go on until the last of them stops.
    finite = np.isfinite(losses[: curve[-1].step if best is not None and best.stopped else None])
    if finite.all() and best is not None and best.judgement is not None:
        accuracy, loss = best.judgement
        return Outcome("ok", accuracy=accuracy, loss=loss, curve=tuple(curve), best_epoch=best.epoch)
    if finite.all():
        return Outcome("ok", accuracy=curve[-1].accuracy, loss=curve[-1].loss, curve=tuple(curve))
    step = int(np.argmin(finite)) + 1
    epoch = (step - 1) // steps_per_epoch + 1
    reason = f"the training loss was {losses[step - 1]} at step {step} (epoch {epoch})"
    return Outcome("failed", reason=reason, failed_step=step, curve=tuple(curve))


def judgements_of(correct: np.ndarray, entropy: np.ndarray, images: Prepared) -> list[Judgement]:
    """By the images that judge, and by those that are held out, if any."""
    counts = [len(labels) for labels in (images.eval_labels, images.held_labels) if labels is not None]
    return [
        Judgement(float(right / count), float(nats / count) if np.isfinite(nats) else None)
        for right, nats, count in zip(correct, entropy, counts, strict=True)
    ]


def point(epoch: int, step: int, rate: float, train_loss: float, judgements: Sequence[Judgement]) -> Epoch:
    """A point of a learning curve, with the first judgement of its epoch, if there was one."""
    judgement = judgements[0] if judgements else None
    return Epoch(
        epoch=epoch,
        step=step,
        learning_rate=rate,
        train_loss=train_loss,
        accuracy=judgement.accuracy if judgement else None,
        loss=judgement.loss if judgement else None,
    )


def peak_memory() -> int:
    """The largest resident size of this process so far, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
