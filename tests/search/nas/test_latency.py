import dataclasses
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from scaling_search.errors import UserError
from scaling_search.family import load_family
from scaling_search.networks.mnasnet import MNASNET_TINY
from scaling_search.rule import Scale
from scaling_search.search.nas import latency
from scaling_search.search.nas.latency import (
    LatencyTable,
    latency_table,
    measure_apart,
    module_latency,
    network_latency,
    places,
    time_calls,
)
from scaling_search.search.nas.space import MNASNET_TINY_SPACE, random_genotypes
from scaling_search.trial import Network

PLAIN = Network("examples.plain_cnn:PlainCNNFamily", (), Scale(), 12, 10, "plain", 1, 1, 1)
PLAN = MNASNET_TINY.plan(Scale(), 10)


def test_a_time_is_that_of_the_call():
    found = time_calls(lambda: time.sleep(0.005))
    assert 5 <= found.median < 50 and found.spread >= 0


def test_one_slow_call_moves_neither_median_nor_spread():
    calls = iter(range(10_000))
    found = time_calls(lambda: time.sleep(0.2 if next(calls) == 10 else 0.004))
    assert found.median < 50 and found.spread < 50


def test_a_network_is_measured_here_and_in_a_process_of_its_own():
    here, (apart,) = network_latency(PLAIN), measure_apart([PLAIN])
    assert 0 < here.median < 1000 and 0 < apart.median < 1000


def test_the_process_that_measures_keeps_the_user_s_xla_flags(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_unheard_of=1")
    with pytest.raises(UserError, match="xla_unheard_of"):
        measure_apart([PLAIN])


def test_what_cannot_be_measured_says_why():
    with pytest.raises(UserError, match="no_such_module"):
        measure_apart([Network("no_such_module:Family", (), Scale(), 12, 10, "none", 1, 1, 1)])


def test_the_parts_of_a_network_are_its_layers_each_on_what_the_one_before_makes():
    found = places(PLAN, 16)
    assert len(found) == 2 + sum(map(len, PLAN.stages))
    given = [(1, place.side, place.side, place.channels) for place in found]
    assert given[0] == (1, 16, 16, 3)
    for place, shape, following in zip(found, given, [*given[1:], (1, 10)], strict=True):
        image = jax.ShapeDtypeStruct(shape, jnp.float32)
        assert nnx.eval_shape(lambda module, image: module(image), place.part.build(), image).shape == following


def test_a_prediction_is_the_sum_of_the_parts():
    found = places(PLAN, 16)
    table = LatencyTable(dict.fromkeys(found, 0.5), 0.1)
    assert table.predict(PLAN, 16) == pytest.approx(0.1 + 0.5 * len(found))
    with pytest.raises(KeyError):
        table.predict(PLAN, 17)


def test_drop_connect_makes_no_part_of_its_own():
    dropping = dataclasses.replace(MNASNET_TINY, drop_connect=0.2).plan(Scale(), 10)
    assert dropping != PLAN and places(dropping, 16) == places(PLAN, 16)


@pytest.mark.slow
def test_a_table_predicts_the_networks_that_it_was_made_for(monkeypatch):
    monkeypatch.setattr(latency, "SECONDS", 0.05)
    genotypes = random_genotypes(MNASNET_TINY_SPACE, 2, np.random.default_rng(0))
    families = [
        load_family("mnasnet_tiny", MNASNET_TINY_SPACE.options(tuple(map(int, genotype)))) for genotype in genotypes
    ]
    plans = [family.plan(Scale(), 10) for family in families]
    table = latency_table(plans, 16)
    for family, plan in zip(families, plans, strict=True):
        measured = module_latency(family.build(Scale(), 10, rngs=nnx.Rngs(0)), (1, 16, 16, 3))
        # Machines that run tests are busy; what the error is when they are not, `scaling-search latency` says.
        assert 0.1 < table.predict(plan, 16) / measured.median < 10
