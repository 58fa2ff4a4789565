"""Recorded tables: the trials of runs in one Parquet file, which can be replayed instead of training for hours."""

import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, TypeVar

from scaling_search.bounded import read_parquet
from scaling_search.checksums import DAMAGED, checksum_of
from scaling_search.config import Experiment, NasConfig
from scaling_search.errors import UserError, in_one_line
from scaling_search.manifest import shared_part, stored_config
from scaling_search.places import Place, place_of
from scaling_search.plain import MALFORMED, from_json
from scaling_search.store import RunDirectory, finished_records, open_run
from scaling_search.trial import Network, Spec

C = TypeVar("C", bound=Experiment)

_MANIFEST = b"scaling-search"
"""The manifest's key in the file's metadata."""
_CHECKSUM = b"scaling-search-checksum"
"""Where the file's metadata has a hash of manifest and rows."""
_MOST_VALUES = 10**8
"""Values in a table: 10,000 trainings of 350 epochs that are all judged have 22 million."""
_MADE_BY = ("started", "machine", "packages", "git")
"""What the manifest keeps of each run."""


@dataclass(frozen=True)
class RecordedTable:
    """A recorded table on disk: one row per trial, with the columns `key`, `version`, `spec` and `outcome`."""

    path: Place

    @cached_property
    def _content(self) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
        """The manifest, and the records by key."""
        import pyarrow

        hint = "give a file written by scaling-search record"
        try:
            table = read_parquet(place_of(self.path), _MOST_VALUES)
            metadata = table.schema.metadata or {}
            manifest, rows = from_json(metadata[_MANIFEST]), table.to_pylist()
            # Tables of earlier versions have none.
            if _CHECKSUM in metadata and metadata[_CHECKSUM].decode() != checksum_of([manifest, rows]):
                raise UserError(f"{self.path} is damaged: {DAMAGED}", hint="get it again, or record it anew")
            records = {str(row["key"]): _without_gaps(row) for row in rows}
            if not isinstance(manifest["config"], dict) or not all(map(_names_its_network, rows)):
                raise TypeError("its rows are not trials")
            return manifest, records
        except OSError as error:
            raise UserError(f"cannot read {self.path}: {error.strerror or error}", hint=hint) from None
        except (pyarrow.ArrowException, *MALFORMED) as error:
            raise UserError(f"{self.path} is not a recorded table: {in_one_line(error)}", hint=hint) from None

    def manifest(self) -> dict[str, Any]:
        """That of the first run that was recorded, with `images` (what it was trained on) and `runs` (all of them).

        Raises UserError where there is none that can be read.
        """
        return self._content[0]

    def records(self) -> Iterator[dict[str, Any]]:
        """Every trial, as a run keeps it."""
        yield from self._content[1].values()

    def config(self) -> Experiment:
        """The config that its trials were trained by, to be replayed. Raises UserError where it cannot be read."""
        try:
            stored = stored_config(self.manifest(), {})
        except MALFORMED as error:
            raise UserError(f"the manifest of {self.path} cannot be read: {in_one_line(error)}") from None
        return replace(stored, name=None, runs=Experiment.runs, reuse=(), log=(), replay=str(self.path))

    def has(self, network: Network) -> bool:
        """Whether the table has trainings of a network."""
        return network.fingerprint in self._networks

    def has_training(self, spec: Spec) -> bool:
        """Whether the table has this training."""
        return spec.key in self._content[1]

    @cached_property
    def _networks(self) -> frozenset[str]:
        return frozenset(record["spec"]["network"]["fingerprint"] for record in self.records())


def replay_config(path: str | Place, kind: type[C]) -> C:
    """The config from which a replay of a recorded table starts: as much of the table's own as a run of `kind` has.

    Examples:
        >>> config = replay_config("tables/fashion_mnist.parquet", RunConfig)
        >>> config.recipe.epochs, config.seeds
        (2, 3)

    """
    recorded = RecordedTable(place_of(path)).config()
    if isinstance(recorded, kind):
        return recorded
    # A search for a baseline has the options of its space's family instead.
    common = ("family", "family_options") if NasConfig not in (kind, type(recorded)) else ()
    return shared_part(recorded, kind, **{name: getattr(recorded, name) for name in common})


def open_trials(path: str | Place) -> RunDirectory | RecordedTable:
    """An existing run, or a recorded table. Raises UserError where there is neither."""
    place = place_of(path)
    if not place.is_file():
        return open_run(place)
    table = RecordedTable(place)
    table.manifest()
    return table


def table_bytes(runs: Sequence[RunDirectory | RecordedTable], images: dict[str, Any]) -> bytes:
    """The finished trials of runs, or of other tables, as a recorded table; each trial once, in the order of keys.

    `images` says what they were trained on: `classes` and `training`, how many of either there are. Raises UserError
    where the runs were trained on different images, or none has a trial.
    """
    import pyarrow
    import pyarrow.parquet

    manifests = [run.manifest() for run in runs]
    first = manifests[0]
    for run, manifest in zip(runs, manifests, strict=True):
        if manifest["data"] != first["data"]:
            raise UserError(
                f"{run.path} was trained on {manifest['data']}, {runs[0].path} on {first['data']}",
                "a table holds trials on one set of images",
            )
    records = finished_records(runs)
    if not records:
        raise UserError(f"no finished trial in {', '.join(str(run.path) for run in runs)}")
    manifest = {
        **first,
        "images": images,
        "runs": [made for one in manifests for made in one.get("runs", [{name: one.get(name) for name in _MADE_BY}])],
    }
    table = pyarrow.Table.from_pylist([records[key] for key in sorted(records)])
    metadata = {_MANIFEST: json.dumps(manifest), _CHECKSUM: checksum_of([manifest, table.to_pylist()])}
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(table.replace_schema_metadata(metadata), buffer, compression="zstd")
    return buffer.getvalue()


def _names_its_network(row: dict[str, Any]) -> bool:
    return isinstance(row["spec"]["network"]["fingerprint"], str) and isinstance(row["outcome"]["status"], str)


def _without_gaps(record: dict[str, Any]) -> dict[str, Any]:
    """A record as it was: Parquet gives every row the phases that any has."""
    outcome = record["outcome"]
    seconds = {phase: value for phase, value in outcome["seconds"].items() if value is not None}
    return {**record, "outcome": {**outcome, "seconds": seconds}}
