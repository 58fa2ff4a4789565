import numpy as np
import pytest

from scaling_search.analysis import fit_law
from scaling_search.analysis.reference.paper import table2 as published_table2
from scaling_search.analysis.statistics.law_forms import FORMS, Form, expit
from scaling_search.errors import UserError


def logit(p):
    return np.log(p) - np.log1p(-p)


def law_of(x, floor=0.02, scale=0.06, exponent=0.5):
    return floor + scale * (x / 5e5) ** -exponent


def networks(random, noise, count=25):
    """Most of the networks near twice the baseline's cost, as in STEP 1, the others up to 25 times."""
    x = 5e5 * np.r_[1, random.uniform(1.5, 3.1, count - 9), 3.6, 4.5, 6.4, 8.4, 13, 19.2, 25, 25.3]
    return x, accuracy_of(x, random, noise)


def accuracy_of(x, random, noise):
    return 1 - 1 / (1 + np.exp(-(logit(law_of(x)) + random.normal(0, noise, len(x)))))


@pytest.fixture(scope="module")
def table2():
    rows = published_table2()
    rows = rows[rows["family"] == "efficientnet"]
    return rows["multiply_adds"].to_numpy(), rows["val_accuracy"].to_numpy()


def test_b0_to_b3_of_table_2_predict_b4_to_b7_within_1_3_points(table2):
    x, y = table2
    predicted = fit_law(x[:4], y[:4]).predict(x[4:])
    assert np.abs(predicted["val_accuracy"] - y[4:]).max() < 0.013
    assert (predicted["low"] <= y[4:]).all() and (y[4:] <= predicted["high"]).all()
    assert (predicted["high"] - predicted["low"] < 0.15).all()
    assert predicted["beyond"].tolist() == pytest.approx([4.2 / 1.8, 5.5, 19 / 1.8, 37 / 1.8])


def test_a_known_law_is_recovered_from_exact_points():
    x = 5e5 * np.geomspace(1, 40, 12)
    law = fit_law(x, 1 - law_of(x), draws=5)
    assert law.coefficients["floor"] == pytest.approx(0.02, rel=1e-3)
    assert law.coefficients["log_exponent"] == pytest.approx(np.log(0.5), abs=1e-3)
    far = np.array([1e8, 1e9])
    assert law.predict(far)["val_accuracy"].to_numpy() == pytest.approx(1 - law_of(far), abs=1e-4)


def test_a_known_law_is_recovered_from_noisy_points():
    x, y = networks(np.random.default_rng(0), noise=0.05)
    near = 5e5 * np.array([1.0, 2.0, 8.0, 25.0, 50.0])
    predicted = fit_law(x, y, draws=20).predict(near)
    assert predicted["val_accuracy"].to_numpy() == pytest.approx(1 - law_of(near), abs=0.005)


def test_prediction_intervals_cover_new_networks_as_often_as_they_say():
    random = np.random.default_rng(5)
    new = 5e5 * np.array([2.0, 25.0, 50.0, 200.0])
    hits = []
    for _ in range(12):
        law = fit_law(*networks(random, noise=0.08), draws=40)
        predicted = law.predict(new)
        hits.append(predicted["val_accuracy"].notna() & between(accuracy_of(new, random, 0.08), predicted))
    assert np.mean(hits) > 0.85


@pytest.mark.parametrize("rise", [0.0, 0.15])
def test_where_larger_networks_are_not_more_accurate_the_law_says_so(rise):
    x, _ = networks(np.random.default_rng(0), noise=0.1)
    doubts = [
        fit_law(x, accuracy_of_error(0.06 * (x / x.max()) ** rise, np.random.default_rng(seed)), draws=1).doubt
        for seed in range(20)
    ]
    assert np.mean([doubt == "larger networks are not more accurate in this run" for doubt in doubts]) >= 0.8


def test_where_accuracy_stops_rising_the_law_says_so():
    x, _ = networks(np.random.default_rng(0), noise=0.1)
    error = 0.06 + 0.012 * (np.log(x / x.max()) + 1.3) ** 2
    doubt = fit_law(x, accuracy_of_error(error, np.random.default_rng(1)), draws=1).doubt
    assert doubt == "accuracy stops rising before the largest networks of this run"


