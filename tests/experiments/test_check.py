"""A run read again: what is well, and each thing that can be wrong."""

import json
import shutil
from dataclasses import replace

import pytest

from scaling_search import Recipe, RunConfig, TrainConfig, UserError, check, compacted, replay_config, run, train
from scaling_search.cli import main
from scaling_search.store import RunDirectory

pytestmark = pytest.mark.usefixtures("drawn_at_once", "trained_here")

TABLE = "tables/fashion_mnist.parquet"


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A finished run in which nothing is wrong."""
    config = replace(replay_config(TABLE, RunConfig), runs=str(tmp_path_factory.mktemp("runs")))
    return run(config, progress=None).run.path


@pytest.fixture
def damaged(sound, tmp_path):
    """A copy to be damaged, and its first record."""
    copy = shutil.copytree(sound, tmp_path / "copy")
    return copy, sorted((copy / "trials").iterdir())[0]


def change(file, *path, value):
    tree = json.loads(file.read_text())
    node = tree
    for name in path[:-1]:
        node = node[name]
    node[path[-1]] = value
    file.write_text(json.dumps(tree))


def test_a_sound_run_has_no_problems(sound):
    checked = check(sound, progress=None)
    assert checked.problems == ()
    assert checked.lines[-1] == "all is as recorded"


@pytest.fixture
def gathered(damaged, monkeypatch):
    """The copy with its records in one file too, that file, and the first record."""
    run, record = damaged
    monkeypatch.setattr(compacted, "LEAST", 1)
    file = RunDirectory(run).write_file(compacted.NAME, RunDirectory(run).gathered())
    return run, file, record


def test_the_file_of_all_records_is_said_to_be_damaged(gathered):
    run, file, _ = gathered
    assert check(run, progress=None).problems == ()
    file.write_bytes(file.read_bytes()[:-100])
    (problem,) = check(run, progress=None).problems
    assert problem.startswith(f"{file} is damaged, and not used: it cannot be read: ")


def test_the_file_of_all_records_is_said_to_be_older_than_they_are(gathered):
    run, file, record = gathered
    record.touch()
    checked = check(run, progress=None)
    assert checked.problems == () and checked.lines[2].startswith(f"{file} is older than 1 of its ")


def test_the_file_of_all_records_must_have_what_their_own_have(gathered):
    run, file, record = gathered
    stamped = compacted.stamps([*(run / "trials").iterdir()])
    records = {f"{one['key']}.json": one for one in RunDirectory(run).records()}
    records[record.name]["outcome"]["peak_memory"] = 5
    file.write_bytes(compacted.content_of(stamped, records))
    assert check(run, progress=None).problems == (f"{file} has another record {record.name} than its own file",)


def test_a_truncated_record_is_named(damaged):
    run, record = damaged
    record.write_bytes(record.read_bytes()[:200])
    problem, *others = check(run, progress=None).problems
    assert str(record) in problem and "cannot be read" in problem
    assert all("csv" in other for other in others)


@pytest.mark.parametrize(
    "path, value, said",
    [
        (("outcome", "accuracy"), 0.123, "after its last epoch"),
        (("spec", "seed"), 77, "what it was trained on gives"),
        (("spec", "network", "parameters"), 5, "parameters is 5, counted again"),
        (("spec", "network", "multiply_adds"), 5, "multiply_adds is 5, counted again"),
        (("spec", "data"), "other:0", "was trained on other:0"),
        (("key",), "0123", "holds the record 0123"),
        (("outcome", "status"), "failed", "is failed without a reason"),
    ],
)
def test_a_changed_record_is_named_with_what_is_wrong(damaged, path, value, said):
    run, record = damaged
    change(record, *path, value=value)
    problems = check(run, progress=None).problems
    assert any(str(record) in problem and said in problem for problem in problems), problems


def test_a_table_that_the_records_do_not_make_is_named(damaged):
    run, _ = damaged
    table = run / "step1.csv"
    table.write_text(table.read_text().replace("0.", "1.", 1))
    (problem,) = check(run, progress=None).problems
    assert "step1.csv" in problem


def test_a_network_of_a_step_that_costs_something_else_is_named(damaged):
    run, _ = damaged
    document = RunDirectory(run).document("step2")
    for network in document["networks"].values():
        network["activations"] += 1
    RunDirectory(run).write_document("step2", document)
    assert any("step2.json: activations" in problem for problem in check(run, progress=None).problems)


def test_the_command_ends_with_1_where_something_is_wrong(damaged, capsys):
    run, record = damaged
    main(["check", str(run)])
    record.write_text("{")
    with pytest.raises(SystemExit) as stop:
        main(["check", str(run)])
    assert stop.value.code == 1
    assert str(record) in capsys.readouterr().err


def test_less_than_no_repetition_is_refused(sound):
    with pytest.raises(UserError, match="--repeat -1 given"):
        check(sound, repeat=-1)


def test_trainings_repeat_to_the_bit_and_one_that_does_not_is_named(tmp_path, plain_family):
    config = TrainConfig(name="short", runs=str(tmp_path), data="digits", seeds=2, recipe=Recipe(epochs=1))
    path = train(config, family=plain_family, progress=None).run.path
    record, as_it_was = sorted((path / "trials").glob("*.json"))
    change(record, "outcome", "loss", value=0.5)
    repeated = check(path, repeat=2, family=plain_family, progress=None)
    assert "2 trainings repeated, 1 the same to the bit" in repeated.lines
    assert any(str(record) in problem and "loss is 0.5" in problem for problem in repeated.problems)
    assert not any(str(as_it_was) in problem for problem in repeated.problems)
