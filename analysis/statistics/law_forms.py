"""Forms that a law of scaling may take: error against network size, in two or three coefficients."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_SMALLEST_ERROR = 1e-4
"""Errors are kept this far from 0 and 1, where the logit is infinite."""
_SLOPE = (np.log(0.01), np.log(5.0))
"""Bounds on the logarithm of an exponent or slope."""


@dataclass(frozen=True, eq=False)
class Form:
    """Error as a function of u = log(size / unit). Coefficients are arrays along the first axis."""

    name: str
    equation: str
    """In words of size x in units of the geometric mean of the sizes fitted."""
    coefficients: tuple[str, ...]
    error: Callable[[Floats, Floats], Floats]
    """Of coefficients (k, ...) and u; may leave 0..1 where u is far away."""
    starts: Callable[[Floats, Floats], list[Floats]]
    """Where a fit begins, from u and the error of the networks fitted: each (k,)."""
    lowest: tuple[float, ...]
    highest: tuple[float, ...]
    typical: tuple[float, ...]
    """By how much a coefficient changes to make a difference."""
    log_prior: Callable[[Floats], Floats] = lambda c: np.zeros(c.shape[1:])
    """Logarithm of what is thought of coefficients (k, ...) before any network is seen, but for a constant."""
    floored: bool = False
    """Whether the first coefficient is a floor, of which any order of magnitude is as likely, see `law_draws`."""

    def gradient(self, coefficients: Floats, u: Floats) -> Floats:
        """Of the error by the coefficients, (networks, k); exact, by complex steps."""
        steps = coefficients[:, None] + 1e-30j * np.eye(len(coefficients))
        return np.asarray(self.error(steps[:, :, None], u).imag.T / 1e-30)  # type: ignore[arg-type]


def logit(error: Floats) -> Floats:
    """The logit of errors, which are first moved inside 0..1."""
    inside = within(error)
    return np.asarray(np.log(inside) - np.log1p(-inside))


def expit(logits: Floats) -> Floats:
    """The inverse of `logit`."""
    return np.asarray((1 + np.tanh(logits / 2)) / 2)


def within(error: Floats) -> Floats:
    """Errors, kept a little away from 0 and 1."""
    # By np.clip it takes twice as long, half of the time of drawing laws.
    return np.minimum(np.maximum(error, _SMALLEST_ERROR), 1 - _SMALLEST_ERROR)


def _line(u: Floats, values: Floats) -> Floats:
    """Intercept of the line through `values`, and the logarithm of its fall."""
    slope, intercept = np.polyfit(u, values, 1)
    return np.array([intercept, np.log(np.clip(-slope, 0.02, 4.0))])


def _floored(transform: Callable[[Floats], Floats]) -> Callable[[Floats, Floats], list[Floats]]:
    """Starts with no floor, half and most of the smallest error as floor, each with its own line."""

    def starts(u: Floats, error: Floats) -> list[Floats]:
        floors = [share * error.min() for share in (0.0, 0.5, 0.9)]
        return [np.array([floor, *_line(u, transform(error - floor))]) for floor in floors]

    return starts


def _exponent_prior(log_exponent: Floats) -> Floats:
    """Exponents of published laws lie between 0.05 and 1 (Hestness et al., 2017; Rosenfeld et al., 2020)."""
    return np.asarray(-((log_exponent - np.log(0.3)) ** 2) / 2)


SATURATING_POWER_LAW = Form(
    name="power law with a floor",
    equation="floor + scale * x^-exponent",
    coefficients=("floor", "log_scale", "log_exponent"),
    error=lambda c, u: c[0] + np.exp(c[1] - np.exp(c[2]) * u),
    starts=_floored(np.log),
    lowest=(0.0, -12.0, _SLOPE[0]),
    highest=(1.0, 12.0, _SLOPE[1]),
    typical=(0.05, 0.2, 0.5),
    log_prior=lambda c: _exponent_prior(c[2]),
    floored=True,
)

FORMS = (
    SATURATING_POWER_LAW,
    Form(
        name="logistic with a floor",
        equation="floor + (1 - floor) / (1 + scale * x^slope)",
        coefficients=("floor", "log_odds", "log_slope"),
        error=lambda c, u: c[0] + (1 - c[0]) * expit(c[1] - np.exp(c[2]) * u),
        starts=_floored(logit),
        lowest=(0.0, -12.0, _SLOPE[0]),
        highest=(1.0, 12.0, _SLOPE[1]),
        typical=(0.05, 0.2, 0.5),
        log_prior=lambda c: _exponent_prior(c[2]),
        floored=True,
    ),
    Form(
        name="power law",
        equation="scale * x^-exponent",
        coefficients=("log_scale", "log_exponent"),
        error=lambda c, u: np.exp(c[0] - np.exp(c[1]) * u),
        starts=lambda u, error: [_line(u, np.log(error))],
        lowest=(-12.0, _SLOPE[0]),
        highest=(12.0, _SLOPE[1]),
        typical=(0.2, 0.5),
        log_prior=lambda c: _exponent_prior(c[1]),
    ),
    Form(
        name="logistic",
        equation="1 / (1 + scale * x^slope)",
        coefficients=("log_odds", "log_slope"),
        error=lambda c, u: expit(c[0] - np.exp(c[1]) * u),
        starts=lambda u, error: [_line(u, logit(error))],
        lowest=(-12.0, _SLOPE[0]),
        highest=(12.0, _SLOPE[1]),
        typical=(0.2, 0.5),
        log_prior=lambda c: _exponent_prior(c[1]),
    ),
    Form(
        name="reciprocal of the logarithm",
        equation="1 / (a + b * log x)",
        coefficients=("a", "log_b"),
        error=lambda c, u: 1 / (c[0] + np.exp(c[1]) * u),
        starts=lambda u, error: [np.array([1 / error.mean(), *_line(-u, 1 / error)[1:]])],
        lowest=(1.0, _SLOPE[0]),
        highest=(1e4, np.log(1e3)),
        typical=(1.0, 0.5),
    ),
    Form(
        name="linear in the logarithm",
        equation="a - b * log x",
        coefficients=("a", "log_b"),
        error=lambda c, u: c[0] - np.exp(c[1]) * u,
        starts=lambda u, error: [np.array([error.mean(), np.log(max(-np.polyfit(u, error, 1)[0], 1e-4))])],
        lowest=(0.0, np.log(1e-5)),
        highest=(1.0, 0.0),
        typical=(0.05, 0.5),
    ),
    Form(
        name="logistic of a parabola",
        equation="1 / (1 + exp(a + b * log x + c * (log x)^2))",
        coefficients=("a", "b", "c"),
        error=lambda c, u: expit(-(c[0] + c[1] * u + c[2] * u**2)),
        starts=lambda u, error: [-np.polyfit(u, logit(error), 2)[::-1]],
        lowest=(-12.0, -5.0, -5.0),
        highest=(12.0, 5.0, 5.0),
        typical=(0.2, 0.2, 0.1),
    ),
)
"""The forms that `hold_outs.compare_forms` judges; the first is what STEP 2 extrapolates by."""
