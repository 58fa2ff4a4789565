import json
import subprocess
import sys
from pathlib import Path

import pytest

from scaling_search.cli import main
from scaling_search.cli.commands import COMMANDS
from scaling_search.errors import UserError
from scaling_search.experiments.costs import largest_phi

PROGRAM = [str(Path(sys.executable).with_name("scaling-search"))]


def test_help_is_quick_because_it_loads_nothing_heavy():
    shown = subprocess.run([*PROGRAM, "--help"], capture_output=True, text=True, check=True).stdout
    assert "scaling-search run --phi 1" in shown
    code = "import sys; from scaling_search.cli.commands import overview; overview(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not loaded & {"jax", "ray", "flax", "numpy", "pandas", "matplotlib", "scipy", "pyarrow", "rich.progress"}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0
    assert f"Example: scaling-search {command}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["rnu"], "unknown command 'rnu'.*did you mean run"),
        (["run", "--phi", "abc"], "--phi.*'abc'"),
        (["run", "--phi"], "--phi"),
        (["run", "--phi", "0"], "phi"),
        (["run", "--no-such-option", "1"], "--no-such-option"),
        (["run", "--grid.kind", "coefficients", "--grid.alpha-max", "0.9"], "alpha_max.*at least 1"),
        (
            ["run", "--grid.kind", "coefficients", "--grid.step", "0.4", "--grid.tolerance", "0.01"],
            "no point of the grid",
        ),
        (["run", "--family", "resnt"], "unknown family 'resnt'"),
        (["run", "--data", "cifar"], "cifar"),
        (["run", "--data", "idx:/no/such/folder"], "/no/such/folder"),
        (["run", "--recipe.batch-size", "100000"], "100000"),
        (["run", "--seeds", "1"], "at least 2"),
        (["run", "--max-memory", "lots"], "lots"),
        (["run", "--max-flops", "10"], "equation 2 rejects all"),
        (["run", "--name", "../up"], "run name"),
        (["run", "--runs", "/proc/nowhere"], "cannot write"),
        (["step2", "--coefficients", "0.9", "1", "1"], "at least 1"),
        (["step2", "--coefficients", "1.2", "1.1"], "coefficients"),
        (["resume", "/no/such/run"], "is not a run"),
        (["table", "/no/such/run"], "is not a run"),
        (["plot", "/no/such/run"], "is not a run"),
        (["cost"], "no network given"),
        (["cost", "efficientnet_b0", "--resolution", "0"], "resolution 0"),
        (["cost", "efficientnet_b99"], "unknown family"),
        (["fit"], "no budget"),
        (["fit", "--flops", "many"], "many"),
        (["fit", "--flops", "1"], "small enough"),
    ],
)
def test_bad_input_gets_one_line_and_status_2(words, complaint, capsys, tmp_path, monkeypatch):
    import re

    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        main(words)
    printed = capsys.readouterr()
    assert stop.value.code == 2
    assert printed.out == ""
    assert printed.err.startswith("error: ") and printed.err.count("\n") == 1, printed.err
    assert re.search(complaint, printed.err), printed.err
    assert not (tmp_path / "runs").exists()


def printed_json(words, capsys):
    main([*words, "--format", "json"])
    return json.loads(capsys.readouterr().out)


def test_cost_prints_one_object_a_network(capsys):
    b0, b7 = printed_json(["cost", "efficientnet_b0", "efficientnet_b7"], capsys)
    assert b0["network"] == "efficientnet_b0" and b0["parameters"] == 5_288_548 and b0["input_resolution"] == 224
    assert b7["parameters"] == 66_347_960 and b7["input_resolution"] == 600
    assert {"depth", "width", "resolution", "multiply_adds", "activations", "memory"} <= b0.keys()


def test_cost_takes_a_resolution(capsys):
    (b0,) = printed_json(["cost", "efficientnet_b0", "--resolution", "320"], capsys)
    assert b0["input_resolution"] == 320 and b0["multiply_adds"] > 385_814_752


def test_cost_takes_a_users_own_network(capsys, monkeypatch):
    monkeypatch.chdir(Path(__file__).parents[2])
    (row,) = printed_json(["cost", "examples.plain_cnn:PlainCNNFamily", "--num-classes", "10"], capsys)
    assert row["network"] == "plain_cnn" and row["multiply_adds"] > 0


def test_fit_gives_the_largest_network_within_the_budget(capsys):
    (row,) = printed_json(["fit", "--flops", "1e9"], capsys)
    assert row["multiply_adds"] <= 1e9 and 1 < row["phi"] < 3
    from scaling_search.family import load_family
    from scaling_search.rule import PAPER_RULE, round_resolution

    family, more = load_family("efficientnet"), PAPER_RULE.at(row["phi"] + 2e-4)
    larger = family.plan(more, 1000).cost(round_resolution(224, more.resolution))
    assert larger.multiply_adds > 1e9


def test_fit_meets_every_budget_at_once(capsys):
    (row,) = printed_json(["fit", "--flops", "5B", "--memory", "2GiB", "--params", "7M"], capsys)
    assert row["parameters"] <= 7e6 and row["memory"] <= 2 * 2**30


def test_fit_scales_down_where_the_baseline_is_too_large(capsys):
    (row,) = printed_json(["fit", "--flops", "100M"], capsys)
    assert row["phi"] < 0 and row["multiply_adds"] <= 1e8


def test_the_largest_phi_is_found_on_either_side_of_a_step():
    assert largest_phi(lambda phi: phi <= 3.14159) == pytest.approx(3.1415, abs=2e-4)
    assert largest_phi(lambda phi: phi < -2.5) == pytest.approx(-2.5, abs=2e-4)
    with pytest.raises(UserError, match="every phi"):
        largest_phi(lambda phi: True)


def test_version(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0 and capsys.readouterr().out.startswith("scaling-search 0.")


def test_the_doctor_says_what_is_in_use(capsys):
    main(["doctor", "--format", "json"])
    found = {row["what"]: row["found"] for row in json.loads(capsys.readouterr().out)}
    assert found["native kernels"].startswith(("in use", "not in use"))
    assert "jax" in found["packages"] and "cpu" in found["devices"]
    assert not [line for line in found.values() if line.startswith("not usable")]
