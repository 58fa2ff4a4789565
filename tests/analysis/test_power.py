import numpy as np

from scaling_search.analysis.findings.step1 import may_be_best
from scaling_search.analysis.statistics.power import MOST_SEEDS, seeds_to_separate


def test_the_number_of_seeds_has_the_power_it_promises():
    """Trained so often, a network that is truly better is told from another in four of five draws."""
    gap, noise, networks = 0.02, 0.01, 5
    seeds = seeds_to_separate(gap, noise**2, networks)
    random = np.random.default_rng(2)
    told = {count: [] for count in (seeds - 1, seeds)}
    for count in told:
        for _ in range(400):
            values = random.normal(0, noise, (networks, count))
            values[0] += gap
            means = values.mean(1)
            residuals = values - means[:, None] - values.mean(0) + values.mean()
            df = (networks - 1) * (count - 1)
            kept = may_be_best(means[:2], np.full(2, count), float((residuals**2).sum() / df), df)
            told[count].append(not kept[1])
    # The critical value there is for two networks, and so a little lower than for five.
    assert np.mean(told[seeds]) > 0.8 - 3 * np.sqrt(0.16 / 400)
    assert seeds > 2


def test_smaller_gaps_more_networks_and_more_power_need_more_seeds():
    counts = [seeds_to_separate(gap, 1e-4, 10) for gap in (0.05, 0.02, 0.01, 0.005)]
    assert counts == sorted(counts) and len(set(counts)) == 4
    assert seeds_to_separate(0.01, 1e-4, 40) > seeds_to_separate(0.01, 1e-4, 3)
    assert seeds_to_separate(0.01, 1e-4, 10, power=0.95) > seeds_to_separate(0.01, 1e-4, 10, power=0.5)


def test_what_no_number_of_seeds_tells_apart_has_none():
    assert seeds_to_separate(0.0, 1e-4, 10) is None and seeds_to_separate(0.01, float("nan"), 10) is None
    assert seeds_to_separate(1e-6, 1e-4, 10) is None
    assert seeds_to_separate(0.01, 0.0, 10) == 2
    few = seeds_to_separate(0.0006, 1e-4, 3)
    assert few is not None and 1000 < few <= MOST_SEEDS
