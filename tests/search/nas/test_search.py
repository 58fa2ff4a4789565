"""The search as a plan, with a training that takes no time."""

import dataclasses
import json
import math

import pytest

from scaling_search.config import NasConfig, to_dict
from scaling_search.errors import UserError
from scaling_search.family import load_family
from scaling_search.manifest import config_from_dict
from scaling_search.recipe import Recipe
from scaling_search.rule import Scale
from scaling_search.runners.agenda import Agenda
from scaling_search.runners.local import run_here
from scaling_search.search.nas import search as searches
from scaling_search.search.nas.search import search_plan, set_up
from scaling_search.search.nas.space import MNASNET_TINY_SPACE, load_space, sizes
from scaling_search.trial import Outcome, to_record
from tests.runners.fake_training import DATA, Notes

CONFIG = NasConfig(trials=20, batch=6, recipe=Recipe(epochs=9))


def accuracy_of(spec):
    """More work and more epochs help; so does chance, a little."""
    network = spec.network
    chance = int(spec.key, 16) / 16 ** len(spec.key)
    return 0.1 * math.log10(network.multiply_adds) + 0.01 * spec.recipe.epochs + 0.02 * chance


def train(group, data):
    for spec in group:
        if "convk5" in spec.network.options[0].split("-")[0]:
            raise ValueError("no such kernel")
        yield Outcome("ok", accuracy=accuracy_of(spec))


def no_latency(networks):
    raise AssertionError("nothing is to be measured")


def searched(config, finished=None, train=train, measure=no_latency, notes=None):
    lab = set_up(load_space(config.space), config, 10, "made-up:0")
    notes, seen = notes or Notes(), []
    found = run_here(
        search_plan(lab, measure, seen.append),
        train,
        DATA,
        finished=finished or {},
        on_outcome=notes.record,
        watchers=[notes],
    )
    assert seen[-1] == found
    return found, notes


@pytest.fixture(scope="module")
def found():
    return searched(CONFIG)[0]


def test_it_trains_as_many_networks_as_it_may(found):
    assert found.networks == CONFIG.trials
    assert {one.batch for one in found.tried} == {1, 2, 3, 4}


