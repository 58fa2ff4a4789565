import http.client
import shlex
import signal
import subprocess
import sys
import threading
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import tyro

from scaling_search.cli import main
from scaling_search.cli.commands import Nas, Run, Step2, Sweep, Train
from scaling_search.cli.server import ReportServer
from scaling_search.config import QUICK, NasConfig, RunConfig, Split, SweepConfig, TrainConfig, to_dict
from scaling_search.recipe import PAPER, SHORT, Recipe
from scaling_search.rule import Grid
from scaling_search.store import RunDirectory, start_run

ROOT = Path(__file__).parents[2]


@pytest.fixture
def run(tmp_path):
    """A run of which there is nothing but the manifest."""
    return start_run(RunConfig(name="made-up", runs=str(tmp_path)), "made-up:0")


def printed_by(words, capsys):
    main(words)
    return capsys.readouterr().out.strip()


def test_the_report_lies_in_the_run_or_where_it_is_told(run, tmp_path, capsys):
    inside = printed_by(["report", str(run.path)], capsys)
    assert inside == str(run.path / "report.html")
    outside = printed_by(["report", str(run.path), "-o", str(tmp_path / "there.html")], capsys)
    assert Path(outside).read_bytes() == Path(inside).read_bytes()
    assert b"There is no answer yet." in Path(inside).read_bytes()


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["-o", "report.pdf"], "must end in .html"),
        (["-o", "/no/such/folder/report.html"], "/no/such/folder is not a folder"),
        (["--watch", "-o", "report.html"], "--watch writes no file"),
        (["--port", "8000"], "--port given without --watch"),
        (["--watch", "--port", "65536"], "port 65536"),
    ],
)
def test_bad_options_are_refused_in_one_line(run, words, complaint, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["report", str(run.path), *words])
    printed = capsys.readouterr()
    assert stop.value.code == 2 and complaint in printed.err and printed.err.count("\n") == 1


def test_a_port_in_use_is_refused(run, capsys):
    with served(run) as port, pytest.raises(SystemExit):
        main(["report", str(run.path), "--watch", "--port", str(port)])
    assert f"cannot listen on port {port}" in capsys.readouterr().err


def options_of(command, kind):
    """What the command line `command` asks for, read as the program reads it."""
    program, name, *words = shlex.split(command)
    assert program == "scaling-search"
    return name, tyro.cli(kind, args=words, **kind.defaults(words), config=(tyro.conf.FlagCreatePairsOff,))


@pytest.mark.parametrize(
    "config",
    [
        RunConfig(),
        QUICK,
        replace(QUICK, runs="some where/else", seeds=4),
        RunConfig(name="other", family="my.nets:It's", family_options=("a=1", "b=2"), max_flops="2M", phi=1.5),
        RunConfig(
            grid=Grid("coefficients", step=0.1, alpha_max=1.6),
            recipe=Recipe(epochs=3, augment="none"),
            reuse=("a", "b c"),
        ),
        RunConfig(recipe=PAPER),
        RunConfig(recipe=replace(PAPER, epochs=4, batch_size=64)),
        RunConfig(recipe=replace(SHORT, learning_rate=0.01, zero_init_residual=False)),
    ],
)
def test_the_command_of_a_run_asks_for_the_same_config(tmp_path, config):
    run = RunDirectory(tmp_path)
    run.write_document("manifest", {"kind": "method", "config": to_dict(config)})
    name, options = options_of(run.command(), Run)
    assert name == "run" and options.config == config


@pytest.mark.parametrize(
    "config",
    [
        NasConfig(),
        NasConfig(strategy="tpe", metric="params", target_params="4M", split=Split(train=0.1), recipe=Recipe(epochs=3)),
        NasConfig(name="mine", family_options=("depth=0.33", "width=0.5"), reuse=("runs/other",), halving=3),
    ],
)
def test_the_command_of_a_search_asks_for_the_same_config(tmp_path, config):
    config = replace(config, runs=str(tmp_path))
    name, options = options_of(start_run(config, "made-up:0").command(), Nas)
    assert name == "nas" and options.config == config


