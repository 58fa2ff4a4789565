"""Compound scaling: (alpha, beta, gamma, phi) -> Scale(depth, width, resolution), and the grid of STEP 1.

Everything here is from "EfficientNet: Rethinking Model Scaling for CNNs" (Tan and Le, 2019), equation 3:

    depth d = alpha ** phi,  width w = beta ** phi,  resolution r = gamma ** phi
    subject to alpha * beta ** 2 * gamma ** 2 ~ 2 and alpha, beta, gamma >= 1

Plain Python, cheap to import anywhere.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Literal, get_args

from scaling_search.errors import UserError

# Ten digits are far finer than any coefficient anyone writes down, and far coarser than floating-point noise.
DIGITS = 10

GridKind = Literal["shares", "coefficients"]


@dataclass(frozen=True, order=True)
class Scale:
    """Factors by which a baseline grows: layers by `depth`, channels by `width`, input side by `resolution`."""

    depth: float = 1.0
    width: float = 1.0
    resolution: float = 1.0

    def __post_init__(self) -> None:
        for name in ("depth", "width", "resolution"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise UserError(f"{name} {value!r} cannot scale a network", "it must be a finite number above 0")

    @property
    def cost(self) -> float:
        """d * w^2 * r^2: the factor by which multiply-adds grow before rounding (section 3.3 of the paper)."""
        return self.depth * self.width**2 * self.resolution**2


@dataclass(frozen=True, order=True)
class CompoundRule:
    """The coefficients of equation 3. `CompoundRule(1.2, 1.1, 1.15)` is the paper's own."""

    alpha: float
    beta: float
    gamma: float

    def __post_init__(self) -> None:
        for name in ("alpha", "beta", "gamma"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 1):
                raise UserError(
                    f"{name} {value!r} would shrink the network",
                    "alpha, beta and gamma must be finite and at least 1 (equation 3)",
                    "to scale down, use a negative phi",
                )

    @property
    def cost_factor(self) -> float:
        """alpha * beta^2 * gamma^2: the growth of multiply-adds for one step of phi; about 2 in the paper."""
        return self.alpha * self.beta**2 * self.gamma**2

    def satisfies(self, target: float = 2.0, tolerance: float = 0.1) -> bool:
        """Whether the constraint of equation 3 holds: |alpha * beta^2 * gamma^2 - target| < tolerance.

        Strictly less, so that a point exactly at the tolerance, such as (1.9, 1, 1), is excluded on every machine.
        """
        return round(abs(self.cost_factor - target), DIGITS) < tolerance

    def at(self, phi: float) -> Scale:
        """The scale at compound coefficient `phi`, any real number (equation 3)."""
        if not math.isfinite(phi):
            raise UserError(f"phi {phi!r} is not finite", "phi must be a finite number", "try --phi 1")
        try:
            return Scale(self.alpha**phi, self.beta**phi, self.gamma**phi)
        except OverflowError:
            raise UserError(f"phi {phi!r} is too large: the scale overflows", hint="try --phi 1") from None


PAPER_RULE = CompoundRule(alpha=1.2, beta=1.1, gamma=1.15)
"""What the paper's STEP 1 found for EfficientNet-B0 (section 3.3)."""


