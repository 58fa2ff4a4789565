"""Numbers as people write them: 400M, 1e9, 8GiB."""

import re

from scaling_search.errors import UserError

_UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "B": 10**9, "T": 10**12}
_BYTE_UNITS = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}


def parse_bytes(text: str) -> int:
    """Bytes written as 8GiB, 500MB or 1073741824. Raises UserError."""
    found = re.fullmatch(r"\s*([0-9.]+(?:e[0-9]+)?)\s*([kKMGT]?i?B)?\s*", text)
    try:
        return int(float(found[1]) * _BYTE_UNITS[found[2] or "B"])  # type: ignore[index]
    except (TypeError, ValueError, KeyError):
        raise UserError(
            f"memory {text!r} given", f"write a number and one of {', '.join(_BYTE_UNITS)}", "try 8GiB"
        ) from None


def parse_count(text: str) -> float:
    """A number written as 1e9, 400M or 1.8B. Raises UserError."""
    found = re.fullmatch(r"\s*([0-9.]+(?:e[+]?[0-9]+)?)\s*([kMGBT]?)\s*", text)
    try:
        value = float(found[1]) * _UNITS[found[2]]  # type: ignore[index]
    except (TypeError, ValueError):
        value = 0.0
    if not value > 0:
        raise UserError(f"number {text!r} given", "write a number above 0, with k, M, B, G or T if you like", "try 1e9")
    return value