@pytest.mark.parametrize("floor", [0.0, 0.02])
def test_where_larger_networks_are_more_accurate_there_is_no_doubt(floor, table2):
    x, _ = networks(np.random.default_rng(0), noise=0.1)
    doubts = [
        fit_law(x, accuracy_of_error(law_of(x, floor), np.random.default_rng(seed)), draws=1).doubt
        for seed in range(20)
    ]
    assert np.mean([doubt == "" for doubt in doubts]) >= 0.8
    assert not fit_law(table2[0][:4], table2[1][:4], draws=1).doubt


def accuracy_of_error(error, random, noise=0.1):
    return 1 - 1 / (1 + np.exp(-(logit(error) + random.normal(0, noise, len(error)))))


def between(values, predicted):
    return (predicted["low"] <= values) & (values <= predicted["high"])


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_intervals_widen_with_the_distance_from_what_was_measured(seed):
    x, y = networks(np.random.default_rng(seed), noise=0.08)
    law = fit_law(x, y, draws=60)
    predicted = law.predict(law.reach * np.array([1.0, 3.0, 10.0, 100.0]))
    # In points they may narrow, since so does the error itself.
    assert (logit(predicted["high"]) - logit(predicted["low"])).is_monotonic_increasing
    assert (predicted["low"] <= predicted["val_accuracy"]).all() and between(predicted["val_accuracy"], predicted).all()


def test_one_odd_network_does_not_bend_the_law():
    x, y = networks(np.random.default_rng(0), noise=0.02)
    odd = y.copy()
    odd[5] -= 0.4
    far = [5e7]
    straight, bent = (fit_law(x, values, draws=5).predict(far)["val_accuracy"][0] for values in (y, odd))
    assert bent == pytest.approx(straight, abs=0.003)


@pytest.mark.parametrize("y", [[0.9, 0.8, 0.7, 0.6, 0.5], [1.0] * 5, [0.0] * 5, [0.93] * 5, [0.1, 0.9, 0.1, 0.9, 0.1]])
def test_whatever_is_fitted_accuracies_stay_between_0_and_1(y):
    predicted = fit_law([1e6, 2e6, 3e6, 4e6, 5e6], y, draws=10).predict([1e3, 1e6, 1e9, 1e15])
    accuracies = predicted[["val_accuracy", "low", "high"]].to_numpy()
    assert np.isfinite(accuracies).all() and (accuracies >= 0).all() and (accuracies <= 1).all()


def test_the_same_seed_gives_the_same_numbers_and_another_gives_others():
    x, y = networks(np.random.default_rng(0), noise=0.05)
    one, same, other = (fit_law(x, y, seed=seed, draws=10).predict([1e8]) for seed in (0, 0, 1))
    assert one.equals(same)
    assert one["val_accuracy"].equals(other["val_accuracy"]) and not one["low"].equals(other["low"])


def test_networks_without_an_accuracy_are_left_out():
    with pytest.warns(UserWarning, match="left out 1 of 5 networks"):
        law = fit_law([1e6, 2e6, 3e6, 4e6, 9e6], [0.7, 0.75, 0.78, 0.8, np.nan], draws=5)
    assert law.networks == 4 and law.reach == 4e6


SIZES = [1e6, 2e6, 4e6, 8e6, 16e6]
GOOD = [0.5, 0.6, 0.7, 0.75, 0.78]


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (SIZES, [50, 60, 70, 75, 78], "accuracy 50 given.*divide percentages by 100"),
        (SIZES, [0.5, 0.6, 0.7, 0.75, 1.01], "accuracy 1.01 given"),
        (SIZES, [-0.5, 0.6, 0.7, 0.75, 0.78], "accuracy -0.5 given"),
        (SIZES, [*GOOD[:4], np.inf], "accuracy inf given"),
        (SIZES, GOOD[:4], "5 sizes and 4 accuracies given"),
        (SIZES[:4], GOOD, "4 sizes and 5 accuracies given"),
        ([0, *SIZES[1:]], GOOD, "network size 0 given"),
        ([-1e6, *SIZES[1:]], GOOD, "network size -1e[+]06 given"),
        ([np.inf, *SIZES[1:]], GOOD, "network size inf given"),
        (["small", *SIZES[1:]], GOOD, "x 'small' given"),
        (SIZES, ["50 %", *GOOD[1:]], "y '50 %' given"),
        (SIZES, [[value] for value in GOOD], "y with 2 dimensions"),
        (SIZES, [1j, *GOOD[1:]], "y"),
        ([np.nan] * 5, GOOD, "0 different network sizes"),
    ],
)
@pytest.mark.filterwarnings("ignore:left out")
def test_what_cannot_be_sizes_and_accuracies_is_refused(x, y, message):
    with pytest.raises(UserError, match=message):
        fit_law(x, y)