@dataclass(frozen=True)
class Grid:
    """The grid of STEP 1: the rules that it compares.

    "shares" divides the growth in cost among the dimensions: depth takes i/n of it, width j/n and resolution k/n, for
    all i + j + k = n = `divisions`, so that alpha = 2^(i/n), beta = 2^(j/2n), gamma = 2^(k/2n) and
    alpha * beta^2 * gamma^2 is exactly 2. Its corners scale one dimension alone.

    "coefficients" is every rule on a lattice that starts at 1 and meets equation 3's constraint. The paper does not say
    which grid it searched. These defaults contain its answer (1.2, 1.1, 1.15), which gives 1.92, so that a tolerance
    below 0.08 would exclude it. They make 39 points; with every bound at 2, 108.
    """

    kind: GridKind = "shares"
    """Equal steps of each dimension's share in the growth of cost, or of the coefficients. `divisions` is for shares,
    the other options are for coefficients."""
    divisions: int = 3
    """Into how many steps shares are divided: n make (n + 1)(n + 2) / 2 points."""
    step: float = 0.05
    """Distance between neighbouring values of a coefficient."""
    alpha_max: float = 1.4
    """Largest depth coefficient."""
    beta_max: float = 1.2
    """Largest width coefficient."""
    gamma_max: float = 1.2
    """Largest resolution coefficient."""
    target: float = 2.0
    """What alpha * beta^2 * gamma^2 should be."""
    tolerance: float = 0.1
    """Largest distance from the target (exclusive)."""

    def __post_init__(self) -> None:
        self._check_kind()
        if not 1 <= self.divisions <= 100:
            raise UserError(f"grid divisions {self.divisions} given", "1 to 100 are allowed", "try --grid.divisions 4")
        if not (math.isfinite(self.step) and self.step > 0):
            raise UserError(f"grid step {self.step!r} given", "it must be above 0", "try --grid.step 0.05")
        if not (math.isfinite(self.tolerance) and self.tolerance > 0):
            raise UserError(
                f"grid tolerance {self.tolerance!r} given", "it must be above 0", "try --grid.tolerance 0.1"
            )
        for name in ("alpha_max", "beta_max", "gamma_max"):
            bound = getattr(self, name)
            if not (math.isfinite(bound) and bound >= 1):
                raise UserError(
                    f"grid {name} {bound!r} given", "it must be at least 1", f"try --grid.{name.replace('_', '-')} 1.4"
                )
        points = math.prod(self._count(bound) for bound in (self.alpha_max, self.beta_max, self.gamma_max))
        if points > 10_000_000:
            raise UserError(
                f"grid step {self.step!r} makes a lattice of {points:,} points",
                "at most 10,000,000 are allowed",
                "try a larger --grid.step",
            )

    def _check_kind(self) -> None:
        """Raises UserError where an option of the other kind is given."""
        if self.kind not in get_args(GridKind):
            raise UserError(f"grid kind {self.kind!r} given", f"it is {' or '.join(get_args(GridKind))}")
        for field in fields(self)[1:]:
            of = "shares" if field.name == "divisions" else "coefficients"
            if of != self.kind and getattr(self, field.name) != field.default:
                raise UserError(
                    f"grid {field.name} {getattr(self, field.name)!r} given for a grid of {self.kind}",
                    f"it is an option of a grid of {of}",
                    f"try --grid.kind {of}",
                )

    def _count(self, bound: float) -> int:
        return math.floor(round((bound - 1) / self.step, DIGITS)) + 1

    def _values(self, bound: float) -> Iterator[float]:
        return (round(1 + index * self.step, DIGITS) for index in range(self._count(bound)))

    def rules(self) -> tuple[CompoundRule, ...]:
        """Every rule of the grid, in lexicographic order of the coefficients.

        Raises UserError where no point of a lattice of coefficients meets the constraint.
        """
        if self.kind == "shares":
            return tuple(self._shared_rules())
        rules = tuple(
            rule
            for alpha in self._values(self.alpha_max)
            for beta in self._values(self.beta_max)
            for gamma in self._values(self.gamma_max)
            if (rule := CompoundRule(alpha, beta, gamma)).satisfies(self.target, self.tolerance)
        )
        if not rules:
            raise UserError(
                f"no point of the grid (step {self.step:g}, up to {self.alpha_max:g}, {self.beta_max:g}, "
                f"{self.gamma_max:g}) has alpha * beta^2 * gamma^2 within {self.tolerance:g} of {self.target:g}",
                hint="try a smaller --grid.step, a larger --grid.tolerance, or larger bounds",
            )
        return rules

    def _shared_rules(self) -> Iterator[CompoundRule]:
        for depth in range(self.divisions + 1):
            for width in range(self.divisions + 1 - depth):
                yield rule_of_shares(depth / self.divisions, width / self.divisions)


