"""Early stopping: when a training ends, and which of its weights are the result.

EfficientNet's authors did so on images held out of the training part (section 5.2). The images that judge a network
have no part in it, as an accuracy on images that chose when to stop would be too good.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from flax import nnx

from scaling_search.recipe import Recipe


class Judgement(NamedTuple):
    """What images say of a network."""

    accuracy: float
    loss: float | None
    """Cross-entropy; None where it is no finite number."""


@dataclass
class Best:
    """The best evaluation of a training so far, by the images that are held out."""

    patience: int
    epoch: int | None = None
    judgement: Judgement | None = None
    """By the images that judge."""
    weights: nnx.State[Any, Any] | None = None
    """The averaged weights of that epoch."""
    evaluations_since: int = 0
    held: tuple[float, float] = (-1.0, 0.0)
    """Accuracy, and cross-entropy with its sign changed, which decides between equal accuracies."""

    def judged(
        self, epoch: int, held: Judgement, judgement: Judgement, weights: Callable[[], nnx.State[Any, Any]]
    ) -> bool:
        """Takes in the evaluation after an epoch, by both parts. Whether training is to stop."""
        score = (held.accuracy, -held.loss if held.loss is not None else -float("inf"))
        if score > self.held:
            self.epoch, self.judgement, self.weights, self.held = epoch, judgement, weights(), score
            self.evaluations_since = 0
        else:
            self.evaluations_since += 1
        return self.stopped

    @property
    def stopped(self) -> bool:
        """Whether the last evaluations were no better, as many as its patience."""
        return self.evaluations_since >= self.patience


def best_of(recipe: Recipe) -> Best | None:
    """What watches a training by early stopping; None for recipes without it."""
    return None if recipe.patience is None else Best(recipe.patience)
