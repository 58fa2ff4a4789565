"""STEP 2: keep the coefficients and grow the baseline to B0..B7, beside the coefficients that were published."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from scaling_search.config import RunConfig, to_dict
from scaling_search.family import Family
from scaling_search.rule import PUBLISHED, CompoundRule
from scaling_search.search.candidates import specs_of, training_cost
from scaling_search.search.growing import Grower, Grown, Latencies
from scaling_search.trial import Network, Spec
from scaling_search.units import parse_count

LARGEST = 7
"""STEP 2 goes to B7, as the paper's Table 2 does."""


@dataclass(frozen=True)
class Model:
    """One of B0..B7, by the found or by the published coefficients, on the run's own baseline."""

    model: str
    coefficients: Literal["found", "published"]
    phi: float | None
    """The phi of equation 3; the published models have none."""
    grown: Grown
    training_cost: float
    """Multiply-adds of training it once."""
    trained: bool
    """Whether that fits the run's training budget. What does not is extrapolated."""

    @property
    def network(self) -> Network:
        """What would be trained."""
        return self.grown.network


@dataclass(frozen=True)
class Step2:
    """B0..B7 twice, before training."""

    rule: CompoundRule
    models: tuple[Model, ...]

    def document(self) -> dict[str, Any]:
        """As the store keeps it."""
        return {
            "rule": asdict(self.rule),
            "networks": {model.network.fingerprint: to_dict(model.network) for model in self.models},
            "models": [
                {
                    "model": model.model,
                    "coefficients": model.coefficients,
                    "phi": model.phi,
                    **asdict(model.network.scale),
                    **model.grown.document(),
                    "network": model.network.fingerprint,
                    "training_cost": model.training_cost,
                    "trained": model.trained,
                }
                for model in self.models
            ],
        }


def published_models(
    family: Family, config: RunConfig, num_classes: int, training_images: int, latencies: Latencies | None = None
) -> tuple[Model, ...]:
    """B0..B7 by the published coefficients, with their costs. They do not wait for STEP 1."""
    grower = Grower(family, config, num_classes, latencies)
    return tuple(
        _model(f"B{index}", None, grower.rounded(model.scale, model.dropout), config, training_images)
        for index, model in enumerate(PUBLISHED[: LARGEST + 1])
    )


def found_models(
    rule: CompoundRule,
    family: Family,
    config: RunConfig,
    num_classes: int,
    training_images: int,
    latencies: Latencies | None = None,
) -> tuple[Model, ...]:
    """B0..B7 by equation 3 at phi = 0..7, with their costs: where costs are matched, 2 ** phi times B0's.

    Raises UserError where they cannot be: the rule's depth and pixels alone cost more.
    """
    grower = Grower(family, config, num_classes, latencies)
    return tuple(
        _model(f"B{phi}", float(phi), grower.at(rule, phi), config, training_images) for phi in range(LARGEST + 1)
    )


def _model(name: str, phi: float | None, grown: Grown, config: RunConfig, training_images: int) -> Model:
    spent = training_cost(grown.network, training_images, config.recipe.epochs)
    coefficients: Literal["found", "published"] = "published" if phi is None else "found"
    return Model(name, coefficients, phi, grown, spent, spent <= parse_count(config.training_budget))


def step2_specs(models: tuple[Model, ...], config: RunConfig, data: str) -> list[Spec]:
    """The trainings of those models that fit the budget: each different network from every seed."""
    networks = {model.network.fingerprint: model.network for model in models if model.trained}
    return [spec for network in networks.values() for spec in specs_of(network, config, data)]
