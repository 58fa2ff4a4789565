"""What comes of a run: its tables, its frontier and its picture, made from the records in its directory."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scaling_search.errors import UserError
from scaling_search.store import RunDirectory, open_run

if TYPE_CHECKING:
    import pandas as pd

    from analysis.comparison import Judgement
    from analysis.frames import Run

PICTURE = "accuracy_against_multiply_adds"


@dataclass(frozen=True)
class Results:
    """A run, judged."""

    run: "Run"
    judgement: "Judgement | None"
    step2: "pd.DataFrame | None"
    files: tuple[Path, ...] = ()


def judgement_of(directory: RunDirectory) -> "Judgement":
    """STEP 1 of a run, judged. Raises UserError where it has not been trained."""
    judgement = _results(directory).judgement
    if judgement is None:
        raise UserError(
            f"{directory.path} has no STEP 1 yet", hint="run scaling-search step1, or give --coefficients 1.2 1.1 1.15"
        )
    return judgement
