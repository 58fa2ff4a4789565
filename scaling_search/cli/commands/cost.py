"""`cost`: what networks cost."""

from dataclasses import dataclass
from typing import Annotated

import tyro

from scaling_search.cli.command import Command, Format


@dataclass(frozen=True)
class Cost(Command):
    """Counts the parameters, multiply-adds, activations and memory of networks, without running them.

    Example: scaling-search cost efficientnet_b0 efficientnet_b7 --resolution 320 --format json
    """

    networks: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="NETWORK...")]
    """Families by their registered names or import paths, at their baseline scale."""
    resolution: int | None = None
    """Input side in pixels; each network's own by default."""
    depth: float = 1.0
    """Depth multiplier on each network."""
    width: float = 1.0
    """Width multiplier on each network."""
    num_classes: int = 1000
    """Classes of the head."""
    batch_size: int = 32
    """Images per training step, for the memory it takes."""
    format: Format = "table"
    """How the table is printed."""

    def execute(self) -> None:
        """Prints a row for each network."""
        from scaling_search.cli.tables import print_rows
        from scaling_search.experiments.costs import costs
        from scaling_search.rule import Scale

        rows = costs(
            self.networks,
            Scale(self.depth, self.width),
            resolution=self.resolution,
            num_classes=self.num_classes,
            batch_size=self.batch_size,
        )
        print_rows(rows, self.format)
