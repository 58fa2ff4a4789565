"""`--replay` by the recorded table that is shipped."""

import json
from pathlib import Path

import pytest

from scaling_search.cli import main
from scaling_search.recorded import RecordedTable

pytestmark = pytest.mark.usefixtures("drawn_at_once")

TABLE = Path(__file__).parents[2] / "tables" / "fashion_mnist.parquet"


@pytest.mark.slow
def test_what_a_table_has_no_training_of_is_extrapolated_or_says_why_not_whatever_the_budget(tmp_path, capsys):
    words = ("--replay", str(TABLE), "--runs", str(tmp_path), "--training-budget", "1e30", "--format", "json")
    main(["run", *words])
    recorded = {record["spec"]["network"]["fingerprint"] for record in RecordedTable(TABLE).records()}
    rows = json.loads(capsys.readouterr().out)["step2"]
    assert {row["source"] for row in rows} > {"measured"}
    assert all(row["source"] != "none" or "not extrapolated" in row["note"] for row in rows)
    assert all((row["source"] == "measured") == (row["fingerprint"] in recorded) for row in rows)
