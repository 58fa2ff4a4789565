"""`predict`: the most likely classes of images."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from scaling_search.cli.command import Command, Format
from scaling_search.cli.judging import WeightsOptions
from scaling_search.errors import UserError


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
    format: Format = "table"
    """How the table is printed."""

    def execute(self) -> None:
        """Prints a row for each image and class."""
        from scaling_search.cli.tables import print_rows
        from scaling_search.evaluation.predict import predict

        if self.top < 1:
            raise UserError(f"--top must be at least 1, {self.top} given")
        files = _files(self.pictures)
        judge = self.opened(self.weights)
        pictures = map(judge.read, files)
        found = predict(judge.network, pictures, judge.classes, mean=judge.mean, std=judge.std, top=self.top)
        rows = [
            {"picture": str(file), "class": one.name, "probability": one.probability, "logit": one.logit}
            for file, likeliest in zip(files, found, strict=True)
            for one in likeliest
        ]
        print_rows(rows, self.format)


def _files(given: tuple[str, ...]) -> list[Path]:
    """The pictures given, and those in the folders given, in order. Raises UserError where there are none."""
    from scaling_search.data.pictures import endings

    files: list[Path] = []
    for name in given:
        path = Path(name).expanduser()
        if path.is_dir():
            files += sorted(file for file in path.rglob("*") if file.suffix.lower() in endings())
        else:
            files.append(path)
    if not files:
        raise UserError("no picture given", "name picture files, or folders of them", "try cat.jpg")
    return files
