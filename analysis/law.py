"""The law of scaling: error against multiply-adds as a saturating power law, and what it says of larger networks."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from analysis.means import check_confidence
from scaling_search.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]

NOISE_DRAWS = 20
"""Times that each resample scatters a new network about its law."""

_SMALLEST_ERROR = 1e-4
"""Errors are kept this far from 0 and 1, where the logit is infinite."""

_OUTLIER = 0.1
"""Residual on the logit scale from which soft L1 grows linearly: about a tenth of the error."""
_LOWEST = np.array([0.0, -12.0, np.log(0.01)])
_HIGHEST = np.array([1.0, 12.0, np.log(5.0)])


@dataclass(frozen=True, eq=False)
class Law:
    """error(x) = floor + scale * (x / unit) ** -exponent, for a network of x multiply-adds."""

    floor: float
    """Error that no size takes away, at least 0."""
    scale: float
    exponent: float
    """Above 0."""
    unit: float
    """Multiply-adds that x is measured in: the geometric mean of those fitted."""
    reach: float
    """Multiply-adds of the largest network fitted."""
    networks: int
    """How many networks were fitted."""
    scatter: float
    """Standard deviation of a network about the law, on the logit scale."""
    draws: Floats
    """Refits to resampled networks, (resamples, 3): floor, log scale, log exponent."""
    noise: Floats
    """The scatter of one more network, (resamples, NOISE_DRAWS), on the logit scale."""

    def predict(self, x: ArrayLike, confidence: float = 0.95) -> "pd.DataFrame":
        """Top-1 accuracy 0..1 at `x` multiply-adds: columns `val_accuracy`, `low`, `high`, `beyond`.

        The interval is for one more network, its accuracy a mean over as many seeds as the fitted ones: it covers what
        the fitted networks leave open about the law, and how networks scatter about it. It does not cover that the law
        may fail beyond `reach`. `beyond` is x / reach: above 1 where this extrapolates.
        """
        import pandas as pd

        check_confidence(confidence)
        sizes = np.atleast_1d(np.asarray(x, np.float64))
        if not np.all(sizes > 0):
            raise UserError("a network without multiply-adds has no accuracy", "they are numbers above 0")
        best = np.array([self.floor, np.log(self.scale), np.log(self.exponent)])
        accuracy = 1 - _error(best, np.log(sizes / self.unit))
        errors = _error(self.draws[:, :, None], np.log(sizes / self.unit))
        tails = [(1 - confidence) / 2, (1 + confidence) / 2]
        shaken = 1 - _expit(_logit(errors)[:, None, :] + self.noise[:, :, None])
        low, high = np.quantile(shaken.reshape(-1, len(sizes)), tails, axis=0)
        return pd.DataFrame(
            {
                "val_accuracy": np.clip(accuracy, 0.0, 1.0),
                "low": np.minimum(low, accuracy).clip(0.0, 1.0),
                "high": np.maximum(high, accuracy).clip(0.0, 1.0),
                "beyond": sizes / self.reach,
            }
        )


def fit_law(x: ArrayLike, y: ArrayLike, *, seed: int = 0, resamples: int = 200) -> Law:
    """Fits the law to networks of `x` multiply-adds and top-1 accuracy `y` (0..1, means over seeds).

    Least squares on the logit of the error, where errors of 20 % and 2 % weigh alike and no prediction leaves 0..1,
    with soft L1 loss so that one odd network does not bend the law. The bootstrap draws new accuracies about the
    fitted law, normal on the logit scale; as few networks tell little about their own scatter, each resample draws
    that too, from its chi-square. The same arguments give the same numbers. Raises UserError for fewer than four
    different x, as the law has three coefficients.
    """
    sizes, accuracy = np.asarray(x, np.float64), np.asarray(y, np.float64)
    known = np.isfinite(sizes) & np.isfinite(accuracy) & (sizes > 0)
    sizes, accuracy = sizes[known], accuracy[known]
    different = len(np.unique(sizes))
    if different < 4:
        raise UserError(
            f"{different} different multiply-adds to fit the law of scaling to",
            "it has three coefficients and needs four",
            "train more networks, or raise --training-budget",
        )
    unit = float(np.exp(np.log(sizes).mean()))
    u = np.log(sizes / unit)
    target = _logit(1 - accuracy)
    best = min((_least_squares(start, u, target) for start in _starts(u, target)), key=lambda fit: fit[1])[0]
    freedom = len(u) - 3
    fitted = _logit(_error(best, u))
    scatter = float(np.sqrt(np.sum((target - fitted) ** 2) / freedom))
    random = np.random.default_rng(seed)
    spread = scatter * np.sqrt(freedom / random.chisquare(freedom, resamples))
    resampled = fitted + spread[:, None] * random.standard_normal((resamples, len(u)))
    return Law(
        floor=float(best[0]),
        scale=float(np.exp(best[1])),
        exponent=float(np.exp(best[2])),
        unit=unit,
        reach=float(sizes.max()),
        networks=len(u),
        scatter=scatter,
        draws=np.array([_least_squares(best, u, one)[0] for one in resampled]),
        noise=spread[:, None] * random.standard_normal((resamples, NOISE_DRAWS)),
    )


def _error(coefficients: Floats, u: Floats) -> Floats:
    """The law's error at u = log(x / unit); coefficients are (floor, log scale, log exponent) along axis -1 or 1."""
    floor, log_scale, log_exponent = np.moveaxis(coefficients, 1 if coefficients.ndim == 3 else 0, 0)
    return np.asarray(floor + np.exp(log_scale - np.exp(log_exponent) * u))


def _least_squares(start: Floats, u: Floats, target: Floats) -> tuple[Floats, float]:
    from scipy import optimize

    def residuals(coefficients: Floats) -> Floats:
        return _logit(_error(coefficients, u)) - target

    def jacobian(coefficients: Floats) -> Floats:
        error = _within(_error(coefficients, u))
        power = error - coefficients[0]
        slope = np.stack([np.ones_like(u), power, -power * np.exp(coefficients[2]) * u], axis=1)
        return slope / (error * (1 - error))[:, None]

    fit = optimize.least_squares(
        residuals,
        np.clip(start, _LOWEST + 1e-6, _HIGHEST - 1e-6),
        jacobian,
        bounds=(_LOWEST, _HIGHEST),
        loss="soft_l1",
        f_scale=_OUTLIER,
        method="dogbox",
        ftol=1e-5,
        xtol=1e-5,
        gtol=1e-6,
        x_scale=[0.05, 0.2, 0.5],
        max_nfev=30,
    )
    return np.asarray(fit.x), float(fit.cost)


def _starts(u: Floats, target: Floats) -> list[Floats]:
    """Where the search begins: no floor, half and most of the smallest error as floor, each with its own exponent."""
    error = _expit(target)
    starts = []
    for share in (0.0, 0.5, 0.9):
        floor = share * error.min()
        slope, intercept = np.polyfit(u, np.log(error - floor), 1)
        starts.append(np.array([floor, intercept, np.log(np.clip(-slope, 0.02, 4.0))]))
    return starts


def _within(error: Floats) -> Floats:
    return np.clip(error, _SMALLEST_ERROR, 1 - _SMALLEST_ERROR)


def _logit(error: Floats) -> Floats:
    inside = _within(error)
    return np.asarray(np.log(inside) - np.log1p(-inside))


def _expit(logit: Floats) -> Floats:
    return np.asarray((1 + np.tanh(logit / 2)) / 2)
