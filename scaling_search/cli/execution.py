"""A plan of trainings carried out for a command: on Ray, or by a recorded table, with progress on the screen."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from scaling_search.cli.timings import Timings
from scaling_search.config import NasConfig, RunConfig, Workers
from scaling_search.errors import UserError
from scaling_search.recorded import RecordedTable, lacking
from scaling_search.runners.progress import Progress
from scaling_search.store import RunDirectory, finished_records
from scaling_search.trial import Network, Outcome, Spec, to_record

if TYPE_CHECKING:
    from scaling_search.data import ImageData
    from scaling_search.search.plan import Plan


@dataclass(frozen=True, eq=False)
class Images:
    """What a command trains on, checked: images, or a recorded table of trainings on some."""

    identity: str
    """Their name with a digest of their content."""
    num_classes: int
    training: int
    """How many of them train."""
    source: "ImageData | RecordedTable"

    @property
    def name(self) -> str:
        """What they are called."""
        return self.identity.rpartition(":")[0]

    def can_train(self, network: Network) -> bool:
        """Whether a training of the network can be had."""
        return not isinstance(self.source, RecordedTable) or self.source.has(network)


def open_images(config: RunConfig | NasConfig) -> Images:
    """The images of a config, or the table that it replays. Raises UserError where they cannot be trained on so."""
    from scaling_search.data import check_batch_size, divide, load

    if config.replay is not None:
        table = RecordedTable(Path(config.replay).expanduser())
        _check_replay(config, table)
        of_table = table.manifest()["images"]
        return Images(table.manifest()["data"], of_table["classes"], of_table["training"], table)
    data = load(config.data)
    training = len(divide(data, config.split).train)
    check_batch_size(config.recipe.batch_size, training)
    return Images(data.identity, data.num_classes, training, data)


def _check_replay(config: RunConfig | NasConfig, table: RecordedTable) -> None:
    """Raises UserError where the table has no trial that was trained as the config says."""
    recorded = table.config()
    for name in ("split", "recipe"):
        if getattr(config, name) != getattr(recorded, name):
            raise UserError(
                f"a {name} other than that of {table.path} given with --replay",
                "a table has trainings by its own alone",
                f"leave --{name}.* out, or leave --replay out to train",
            )


def execute(
    plan: "Plan[None]",
    images: Images,
    directory: RunDirectory,
    *,
    reused: Sequence[RunDirectory | RecordedTable],
    workers: Workers,
    display: Progress,
    times: Timings,
) -> None:
    """Trains what the plan asks for and neither `directory` nor a `reused` run has; `directory` gets all of it.

    What a recorded table does not have is a failed trial.
    """
    source = images.source
    replayed = [source] if isinstance(source, RecordedTable) else []
    finished = finished_records([directory, *reused, *replayed])
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

    if isinstance(source, RecordedTable):
        from scaling_search.runners.local import run_here

        run_here(adopting(), lacking, source, finished=finished, on_outcome=record, watchers=(display, times))
        return

    from scaling_search.runners.ray.driver import run_on_ray
    from scaling_search.training.environment import training_environment
    from scaling_search.training.fit import train_group

    run_on_ray(
        adopting(),
        train_group,
        source,
        workers=workers,
        finished=finished,
        on_outcome=record,
        watchers=(display, times),
        worker_env=training_environment(),
    )
