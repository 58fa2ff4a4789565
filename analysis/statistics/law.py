"""The law of scaling: error against network size, and what it says of larger networks."""

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scaling_search.analysis.statistics.given import accuracies, numbers
from scaling_search.analysis.statistics.law_draws import draw_laws
from scaling_search.analysis.statistics.law_forms import SATURATING_POWER_LAW, Form, expit, logit, within
from scaling_search.analysis.statistics.means import check_confidence
from scaling_search.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]

NOISE_DRAWS = 20
"""Times that a new network is scattered about each law drawn."""

_LEVEL = 0.05
"""Of the tests for whether error falls with size."""
_ENOUGH = 8
"""Networks that these tests need."""

_OUTLIER = 0.1
"""Residual on the logit scale from which soft L1 grows linearly: about a tenth of the error."""


@dataclass(frozen=True, eq=False)
class Law:
    """Error against size x, multiply-adds or parameters, in one of `law_forms.FORMS`."""

    form: Form
    coefficients: dict[str, float]
    """By their names in the form."""
    unit: float
    """Size that x is measured in: the geometric mean of those fitted."""
    reach: float
    """Size of the largest network fitted."""
    networks: int
    """How many networks were fitted."""
    scatter: float
    """Standard deviation of a network about the law, on the logit scale."""
    draws: Floats
    """Coefficients of laws that the networks fitted allow, (draws, coefficients)."""
    noise: Floats
    """The scatter of one more network about each of these, (draws, NOISE_DRAWS), on the logit scale."""
    widening: float
    """Factor of the intervals beyond `reach`, see `hold_outs.calibrated_law`."""
    doubt: str
    """Why the networks fitted are no ground to predict larger ones, in words; empty where they are."""

    def predict(self, x: ArrayLike, confidence: float = 0.95) -> "pd.DataFrame":
        """Top-1 accuracy 0..1 at sizes `x`: columns `val_accuracy`, `low`, `high`, `beyond`.

        The interval is for one more network, its accuracy a mean over as many seeds as the fitted ones: it covers what
        the fitted networks leave open about the law, and how networks scatter about it. It does not cover that the law
        may fail beyond `reach`. `beyond` is x / reach: above 1 where this extrapolates.
        """
        import pandas as pd

        check_confidence(confidence)
        sizes = numbers(x, "x")
        _check_sizes(sizes)
        u = np.log(sizes / self.unit)
        accuracy = 1 - self.form.error(np.array(list(self.coefficients.values())), u)
        errors = self.form.error(self.draws.T[:, :, None], u)
        tails = [(1 - confidence) / 2, (1 + confidence) / 2]
        shaken = 1 - expit(logit(errors)[:, None, :] + self.noise[:, :, None])
        ends = np.quantile(shaken.reshape(-1, len(sizes)), tails, axis=0)
        factor = np.where(sizes > self.reach, self.widening, 1.0)
        low, high = expit(logit(accuracy) + factor * (logit(ends) - logit(accuracy)))
        return pd.DataFrame(
            {
                "val_accuracy": np.clip(accuracy, 0.0, 1.0),
                "low": np.minimum(low, accuracy).clip(0.0, 1.0),
                "high": np.maximum(high, accuracy).clip(0.0, 1.0),
                "beyond": sizes / self.reach,
            }
        )


