"""How sure STEP 1 is, in words."""

from typing import TYPE_CHECKING

from scaling_search.analysis.statistics.allocation import MOST_TRAININGS
from scaling_search.analysis.text.words import rule_in_brackets

if TYPE_CHECKING:
    from scaling_search.analysis.findings.certainty import Certainty
    from scaling_search.analysis.findings.step1 import Judgement

_NAMED = 3
"""Doubtful networks that are named."""


def certainty_text(certainty: "Certainty", judgement: "Judgement") -> str:
    """How sure STEP 1 is after how many trainings; where that is less than was asked, what is left unsure."""
    named = dict(zip(certainty.doubtful, map(rule_in_brackets, judgement.rules(certainty.doubtful)), strict=True))
    (best,) = map(rule_in_brackets, judgement.rules([certainty.best]))
    points = f"{100 * certainty.within:g} points"
    text = (
        f"{percent(certainty.sure)} sure that {best} is within {points} of the best of {certainty.networks} networks, "
        f"after {certainty.trainings} trainings in {certainty.rounds} round{'s' * (certainty.rounds != 1)}."
    )
    if judgement.winner.fingerprint != certainty.best:
        which = "representative rule's network," if judgement.by_region else "winner, the cheapest of the tie,"
        text += f" Of the {which} which STEP 2 scales, it is {percent(certainty.of_winner)} sure."
    if certainty.reached:
        return text
    if certainty.doubtful:
        shown = [named[name] for name in certainty.doubtful[:_NAMED]]
        if len(named) > _NAMED:
            shown.append(f"{len(named) - _NAMED} more")
        text += f" {_listed(shown)} may be better by more than {points}."
    if certainty.more is None:
        return f"{text} {_why_no_more(certainty)}"
    return (
        f"{text} About {certainty.more:,} more trainings would make it {percent(certainty.asked)}: raise "
        "--max-trainings to continue."
    )


def _why_no_more(certainty: "Certainty") -> str:
    if not certainty.exhausted:
        return f"{MOST_TRAININGS:,} more trainings would not make it {percent(certainty.asked)}."
    others = "some networks" if certainty.exhausted > 1 else "one network"
    return f"More trainings of {others} could not be had, without which it cannot become {percent(certainty.asked)}."


def percent(probability: float) -> str:
    """A probability as a percentage, never as 100 %."""
    return f"{min(int(100 * probability + 1e-9), 99)} %"


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
