"""`step1`: the grid alone."""

from dataclasses import dataclass
from typing import ClassVar

from scaling_search.cli.commands.run import Run


@dataclass(frozen=True)
class Step1(Run):
    """STEP 1 alone: searches the grid for the best (alpha, beta, gamma) at phi.

    Example: scaling-search step1 --quick
    """

    steps: ClassVar[tuple[int, ...]] = (1,)
