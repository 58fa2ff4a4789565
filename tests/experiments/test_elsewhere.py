"""Runs in an S3 bucket, of a server on loopback: the same files as here, and what is lost when it cannot be reached."""

import logging
import os
from dataclasses import replace

import fsspec
import pytest

from scaling_search import (
    NasConfig,
    Recipe,
    SweepConfig,
    TrainConfig,
    nas,
    places,
    record,
    replay_config,
    resume,
    sweep,
    train,
)
from scaling_search.analysis import load_run, load_runs
from scaling_search.analysis.findings.overview import overview
from scaling_search.analysis.findings.two_runs import compare_runs
from scaling_search.cli import main
from scaling_search.errors import UserError
from scaling_search.experiments.check import check
from scaling_search.places import Remote, UnreachableError, inside
from scaling_search.recorded import open_trials
from scaling_search.store import open_run
from scaling_search.weights.bundle import read_bundle
from tests.pretended import Pretended

pytestmark = pytest.mark.usefixtures("drawn_at_once")
RUNS = "s3://bucket/runs"
SMALL = {"family": "efficientnet_tiny", "data": "digits", "recipe": Recipe(epochs=1)}
WIDTHS = SweepConfig(**SMALL, dims=("w",), widths=(1.0, 2.0), seeds=2)


@pytest.fixture(scope="module")
def bucket():
    """moto's server, with an empty bucket called `bucket`."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    environment = {
        "AWS_ACCESS_KEY_ID": "any",
        "AWS_SECRET_ACCESS_KEY": "any",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        patch.setenv("NO_PROXY", host)
        files = fsspec.filesystem("s3")
        files.mkdir("bucket")
        yield files
        fsspec.filesystem("s3").clear_instance_cache()
    server.stop()


@pytest.fixture
def memory(memory_store):
    return "memory://runs"


def printed_by(words, capsys):
    capsys.readouterr()
    main(words)
    return capsys.readouterr().out


def files_of(path):
    """The content of a run's files by their names, but for the manifest, which says when and where it was made."""
    found = [file for file in path.rglob("*") if file.is_file() and file.name not in ("manifest.json", ".lock")]
    return {str(file).removeprefix(str(path)): file.read_bytes() for file in found}


@pytest.fixture(scope="module")
def both(bucket, tmp_path_factory):
    """The same sweep here and in the bucket."""
    config = replace(WIDTHS, name="one", runs=str(tmp_path_factory.mktemp("runs")))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("scaling_search.runners.ray.driver.run_on_ray", Pretended().run)
        return sweep(config, progress=None), sweep(replace(config, runs=RUNS), progress=None)


def test_a_run_in_a_bucket_is_as_one_here_to_the_byte(both):
    here, there = both
    assert str(there.run.path) == f"{RUNS}/one"
    files = files_of(there.run.path)
    assert files == files_of(here.run.path)
    assert {"/sweep.csv", "/weights.json", "/frontier.parquet", "/accuracy_against_multiply_adds.png"} < files.keys()
    assert not [name for name in files if name.startswith(("/lease", "/checkpoints"))]
    assert sorted(map(str, there.weights)) == [f"{RUNS}/one/weights/{file.name}" for file in sorted(here.weights)]


def test_whatever_takes_a_run_takes_a_url(both, capsys, pretended, tmp_path):
    here, there = both
    path = f"{RUNS}/one"
    assert load_run(path).trials.equals(here.run.trials)
    assert set(load_runs(f"{RUNS}/*").trials["run"]) == {path}
    assert check(path).problems == ()
    assert compare_runs(path, here.run.path).identical_trials == 4
    (row,) = overview(RUNS).to_dict("records")
    assert (row["run"], row["state"], row["done"]) == (path, "complete", 4) and row["bytes"] > 1000
    assert str(there.report()) == f"{path}/report.html"
    table = record([path], f"{RUNS}/all.parquet")
    assert len(list(open_trials(str(table.path)).records())) == 4
    assert path in printed_by(["runs", RUNS], capsys)
    assert printed_by(["table", path], capsys) == printed_by(["table", str(here.run.path)], capsys)
    assert f"{path}/learning_curves.png" in printed_by(["plot", path, "--figure", "curves"], capsys)
    again = sweep(replace(WIDTHS, runs=RUNS, name="again", reuse=(path,)), progress=None)
    assert again.sweep.equals(here.sweep) and len(again.weights) == len(here.weights)
    config = replay_config(str(table.path), SweepConfig)
    replayed = sweep(replace(config, runs=str(tmp_path), name="replayed"), progress=None)
    assert replayed.sweep.equals(here.sweep) and not pretended.trained


