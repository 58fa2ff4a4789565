import numpy as np
import pandas as pd
import pytest
from scipy import stats

from scaling_search.analysis import compound_against_single, load_run
from scaling_search.analysis.findings.dimensions import BEST
from scaling_search.analysis.reference.paper import scaling_results
from scaling_search.errors import UserError

ALONE = [(1, 1, 1), (2, 1, 1), (8, 1, 1), (1, 2, 1), (1, 3, 1), (1, 1, 2), (1, 1, 3)]
COMPOUND = [(1.2, 1.1, 1.15), (1.44, 1.21, 1.3225)]


def cost(scale):
    depth, width, resolution = scale
    return round(1e8 * depth * width**2 * resolution**2)


def in_log(scale):
    """Accuracy that depends on multiply-adds alone, and rises in a straight line with their logarithm."""
    return 0.5 + 0.05 * np.log(cost(scale) / 1e8)


def trials(accuracy, scales=(*ALONE, *COMPOUND), seeds=(0.0, 0.01, -0.02), noise=0.0, random=0):
    """One row a training: the accuracy of its scale, what its seed does to all, and noise of its own."""
    draws = np.random.default_rng(random).normal(0, noise, (len(scales), len(seeds)))
    return pd.DataFrame(
        [
            {
                "fingerprint": str(scale),
                **dict(zip(("depth", "width", "resolution"), map(float, scale), strict=True)),
                "multiply_adds": cost(scale),
                "seed": seed,
                "val_accuracy": accuracy(scale) + effect + draws[index, seed],
            }
            for index, scale in enumerate(scales)
            for seed, effect in enumerate(seeds)
        ]
    )


def bonus(points):
    return lambda scale: in_log(scale) + points * (scale in COMPOUND)


def test_a_bonus_of_compound_networks_is_found_against_every_dimension():
    found = compound_against_single(trials(bonus(0.03)))
    assert found.means["dimension"].tolist() == ["depth", "width", "resolution", BEST]
    assert found.means["difference"].to_numpy() == pytest.approx(0.03)
    assert found.networks["difference"].to_numpy() == pytest.approx(0.03)
    assert found.means["networks"].tolist() == [2] * 4 and len(found.networks) == 8


@pytest.mark.parametrize(
    ("points", "verdict"), [(0.03, "compound is better"), (0.0, "not told apart"), (-0.03, "compound is worse")]
)
def test_the_verdict_falls_as_the_truth_does(points, verdict):
    found = compound_against_single(trials(bonus(points), noise=0.003))
    assert set(found.means["verdict"].iloc[:3]) == {verdict}


@pytest.mark.parametrize(
    ("gains", "answer"),
    [
        ((-0.03, -0.03, -0.03), "beats depth, width and resolution alone"),
        ((-0.03, 0.0, 0.03), "beats depth alone, loses to resolution alone, is not told apart from width alone"),
    ],
)
def test_the_answer_names_what_compound_scaling_beats(gains, answer):
    def accuracy(scale):
        grown = [index for index, factor in enumerate(scale) if factor > 1]
        return in_log(scale) + (gains[grown[0]] if len(grown) == 1 else 0.0)

    # Curves that begin away from the baseline, which has no gain.
    near = [(1.1, 1, 1), (1, 1.1, 1), (1, 1, 1.1)]
    found = compound_against_single(trials(accuracy, (*ALONE, *near, *COMPOUND), noise=0.001))
    assert found.answer == f"compound scaling {answer}"


def test_what_seeds_do_to_all_networks_alike_cancels():
    calm, shaken = (
        compound_against_single(trials(bonus(0.01), seeds=seeds, noise=0.004)) for seeds in ((0, 0, 0), (0, 0.1, -0.2))
    )
    columns = ["difference", "low", "high"]
    assert calm.means[columns].to_numpy() == pytest.approx(shaken.means[columns].to_numpy())


def test_at_a_point_of_the_curve_it_is_the_paired_difference():
    # d * w^2 * r^2 = 8, as depth alone has at d = 8.
    twin = (2.0, np.sqrt(2.0), np.sqrt(2.0))
    frame = trials(in_log, (*ALONE, twin), noise=0.01)
    row = compound_against_single(frame).networks.set_index("dimension").loc["depth"]
    of = frame.pivot(index="fingerprint", columns="seed", values="val_accuracy")
    gap = of.loc[str(twin)] - of.loc[str((8, 1, 1))]
    residuals = of.sub(of.mean(axis=1), axis=0).sub(of.mean(axis=0) - of.to_numpy().mean(), axis=1).to_numpy()
    df = (len(of) - 1) * 2
    half = stats.t.ppf(0.975, df) * np.sqrt(2 / 3 * np.sum(residuals**2) / df)
    assert row["difference"] == pytest.approx(gap.mean())
    assert (row["low"], row["high"]) == (pytest.approx(gap.mean() - half), pytest.approx(gap.mean() + half))


def test_intervals_cover_the_truth_as_often_as_they_say():
    hits = [
        (means["low"] <= 0.01) & (means["high"] >= 0.01)
        for means in (
            compound_against_single(trials(bonus(0.01), noise=0.01, random=random)).means.iloc[:3]
            for random in range(60)
        )
    ]
    assert np.mean(hits) == pytest.approx(0.95, abs=0.04)


def test_the_best_of_the_three_is_the_highest_curve():
    found = compound_against_single(trials(lambda scale: in_log(scale) + 0.02 * (scale[1] > 1)))
    single = found.networks.pivot(index="fingerprint", columns="dimension", values="single")
    assert single[BEST].tolist() == single["width"].tolist()
    assert (single[BEST] > single["depth"]).all()


def test_a_network_beyond_a_curve_is_not_compared_with_it():
    large = (3.0, 2.0, 1.5)  # 27 times the baseline, where depth alone ends at 8 and the others at 9
    assert len(compound_against_single(trials(in_log, (*ALONE, *COMPOUND, large))).networks) == 8
    with pytest.raises(UserError, match="costs as much as"):
        compound_against_single(trials(in_log, (*ALONE, large)))


def test_networks_can_be_named():
    found = compound_against_single(trials(in_log), [str(COMPOUND[1])])
    assert set(found.networks["fingerprint"]) == {str(COMPOUND[1])}
    with pytest.raises(UserError, match="'x' has no finished training"):
        compound_against_single(trials(in_log), ["x"])


def test_one_seed_gives_differences_without_intervals_or_verdict():
    means = compound_against_single(trials(bonus(0.03), seeds=(0,))).means
    assert means["difference"].to_numpy() == pytest.approx(0.03)
    assert means[["low", "high"]].isna().all(axis=None) and set(means["verdict"]) == {"not told apart"}


def test_the_papers_own_table_needs_no_seeds():
    table = scaling_results().query("source == 'Table 7'")
    means = compound_against_single(table).means.set_index("dimension")
    assert (means["difference"] > 0.01).all() and (means["networks"] == 1).all()


def test_what_lacks_either_kind_is_refused(whole):
    with pytest.raises(UserError, match="depth, width and resolution all scaled"):
        compound_against_single(trials(in_log, ALONE))
    with pytest.raises(UserError, match="costs as much as"):
        compound_against_single(trials(in_log, COMPOUND))
    with pytest.raises(UserError, match="no column 'depth'"):
        compound_against_single(load_run(whole.path).trials.drop(columns="depth"))
