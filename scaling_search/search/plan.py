"""Plans: what to train next, as a generator.

A plan yields batches of specs, is sent the outcome of each by its key, and returns its result:

    def method(config):
        outcomes = yield first_specs(config)
        outcomes = yield specs_that_follow_from(outcomes)
        return judgement(outcomes)

Plans compose by `yield from`. A plan knows nothing of processes, and what runs it (`scaling_search.runners`) nothing of
networks.
"""

from collections.abc import Generator, Mapping, Sequence
from typing import TypeAlias, TypeVar

from scaling_search.trial import Outcome, Spec

T = TypeVar("T")

Plan: TypeAlias = Generator[Sequence[Spec], Mapping[str, Outcome], T]
