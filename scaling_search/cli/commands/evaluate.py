"""`evaluate`: the accuracy of weights on labelled images."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from scaling_search.cli.command import Command, Format
from scaling_search.cli.judging import WeightsOptions
from scaling_search.config import OnBadData, Split
from scaling_search.errors import UserError
from scaling_search.places import Place

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, kw_only=True)
class Evaluate(WeightsOptions, Command):
    """Evaluates weights on the test part of images: top-1, top-5, calibration, accuracy by class, confusion matrix.

    Example: scaling-search evaluate b0.safetensors --data folder:my_images -o confusion.png
    """

    weights: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="WEIGHTS")]
    """A .safetensors or .npz file, or a model's folder."""
    data: str
    """Images: digits, glyphs, idx:DIR, folder:DIR, csv:FILE, hf:PATH, tfds:NAME or records:PATH."""
    split: Split = field(default_factory=Split)
    """How the images are split, if they have no test part of their own."""
    on_bad_data: OnBadData = "refuse"
    """What to do if files cannot be read as images: refuse the data, or skip those files."""
    output: Annotated[str | None, tyro.conf.arg(aliases=["-o"])] = None
    """File for a picture of the confusion matrix: .png, .svg or .pdf."""
    format: Format = "table"
    """How the tables are printed."""

    def execute(self) -> None:
        """Prints the results, and writes the picture if one is asked for."""
        from scaling_search.cli.commands.plot import picture_file
        from scaling_search.data import load, prepare, resolve
        from scaling_search.evaluation.predict import evaluate

        file = None if self.output is None else picture_file(self.output)
        judge = self.opened(self.weights)
        data = load(self.data, self.on_bad_data)
        labels_of = _in_order_of(judge.classes, data.classes)
        prepared = prepare(data, resolve(self.split, data), judge.side, "test", crop=judge.crop)
        labels = labels_of[prepared.eval_labels]
        found = evaluate(judge.network, prepared.eval_images, labels, mean=judge.mean, std=judge.std)
        names = list(judge.classes)
        for name, index in zip(data.classes, labels_of, strict=True):
            names[index] = name
        self._print(found, names)
        if file is not None:
            _draw(file, found.confusion, names)

    def _print(self, found: Any, classes: list[str]) -> None:
        import json

        from scaling_search.cli.tables import print_rows

        summary = {
            "images": found.images,
            "top1": found.top1,
            "top5": found.top5,
            "cross_entropy": found.cross_entropy,
            "calibration_error": found.calibration_error,
        }
        rows = [
            {"class": name, "images": int(count), "top1": float(accuracy)}
            for name, count, accuracy in zip(classes, found.confusion.sum(1), found.per_class, strict=True)
            if count
        ]
        if self.format == "json":
            print(json.dumps({**summary, "classes": rows}, indent=1))
            return
        print_rows([summary], self.format)
        print()
        print_rows(rows, self.format)


def _in_order_of(network: tuple[str, ...], data: tuple[str, ...]) -> "np.ndarray":
    """The network's index of each class of the data. Raises UserError where they are not its classes."""
    import numpy as np

    if set(data) <= set(network):
        return np.array([network.index(name) for name in data])
    if len(data) == len(network):
        return np.arange(len(data))
    raise UserError(
        f"images of {len(data)} classes given", f"the weights have {len(network)} classes, with other names"
    )


def _draw(file: Place, confusion: "np.ndarray", classes: list[str]) -> None:
    from scaling_search.analysis.figures import confusion_matrix, render
    from scaling_search.store import write_output

    print(write_output(file, render(confusion_matrix(confusion, classes), file.suffix.removeprefix(".").lower())))