def fit_law(x: ArrayLike, y: ArrayLike, *, form: Form = SATURATING_POWER_LAW, seed: int = 0, draws: int = 200) -> Law:
    """Fits the law of scaling to networks of size `x` and top-1 accuracy `y`.

    Least squares on the logit of the error, so that errors of 20 % and 2 % weigh alike and predictions stay in 0..1,
    with soft L1 loss so that one odd network does not bend the law. Intervals come from laws drawn from the posterior
    of the coefficients, see `law_draws`: a floor that the networks leave open, or none, is averaged over. The same
    arguments give the same numbers. docs/laws.md compares the forms.

    Args:
        x: multiply-adds or parameters, (networks,), above 0.
        y: top-1 accuracy over seeds, (networks,), from 0 to 1. Networks with a NaN are left out with a warning.
        form: one of `law_forms.FORMS`.
        seed: of the draws.
        draws: how many laws are drawn.

    Raises:
        UserError: lengths differ, a size is not above 0 and finite, an accuracy is outside 0..1 (a percentage, say),
            or there are no more different sizes than the form has coefficients.

    """
    sizes, accuracy = numbers(x, "x"), accuracies(numbers(y, "y"), "accuracy")
    if len(sizes) != len(accuracy):
        raise UserError(f"{len(sizes)} sizes and {len(accuracy)} accuracies given", "each network needs one of each")
    _check_sizes(sizes[~np.isnan(sizes)])
    if draws < 1:
        raise UserError(f"draws {draws} given", "it must be at least 1")
    known = ~np.isnan(sizes) & ~np.isnan(accuracy)
    if not known.all():
        warnings.warn(f"left out {np.sum(~known)} of {len(known)} networks without a size or accuracy", stacklevel=2)
    sizes, accuracy = sizes[known], accuracy[known]
    different, count = len(np.unique(sizes)), len(form.coefficients)
    if different <= count:
        raise UserError(
            f"{different} different network sizes given",
            f"a law of {count} coefficients needs at least {count + 1}",
            "train more networks, or raise --training-budget",
        )
    unit = float(np.exp(np.log(sizes).mean()))
    u = np.log(sizes / unit)
    target = logit(1 - accuracy)
    fits = [_least_squares(form, start, u, target) for start in form.starts(u, expit(target))]
    best = min(fits, key=lambda fit: fit[1])[0]
    freedom = len(u) - count
    fitted = logit(form.error(best, u))
    scatter = float(np.sqrt(np.sum((target - fitted) ** 2) / freedom))
    random = np.random.default_rng(seed)
    laws, spread = draw_laws(form, best, u, target, draws, random)
    return Law(
        form=form,
        coefficients=dict(zip(form.coefficients, best.tolist(), strict=True)),
        unit=unit,
        reach=float(sizes.max()),
        networks=len(u),
        scatter=scatter,
        draws=laws,
        noise=spread[:, None] * random.standard_normal((draws, NOISE_DRAWS)),
        widening=1.0,
        doubt=_doubt(u, target),
    )


def _doubt(u: Floats, target: Floats) -> str:
    """Whether errors (logits) do not fall with size u, or have stopped falling before the largest: by least squares."""
    from scipy import stats

    slope, error = _last_coefficient(np.column_stack([np.ones_like(u), u]), target)
    falls = slope < 0 and (error == 0 or stats.t.sf(-slope / error, len(u) - 2) < _LEVEL)
    # With few networks it takes more than doubt.
    if slope >= 0 or (not falls and len(u) >= _ENOUGH):
        return "larger networks are not more accurate in this run"
    if len(u) < _ENOUGH:
        return ""
    # The slope of a parabola at the largest network, where it bends upwards.
    beyond = u - u.max()
    bend, error = _last_coefficient(np.column_stack([np.ones_like(u), beyond, beyond**2]), target)
    there = np.linalg.lstsq(np.column_stack([np.ones_like(u), beyond, beyond**2]), target)[0][1]
    if there > 0 and bend > 0 and (error == 0 or stats.t.sf(bend / error, len(u) - 3) < _LEVEL):
        return "accuracy stops rising before the largest networks of this run"
    return ""


def _last_coefficient(design: Floats, target: Floats) -> tuple[float, float]:
    """The last coefficient of a line or parabola, and its standard error."""
    best = np.linalg.lstsq(design, target)[0]
    left = float(np.sum((target - design @ best) ** 2)) / max(len(target) - design.shape[1], 1)
    return float(best[-1]), float(np.sqrt(max(left * np.linalg.pinv(design.T @ design)[-1, -1], 0.0)))


def _check_sizes(sizes: Floats) -> None:
    wrong = sizes[~((sizes > 0) & np.isfinite(sizes))]
    if len(wrong):
        raise UserError(f"network size {wrong[0]:g} given", "it must be a finite number above 0")


def _least_squares(form: Form, start: Floats, u: Floats, target: Floats) -> tuple[Floats, float]:
    from scipy import optimize

    def residuals(coefficients: Floats) -> Floats:
        return logit(form.error(coefficients, u)) - target

    def jacobian(coefficients: Floats) -> Floats:
        error = within(form.error(coefficients, u))
        return form.gradient(coefficients, u) / (error * (1 - error))[:, None]

    lowest, highest = np.array(form.lowest), np.array(form.highest)
    fit = optimize.least_squares(
        residuals,
        np.clip(start, lowest + 1e-6, highest - 1e-6),
        jacobian,
        bounds=(lowest, highest),
        loss="soft_l1",
        f_scale=_OUTLIER,
        method="dogbox",
        ftol=1e-5,
        xtol=1e-5,
        gtol=1e-6,
        x_scale=form.typical,
        max_nfev=30,
    )
    return np.asarray(fit.x), float(fit.cost)
