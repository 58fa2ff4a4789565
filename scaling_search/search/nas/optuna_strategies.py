"""Optuna's strategies, behind the interface of `strategy`.

Optuna is an extra: pip install 'scaling-search[nas]'.
"""

import logging
from collections import defaultdict, deque
from collections.abc import Sequence
from typing import Any

import numpy as np

from scaling_search.errors import UserError
from scaling_search.search.nas.result import Result
from scaling_search.search.nas.space import Genotype, draw


class _Study:
    """Genotypes as trials of an Optuna study, each decision a categorical parameter.

    The first `FIRST` proposals, before a sampler has anything to learn from, are those of random search from the same
    seed, so that strategies differ only in what they learn, and share those trials.
    """

    FIRST: int

    def __init__(self, sizes: Sequence[int], seed: int, sampler: Any, directions: Sequence[str]) -> None:
        optuna = _optuna()
        logging.getLogger("optuna").setLevel(logging.WARNING)
        self._failed = optuna.trial.TrialState.FAIL
        self._study = optuna.create_study(sampler=sampler, directions=directions)
        self._decisions = {
            str(number): optuna.distributions.CategoricalDistribution(range(size)) for number, size in enumerate(sizes)
        }
        self._asked: dict[Genotype, deque[Any]] = defaultdict(deque)
        rng = np.random.default_rng(seed)
        for _ in range(self.FIRST):
            self._study.enqueue_trial(dict(zip(self._decisions, draw(sizes, rng), strict=True)))

    def ask(self, count: int) -> list[Genotype]:
        """Starts so many trials."""
        genotypes = []
        for _ in range(count):
            trial = self._study.ask(fixed_distributions=self._decisions)
            genotype = tuple(trial.params[name] for name in self._decisions)
            self._asked[genotype].append(trial)
            genotypes.append(genotype)
        return genotypes

    def tell(self, results: Sequence[Result]) -> None:
        """Ends their trials; one without a reward has failed, and samplers ignore it."""
        for one in results:
            trial = self._asked[one.genotype].popleft()
            if one.reward is None:
                self._study.tell(trial, state=self._failed)
            else:
                self._study.tell(trial, self._values(one))

    def _values(self, result: Result) -> list[float]:
        raise NotImplementedError


class TPE(_Study):
    """The tree-structured Parzen estimator (Bergstra et al., 2011), on the reward; its first ten are random."""

    FIRST = 10

    def __init__(self, sizes: Sequence[int], seed: int) -> None:
        sampler = _optuna().samplers.TPESampler(n_startup_trials=self.FIRST, seed=seed)
        super().__init__(sizes, seed, sampler, ["maximize"])

    def _values(self, result: Result) -> list[float]:
        assert result.reward is not None
        return [result.reward]


class NSGA2(_Study):
    """The non-dominated sorting genetic algorithm II (Deb et al., 2002), generations of 20.

    It needs no reward, but seeks the frontier of accuracy against cost.
    """

    FIRST = 20

    def __init__(self, sizes: Sequence[int], seed: int) -> None:
        sampler = _optuna().samplers.NSGAIISampler(population_size=self.FIRST, seed=seed)
        super().__init__(sizes, seed, sampler, ["maximize", "minimize"])

    def _values(self, result: Result) -> list[float]:
        assert result.accuracy is not None
        return [result.accuracy, result.cost]


def _optuna() -> Any:
    try:
        import optuna
    except ImportError:
        raise UserError(
            "this strategy needs Optuna, which is not installed", hint="pip install 'scaling-search[nas]'"
        ) from None
    return optuna
