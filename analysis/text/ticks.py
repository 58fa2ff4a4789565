"""Where the ticks of an axis stand and what is written beside them, for figures and the report alike."""

import math
from collections.abc import Sequence

from scaling_search.analysis.text.words import short

_DENSE = (1, 1.5, 2, 3, 5, 7)
_MANTISSAS = ((1, 2, 5), (1, 3), (1,))


def linear_ticks(low: float, high: float, least: float = 0.0, most: int = 7) -> list[float]:
    """At most `most` round values between the two, at least `least` apart."""
    if not high > low:
        return [low]
    rough = (high - low) / (most - 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = max(next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough), least)
    return [count * step for count in range(math.ceil(low / step), math.floor(high / step) + 1)]


def log_ticks(low: float, high: float, most: int = 20) -> list[float]:
    """At most `most` values: 1, 2 and 5 times powers of ten, say, or round values where these are too far apart."""
    narrow = high / low < 10
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    candidates = []
    for mantissas in (_DENSE, *_MANTISSAS) if narrow else _MANTISSAS:
        ticks = [factor * 10.0**power for power in powers for factor in mantissas]
        candidates.append([tick for tick in ticks if low <= tick <= high])
    if narrow:
        candidates.append(linear_ticks(low, high, most=min(most, 7)))
    for fewest in (3, 2, 1):
        for ticks in candidates:
            if fewest <= len(ticks) <= most:
                return ticks
    return candidates[-1][:: math.ceil(len(candidates[-1]) / most) or 1]


def count_texts(ticks: Sequence[float]) -> list[str]:
    """Counts as in 1.05M, 2M, 25M: no zeros at the end of a fraction, and digits enough to tell the ticks apart."""
    for digits in range(3, 16):
        texts = [_without_zeros(short(value, digits)) for value in ticks]
        if len(set(texts)) == len(set(ticks)):
            break
    return texts


def plain_texts(ticks: Sequence[float]) -> list[str]:
    """Values as they are written without a unit: 92.5, 0.3, 1e-05."""
    return [f"{value:g}" for value in ticks]


def _without_zeros(text: str) -> str:
    digits, unit = (text[:-1], text[-1]) if text[-1].isalpha() else (text, "")
    return (digits.rstrip("0").rstrip(".") if "." in digits and "e" not in digits else digits) + unit
