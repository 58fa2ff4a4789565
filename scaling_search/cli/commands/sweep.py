"""`sweep`: one dimension at a time, costed or trained."""

import sys
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any

import tyro

from scaling_search.cli.command import Training, replayed, with_named_recipe
from scaling_search.config import SweepConfig

EVERYWHERE = (
    "difference: built / paper - 1. The paper prints multiply-adds in two or three digits, and gives d, w and r of its "
    "compound rows for MobileNetV1 and EfficientNet-B0 only; others are compared at --compound-scale."
)
_EFFICIENTNET = (
    "EfficientNet-B0: w = 2 and r = 2 can at most multiply its 386M by 4, to 1.55B, less what does not grow with them "
    "(as built 1.8B takes w = 2.2, and 1.9B r = 2.2); nor do 4 times the layers come to 1.8B. The compound row agrees.",
)
NOTES: dict[str, tuple[str, ...]] = {
    "mobilenet_v1": (
        "MobileNetV1: layers are rounded up, and a stage of one layer has two at d = 1.4, so the compound row costs "
        "more than 1.4 * 1.2^2 * 1.3^2 = 3.4 times the baseline here, as in the paper, whose rounding is not known.",
    ),
    "resnet50": (
        "ResNet-50: what d = 4 and w = 2 cost as built, 14.6B and 16.1B, is within 1 % of what Table 3 has in the row "
        "of the other, 14.7B and 16.2B: the two seem to be swapped there.",
    ),
    "efficientnet": _EFFICIENTNET,
    "efficientnet_b0": _EFFICIENTNET,
}
"""Why a family's rows differ from the paper's, where that is known."""


@dataclass(frozen=True)
class Sweep(Training):
    """Scales one dimension at a time, and all together, beside Tables 3 and 7; trains them if given --data.

    Example: scaling-search sweep --family mobilenet_v2 --dims d w r --compound
    """

    config: Annotated[SweepConfig, tyro.conf.arg(name="")] = field(default_factory=SweepConfig)
    """Which networks."""
    num_classes: int = 1000
    """Classes of the head, if nothing is trained."""

    def execute(self) -> None:
        """Prints a row for each network."""
        from scaling_search.experiments.given_networks import sweep

        if self.config.data or self.config.replay:
            self.carry_out(partial(sweep, self.config))
        else:
            self._print_costs()

    @classmethod
    def defaults(cls, options: list[str]) -> dict[str, Any]:
        """`--replay TABLE` brings its config to start from, `--recipe NAME` a recipe."""
        config = replayed(options, SweepConfig) or SweepConfig()
        return {"default": cls(config=with_named_recipe(options, config))}

    def _print_costs(self) -> None:
        from scaling_search.analysis.reference.paper import SCALED, scaling_beside
        from scaling_search.analysis.text.tables import render
        from scaling_search.experiments.costs import cost_row
        from scaling_search.family import load_family
        from scaling_search.search.sweep import scales_of

        config = self.config
        family = load_family(config.family, config.family_options)
        rows = [
            {"scaling": name} | cost_row(family, scale, self.num_classes, config.recipe.batch_size)
            for name, scale in scales_of(config)
        ]
        print(render(scaling_beside(family.name, rows).drop(columns="network"), self.format))
        if family.name in SCALED:
            print("\n".join([EVERYWHERE, *NOTES.get(family.name, ())]), file=sys.stderr)
