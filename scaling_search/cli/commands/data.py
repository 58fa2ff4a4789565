"""`data`: what images hold, and how a network sees them."""

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import tyro

from scaling_search.cli.command import Command, Format
from scaling_search.config import OnBadData, Split
from scaling_search.errors import UserError
from scaling_search.places import Place
from scaling_search.recipe import Augmentation, Policy, Recipe
from scaling_search.store import output_file, write_output


@dataclass(frozen=True)
class Data(Command):
    """Describes images (stat), or draws a contact sheet of training images as a network sees them (show).

    Example: scaling-search data stat folder:my_images, or scaling-search data show glyphs -o glyphs.png
    """

    action: Annotated[Literal["stat", "show"], tyro.conf.Positional]
    """stat: classes, sizes, bytes and split; show: a contact sheet."""
    source: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="DATA")]
    """Images: digits, glyphs, idx:DIR, folder:DIR, csv:FILE, hf:PATH, tfds:NAME or records:PATH."""
    split: Split = field(default_factory=Split)
    """How the images are split."""
    on_bad_data: OnBadData = "refuse"
    """What to do if files cannot be read as images: refuse the data, or skip those files."""
    resolution: int = 64
    """For show: input side in pixels."""
    augment: Augmentation = "none"
    """For show: augmentation of the images: shifts or crops, with or without flips."""
    policy: Policy = "none"
    """For show: what else is done to them."""
    count: int = 64
    """For show: how many images."""
    output: Annotated[str | None, tyro.conf.arg(aliases=["-o"])] = None
    """For show: the .png file to write."""
    format: Format = "table"
    """For stat: how the tables are printed."""

    def execute(self) -> None:
        """Prints what the images hold, or writes the sheet and prints its path."""
        from scaling_search.data import load, resolve

        file = _sheet_file(self.output) if self.action == "show" else None
        if self.resolution < 1:
            raise UserError(f"resolution {self.resolution} given", "it must be at least 1", "try --resolution 64")
        data = load(self.source, self.on_bad_data)
        split = resolve(self.split, data)
        if file is None:
            self._print(data, split)
        else:
            self._write(data, split, file)

    def _print(self, data: Any, split: Split) -> None:
        import json

        from scaling_search.cli.tables import print_rows
        from scaling_search.data.describe import describe

        found = describe(data, split)
        if self.format == "json":
            print(json.dumps(found, indent=1))
            return
        classes = found.pop("classes")
        print_rows([{"what": name, "found": str(value)} for name, value in found.items()], self.format)
        print()
        print_rows(classes, self.format)

    def _write(self, data: Any, split: Split, file: Place) -> None:
        import io

        from scaling_search.data.describe import contact_sheet

        recipe = Recipe(augment=self.augment, policy=self.policy)
        sheet = contact_sheet(data, split, self.resolution, count=self.count, recipe=recipe)
        picture = io.BytesIO()
        sheet.save(picture, format="png")
        print(write_output(file, picture.getvalue()))


def _sheet_file(output: str | None) -> Place:
    if output is None:
        raise UserError("no file to write to given", hint="try --output images.png")
    return output_file(output, "contact sheet", ("png",))
