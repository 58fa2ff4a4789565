"""STEP 1 in rounds, with what the analysis says of the trainings so far: which networks to train next."""

from typing import TYPE_CHECKING

from scaling_search.config import RunConfig
from scaling_search.runners.progress import Progress
from scaling_search.search.rounds import ROUND, Accuracies, Decision, Rounds, in_rounds, most_trainings
from scaling_search.store import RunDirectory

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scaling_search.search.grid import Step1
    from scaling_search.search.plan import Plan
    from scaling_search.trial import Spec


def step1_in_rounds(
    layout: "Step1",
    config: RunConfig,
    data: str,
    *,
    also: "Sequence[Spec]",
    directory: RunDirectory,
    progress: Progress,
) -> "Plan[Rounds]":
    """The plan of STEP 1 in rounds, which writes them to the directory and says how sure the answer is so far."""
    contenders = frozenset(point.network.fingerprint for point in layout.points if point.rejected is None)

    def on_news(rounds: Rounds) -> None:
        directory.write_document("step1", {**layout.document(), **rounds.document()})
        progress.phase(_phase(rounds, also=bool(also)))

    def decide(accuracies: Accuracies, exhausted: frozenset[str], size: int) -> Decision:
        return _decision(accuracies, config, contenders, exhausted, size)

    rounds = yield from in_rounds(layout.networks, config, data, decide=decide, on_news=on_news, also=also)
    if without := len(rounds.exhausted & contenders):
        progress.note(
            f"{without} network{'s' * (without != 1)} could not get more trainings: "
            f"{'the table has none' if config.replay else 'the last ones failed'}"
        )
    return rounds


def rounds_in_words(config: RunConfig, networks: int) -> str:
    """What `--certainty` asks for, before training."""
    return (
        f"then in rounds of {ROUND} for the networks that may be the best, until it is "
        f"{100 * (config.certainty or 0):g} % sure that the most accurate is within {config.within:g} points of it, or "
        f"{most_trainings(config, networks)} trainings are spent"
    )


def _phase(rounds: Rounds, *, also: bool) -> str:
    from scaling_search.analysis.text.certainty import percent

    if len(rounds.rounds) == 1:
        return f"STEP 1, round 1{', and the published models' if also else ''}"
    return f"STEP 1, round {len(rounds.rounds)} ({rounds.spent} trainings so far, {percent(rounds.sure)} sure)"


def _decision(
    accuracies: Accuracies, config: RunConfig, contenders: frozenset[str], exhausted: frozenset[str], size: int
) -> Decision:
    """How sure the answer is by these accuracies, and the next `size` trainings."""
    import numpy as np
    import pandas as pd

    from scaling_search.analysis.findings.certainty import weighed
    from scaling_search.analysis.statistics.allocation import certainty, next_trainings, worthwhile

    rows = [(name, seed, value) for name, seeds in accuracies.items() for seed, value in seeds.items()]
    trials = pd.DataFrame(rows, columns=["fingerprint", "seed", "val_accuracy"])
    names, evidence = weighed(trials, contenders, config.seeds)
    if not len(names):
        return Decision(0.0)
    within = config.within / 100
    sure = certainty(evidence, evidence.best, within)
    open_ = np.array([name not in exhausted for name in names], bool)
    if size <= 0 or not worthwhile(evidence, within, config.certainty or 0.0, open_):
        return Decision(sure)
    counts = next_trainings(evidence, within, size, open_)
    return Decision(sure, {str(name): int(count) for name, count in zip(names, counts, strict=True) if count})
