"""Numbers and rules as they are written in tables, sentences and figures."""

import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from scaling_search.places import Place

if TYPE_CHECKING:
    from scaling_search.analysis.findings.confirmed import Confirmed


def short(count: float, digits: int = 3) -> str:
    """A count in three digits, or more: 5.29M, 386M, 1.83B."""
    mantissa, exponent = f"{count:.{digits - 1}e}".split("e")
    thousands, places = divmod(int(exponent), 3)
    if not 1 <= thousands <= 5:
        return f"{count:.{digits}g}"
    return f"{float(mantissa) * 10**places:.{max(digits - 1 - places, 0)}f}{'KMBTQ'[thousands - 1]}"


def interval(row: Mapping[Any, Any], name: str = "val_accuracy") -> str:
    """An accuracy in per cent with its interval, as 93.1 (92.4-93.8)."""
    mean, low, high = (100 * float(row[part]) for part in (name, "low", "high"))
    if mean != mean:
        return "-"
    return f"{mean:.1f}" if low != low else f"{mean:.1f} ({low:.1f}-{high:.1f})"


def confirmation(confirmed: "Confirmed") -> str:
    """A network's accuracy by fresh seeds in words, what it was selected at, and how many trainings collapsed."""
    text = f"{interval(vars(confirmed))} % top-1 over "
    if confirmed.selected_at is None:
        text += seeds_in_words(confirmed.seeds)
    else:
        text += (
            f"{seeds_in_words(confirmed.seeds, 'fresh ')}; "
            f"{100 * confirmed.selected_at:.1f} over those that selected it"
        )
    return f"{text}; {confirmed.collapsed} of its trainings collapsed" if confirmed.collapsed else text


def difference(row: Mapping[Any, Any], name: str = "difference") -> str:
    """A difference of accuracies in points with its interval, as -1.2 (-2.0 to -0.4)."""
    mean, low, high = (100 * float(row[part]) for part in (name, f"{name}_low", f"{name}_high"))
    if mean != mean:
        return "-"
    return f"{mean:+.1f}" if low != low else f"{mean:+.1f} ({low:+.1f} to {high:+.1f})"


def ratio(value: float) -> str:
    """A quantity relative to the baseline's, as 1.50x."""
    return "-" if value != value else f"{value:.2f}x"


def shares(row: Mapping[Any, Any]) -> str:
    """Shares of growth of depth, width and resolution in per cent, as 33/33/33."""
    parts = [float(row[f"{name}_share"]) for name in ("depth", "width", "resolution")]
    return "-" if any(part != part for part in parts) else "/".join(f"{100 * part:.0f}" for part in parts)


def sentence(words: str) -> str:
    """A note as a sentence."""
    return f"{words[:1].upper()}{words[1:]}."


def seeds_in_words(count: int, which: str = "") -> str:
    """A number of seeds: 1 seed, 3 seeds, 3 fresh seeds."""
    return f"{count} {which}seed" + "s" * (count != 1)


def rule_in_words(rule: Any) -> str:
    """The coefficients of what has `alpha`, `beta` and `gamma` under these keys."""
    return ", ".join(f"{name} {coefficient(rule[name])}" for name in ("alpha", "beta", "gamma"))


def rule_in_brackets(rule: Any) -> str:
    """The coefficients alone, as (1.20, 1.10, 1.15)."""
    return f"({', '.join(coefficient(rule[name]) for name in ('alpha', 'beta', 'gamma'))})"


def coefficient(value: float) -> str:
    """Two decimals, or as many more as it takes, up to four."""
    text = f"{value:.4f}"
    return text[:-2] + text[-2:].rstrip("0")


def use_of_weights(files: Sequence[Place]) -> str:
    """Where weights are that a run has kept, of which there is at least one, and what to type to use them."""
    more = f" and {len(files) - 1} more" if len(files) > 1 else ""
    return f"{files[0]}{more}; try scaling-search predict {shlex.quote(str(files[0]))} PICTURE"