def test_the_reward_is_of_accuracy_and_cost_with_the_middle_as_target(found):
    middle = load_family("mnasnet_tiny", MNASNET_TINY_SPACE.options(tuple(n // 2 for n in sizes(MNASNET_TINY_SPACE))))
    assert found.objective.target == middle.plan(Scale(), 10).cost(16).multiply_adds
    for one in found.tried:
        assert one.cost == one.network.multiply_adds
        if one.reward is not None:
            assert one.reward == pytest.approx(one.accuracy * (one.cost / found.objective.target) ** -0.07)


def test_the_best_by_one_seed_are_trained_from_the_others_and_judged_by_these_alone(found):
    assert {one.tried for one in found.finalists} == set(found.ranking[: CONFIG.finalists])
    rewards = [one.reward for one in found.finalists]
    assert rewards == sorted(rewards, reverse=True) and len(rewards) == CONFIG.finalists
    for one in found.finalists:
        assert len(one.accuracies) == CONFIG.seeds - 1
        assert one.accuracy == pytest.approx(sum(one.accuracies) / len(one.accuracies))
        assert one.tried.accuracy not in one.accuracies


def test_the_ranking_holds_each_network_once_best_first(found):
    rewards = [one.reward for one in found.ranking]
    assert rewards == sorted(rewards, reverse=True)
    assert len({one.network.fingerprint for one in found.ranking}) == len(found.ranking)
    assert any(one.reward is None for one in found.tried), "some trainings fail here"
    assert all(one.reward is not None for one in found.ranking)


def test_of_architectures_that_are_one_network_the_first_proposed_is_ranked(found):
    best = found.ranking[0]
    other = dataclasses.replace(best, batch=best.batch + 1, genotype=tuple(0 for _ in best.genotype))
    twice = dataclasses.replace(found, tried=(*found.tried, other))
    assert twice.ranking == found.ranking
    assert dataclasses.replace(found, tried=(other, *found.tried)).ranking[0] == other


def test_a_killed_search_goes_on_where_it_was_and_trains_nothing_twice(found):
    notes = Notes()
    lab = set_up(MNASNET_TINY_SPACE, CONFIG, 10, "made-up:0")
    kept = {}
    with Agenda(
        search_plan(lab, no_latency, lambda search: None),
        finished={},
        on_outcome=lambda spec, outcome: kept.update({spec.key: to_record(spec, outcome)}),
    ) as agenda:
        while len(kept) < 9:
            (spec,) = agenda.next_group()
            outcomes = [*_all(train, spec)]
            agenda.report(spec, outcomes[0])
    again, _ = searched(CONFIG, kept, notes=notes)
    assert again == found
    assert not kept.keys() & notes.recorded.keys()
    records = {**kept, **{key: {"outcome": to_dict(outcome)} for key, outcome in notes.recorded.items()}}
    replayed = Notes()
    assert searched(CONFIG, records, notes=replayed)[0] == found
    assert not replayed.recorded


def test_in_which_order_the_trainings_of_a_batch_end_changes_nothing(found):
    lab = set_up(MNASNET_TINY_SPACE, CONFIG, 10, "made-up:0")
    with Agenda(search_plan(lab, no_latency, lambda search: None), finished={}, on_outcome=lambda *_: None) as agenda:
        while not agenda.done:
            side_by_side = list(iter(lambda: agenda.next_group(4), None))
            for spec in (spec for group in reversed(side_by_side) for spec in group):
                agenda.report(spec, next(_all(train, spec)))
        assert agenda.result == found


def _all(train, spec):
    try:
        yield from train([spec], DATA)
    except ValueError as error:
        yield Outcome("failed", reason=f"ValueError: {error}")


def test_more_trials_go_on_from_fewer(found):
    notes = Notes()
    first = searched(dataclasses.replace(CONFIG, trials=12, finalists=1), notes=notes)[0]
    assert first.tried == found.tried[: len(first.tried)]


def test_what_costs_too_much_is_rejected_before_training():
    limit = 700_000
    config = dataclasses.replace(CONFIG, max_flops=str(limit), max_params="400k", max_memory="8MiB")
    found, _ = searched(config)
    assert found.rejected > 0
    assert all(one.network.multiply_adds <= limit and one.network.parameters <= 4e5 for one in found.tried)
    assert found.networks == config.trials


def test_limits_that_nothing_meets_are_said(monkeypatch):
    monkeypatch.setattr(searches, "MOST_REJECTED", 30)
    with pytest.raises(UserError, match="30 architectures in a row exceed"):
        searched(dataclasses.replace(CONFIG, max_flops="10"))


def test_a_search_in_which_nothing_can_be_trained_says_so():
    def broken(group, data):
        raise ValueError("never")

    with pytest.raises(UserError, match="no architecture finished training"):
        searched(dataclasses.replace(CONFIG, trials=3), train=broken)


@pytest.mark.parametrize(("metric", "target"), [("params", "1M"), ("memory", "8MiB")])
def test_other_costs_may_be_the_metric(metric, target):
    found, _ = searched(dataclasses.replace(CONFIG, metric=metric, **{f"target_{metric}": target}, trials=4))
    assert found.objective.target == (1e6 if metric == "params" else 2**23)
    for one in found.tried:
        if metric == "params":
            assert one.cost == one.network.parameters
        else:
            assert one.cost > 4 * one.network.parameters


def test_latency_is_measured_batch_by_batch_each_network_once():
    asked = []

    def measure(networks):
        asked.append([network.fingerprint for network in networks])
        return [float(network.parameters) for network in networks]

    found, _ = searched(dataclasses.replace(CONFIG, metric="latency", trials=12), measure=measure)
    assert [len(batch) for batch in asked] == [1, 6, 6]
    assert all(one.cost == one.network.parameters for one in found.tried)


def test_successive_halving_trains_many_for_few_epochs_and_few_for_many():
    notes = Notes()
    config = dataclasses.replace(CONFIG, batch=9, trials=9, halving=3, seeds=2, finalists=1)
    lab = set_up(MNASNET_TINY_SPACE, config, 10, "made-up:0")
    specs = []

    def record(spec, outcome):
        notes.record(spec, outcome)
        specs.append(spec)

    found = run_here(search_plan(lab, no_latency, lambda search: None), train, DATA, finished={}, on_outcome=record)
    by_epochs = {
        epochs: {spec.network.fingerprint for spec in specs if spec.recipe.epochs == epochs} for epochs in (1, 3, 9)
    }
    assert {epochs: len(names) for epochs, names in by_epochs.items()} == {1: 9, 3: 3, 9: 1}
    assert by_epochs[9] < by_epochs[3] < by_epochs[1]
    assert [one.epochs for one in found.ranking] == [9]
    best = max((spec for spec in specs if spec.recipe.epochs == 1), key=lambda spec: found_reward(found, spec))
    assert best.network.fingerprint in by_epochs[3]


def found_reward(found, spec):
    return found.objective.reward(accuracy_of(spec), spec.network.multiply_adds)


def test_a_strategy_that_finds_nothing_new_ends_the_search():
    @dataclasses.dataclass(frozen=True)
    class Two:
        family: str = "mnasnet_tiny"

        @property
        def decisions(self):
            return {"width": (0.1, 0.2)}

        def options(self, genotype):
            return (f"width={self.decisions['width'][genotype[0]]}",)

    lab = set_up(Two(), CONFIG, 10, "made-up:0")
    found = run_here(
        search_plan(lab, no_latency, lambda search: None), train, DATA, finished={}, on_outcome=lambda *_: None
    )
    assert found.networks == 2 and found.finalists


def test_the_document_holds_what_is_known(found):
    tree = json.loads(json.dumps(found.document(), allow_nan=False))
    assert tree["best"] == {
        "family": "mnasnet_tiny",
        "options": list(found.finalists[0].tried.network.options),
    }
    assert load_family(tree["best"]["family"], tuple(tree["best"]["options"])).name == "mnasnet_tiny"
    assert {row["network"] for row in tree["tried"]} == tree["networks"].keys()
    assert "best" not in dataclasses.replace(found, finalists=()).document()


def test_a_search_survives_its_manifest():
    assert CONFIG.run_name == f"nas-{CONFIG.data}"
    assert config_from_dict(NasConfig, json.loads(json.dumps(to_dict(CONFIG)))) == CONFIG


@pytest.mark.parametrize(
    ("bad", "complaint"),
    [
        ({"trials": 0}, "trials 0"),
        ({"halving": 1}, "halving 1"),
        ({"target_params": "4M"}, "metric is flops.*--metric params"),
        ({"metric": "latency", "target_latency": 0.0}, "above 0"),
        ({"target_flops": "many"}, "many"),
        ({"max_memory": "lots"}, "lots"),
    ],
)
def test_bad_configs_are_refused(bad, complaint):
    with pytest.raises(UserError, match=complaint):
        set_up(MNASNET_TINY_SPACE, dataclasses.replace(CONFIG, **bad), 10, "made-up:0")
