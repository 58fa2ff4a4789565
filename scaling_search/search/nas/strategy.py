"""Strategies behind one interface: asked for genotypes to try, and told the results.

A strategy is a function of its seed and of what it was told, so an interrupted search is resumed by telling a new one
the same results. It is asked for a batch at a time and told of the whole batch, in order, so it does not matter how
many networks of a batch are trained in parallel.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from scaling_search.errors import UserError
from scaling_search.search.nas.optuna_strategies import NSGA2, TPE
from scaling_search.search.nas.result import Result
from scaling_search.search.nas.space import Genotype, draw


class Strategy(Protocol):
    """Proposes genotypes."""

    def ask(self, count: int) -> list[Genotype]:
        """So many to try next. Some may be equal, or have been tried before."""
        ...

    def tell(self, results: Sequence[Result]) -> None:
        """What came of genotypes that were asked for: each is told of once, and before the next `ask`."""
        ...


class RandomSearch:
    """Uniform draws (Bergstra and Bengio, 2012). A strategy that learns should do better."""

    def __init__(self, sizes: Sequence[int], seed: int) -> None:
        self._sizes = sizes
        self._rng = np.random.default_rng(seed)

    def ask(self, count: int) -> list[Genotype]:
        """Draws each decision."""
        return [draw(self._sizes, self._rng) for _ in range(count)]

    def tell(self, results: Sequence[Result]) -> None:
        """Ignores results."""


class RegularisedEvolution:
    """The best of a random sample of the population is mutated in one decision, and the oldest is forgotten.

    "Regularized Evolution for Image Classifier Architecture Search" (Real et al., 2019), algorithm 1. The paper's
    population of 100 and samples of 25 are for 20,000 networks; these are for some hundred, with the same ratio.
    Children of one batch do not know of each other.
    """

    POPULATION = 20
    SAMPLE = 5

    def __init__(self, sizes: Sequence[int], seed: int) -> None:
        self._sizes = sizes
        self._rng = np.random.default_rng(seed)
        self._population: deque[tuple[float, Genotype]] = deque(maxlen=self.POPULATION)

    def ask(self, count: int) -> list[Genotype]:
        """Draws until the population is full, then mutates."""
        if len(self._population) < self.POPULATION:
            return [draw(self._sizes, self._rng) for _ in range(count)]
        return [self._mutated(self._parent()) for _ in range(count)]

    def tell(self, results: Sequence[Result]) -> None:
        """Takes in what has a reward."""
        self._population.extend((one.reward, one.genotype) for one in results if one.reward is not None)

    def _parent(self) -> Genotype:
        sample = self._rng.choice(len(self._population), self.SAMPLE, replace=False)
        return max(self._population[index] for index in sample)[1]

    def _mutated(self, genotype: Genotype) -> Genotype:
        free = [index for index, size in enumerate(self._sizes) if size > 1]
        if not free:
            return genotype
        where = free[self._rng.integers(len(free))]
        # A step of 1 to size - 1 around the circle of choices is any other choice.
        choice = (genotype[where] + self._rng.integers(1, self._sizes[where])) % self._sizes[where]
        return (*genotype[:where], int(choice), *genotype[where + 1 :])


class PolicyGradient:
    """Learns a distribution over each decision by proximal policy optimisation (PPO), as MnasNet does.

    "Proximal Policy Optimization Algorithms" (Schulman et al., 2017), equation 7. MnasNet's policy is an RNN, whose
    decisions depend on those before; this one draws each on its own, and its ratio of probabilities is clipped decision
    by decision. Advantages are rewards less the mean of the latest, in their deviations; a small bonus for entropy
    keeps it from settling early.
    """

    RATE = 0.3
    PASSES = 3
    CLIP = 0.2
    ENTROPY = 0.01
    LATEST = 64

    def __init__(self, sizes: Sequence[int], seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._logits = [np.zeros(size) for size in sizes]
        self._rewards: deque[float] = deque(maxlen=self.LATEST)

    def ask(self, count: int) -> list[Genotype]:
        """Draws from the policy."""
        policy = [_softmax(logits) for logits in self._logits]
        return [tuple(int(self._rng.choice(len(p), p=p)) for p in policy) for _ in range(count)]

    def tell(self, results: Sequence[Result]) -> None:
        """Makes what was better than usual more likely."""
        rewarded = [(one.genotype, one.reward) for one in results if one.reward is not None]
        self._rewards.extend(reward for _, reward in rewarded)
        deviation = float(np.std(self._rewards)) if self._rewards else 0.0
        if not rewarded or deviation == 0:
            return
        rewards = np.array([reward for _, reward in rewarded])
        advantages = (rewards - np.mean(self._rewards)) / deviation
        for where, choices in enumerate(np.array([genotype for genotype, _ in rewarded]).T):
            self._logits[where] = self._improved(self._logits[where], choices, advantages)

    def _improved(
        self, logits: NDArray[np.float64], choices: NDArray[np.int64], advantages: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """The logits of one decision after gradient steps on the clipped objective."""
        chosen = np.eye(len(logits))[choices]
        before = _softmax(logits)[choices]
        for _ in range(self.PASSES):
            policy = _softmax(logits)
            ratio = policy[choices] / before
            clipped = np.where(advantages > 0, ratio > 1 + self.CLIP, ratio < 1 - self.CLIP)
            weights = np.where(clipped, 0.0, ratio * advantages)
            gradient = (weights[:, None] * (chosen - policy)).mean(0)
            surprise = np.log(policy) - (policy * np.log(policy)).sum()
            logits = logits + self.RATE * (gradient - self.ENTROPY * policy * surprise)
        return logits


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    powers = np.exp(logits - logits.max())
    return np.asarray(powers / powers.sum())


STRATEGIES: Mapping[str, Callable[[Sequence[int], int], Strategy]] = MappingProxyType(
    {
        "random": RandomSearch,
        "evolution": RegularisedEvolution,
        "policy": PolicyGradient,
        "tpe": TPE,
        "nsga2": NSGA2,
    }
)
"""Each makes a strategy from how many choices each decision has, and a seed."""


def make_strategy(name: str, sizes: Sequence[int], seed: int) -> Strategy:
    """A strategy by its name. Raises UserError where there is none, or what it needs is not installed."""
    if name not in STRATEGIES:
        raise UserError(f"unknown strategy {name!r}", f"known strategies are {', '.join(STRATEGIES)}")
    return STRATEGIES[name](sizes, seed)
