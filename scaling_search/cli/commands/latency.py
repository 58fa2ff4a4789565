"""`latency`: measured latencies beside those that a table of layers predicts."""

import os
import sys
import time
from dataclasses import dataclass

from scaling_search.cli.command import Command, Format
from scaling_search.errors import UserError


@dataclass(frozen=True)
class Latency(Command):
    """Tests how well layer latencies measured here predict those of whole networks, on random architectures.

    Example: scaling-search latency --space mnasnet --networks 5
    """

    space: str = "mnasnet_tiny"
    """Space of the architectures: mnasnet or mnasnet_tiny."""
    family_options: tuple[str, ...] = ()
    """Fields of the space's family to set, as NAME=VALUE, such as resolution=32."""
    networks: int = 10
    """How many architectures to measure."""
    seed: int = 0
    """Seed of the draw."""
    num_classes: int = 10
    """Classes of the head."""
    format: Format = "table"
    """How the table is printed."""

    def execute(self) -> None:
        """Prints a row for each network, and how well they were predicted."""
        from scaling_search.training.environment import training_environment, with_users_flags

        # Before JAX starts, which reads these: as in a process that trains.
        os.environ.update(with_users_flags(training_environment()))
        import numpy as np
        from scipy import stats

        from scaling_search.cli.tables import print_rows
        from scaling_search.search.nas.latency import random_latencies
        from scaling_search.search.nas.space import load_space

        if self.networks < 1:
            raise UserError(f"networks {self.networks} given", "it must be at least 1", "try --networks 10")
        began = time.monotonic()
        space = load_space(self.space)
        rows = random_latencies(space, self.family_options, self.num_classes, self.networks, self.seed)
        print_rows(rows, self.format)
        errors = np.abs([row["error"] for row in rows])
        words = f"error: median {np.median(errors):.0%}, largest {errors.max():.0%}"
        if len(rows) > 2:
            ranks = stats.spearmanr([row["predicted_ms"] for row in rows], [row["measured_ms"] for row in rows])
            words += f"; rank correlation {ranks.statistic:.2f}"
        print(f"{words}; {time.monotonic() - began:.0f} s", file=sys.stderr)
