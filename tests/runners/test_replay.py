from pathlib import Path

from scaling_search.recorded import RecordedTable
from scaling_search.runners.local import run_here
from scaling_search.runners.replay import missing_outcomes
from scaling_search.trial import Outcome, to_record
from tests.runners.fake_training import Notes, seeds_of

TABLE = RecordedTable(Path("somewhere") / "table.parquet")


def test_what_a_table_does_not_have_is_missing_and_never_stored():
    old, new = seeds_of("a", 0, 1)
    notes = Notes()

    def plan():
        outcomes = yield [old, new]
        return [outcomes[spec.key] for spec in (old, new)]

    record = to_record(old, Outcome("ok", accuracy=0.25))
    result = run_here(
        plan(), missing_outcomes, TABLE, finished={old.key: record}, on_outcome=notes.record, watchers=[notes]
    )
    missing = Outcome("missing", reason="table.parquet has no training of it from seed 1")
    assert result == [Outcome("ok", accuracy=0.25), missing]
    assert notes.order == [("a", 1)]
    assert notes.recorded == {}
