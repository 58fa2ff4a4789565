"""Runs a plan in this process, one spec after another."""

from collections.abc import Sequence

from scaling_search.errors import UserError
from scaling_search.runners.agenda import Agenda, D, OnOutcome, Records, Train, outcomes_of
from scaling_search.runners.progress import Watcher
from scaling_search.search.plan import Plan, T


def run_here(
    plan: Plan[T],
    train: Train[D],
    data: D,
    *,
    finished: Records,
    on_outcome: OnOutcome,
    watchers: Sequence[Watcher] = (),
) -> T:
    """Runs a plan in this process, one spec after another, and returns the plan's result.

    `finished` has the store's records by key, which are not trained again. `on_outcome` is called with every new
    outcome, to record it. An exception of the plan or of `on_outcome` ends the run; one of `train` makes a crashed
    outcome. Raises UserError where trainings were told to end.
    """
    with Agenda(plan, finished=finished, on_outcome=on_outcome, watchers=watchers) as agenda:
        agenda.started(1)
        while (group := agenda.next_group()) is not None:
            for spec, outcome in zip(group, outcomes_of(train, group, data), strict=True):
                if outcome.status == "stopped":
                    raise UserError("the run was stopped", "finished trials are kept", "run it again to continue")
                agenda.report(spec, outcome)
        return agenda.result
