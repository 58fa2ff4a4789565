"""STEP 1 for several numbers of epochs: what is trained for how long, on the command line and in a run that goes on."""

from dataclasses import replace

import pytest

from scaling_search import Grid, RunConfig, UserError, resume, run
from scaling_search.cli.commands.run import Run
from scaling_search.manifest import config_from_dict, with_steps_of
from scaling_search.recipe import SHORT
from scaling_search.store import open_run
from tests.tiny import TINY

pytestmark = pytest.mark.usefixtures("drawn_at_once")

RECIPE = replace(TINY.recipe, epochs=4)
CONFIG = replace(TINY, name="axis", seeds=2, grid=Grid("coefficients", step=0.2), recipe=RECIPE, training_budget="1.5G")


def by_epochs(specs):
    networks = {}
    for spec in specs:
        networks.setdefault(spec.recipe.epochs, set()).add(spec.network.fingerprint)
    return networks


def test_step_1_is_trained_for_each_and_all_else_for_the_most(here, pretended):
    found = run(replace(CONFIG, shorter=(1, 2)), progress=None)
    networks = by_epochs(pretended.trained)
    step1 = {*found.run.points["fingerprint"]}
    assert networks[1] == networks[2] == step1 <= networks[4]
    assert {spec.seed for spec in pretended.trained if spec.recipe.epochs < 4} == {0, 1}
    assert {spec.recipe.epochs for spec in pretended.trained if spec.evaluate == "test"} == {4}
    assert found.complete and list(found.epochs["epochs"]) == [1, 2, 4]
    assert (found.run.path / "epochs.csv").exists()


def test_a_run_may_be_asked_for_them_later_and_trains_nothing_else(here, pretended):
    first = run(CONFIG, progress=None)
    pretended.trained.clear()
    later = run(replace(CONFIG, shorter=(2,)), progress=None)
    assert {spec.recipe.epochs for spec in pretended.trained} == {2} and later.step1.equals(first.step1)
    pretended.trained.clear()
    run(CONFIG, progress=None)
    assert open_run(later.run.path).config().shorter == (2,)
    assert resume(later.run.path, progress=None).epochs.equals(later.epochs) and not pretended.trained


def test_learning_rates_of_a_probe_hold_for_all_of_them(here, pretended):
    found = run(replace(CONFIG, shorter=(2,), rates="probe", name="both"), progress=None)
    assert set(found.run.probes["epochs"]) == {4}
    trials = found.run.trials[found.run.trials["fingerprint"].isin(found.run.shorter["fingerprint"])]
    rates = [part.groupby("fingerprint")["learning_rate"].first() for part in (trials, found.run.shorter)]
    assert rates[0].equals(rates[1])


@pytest.mark.parametrize("shorter", [(4,), (2, 2), (0,), (8, 2)])
def test_others_than_fewer_epochs_are_refused(shorter):
    with pytest.raises(UserError, match=r"below the 4 of the recipe.*--recipe.epochs 1 2 4"):
        replace(CONFIG, shorter=shorter)


@pytest.mark.parametrize(
    ("words", "epochs", "shorter"),
    [
        ("--recipe.epochs 4 8 16", 16, (4, 8)),
        ("--recipe.epochs 16 4 --seeds 2", 16, (4,)),
        ("--seeds 2 --recipe.epochs 7", 7, ()),
        ("--recipe.epochs 16 --shorter 4", 16, (4,)),
        ("--seeds 2", SHORT.epochs, ()),
    ],
)
def test_the_command_line_takes_several_numbers(words, epochs, shorter):
    import tyro

    options = Run.reworded(words.split())
    config = tyro.cli(Run, args=options, **Run.defaults(options)).config
    assert (config.recipe.epochs, config.shorter) == (epochs, shorter)


def test_what_is_no_number_is_left_to_the_parser():
    assert Run.reworded(["--recipe.epochs", "many"]) == ["--recipe.epochs", "many"]
    assert Run.reworded(["--recipe.epochs"]) == ["--recipe.epochs"]


def test_manifests_from_before_have_none():
    config = config_from_dict(RunConfig, {"data": "digits"})
    assert config.shorter == () and config.rates == "fixed"
    assert with_steps_of(config, replace(config, shorter=(2, 4))).shorter == (2, 4)
