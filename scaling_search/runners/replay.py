"""What a recorded table that is replayed does not have."""

from collections.abc import Iterator, Sequence

from scaling_search.recorded import RecordedTable
from scaling_search.trial import Outcome, Spec


def missing_outcomes(specs: Sequence[Spec], table: RecordedTable) -> Iterator[Outcome]:
    """The outcomes of trainings that a table does not have, in place of training them: they are never stored."""
    for spec in specs:
        yield Outcome("missing", reason=f"{table.path.name} has no training of it from seed {spec.seed}")
