"""Strategies compared where every network has been trained: the table is read without running it, costs are right."""

import pickle
import sys
import types
from itertools import product

import numpy as np
import pytest

from scaling_search import UserError
from tests.benchmarks import nas_bench_201 as bench

WIDTHS = np.array([2.0, 0.0, 5.0, 4.0, 1.0])
"""Points that each operation adds in the made table."""


@pytest.fixture
def package(monkeypatch):
    """A module named as the package's, with classes of the same names."""
    module = types.ModuleType("analognasbench.data")
    for name in ("Architecture", "DriftMeasurement"):
        setattr(module, name, type(name, (), {"__module__": module.__name__}))
    monkeypatch.setitem(sys.modules, "analognasbench", types.ModuleType("analognasbench"))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module


def row(package, accuracy):
    made = package.Architecture()
    made.baseline_accuracy, made.drift = accuracy, package.DriftMeasurement()
    return made


def test_the_cheapest_and_the_dearest_network_cost_what_nas_bench_201_says():
    costs = bench.multiply_adds()
    assert costs[(bench.OPERATIONS.index("none"),) * 6] == costs.min() == 7_783_040
    assert costs[(bench.OPERATIONS.index("conv3x3"),) * 6] == costs.max() == 220_119_680


def test_a_table_is_read_without_the_package_and_network_by_network(package):
    rng = np.random.default_rng(0)
    accuracies = rng.uniform(10, 95, bench.SIZES)
    rows = {key: row(package, float(accuracies[key])) for key in product(range(5), repeat=6)}
    content = pickle.dumps(rows)
    for name in [name for name in sys.modules if name.startswith("analognasbench")]:
        del sys.modules[name]
    table = bench.read_table(content)
    assert np.allclose(table.accuracy, accuracies / 100)
    assert table.rewards[(2,) * 6] == pytest.approx(table.accuracy[(2,) * 6])


class Harm:
    def __reduce__(self):
        return print, ("harm",)


@pytest.mark.parametrize("content", [pickle.dumps({(0,) * 6: Harm()}), b"", b"no pickle", pickle.dumps([1, 2])])
def test_what_is_no_table_is_refused_and_not_run(content, capsys):
    with pytest.raises(UserError, match="cannot be read"):
        bench.read_table(content)
    assert capsys.readouterr().out == ""


def test_a_table_that_lacks_networks_is_refused(package):
    with pytest.raises(UserError, match="15,624 networks have no accuracy"):
        bench.read_table(pickle.dumps({(0,) * 6: row(package, 60.0)}))


@pytest.fixture(scope="module")
def additive():
    """A table in which every operation adds to accuracy by itself."""
    points = sum(np.meshgrid(*[WIDTHS] * 6, indexing="ij", sparse=True))
    return bench.Table((60 + points) / 100, bench.multiply_adds())


@pytest.mark.parametrize("strategy", bench.STRATEGIES)
def test_a_search_is_a_function_of_its_seed_and_tries_so_many_different_networks(additive, strategy):
    if strategy in ("tpe", "nsga2"):
        pytest.importorskip("optuna")
    one, again = (bench.search(additive, strategy, 3, 44) for _ in range(2))
    assert np.array_equal(one.true, again.true) and len(one.true) == 44
    assert np.allclose(one.true, one.seen)
    assert one.found(44) == one.true.max() >= one.found(8)


def test_what_a_search_found_is_judged_without_the_noise_that_it_saw(additive):
    noisy = bench.search(additive, "random", 0, 64, noise=5.0)
    assert np.isin(noisy.true, additive.rewards).all() and np.abs(noisy.seen - noisy.true).min() > 0
    assert noisy.found(64) == noisy.true[noisy.seen.argmax()] < noisy.seen.max()


def test_evolution_and_the_policy_find_more_than_random_search_where_choices_add_up(additive):
    searches = {
        name: [bench.search(additive, name, seed, 120) for seed in range(12)]
        for name in ("random", "evolution", "policy")
    }
    rows = {row["strategy"]: row for row in bench.compared(searches, [120])}
    assert "difference" not in rows["random"]
    assert all(rows[name]["difference"][1] > 0 for name in ("evolution", "policy"))
    assert bench.picture({"0": list(rows.values())}).startswith(b"\x89PNG")
