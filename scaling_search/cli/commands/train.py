"""`train`: one network."""

from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any

import tyro

from scaling_search.cli.command import Training, replayed, with_named_recipe
from scaling_search.config import TrainConfig


@dataclass(frozen=True)
class Train(Training):
    """Trains one network, from one seed or several, from random weights or from given ones.

    Example: scaling-search train --family efficientnet_lite0 --init lite0.safetensors --data idx:fashion-mnist
    """

    config: Annotated[TrainConfig, tyro.conf.arg(name="")] = field(default_factory=TrainConfig)
    """What to train."""

    def execute(self) -> None:
        """Trains it."""
        from scaling_search.experiments.given_networks import train

        self.carry_out(partial(train, self.config))

    @classmethod
    def defaults(cls, options: list[str]) -> dict[str, Any]:
        """`--replay TABLE` brings its config to start from, `--recipe NAME` a recipe."""
        config = replayed(options, TrainConfig) or TrainConfig()
        return {"default": cls(config=with_named_recipe(options, config))}
