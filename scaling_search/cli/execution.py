"""A plan of trainings carried out for a command: on Ray, into a run directory, with progress on the screen."""

from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING

from scaling_search.cli.progress import ProgressDisplay
from scaling_search.cli.timings import Timings
from scaling_search.config import Workers
from scaling_search.store import RunDirectory, finished_records
from scaling_search.trial import Outcome, Spec, to_record

if TYPE_CHECKING:
    from scaling_search.data import ImageData
    from scaling_search.search.plan import Plan


def execute(
    plan: "Plan[None]",
    data: "ImageData",
    directory: RunDirectory,
    *,
    reused: Sequence[RunDirectory],
    workers: Workers,
    display: ProgressDisplay,
    times: Timings,
) -> None:
    """Trains what the plan asks for and neither `directory` nor a `reused` run has; `directory` gets all of it."""
    finished = finished_records([directory, *reused])
    kept_here = {record["key"] for record in directory.records()}

    def adopting() -> "Plan[None]":
        """The plan; before its specs are looked up, records of other runs are taken over."""
        outcomes = None
        with closing(plan):
            while True:
                try:
                    specs = next(plan) if outcomes is None else plan.send(outcomes)
                except StopIteration:
                    return
                for spec in specs:
                    if spec.key in finished and spec.key not in kept_here:
                        directory.write_record(finished[spec.key])
                        kept_here.add(spec.key)
                outcomes = yield specs

    def record(spec: Spec, outcome: Outcome) -> None:
        directory.write_record(to_record(spec, outcome))

    from scaling_search.search.driver import run_on_ray
    from scaling_search.training.environment import training_environment
    from scaling_search.training.fit import train_group

    run_on_ray(
        adopting(),
        train_group,
        data,
        workers=workers,
        finished=finished,
        on_outcome=record,
        watchers=(display, times),
        worker_env=training_environment(),
    )