@pytest.mark.parametrize(
    "config",
    [
        SweepConfig(data="digits", depths=(2.0, 4.0), seeds=2),
        SweepConfig(data="digits", dims=("w",), widths=(2.0, 3.0), family="mobilenet_v2"),
        SweepConfig(data="digits", compound=True, compound_scale=(2.0, 1.5, 1.25)),
        SweepConfig(data="digits", dims=(), scales=("2,1,1.3", "1.5,1,1")),
    ],
)
def test_the_command_of_a_sweep_asks_for_the_same_networks(tmp_path, config):
    config = replace(config, runs=str(tmp_path))
    name, options = options_of(start_run(config, "made-up:0").command(), Sweep)
    assert name == "sweep" and options.config == config


def test_the_command_of_a_single_network_trains_it_from_the_same_weights(tmp_path):
    config = TrainConfig(runs=str(tmp_path), width=1.5, init="/w.npz", trained="head")
    name, options = options_of(start_run(config, "made-up:0").command(), Train)
    assert name == "train" and options.config == config


def test_the_command_of_one_step_asks_for_that_step(tmp_path):
    config = RunConfig(runs=str(tmp_path), steps=(2,), coefficients=(1.2, 1.1, 1.15))
    name, options = options_of(start_run(config, "made-up:0").command(), Step2)
    assert name == "step2" and options.config == config


def test_a_run_of_another_version_is_resumed(run):
    manifest = run.manifest()
    run.write_document("manifest", manifest | {"config": manifest["config"] | {"no_such_field": 1}})
    assert run.command() == f"scaling-search resume {run.path}"


@contextmanager
def served(directory):
    """The report of a run on a free port."""
    with ReportServer(directory, 0) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict
    content: bytes


def asked(port, path="/", **headers):
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return Answer(answer.status, dict(answer.headers), answer.read())


def test_a_watched_page_is_whole_and_sent_again_only_when_the_run_has_changed(run):
    with served(run) as port:
        first = asked(port)
        assert first.status == 200 and first.content.endswith(b"</html>\n") and b"connect-src" in first.content
        assert int(first.headers["Content-Length"]) == len(first.content)
        assert asked(port, **{"If-None-Match": first.headers["ETag"]}).status == 304
        run.write_file("step1.csv", b"made from the records")
        assert asked(port, **{"If-None-Match": first.headers["ETag"]}).status == 304
        manifest = run.manifest()
        run.write_document("manifest", manifest | {"data": "others:1"})
        second = asked(port, **{"If-None-Match": first.headers["ETag"]})
        assert second.status == 200 and b"others:1" in second.content


def test_only_this_machine_asking_for_this_page_gets_it(run):
    with ReportServer(run, 0) as server:
        assert server.server_address[0] == "127.0.0.1"
    with served(run) as port:
        assert asked(port, Host=f"evil.example:{port}").status == 403
        assert asked(port, Host=f"localhost:{port}").status == 200
        assert asked(port, "/manifest.json").status == 404 and asked(port, "/../manifest.json").status == 404


def test_a_run_that_cannot_be_read_is_an_answer_until_it_can(run):
    with served(run) as port:
        manifest = run.manifest()
        (run.path / "manifest.json").write_text("{")
        answer = asked(port)
        assert answer.status == 503 and b"is not a run" in answer.content
        run.write_document("manifest", manifest)
        assert asked(port).status == 200


def test_ctrl_c_ends_watching_without_a_traceback(run):
    with subprocess.Popen(
        [sys.executable, "-c", "from scaling_search.cli import main; main()", "report", str(run.path), "--watch"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as process:
        address = process.stdout.readline()
        port = int(address.rpartition(":")[2].strip().strip("/"))
        assert asked(port).status == 200
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 0 and out == "" and address.startswith("http://127.0.0.1:")
    assert "Traceback" not in err and err.splitlines()[-1].startswith("stopped")
