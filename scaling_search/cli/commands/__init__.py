"""The commands, one file each: its options, its call, what it prints."""

import inspect

from scaling_search.cli.command import Command
from scaling_search.cli.commands.cam import Cam
from scaling_search.cli.commands.check import Check
from scaling_search.cli.commands.compare import Compare
from scaling_search.cli.commands.cost import Cost
from scaling_search.cli.commands.data import Data
from scaling_search.cli.commands.doctor import Doctor
from scaling_search.cli.commands.evaluate import Evaluate
from scaling_search.cli.commands.fit import Fit
from scaling_search.cli.commands.latency import Latency
from scaling_search.cli.commands.nas import Nas
from scaling_search.cli.commands.plot import Plot
from scaling_search.cli.commands.predict import Predict
from scaling_search.cli.commands.record import Record
from scaling_search.cli.commands.report import Report
from scaling_search.cli.commands.resume import Resume
from scaling_search.cli.commands.run import Run
from scaling_search.cli.commands.runs import Runs
from scaling_search.cli.commands.step1 import Step1
from scaling_search.cli.commands.step2 import Step2
from scaling_search.cli.commands.sweep import Sweep
from scaling_search.cli.commands.table import Table
from scaling_search.cli.commands.train import Train
from scaling_search.cli.commands.weights import Weights

COMMANDS: dict[str, type[Command]] = {
    "run": Run,
    "step1": Step1,
    "step2": Step2,
    "cost": Cost,
    "fit": Fit,
    "nas": Nas,
    "latency": Latency,
    "data": Data,
    "train": Train,
    "resume": Resume,
    "runs": Runs,
    "compare": Compare,
    "check": Check,
    "record": Record,
    "table": Table,
    "sweep": Sweep,
    "plot": Plot,
    "report": Report,
    "weights": Weights,
    "predict": Predict,
    "evaluate": Evaluate,
    "cam": Cam,
    "doctor": Doctor,
}


def overview() -> str:
    """The help of `scaling-search` itself."""
    lines = [f"  {name:<9}{inspect.getdoc(command).splitlines()[0]}" for name, command in COMMANDS.items()]  # type: ignore[union-attr]
    return "\n".join(
        [
            "usage: scaling-search COMMAND [OPTIONS]",
            "",
            "Compound scaling and neural architecture search with JAX and Flax.",
            "",
            *lines,
            "",
            "Options of a command:  scaling-search COMMAND --help",
            "Example:               scaling-search run --phi 1",
        ]
    )