@pytest.mark.parametrize("x", [[np.nan], [np.inf], [-1.0], ["large"]])
def test_what_cannot_be_a_size_has_no_prediction(x):
    with pytest.raises(UserError, match="given"):
        fit_law(SIZES, GOOD, draws=2).predict(x)


def test_at_least_one_law_is_drawn():
    with pytest.raises(UserError, match="draws 0 given"):
        fit_law(SIZES, GOOD, draws=0)


def test_a_form_of_four_coefficients_can_be_fitted_and_says_what_it_needs():
    cubic = Form(
        name="logistic of a cubic",
        equation="1 / (1 + exp(a + b * log x + c * (log x)^2 + d * (log x)^3))",
        coefficients=("a", "b", "c", "d"),
        error=lambda c, u: expit(-(c[0] + c[1] * u + c[2] * u**2 + c[3] * u**3)),
        starts=lambda u, error: [np.array([1.0, 0.3, 0.0, 0.0])],
        lowest=(-12.0, -5.0, -5.0, -5.0),
        highest=(12.0, 5.0, 5.0, 5.0),
        typical=(0.2, 0.2, 0.1, 0.1),
    )
    with pytest.raises(UserError, match="4 different network sizes given; a law of 4 coefficients needs at least 5"):
        fit_law(SIZES[:4], GOOD[:4], form=cubic)
    law = fit_law(SIZES, GOOD, form=cubic, draws=3)
    assert law.predict(SIZES)["val_accuracy"].to_numpy() == pytest.approx(GOOD, abs=0.01)


def test_three_sizes_are_too_few():
    with pytest.raises(UserError, match=r"3 different network sizes.*at least 4"):
        fit_law([1e6, 1e6, 2e6, 3e6], [0.7, 0.7, 0.75, 0.8])
    with pytest.raises(UserError, match="0 different"):
        fit_law([], [])


def test_a_network_without_multiply_adds_is_refused():
    x, y = networks(np.random.default_rng(0), noise=0.05)
    with pytest.raises(UserError, match="network size 0 given"):
        fit_law(x, y, draws=2).predict([0.0])


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_every_form_recovers_itself_and_needs_one_network_more_than_coefficients(form):
    x = 5e5 * np.geomspace(1, 40, 12)
    truth = {
        "power law with a floor": (0.02, -2.5, -0.7),
        "logistic with a floor": (0.02, -2.5, -0.7),
        "power law": (-2.5, -1.5),
        "logistic": (-2.5, -1.5),
        "reciprocal of the logarithm": (12.0, 0.5),
        "linear in the logarithm": (0.2, -4.0),
        "logistic of a parabola": (2.5, 0.3, -0.02),
    }[form.name]
    u = np.log(x / np.exp(np.log(x).mean()))
    y = 1 - form.error(np.array(truth), u)
    law = fit_law(x, y, form=form, draws=3)
    assert list(law.coefficients.values()) == pytest.approx(truth, abs=0.01)
    assert law.predict(x)["val_accuracy"].to_numpy() == pytest.approx(y, abs=1e-4)
    few = len(form.coefficients)
    with pytest.raises(UserError, match=f"{few} different network sizes"):
        fit_law(x[:few], y[:few], form=form)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_gradients_are_those_of_finite_differences(form):
    u, at = np.linspace(-2, 2, 9), np.array(form.starts(np.linspace(-2, 2, 9), np.geomspace(0.3, 0.1, 9))[-1])
    steps = 1e-6 * np.eye(len(at))
    numeric = np.stack([(form.error(at + step, u) - form.error(at - step, u)) / 2e-6 for step in steps], axis=1)
    assert form.gradient(at, u) == pytest.approx(numeric, abs=1e-6)
