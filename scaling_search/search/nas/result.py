"""Results as told to a strategy, and the reward of an accuracy at a cost."""

from dataclasses import dataclass

from scaling_search.search.nas.space import Genotype


@dataclass(frozen=True)
class Result:
    """The result of a genotype."""

    genotype: Genotype
    reward: float | None
    """None where it was rejected before training, or training it failed."""
    accuracy: float | None = None
    """Top-1 on the validation split, 0..1; there where the reward is."""
    cost: float = 0.0
    """In the unit of the search's metric."""


@dataclass(frozen=True)
class Objective:
    """ACC(m) * [COST(m) / T]^w: accuracy and cost as one number (MnasNet's equation 2; section 4 of EfficientNet).

    With w = -0.07, twice the cost is worth 5 % more accuracy, relatively.
    """

    target: float
    """T, in the unit of the cost. Rewards can only be compared for the same T; their order does not depend on it."""
    weight: float = -0.07
    """w."""

    def reward(self, accuracy: float, cost: float) -> float:
        """The reward of an accuracy, 0..1, at a cost above 0."""
        return float(accuracy * (cost / self.target) ** self.weight)
