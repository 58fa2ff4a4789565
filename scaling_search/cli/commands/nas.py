"""`nas`: the search for a baseline."""

import shlex
import sys
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any

import tyro

from scaling_search.cli.command import Training, replayed, with_named_recipe
from scaling_search.config import NasConfig
from scaling_search.errors import printable


@dataclass(frozen=True)
class Nas(Training):
    """Searches for a baseline in MnasNet's space, or your own, by the reward ACC * [FLOPS / T]^-0.07 of the paper.

    Example: scaling-search nas --target-flops 1M --strategy evolution --trials 48
    """

    config: Annotated[NasConfig, tyro.conf.arg(name="")] = field(default_factory=NasConfig)
    """What to search, and how."""

    @classmethod
    def defaults(cls, options: list[str]) -> dict[str, Any]:
        """`--replay TABLE` brings its images, split and recipe to start from, `--recipe NAME` a recipe."""
        config = replayed(options, NasConfig) or NasConfig()
        return {"default": cls(config=with_named_recipe(options, config))}

    def execute(self) -> None:
        """Searches, and prints the command that scales the result."""
        from scaling_search.experiments.baseline import nas

        print_next(self.carry_out(partial(nas, self.config)).run.path)


def print_next(path: Any) -> None:
    """Prints the best architecture of a finished search and the command that scales it, on stderr."""
    from scaling_search.experiments.baseline import next_command
    from scaling_search.store import open_run

    directory = open_run(path)
    best = (directory.document("nas") or {})["best"]
    print(printable(f"best architecture: {' '.join(best['options'])}"), file=sys.stderr)
    print(f"scale it: {shlex.join(next_command(directory))}", file=sys.stderr)
