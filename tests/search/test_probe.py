"""The probe of learning rates: which networks, which rates, and every training of a plan at its network's rate."""

import math
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from scaling_search.config import RunConfig
from scaling_search.rule import Scale
from scaling_search.search.candidates import specs_of
from scaling_search.search.rates import at_rates, probe, probed_networks
from scaling_search.trial import Network, Outcome

CONFIG = RunConfig(seeds=2, rates="probe")


def network(cost, name=None):
    return Network("made_up", (), Scale(), 16, 10, name or f"of {cost}", cost, cost, cost)


THREE = tuple(map(network, (100, 200, 800)))


def probed(accuracy, networks=THREE):
    """What a probe comes to where a training has this accuracy, and the batches of specs that it asked for."""
    news, batches = [], []
    plan = probe(networks, CONFIG, "images:0", on_news=news.append)
    specs = next(plan)
    try:
        while True:
            batches.append(specs)
            specs = plan.send({one.key: Outcome("ok", accuracy(one)) for one in specs})
    except StopIteration as end:
        return end.value, batches, news


@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=20))
def test_the_ends_are_probed_and_what_is_nearest_to_their_middle(costs):
    chosen = probed_networks([network(cost) for cost in costs])
    distinct = sorted(set(costs))
    assert len(chosen) == min(3, len(distinct))
    assert (chosen[0].multiply_adds, chosen[-1].multiply_adds) == (distinct[0], distinct[-1])
    if len(chosen) == 3:
        middle = math.sqrt(distinct[0] * distinct[-1])
        nearest = min(distinct[1:-1], key=lambda cost: abs(math.log(cost / middle)))
        assert math.isclose(abs(math.log(chosen[1].multiply_adds / middle)), abs(math.log(nearest / middle)))


def test_each_network_is_trained_at_half_once_and_twice_the_rate_from_seeds_of_its_own():
    tried, (specs,), _ = probed(lambda spec: 0.9 if spec.recipe.learning_rate == 0.02 else 0.5)
    assert sorted({one.recipe.learning_rate for one in specs}) == [0.01, 0.02, 0.04]
    assert {one.seed for one in specs} == {2000, 2001}
    assert not {one.seed for one in specs} & {*CONFIG.all_seeds, *CONFIG.fresh_seeds}
    assert len(tried) == len(specs) == 3 * 3 * 2
    assert all(one.recipe == replace(CONFIG.recipe, learning_rate=one.recipe.learning_rate) for one in specs)


def test_a_network_that_is_best_at_an_edge_gets_one_rate_beyond_it_and_no_more():
    def accuracy(spec):
        return 0.5 + spec.recipe.learning_rate * (1 if spec.network == THREE[0] else -1)

    _, (_, more), news = probed(accuracy)
    assert {(one.network, one.recipe.learning_rate) for one in more} == {
        (THREE[0], 0.08),
        (THREE[1], 0.005),
        (THREE[2], 0.005),
    }
    assert [len(one) for one in news[-1].octaves] == [4, 4, 4]


def test_the_document_names_every_training():
    _, batches, news = probed(lambda spec: spec.recipe.learning_rate)
    document = news[-1].document()
    planned = {(one["network"], rate) for one in document["probed"] for rate in one["rates"]}
    assert planned == {(one.network.fingerprint, one.recipe.learning_rate) for batch in batches for one in batch}


def test_a_plan_is_trained_at_the_rates_and_told_by_the_keys_that_it_knows():
    told = []

    def plan():
        for one in THREE:
            specs = specs_of(one, CONFIG, "images:0")
            outcomes = yield specs
            told.append([outcomes[spec.key].accuracy for spec in specs])
        return "done"

    def rate_of(one):
        return one.multiply_adds / 1000

    asked = at_rates(plan(), rate_of)
    specs, seen = next(asked), []
    try:
        while True:
            seen += specs
            specs = asked.send({one.key: Outcome("ok", one.recipe.learning_rate) for one in specs})
    except StopIteration as end:
        assert end.value == "done"
    assert told == [[0.1] * 2, [0.2] * 2, [0.8] * 2]
    assert [replace(one, recipe=CONFIG.recipe) for one in seen] == [
        one for size in THREE for one in specs_of(size, CONFIG, "images:0")
    ]
