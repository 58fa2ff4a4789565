"""`step2`: B0..B7 alone."""

from dataclasses import dataclass
from typing import ClassVar

from scaling_search.cli.commands.run import Run


@dataclass(frozen=True)
class Step2(Run):
    """STEP 2 alone: scales the baseline to B0..B7 by given coefficients, or by the winner of the run's STEP 1.

    Example: scaling-search step2 --quick --coefficients 1.2 1.1 1.15
    """

    steps: ClassVar[tuple[int, ...]] = (2,)
