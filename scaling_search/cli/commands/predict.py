"""`predict`: the most likely classes of images."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from scaling_search.cli.command import Command, Format
from scaling_search.cli.judging import WeightsOptions
from scaling_search.config import OnBadData
from scaling_search.errors import UserError

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, kw_only=True)
class Predict(WeightsOptions, Command):
    """Prints the most likely classes of images, by weights that state their network, or with --network.

    Example: scaling-search predict b0.safetensors cat.jpg my_pictures --network efficientnet_b0
    """

    weights: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="WEIGHTS")]
    """A .safetensors or .npz file, or a model's folder."""
    pictures: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="PICTURE...")]
    """Image files, or folders of them."""
    top: int = 5
    """How many classes to print per image."""
    on_bad_data: OnBadData = "refuse"
    """What to do if files cannot be read as images: predict none, or skip those files."""
    format: Format = "table"
    """How the table is printed."""

    def execute(self) -> None:
        """Prints a row for each image and class."""
        from scaling_search.cli.tables import print_rows
        from scaling_search.data.listing import warn_of_each
        from scaling_search.evaluation.predict import predict

        if self.top < 1:
            raise UserError(f"--top must be at least 1, {self.top} given")
        files = _files(self.pictures)
        judge = self.opened(self.weights)
        readable: list[Path] = []
        bad: list[str] = []

        def pictures() -> Iterator["np.ndarray"]:
            for file in files:
                try:
                    picture = judge.read(file)
                except UserError as error:
                    bad.append(str(error))
                else:
                    readable.append(file)
                    yield picture

        found = list(predict(judge.network, pictures(), judge.classes, mean=judge.mean, std=judge.std, top=self.top))
        if bad and (self.on_bad_data == "refuse" or not readable):
            if len(bad) > 1:
                warn_of_each(bad)
            more = f", and {len(bad) - 1} more" if len(bad) > 1 else ""
            hint = "leave out what is bad by --on-bad-data skip" if readable else ""
            raise UserError(f"{bad[0]}{more}", hint=hint)
        warn_of_each(bad)
        rows = [
            {"picture": str(file), "class": one.name, "probability": one.probability, "logit": one.logit}
            for file, likeliest in zip(readable, found, strict=True)
            for one in likeliest
        ]
        print_rows(rows, self.format)


def _files(given: tuple[str, ...]) -> list[Path]:
    """The pictures given, and those in the folders given, in order. Raises UserError where there are none."""
    from scaling_search.data.folder import images_below

    files: list[Path] = []
    for name in given:
        path = Path(name).expanduser()
        if path.is_dir():
            files += images_below(path)
        else:
            files.append(path)
    if not files:
        raise UserError("no picture given", "name picture files, or folders of them", "try cat.jpg")
    return files
