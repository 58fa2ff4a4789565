"""Numbers as people write them: 400M, 1e9, 8GiB."""

import math
import re
from typing import TypeAlias

from scaling_search.errors import UserError

Amount: TypeAlias = float | str
"""A number, or one as people write it: 1e9, 400M, 8GiB."""

_UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "B": 10**9, "T": 10**12}
_BYTE_UNITS = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}


def parse_bytes(amount: Amount) -> int:
    """Bytes given as a number or written as 8GiB, 500MB or 1073741824. Raises UserError."""
    value = _parsed(amount, r"\s*([0-9.]+(?:e[+]?[0-9]+)?)\s*([kKMGT]?i?B)?\s*", {"": 1, **_BYTE_UNITS})
    if value is None or value < 1:
        raise UserError(f"memory {amount!r} given", f"write a number and one of {', '.join(_BYTE_UNITS)}", "try 8GiB")
    return int(value)


def parse_count(amount: Amount) -> float:
    """A number given as it is or written as 1e9, 400M or 1.8B. Raises UserError."""
    value = _parsed(amount, r"\s*([0-9.]+(?:e[+]?[0-9]+)?)\s*([kMGBT]?)\s*", _UNITS)
    if value is None:
        raise UserError(
            f"number {amount!r} given", "write a number above 0, with k, M, B, G or T if you like", "try 1e9"
        )
    return value


def _parsed(amount: Amount, pattern: str, units: dict[str, int]) -> float | None:
    """The value of an amount, or None where it is not a finite number above 0 in one of the units."""
    if isinstance(amount, str):
        found = re.fullmatch(pattern, amount)
        try:
            amount = float(found[1]) * units[found[2] or ""] if found else 0.0
        except (ValueError, KeyError):
            return None
    return float(amount) if math.isfinite(amount) and amount > 0 else None