def rule_of_shares(depth: float, width: float) -> CompoundRule:
    """The rule that doubles the cost for a step of phi, depth and width by these shares and resolution by the rest."""
    resolution = max(0.0, 1 - depth - width)
    # Rounded, so that thirds that are computed in different ways are equal rules.
    return CompoundRule(*(round(2**share, 14) for share in (depth, width / 2, resolution / 2)))


def round_channels(channels: int, width: float, divisor: int = 8) -> int:
    """`channels` times `width`, to the nearest multiple of `divisor`, never below 90 % of the exact value."""
    exact = round(channels * width, DIGITS)
    rounded = max(divisor, int(exact + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * exact else rounded


def round_layers(layers: int, depth: float) -> int:
    """`layers` times `depth`, rounded up."""
    return math.ceil(round(layers * depth, DIGITS))


def round_resolution(pixels: int, resolution: float) -> int:
    """The input side of a baseline of side `pixels` at factor `resolution`, to the nearest pixel."""
    return max(1, math.floor(round(pixels * resolution, DIGITS) + 0.5))


def dropout_at(phi: float) -> float:
    """Dropout before the classifier at `phi`: linear from 0.2 at B0 to 0.5 at B7, and no further (section 5.2)."""
    return round(0.2 + 0.3 * min(max(phi, 0.0), 7.0) / 7, 4)


@dataclass(frozen=True)
class PublishedModel:
    """A model as the paper's authors published it: its coefficients were rounded by hand, not by equation 3."""

    name: str
    width: float
    depth: float
    input_resolution: int
    dropout: float

    @property
    def scale(self) -> Scale:
        """The scale relative to B0, whose input is 224 pixels a side."""
        return Scale(self.depth, self.width, self.input_resolution / 224)

    def effective_phi(self, rule: CompoundRule = PAPER_RULE) -> "EffectivePhi":
        """The phi at which `rule` would give this model: one for each dimension, and one for its cost."""

        def phi(factor: float, base: float) -> float:
            return math.log(factor) / math.log(base) if base > 1 else math.nan

        scale = self.scale
        return EffectivePhi(
            depth=phi(scale.depth, rule.alpha),
            width=phi(scale.width, rule.beta),
            resolution=phi(scale.resolution, rule.gamma),
            cost=phi(scale.cost, rule.cost_factor),
        )


@dataclass(frozen=True)
class EffectivePhi:
    """The phi that equation 3 would need for a model's depth, width, resolution and d * w^2 * r^2.

    Four equal numbers would mean that the model follows the formula. NaN where a coefficient is 1.
    """

    depth: float
    width: float
    resolution: float
    cost: float


PUBLISHED: tuple[PublishedModel, ...] = (
    PublishedModel("efficientnet_b0", 1.0, 1.0, 224, 0.2),
    PublishedModel("efficientnet_b1", 1.0, 1.1, 240, 0.2),
    PublishedModel("efficientnet_b2", 1.1, 1.2, 260, 0.3),
    PublishedModel("efficientnet_b3", 1.2, 1.4, 300, 0.3),
    PublishedModel("efficientnet_b4", 1.4, 1.8, 380, 0.4),
    PublishedModel("efficientnet_b5", 1.6, 2.2, 456, 0.4),
    PublishedModel("efficientnet_b6", 1.8, 2.6, 528, 0.5),
    PublishedModel("efficientnet_b7", 2.0, 3.1, 600, 0.5),
    PublishedModel("efficientnet_b8", 2.2, 3.6, 672, 0.5),
    PublishedModel("efficientnet_l2", 4.3, 5.3, 800, 0.5),
)
"""The coefficients the authors published with their code, B0 to L2."""
