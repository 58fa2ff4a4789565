"""One kit that every strategy must pass."""

import subprocess
import sys

import numpy as np
import pytest

from scaling_search.errors import UserError
from scaling_search.search.nas.result import Objective, Result
from scaling_search.search.nas.strategy import STRATEGIES, PolicyGradient, RegularisedEvolution, make_strategy

SIZES = (3, 2, 4, 1, 3, 2, 3, 3)
BATCH = 8


def made_up(genotype):
    """An accuracy that each decision has a part in, and a cost that rises with the first three."""
    accuracy = sum(choice / max(1, size - 1) for choice, size in zip(genotype, SIZES, strict=True)) / len(SIZES)
    cost = 1.0 + sum(genotype[:3])
    return Result(genotype, Objective(4.0).reward(accuracy, cost), accuracy, cost)


def followed(name, seed, batches, judge=made_up):
    """What a strategy asks for, batch by batch."""
    strategy = make_strategy(name, SIZES, seed)
    asked = []
    for _ in range(batches):
        genotypes = strategy.ask(BATCH)
        strategy.tell([judge(genotype) for genotype in genotypes])
        asked.append(genotypes)
    return asked


@pytest.fixture(params=sorted(STRATEGIES))
def name(request):
    if request.param in ("tpe", "nsga2"):
        pytest.importorskip("optuna")
    return request.param


def test_it_asks_for_as_many_as_it_is_to_each_in_the_space(name):
    for genotypes in followed(name, 0, 6):
        assert len(genotypes) == BATCH
        for genotype in genotypes:
            assert isinstance(genotype, tuple) and all(type(choice) is int for choice in genotype)
            assert all(0 <= choice < size for choice, size in zip(genotype, SIZES, strict=True))


def test_the_same_seed_and_the_same_outcomes_lead_to_the_same_questions(name):
    assert followed(name, 3, 8) == followed(name, 3, 8)


def test_another_seed_leads_to_others(name):
    assert followed(name, 3, 1) != followed(name, 4, 1)


def test_first_questions_are_spread_over_the_space(name):
    drawn = np.array(make_strategy(name, SIZES, 0).ask(60))
    for column, size in zip(drawn.T, SIZES, strict=True):
        assert set(column) == set(range(size))


@pytest.mark.parametrize(("other", "count"), [("evolution", 20), ("tpe", 10), ("nsga2", 20)])
def test_strategies_share_their_first_draws_with_random_search(other, count):
    if other in ("tpe", "nsga2"):
        pytest.importorskip("optuna")
    asked = [[one for batch in followed(name, 5, 5) for one in batch] for name in ("random", other)]
    assert asked[0][:count] == asked[1][:count]
    assert asked[0] != asked[1]


def test_what_was_rejected_or_failed_ends_nothing(name):
    def judge(genotype):
        return Result(genotype, None) if genotype[0] == 0 else made_up(genotype)

    strategy = make_strategy(name, SIZES, 0)
    for _ in range(8):
        genotypes = strategy.ask(BATCH)
        rejected = [genotype for genotype in genotypes if genotype[0] == 0]
        strategy.tell([judge(genotype) for genotype in rejected])
        strategy.tell([judge(genotype) for genotype in genotypes if genotype[0] > 0])
    assert followed(name, 0, 2, lambda genotype: Result(genotype, None))


def test_genotypes_asked_for_twice_are_told_of_twice(name):
    strategy = make_strategy(name, (1, 1), 0)
    for _ in range(5):
        genotypes = strategy.ask(BATCH)
        assert set(genotypes) == {(0, 0)}
        strategy.tell([Result(genotype, 0.5, 0.5, 1.0) for genotype in genotypes])


@pytest.mark.parametrize("seed", range(3))
def test_what_learns_gets_better(name, seed):
    def mean(batches):
        return np.mean([made_up(genotype).reward for genotypes in batches for genotype in genotypes])

    asked = followed(name, seed, 30)
    gain = mean(asked[-4:]) - mean(asked[:2])
    # Eight draws a batch: the mean of six batches that learn nothing varies by a hundredth or two.
    assert gain < 0.05 if name == "random" else gain > 0.05


def test_evolution_mutates_one_decision_of_the_best_of_a_sample():
    strategy = RegularisedEvolution(SIZES, 0)
    first = [strategy.ask(1)[0] for _ in range(strategy.POPULATION)]
    strategy.tell([made_up(genotype) for genotype in first])
    for child in strategy.ask(50):
        assert min(sum(a != b for a, b in zip(child, parent, strict=True)) for parent in first) <= 1


def test_evolution_forgets_the_oldest_however_good():
    strategy = RegularisedEvolution((9,) * 8, 0)
    best = (8,) * 8
    strategy.tell([Result(best, 9.0, 1.0, 1.0)])
    strategy.tell([Result((0,) * 8, 0.1, 0.1, 1.0)] * strategy.POPULATION)
    assert all(sum(choice != 0 for choice in child) == 1 for child in strategy.ask(20))


def test_the_policy_does_not_move_on_equal_rewards():
    one, other = PolicyGradient(SIZES, 0), PolicyGradient(SIZES, 0)
    for _ in range(3):
        one.tell([Result(genotype, 0.5, 0.5, 1.0) for genotype in one.ask(BATCH)])
        other.ask(BATCH)
    assert one.ask(BATCH) == other.ask(BATCH)


def test_the_reward_is_that_of_the_paper():
    objective = Objective(target=400e6)
    assert objective.reward(0.8, 400e6) == pytest.approx(0.8)
    # MnasNet's section 3: w = -0.07 makes twice the latency worth 5 % more accuracy.
    assert objective.reward(0.8 * 1.05, 800e6) == pytest.approx(objective.reward(0.8, 400e6), rel=0.001)


def test_an_unknown_strategy_is_refused():
    with pytest.raises(UserError, match="known strategies are random, evolution"):
        make_strategy("annealing", SIZES, 0)


def test_without_optuna_its_strategies_say_what_to_install_and_others_work():
    code = (
        "import sys; sys.modules['optuna'] = None\n"
        "from scaling_search.search.nas.strategy import make_strategy\n"
        "make_strategy('evolution', (2, 2), 0).ask(3)\n"
        "make_strategy('tpe', (2, 2), 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "pip install 'scaling-search[nas]'" in done.stderr.splitlines()[-1]
