"""What commands are made of: options as a dataclass that tyro reads, and a call."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import tyro

from scaling_search.config import Experiment, Workers
from scaling_search.errors import printable
from scaling_search.recipe import RECIPES, RecipeName

if TYPE_CHECKING:
    from scaling_search.analysis.of_run import Findings

C = TypeVar("C", bound=Experiment)

Format = Literal["table", "json", "csv"]
Folder = Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]


@dataclass(frozen=True)
class Command:
    """A command whose options have been read."""

    def execute(self) -> None:
        """Does it and prints the result."""
        raise AssertionError("every command has its own")

    @classmethod
    def reworded(cls, options: list[str]) -> list[str]:
        """The options as tyro knows them; by default as they are."""
        return options

    @classmethod
    def defaults(cls, options: list[str]) -> dict[str, Any]:
        """Where options start from, as keywords for tyro; by default at the fields' own defaults."""
        return {}


@dataclass(frozen=True)
class Running(Command):
    """A command that carries out an experiment and prints what it found."""

    workers: Annotated[Workers, tyro.conf.arg(name="")] = field(default_factory=Workers)
    """Where trials run."""
    format: Format = "table"
    """How the tables are printed."""
    timings: bool = False
    """Show where the time went."""

    def carry_out(self, experiment: "Callable[..., Findings]") -> "Findings":
        """Calls one of `scaling_search.experiments`, prints what it found, and ends with status 1 if all failed."""
        from scaling_search.analysis.text.words import use_of_weights
        from scaling_search.cli.clock import BEGAN
        from scaling_search.cli.tables import print_findings
        from scaling_search.cli.timings import Timings

        times = Timings(BEGAN)
        findings = experiment(workers=self.workers, watchers=(times,))
        print_findings(findings, self.format)
        if weights := findings.weights:
            print(f"weights: {use_of_weights(weights)}", file=sys.stderr)
        if self.timings:
            times.show()
        _report_failures(findings)
        return findings


@dataclass(frozen=True)
class Training(Running):
    """A command that trains networks by a recipe, which can be named."""

    recipe: RecipeName = "short"
    """The recipe to start from: short, for 200 to 2,000 steps; finetune, for weights trained on other images; or paper,
    EfficientNet's own (350 epochs in batches of 4096 images). --recipe.NAME changes one of its numbers."""


def value_of(name: str, options: Sequence[str]) -> str | None:
    """The value of an option such as `--replay` among options that are not parsed yet, or None."""
    for option, value in pairwise([*options, ""]):
        given, equals, text = option.partition("=")
        if given == name and (equals or value):
            return text if equals else value
    return None


def replayed(options: Sequence[str], kind: type[C]) -> C | None:
    """The config of the recorded table that `--replay` names among options that are not parsed yet, or None."""
    from scaling_search.recorded import replay_config

    table = value_of("--replay", options)
    return None if table is None else replay_config(table, kind)


def with_named_recipe(options: Sequence[str], config: C) -> C:
    """The config with the recipe that `--recipe` names among options that are not parsed yet, if it does."""
    recipe = value_of("--recipe", options)
    # tyro refuses what is no recipe's name.
    return replace(config, recipe=RECIPES[recipe]) if recipe in RECIPES else config


def _report_failures(findings: "Findings") -> None:
    """Says how many trainings failed, and why the first did. Exits with status 1 where no training succeeded."""
    trials = findings.run.trials
    failed = trials[trials["status"] != "ok"]
    if failed.empty:
        return
    succeeded = len(trials) - len(failed)
    line = f"{len(failed)} of {len(trials)} trainings failed; the first: {failed['reason'].iloc[0]}"
    print(printable(f"{'warning' if succeeded else 'error'}: {line}"), file=sys.stderr)
    if not succeeded:
        sys.exit(1)
