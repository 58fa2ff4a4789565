"""A run measures the latency of a network once, and nothing while it trains."""

from dataclasses import replace
from typing import ClassVar

import pytest

from scaling_search.config import RunConfig
from scaling_search.errors import UserError
from scaling_search.experiments.latencies import KeptLatencies, at_rest
from scaling_search.experiments.method import set_up
from scaling_search.family import load_family
from scaling_search.rule import Scale
from scaling_search.search.candidates import network_at
from scaling_search.search.nas import latency
from scaling_search.search.nas.latency import Latency
from scaling_search.store import start_run
from tests.tiny import TINY

FAMILY = load_family(TINY.family)
NETWORKS = [network_at(FAMILY, Scale(width=width), 10, name=TINY.family) for width in (1.0, 2.0)]


class Made:
    """Stands for the process that measures: a network's latency is its multiply-adds, and said with a wide spread."""

    asked: ClassVar[list[str]] = []
    closed = 0

    def __call__(self, networks):
        Made.asked += [network.fingerprint for network in networks]
        return [Latency(network.multiply_adds + len(Made.asked), 10.0 * network.multiply_adds) for network in networks]

    def close(self):
        Made.closed += 1


@pytest.fixture
def directory(tmp_path, monkeypatch):
    monkeypatch.setattr(latency, "Stopwatch", Made)
    Made.asked, Made.closed = [], 0
    return start_run(replace(TINY, runs=str(tmp_path)), "digits:0")


def test_a_run_keeps_the_shortest_of_unsteady_times_and_measures_no_network_again(directory):
    network = NETWORKS[0]
    first = KeptLatencies(directory)([network])
    assert first == [network.multiply_adds + 1] and Made.asked == 3 * [network.fingerprint]
    assert KeptLatencies(directory)([network, network]) == 2 * first and len(Made.asked) == 3


def test_what_measures_ends_before_anything_trains(directory):
    latencies = KeptLatencies(directory)

    def plan():
        for network in NETWORKS:
            latencies([network])
            yield []
        return "done"

    resting = at_rest(plan(), latencies)
    next(resting)
    assert Made.closed == 1
    resting.send({})
    assert Made.closed == 2
    with pytest.raises(StopIteration, match="done"):
        resting.send({})


def test_a_recorded_table_is_not_matched_by_latency(here):
    with pytest.raises(UserError, match="--replay"):
        set_up(RunConfig(replay="tables/fashion_mnist.parquet", match_by="latency"))
