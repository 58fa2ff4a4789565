"""The published models beside equation 3, whose numbers they do not follow."""

from typing import TYPE_CHECKING

from scaling_search.rule import PAPER_RULE, PUBLISHED, round_resolution

if TYPE_CHECKING:
    import pandas as pd


def published_table() -> "pd.DataFrame":
    """The published models beside equation 3 with the paper's coefficients, which they do not follow.

    Columns: `model`; `depth`, `width`, `resolution`, `input_resolution` as published; `phi` 0..7 and, at that phi,
    `equation_depth`, `equation_width`, `equation_resolution`, `equation_input_resolution` (none for B8 and L2, which
    the paper does not have); and `effective_phi_depth`, `_width`, `_resolution`, `_cost`: the phi at which equation 3
    would give what was published.
    """
    import pandas as pd

    rows = []
    for index, model in enumerate(PUBLISHED):
        phi = float(index) if index <= 7 else float("nan")
        equation = PAPER_RULE.at(phi) if index <= 7 else None
        effective = model.effective_phi()
        rows.append(
            {
                "model": model.name,
                "depth": model.scale.depth,
                "width": model.scale.width,
                "resolution": model.scale.resolution,
                "input_resolution": model.input_resolution,
                "phi": phi,
                "equation_depth": equation and equation.depth,
                "equation_width": equation and equation.width,
                "equation_resolution": equation and equation.resolution,
                "equation_input_resolution": equation and round_resolution(224, equation.resolution),
                "effective_phi_depth": effective.depth,
                "effective_phi_width": effective.width,
                "effective_phi_resolution": effective.resolution,
                "effective_phi_cost": effective.cost,
            }
        )
    return pd.DataFrame(rows).astype({"equation_input_resolution": "Int64"})
