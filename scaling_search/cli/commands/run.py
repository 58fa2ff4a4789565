"""`run`: the whole method."""

from dataclasses import dataclass, field, replace
from functools import partial
from typing import Annotated, Any, ClassVar

import tyro

from scaling_search.cli.command import Training, replayed, with_named_recipe
from scaling_search.config import QUICK, RunConfig


@dataclass(frozen=True)
class Run(Training):
    """STEP 1 then STEP 2: searches the grid, scales the baseline to B0..B7, writes the accuracy-FLOPS frontier.

    Example: scaling-search run --phi 1
    """

    steps: ClassVar[tuple[int, ...]] = (1, 2)

    config: Annotated[RunConfig, tyro.conf.arg(name="")] = field(default_factory=RunConfig)
    """What to compute."""
    baseline: str | None = None
    """Folder of a search by `scaling-search nas`, whose best architecture becomes the family to scale."""
    quick: bool = False
    """A smaller version: under 90 seconds on two cores."""

    def execute(self) -> None:
        """Runs it."""
        from scaling_search.experiments.baseline import with_baseline
        from scaling_search.experiments.method import run

        config = self.config if self.baseline is None else with_baseline(self.config, self.baseline)
        self.carry_out(partial(run, config))

    @classmethod
    def reworded(cls, options: list[str]) -> list[str]:
        """`--recipe.epochs 4 8 16` is 16 epochs and --shorter 4 8."""
        if "--recipe.epochs" not in options:
            return options
        begin = options.index("--recipe.epochs") + 1
        end = next((at for at in range(begin, len(options)) if not options[at].isdecimal()), len(options))
        *fewer, most = sorted(options[begin:end], key=int) or [""]
        if not fewer:
            return options
        return [*options[:begin], most, "--shorter", *fewer, *options[end:]]

    @classmethod
    def defaults(cls, options: list[str]) -> dict[str, Any]:
        """`--quick` and `--replay TABLE` bring another config to start from, `--recipe NAME` another recipe."""
        config = replayed(options, RunConfig)
        if config is None:
            config = QUICK if "--quick" in options else RunConfig()
        elif "--quick" in options:
            # A table only has trainings with its own recipe.
            grid = QUICK.grid if config.grid.kind == QUICK.grid.kind else replace(config.grid, step=0.2)
            smaller = {name: getattr(QUICK, name) for name in ("seeds", "training_budget")}
            config = replace(config, grid=grid, **smaller, name=f"{config.run_name}-quick")
        if any(option.partition("=")[0] == "--baseline" for option in options):
            # The baseline brings all options of its family itself.
            config = replace(config, family_options=())
        return {"default": cls(config=with_named_recipe(options, replace(config, steps=cls.steps)))}
