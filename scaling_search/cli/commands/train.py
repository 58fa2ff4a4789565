"""`train`: one network."""

from dataclasses import dataclass, field, replace
from functools import partial
from typing import Annotated, Any

import tyro

from scaling_search.cli.command import Training, replayed, value_of, with_named_recipe
from scaling_search.config import TrainConfig


@dataclass(frozen=True)
class Train(Training):
    """Trains one network, from one seed or several, from random weights or from given ones.

    Weights that state their network, as train writes them, need no --family.

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
        """`--replay TABLE` brings its config to start from, `--recipe NAME` a recipe, `--init FILE` its network."""
        config = with_named_recipe(options, replayed(options, TrainConfig) or TrainConfig())
        weights = value_of("--init", options)
        if weights is not None and value_of("--family", options) is None:
            from scaling_search.experiments.given_networks import network_of

            config = replace(config, **network_of(weights))
        return {"default": cls(config=config)}
