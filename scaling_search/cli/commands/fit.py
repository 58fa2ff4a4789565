"""`fit`: the largest network that a budget allows."""

from dataclasses import dataclass

from scaling_search.cli.command import Command, Format


@dataclass(frozen=True)
class Fit(Command):
    """Finds the largest phi whose network fits a budget (the inverse of equation 2), and prints that network.

    Example: scaling-search fit --flops 1e9 --memory 8GiB --params 10M
    """

    flops: str | None = None
    """Limit on multiply-adds for one image, such as 1e9 or 400M."""
    memory: str | None = None
    """Limit on the memory of a training step, such as 8GiB."""
    params: str | None = None
    """Limit on parameters, such as 10M."""
    family: str = "efficientnet"
    """The family to scale."""
    coefficients: tuple[float, float, float] = (1.2, 1.1, 1.15)
    """Alpha, beta and gamma; the paper's by default."""
    num_classes: int = 1000
    """Classes of the head."""
    batch_size: int = 32
    """Images per training step, for the memory it takes."""
    format: Format = "table"
    """How the table is printed."""

    def execute(self) -> None:
        """Prints the network."""
        from scaling_search.cli.tables import print_rows
        from scaling_search.experiments.costs import fit
        from scaling_search.rule import CompoundRule

        row = fit(
            self.family,
            CompoundRule(*self.coefficients),
            flops=self.flops,
            memory=self.memory,
            params=self.params,
            num_classes=self.num_classes,
            batch_size=self.batch_size,
        )
        print_rows([row], self.format)