def test_a_page_follows_a_run_in_a_bucket(both):
    from scaling_search.cli.server import ReportServer

    directory = open_run(f"{RUNS}/one")
    with ReportServer(directory, 0) as server:
        page = server.page()
        assert server.page() is page
        first, *_ = inside(directory.path / "trials")
        content = first.read_bytes()
        first.unlink()
        assert server.page().tag != page.tag
        first.write_bytes(content)


def test_what_is_missing_is_trained_again_and_nothing_else(both, pretended):
    here, there = both
    first, *_ = inside(there.run.path / "trials")
    first.unlink()
    pretended.trained.clear()
    assert resume(f"{RUNS}/one", progress=None).sweep.equals(here.sweep)
    assert [spec.key for spec in pretended.trained] == [first.stem]
    assert files_of(here.run.path).items() <= files_of(there.run.path).items()


def test_a_second_driver_is_told(both, capsys):
    with open_run(f"{RUNS}/one").locked():
        assert dict(overview(RUNS)[["run", "state"]].to_numpy())[f"{RUNS}/one"] == "running"
        with pytest.raises(SystemExit):
            main(["resume", f"{RUNS}/one"])
        assert capsys.readouterr().err.startswith(
            f"error: another process is working on {RUNS}/one: process {os.getpid()}"
        )
    assert resume(f"{RUNS}/one", progress=None).complete


def test_a_bucket_that_is_not_there_is_one_line(bucket, here, pretended):
    line = r"^cannot reach s3://none/\S+/manifest.json: The specified bucket does not exist; run the same command again"
    with pytest.raises(UserError, match=line):
        load_run("s3://none/runs/one")
    with pytest.raises(UserError, match=line):
        train(TrainConfig(**SMALL, runs="s3://none/runs"), progress=None)
    assert pretended.trained == []


def test_a_trial_that_cannot_be_written_is_kept_and_written_by_the_next_command(memory, here, pretended, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(here / "state"))
    monkeypatch.setattr(places, "PAUSES", ())
    expected = sweep(WIDTHS, progress=None)
    write = Remote.write_bytes

    def gone(self, content):
        if self.parent.name == "trials" and len(inside(self.parent)) == 2:
            raise UnreachableError(self, "the network is gone")
        write(self, content)

    pretended.trained.clear()
    config = replace(WIDTHS, runs=memory, name="one")
    with monkeypatch.context() as patch:
        patch.setattr(Remote, "write_bytes", gone)
        with pytest.raises(
            UserError, match=r"the network is gone; run the same command again .*; until then, "
        ) as raised:
            sweep(config, progress=None)
    (kept,) = here.glob("state/scaling-search/unsent/one-*/*.json")
    assert str(raised.value).endswith(f"a finished trial is kept in {kept}")
    assert len(pretended.trained) == 3
    assert sweep(config, progress=None).sweep.equals(expected.sweep)
    assert len(pretended.trained) == 4 and not kept.exists()


def test_a_driver_that_lost_its_lease_ends(memory, here, pretended, monkeypatch):
    from scaling_search import lease

    monkeypatch.setattr(lease._Renewal, "lost", True, raising=False)
    monkeypatch.setattr(lease._Renewal, "__init__", lambda self, run, *_: vars(self).update(_run=run, ended=_Event()))
    with pytest.raises(UserError, match="the lease of memory://runs/digits was lost"):
        train(TrainConfig(**SMALL, seeds=2, runs=memory), progress=None)
    assert len(pretended.trained) == 1


class _Event:
    def set(self):
        """Nobody waits for it."""


def test_trackers_need_a_folder_here(memory, here, pretended):
    with pytest.raises(UserError, match=r"^--log tensorboard given for a run in memory://runs/digits; "):
        train(TrainConfig(**SMALL, runs=memory, log=("tensorboard",)), progress=None)


def test_a_search_is_the_same_elsewhere(memory, here, pretended):
    config = NasConfig(data="digits", recipe=Recipe(epochs=1), trials=3, seeds=2, name="one")
    one, other = (nas(replace(config, runs=runs), progress=None) for runs in ("runs", memory))
    assert files_of(one.run.path) == files_of(other.run.path)


@pytest.mark.slow
def test_processes_that_train_write_weights_to_the_bucket(bucket, here):
    found = train(TrainConfig(**SMALL, seeds=2, name="trained", runs=RUNS), progress=None)
    assert found.run.trials["status"].tolist() == ["ok", "ok"]
    path = open_run(f"{RUNS}/trained").path
    assert [str(file) for file in found.weights] == [
        f"{path}/weights/network-seed{seed}.safetensors" for seed in _by(found)
    ]
    _, description = read_bundle(str(found.weights[0]))
    assert description.classes == tuple(map(str, range(10)))
    assert check(path).problems == () and inside(path / "checkpoints") == []


def _by(found):
    """Seeds, the best first."""
    return found.run.trials.sort_values(["val_accuracy", "seed"], ascending=[False, True])["seed"]
