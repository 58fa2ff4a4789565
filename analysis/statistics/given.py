"""Numbers that callers hand in, checked: columns of frames and arrays, as floats or a UserError."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scaling_search.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]


def numbers(values: ArrayLike, name: str) -> Floats:
    """`values` as floats, missing ones as NaN. Raises UserError where one is not a number, calling them `name`."""
    import pandas as pd

    if np.ndim(values) > 1:
        raise UserError(f"{name} with {np.ndim(values)} dimensions", "one dimension is expected, a number a network")
    series: pd.Series[Any] = pd.Series(np.atleast_1d(np.asarray(values, dtype=object)), dtype=object)
    for value in series.dropna():
        if isinstance(value, str | bytes | complex) or (not np.isscalar(value) and not hasattr(value, "__float__")):
            raise UserError(f"{name} {value!r} given", "numbers are expected")
    try:
        return np.asarray(series.astype("float64").to_numpy(np.float64))
    except (TypeError, ValueError, OverflowError):
        kind = getattr(values, "dtype", type(values).__name__)
        raise UserError(f"{name} of type {kind} given", "numbers are expected") from None


def column(frame: "pd.DataFrame", name: str) -> Floats:
    """A column of `frame` as floats, missing values as NaN.

    Raises UserError where the frame lacks it, has it twice, or holds something other than numbers there.
    """
    if not hasattr(frame, "columns"):
        raise UserError(f"a {type(frame).__name__} given", "a DataFrame is expected, one network a row")
    count = int((frame.columns == name).sum())
    if count == 0:
        raise UserError(f"no column {name!r}", f"the frame has {', '.join(map(str, frame.columns)) or 'no columns'}")
    if count > 1:
        raise UserError(f"{count} columns named {name!r}", "column names must be unique", "rename or drop one")
    values = frame[name]
    if values.dtype.kind in "fiu":
        return np.asarray(values.to_numpy(np.float64, na_value=np.nan))
    return numbers(values, f"column {name!r}")


def accuracies(values: Floats, name: str = "accuracy") -> Floats:
    """`values` unchanged. Raises UserError unless all, but for those missing, lie in 0..1."""
    outside = values[~np.isnan(values) & ~((values >= 0) & (values <= 1))]
    if len(outside):
        hint = "divide percentages by 100" if np.all((outside > 1) & (outside <= 100)) else ""
        raise UserError(f"{name} {outside[0]:g} given", "it must be a fraction from 0 to 1", hint)
    return values
