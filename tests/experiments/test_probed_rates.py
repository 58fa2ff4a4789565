"""A run that probes learning rates: what it trains at which rate, killed and resumed, replayed and checked."""

import math
from dataclasses import replace

import numpy as np
import pytest

from scaling_search import Grid, RunConfig, findings_of, load_run, record, replay_config, resume, run
from scaling_search.analysis.text.steps import findings_text
from scaling_search.errors import UserError
from scaling_search.experiments.check import check
from scaling_search.store import open_run
from tests.pretended import Pretended
from tests.tiny import TINY

pytestmark = pytest.mark.usefixtures("drawn_at_once")

COARSE = Grid("coefficients", step=0.2)
CONFIG = replace(TINY, name="probed", rates="probe", seeds=2, training_budget="1.5G", grid=COARSE)


def accuracy(spec):
    """The best rate is 0.04 for the baseline and half as high for each doubling of the cost."""
    size = math.log2(spec.network.multiply_adds / BASELINE)
    off = math.log2(spec.recipe.learning_rate / 0.04) + size
    chance = np.random.default_rng([spec.seed, *spec.network.fingerprint.encode()]).normal(0, 0.02)
    return 1 / (1 + math.exp(-(1 + 0.5 * size - 0.4 * off**2 + chance)))


BASELINE = 461_000


@pytest.fixture
def here(here, pretended):
    pretended.accuracy = accuracy
    return here


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """A finished run, of which others only read."""
    with pytest.MonkeyPatch.context() as patch:
        pretended = Pretended()
        pretended.accuracy = accuracy
        patch.setattr("scaling_search.runners.ray.driver.run_on_ray", pretended.run)
        return run(replace(CONFIG, runs=str(tmp_path_factory.mktemp("runs"))), progress=None)


def test_every_network_is_trained_at_the_rate_of_its_size(found):
    law, trials = found.probe.fit.law, found.run.trials
    assert law.slope < 0 and found.probe.fit.high < 0
    assert all(
        rate == law.at(cost) for rate, cost in zip(trials["learning_rate"], trials["multiply_adds"], strict=True)
    )
    assert trials["learning_rate"].nunique() > 1 and trials.groupby("fingerprint")["learning_rate"].nunique().max() == 1
    assert set(found.run.probes["seed"]) == set(CONFIG.probe_seeds) and not set(trials["seed"]) & set(
        CONFIG.probe_seeds
    )
    assert found.confirmed.seeds == 2 and found.complete
    assert found.progress.finished == len(found.run.probes) + (trials["evaluate"] == "validation").sum()


def test_it_says_what_it_found_wherever_it_says_anything(found):
    assert found.rates["fingerprint"].nunique() == 3 and (found.rates["seeds"] == 2).all()
    assert set(found.rates["trained_at"]) == {found.probe.fit.law.at(cost) for cost in found.rates["multiply_adds"]}
    assert findings_text(found).startswith("Learning rates\n")
    assert (found.run.path / "rates.csv").exists()
    page = found.report().read_text(encoding="utf-8")
    assert "Learning rates go from" in page and "seeds that judge no network" in page
    assert check(found.run.path).problems == ()


def test_weights_are_those_of_trainings_that_were_judged(found):
    keys = {file.read_text() for file in found.weights}
    assert found.weights and keys <= set(found.run.trials["key"])


def test_a_killed_probe_goes_on_where_it_was(here, pretended, found):
    class Killed(BaseException):
        """The process ends."""

    def dies(spec):
        if len(pretended.trained) == 7:
            raise Killed
        return accuracy(spec)

    pretended.accuracy = dies
    with pytest.raises(Killed):
        run(CONFIG, progress=None)
    halfway = findings_of(load_run("runs/probed"))
    assert (
        halfway.probe.fit is None and halfway.rates["seeds"].sum() == 6 and "Learning rates" in findings_text(halfway)
    )
    pretended.accuracy = accuracy
    pretended.trained.clear()
    resumed = resume("runs/probed", progress=None)
    assert len(pretended.trained) + 6 == len(list(open_run("runs/probed").records()))
    assert resumed.rates.equals(found.rates) and resumed.step1.equals(found.step1)
    assert open_run("runs/probed").document("rates") == open_run(found.run.path).document("rates")


def test_a_recorded_table_replays_it(here, found):
    record([found.run.path], "probed.parquet")
    again = run(replace(replay_config("probed.parquet", RunConfig), name="again"), progress=None)
    assert again.rates.equals(found.rates) and again.step2.equals(found.step2)


def test_a_table_without_a_probe_cannot_be_asked_for_one(here):
    with pytest.raises(UserError, match=r"probe of learning rates.*--rates fixed"):
        run(replace(replay_config("tables/fashion_mnist.parquet", RunConfig), rates="probe"), progress=None)


def test_step_2_takes_the_rates_that_step_1_found(here):
    first = run(replace(CONFIG, steps=(1,)), progress=None)
    probed = len(first.run.probes)
    both = run(replace(CONFIG, steps=(2,)), progress=None)
    assert len(both.run.probes) == probed and both.probe.fit == first.probe.fit and both.step2 is not None
