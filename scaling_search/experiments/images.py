"""What a run trains on: images, or a recorded table in their place, checked."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from scaling_search.config import Experiment, Split
from scaling_search.errors import UserError
from scaling_search.places import place_of
from scaling_search.recorded import RecordedTable
from scaling_search.trial import Network, Spec

if TYPE_CHECKING:
    from scaling_search.data import ImageData


@dataclass(frozen=True, eq=False)
class Images:
    """Images that networks are trained on, or a recorded table in their place."""

    identity: str
    """Their name with a digest of their content."""
    num_classes: int
    training: int
    """How many of them train."""
    split: Split
    """How they are split, with the data's own defaults for what was not asked for."""
    source: "ImageData | RecordedTable"
    skipped: int = 0
    """How many files were left out because they could not be read."""

    @property
    def name(self) -> str:
        """What they are called."""
        return self.identity.rpartition(":")[0]

    @property
    def counts(self) -> dict[str, int]:
        """How many classes and training images there are, as manifests and recorded tables say it."""
        counts = {"classes": self.num_classes, "training": self.training}
        return {**counts, "skipped": self.skipped} if self.skipped else counts

    def can_train(self, network: Network) -> bool:
        """Whether a training of the network can be had."""
        return not isinstance(self.source, RecordedTable) or self.source.has(network)

    def can_do(self, spec: Spec) -> bool:
        """Whether this very training can be had."""
        return not isinstance(self.source, RecordedTable) or self.source.has_training(spec)


def open_images(config: Experiment, data: "ImageData | None" = None) -> Images:
    """The images of a config, those given instead, or the table that it replays.

    Raises UserError where they cannot be trained on as the config says.
    """
    from scaling_search.data import check_batch_size, divide, hold_out, load, resolve
    from scaling_search.data.split import in_words

    if config.replay is not None:
        table = RecordedTable(place_of(config.replay))
        _check_replay(config, table)
        of_table = table.manifest()["images"]
        return Images(table.manifest()["data"], of_table["classes"], of_table["training"], config.split, table)
    data = load(config.data, config.on_bad_data) if data is None else data
    split = resolve(config.split, data)
    training = len(hold_out(divide(data, split).train, data.labels, config.recipe, split.seed)[0])
    check_batch_size(config.recipe.batch_size, training, in_words(split, data))
    return Images(data.identity, data.num_classes, training, split, data, data.skipped)


def _check_replay(config: Experiment, table: RecordedTable) -> None:
    """Raises UserError if the table's trainings had another split or recipe."""
    recorded = table.config()
    for name in ("split", "recipe"):
        if getattr(config, name) != getattr(recorded, name):
            raise UserError(
                f"--replay given with a {name} other than that of {table.path}",
                f"a table only has trainings with its own {name}",
                f"leave out --{name}.*, or leave out --replay to train",
            )
