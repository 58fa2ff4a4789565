"""Checking a run: everything that it wrote is read again, and some trainings can be repeated."""

import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from scaling_search import compacted
from scaling_search.checksums import DAMAGED, is_damaged, unsigned
from scaling_search.config import Workers
from scaling_search.errors import UserError, in_one_line
from scaling_search.places import Place, inside
from scaling_search.plain import MALFORMED, from_json
from scaling_search.recipe import Recipe
from scaling_search.runners.display import ProgressSetting, display_for
from scaling_search.store import RunDirectory, digest_of, open_run
from scaling_search.trial import TRAINING_VERSION, Network, Outcome, Spec, outcome_from_dict, spec_from_dict

if TYPE_CHECKING:
    from scaling_search.data import ImageData
    from scaling_search.family import Family

_UNREADABLE = (*MALFORMED, OSError)
_COUNTED = ("fingerprint", "input_resolution", "parameters", "multiply_adds", "activations")
_DOCUMENTS = ("rates", "step1", "step2", "sweep", "nas")
"""Documents whose networks must cost what they say."""


@dataclass(frozen=True)
class Checked:
    """What a check found."""

    lines: tuple[str, ...]
    """What was checked, a sentence each."""
    problems: tuple[str, ...]
    """What is wrong, a phrase each, with the name of the file; empty where all is well."""


@dataclass(frozen=True)
class _Record:
    """A record that could be read."""

    file: Place
    spec: Spec
    outcome: Outcome


def check(
    run: str | Place,
    *,
    repeat: int = 0,
    family: "Family | None" = None,
    data: "ImageData | None" = None,
    workers: Workers | None = None,
    progress: ProgressSetting = "auto",
) -> Checked:
    """Reads a run again, as `scaling-search check` does.

    Every record must be whole and named by the hash of what it was trained on, its accuracy must be that of its last
    epoch, and its images, split and recipe must be those of the run. Every network is counted again. Documents and
    tables must be what the records say.

    Args:
        run: Folder of the run.
        repeat: How many of its trainings to repeat; accuracy, loss and learning curve must be those recorded, to the
            bit. They are spread over the run, the cheapest and the most expensive network among them.
        family: The network family again, if the run was started with a Python object.
        data: The images again, if the run was started with arrays.
        workers: Where trainings are repeated.
        progress: "auto" shows a bar in a notebook and a line on a terminal; None shows nothing.

    Returns:
        What was checked and what is wrong.

    Raises:
        UserError: There is no such run, or what it needs to be repeated is missing.

    """
    if repeat < 0:
        raise UserError(f"--repeat {repeat} given", "it must be 0 or more", "try --repeat 3")
    directory = open_run(run)
    problems: list[str] = []
    records = list(_readable(directory, problems))
    problems += _not_of_the_run(directory, records)
    unused = _gathered(directory, problems)
    counted = _recount(directory, records, family, problems)
    problems += _stale_tables(directory)
    lines = [
        f"{directory.path}: {len(records)} records read, {counted} networks counted again",
        _in_words(Counter(record.outcome.status for record in records)),
        *unused,
    ]
    if repeat:
        lines.append(_repeated(directory, records, repeat, family, data, workers or Workers(), progress, problems))
    lines.append(f"{len(problems)} problem{'s' * (len(problems) != 1)} found" if problems else "all is as recorded")
    return Checked(tuple(lines), tuple(problems))


def _readable(directory: RunDirectory, problems: list[str]) -> Iterator[_Record]:
    for file in inside(directory.path / "trials"):
        if file.suffix != ".json":
            problems.append(f"{file} is not a record")
            continue
        try:
            tree = from_json(file.read_bytes())
            record = _Record(file, spec_from_dict(tree["spec"]), outcome_from_dict(tree["outcome"]))
            version, key = tree["version"], tree["key"]
        except (*_UNREADABLE, UserError) as error:
            problems.append(f"{file} cannot be read: {in_one_line(error)}")
            continue
        if is_damaged(tree):
            problems.append(f"{file} is damaged: {DAMAGED}")
        problems += [f"{file} {wrong}" for wrong in _wrong_in(record, version, key)]
        yield record


def _wrong_in(record: _Record, version: int, key: str) -> Iterator[str]:
    if key != record.file.stem:
        yield f"holds the record {key}"
    elif version == TRAINING_VERSION and record.spec.key != key:
        yield f"is named {key}, but what it was trained on gives {record.spec.key}"
    outcome = record.outcome
    if outcome.status == "ok":
        last = outcome.curve[-1] if outcome.curve else None
        if outcome.accuracy is None or not 0 <= outcome.accuracy <= 1:
            yield f"has the accuracy {outcome.accuracy}"
        elif last is not None and last.accuracy != outcome.accuracy:
            yield f"has the accuracy {outcome.accuracy}, but {last.accuracy} after its last epoch"
    elif not outcome.reason:
        yield f"is {outcome.status} without a reason"


def _not_of_the_run(directory: RunDirectory, records: Sequence[_Record]) -> Iterator[str]:
    config, images = directory.config(), directory.images
    # A search trains some architectures for fewer epochs, and a run may find its learning rates itself.
    free = {"epochs": 0, **({"learning_rate": 0} if config.probe_seeds else {})}

    @cache
    def is_of_run(recipe: Recipe) -> bool:
        return asdict(recipe) | free == asdict(config.recipe) | free

    for record in records:
        spec = record.spec
        if digest_of(spec.data) != digest_of(images):
            yield f"{record.file} was trained on {spec.data}, the run on {images}"
        if spec.split != config.split:
            yield f"{record.file} has another split than the run"
        if not is_of_run(spec.recipe):
            yield f"{record.file} has another recipe than the run"


def _gathered(directory: RunDirectory, problems: list[str]) -> list[str]:
    """Checks the file that has the records together, and says for how many it is not used, if for any."""
    file = directory.path / compacted.NAME
    try:
        gathered = compacted.read(file)
    except ValueError as error:
        problems.append(f"{file} is damaged, and not used: {error}")
        return []
    files = {one.name: one for one in inside(directory.path / "trials", "*.json")}
    now = compacted.stamps(files.values())
    for name, (stamp, record) in gathered.items():
        with suppress(*_UNREADABLE):
            if now.get(name) == stamp and unsigned(from_json(files[name].read_bytes())) != from_json(record):
                problems.append(f"{file} has another record {name} than its own file")
    stale = sum(now.get(name) != stamp for name, (stamp, _) in gathered.items())
    return [f"{file} is older than {stale} of its {len(gathered)} records, and not used for these"] if stale else []


def _recount(directory: RunDirectory, records: Sequence[_Record], family: "Family | None", problems: list[str]) -> int:
    """Counts every network of the records and documents again, and says how many there were."""
    from scaling_search.family import load_family, with_options
    from scaling_search.search.candidates import network_at
    from scaling_search.trial import network_from_dict

    # Finding a family by its name means looking through all packages that are installed.
    load = cache(load_family)
    networks: dict[str, tuple[Place, Network]] = {}
    for record in records:
        networks.setdefault(record.spec.network.fingerprint, (record.file, record.spec.network))
    for name in _DOCUMENTS:
        file = directory.path / f"{name}.json"
        try:
            stored = (directory.document(name) or {}).get("networks", {})
            for fingerprint, tree in stored.items():
                # A network that was refused was never counted.
                if not fingerprint.startswith("refused"):
                    networks.setdefault(fingerprint, (file, network_from_dict(tree)))
        except (*_UNREADABLE, UserError) as error:
            problems.append(f"{file} cannot be read: {in_one_line(error)}")
    for file, network in networks.values():
        try:
            options = network.options
            grown = with_options(family or load(network.family), options)
            again = network_at(grown, network.scale, network.num_classes, name=network.family, options=options)
        except UserError as error:
            problems.append(f"{file}: its network cannot be built: {error}")
            continue
        problems += [
            f"{file}: {what} is {getattr(network, what)}, counted again {getattr(again, what)}"
            for what in _COUNTED
            if getattr(again, what) != getattr(network, what)
        ]
    return len(networks)


def _stale_tables(directory: RunDirectory) -> Iterator[str]:
    """Tables beside the records that these do not make."""
    from scaling_search.analysis.findings.facts import facts_of
    from scaling_search.analysis.findings.frontier import to_csv_bytes
    from scaling_search.analysis.frames import load_run
    from scaling_search.experiments.outputs import TABLES

    with warnings.catch_warnings():
        # Records that cannot be read are among the problems already.
        warnings.simplefilter("ignore")
        facts = facts_of(load_run(directory.path))
    for name in TABLES:
        file, table = directory.path / f"{name}.csv", getattr(facts, name)
        if file.exists() and (table is None or file.read_bytes() != to_csv_bytes(table)):
            yield f"{file} is not what this version makes of the records: scaling-search resume writes it again"


def _in_words(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {status}" for status, count in sorted(counts.items())) or "no record"


def _repeated(
    directory: RunDirectory,
    records: Sequence[_Record],
    repeat: int,
    family: "Family | None",
    data: "ImageData | None",
    workers: Workers,
    progress: ProgressSetting,
    problems: list[str],
) -> str:
    """Trains some of the records again, adds what differs to `problems` and says what was done."""
    from functools import partial

    from scaling_search.data import load
    from scaling_search.runners.ray.driver import run_on_ray
    from scaling_search.training.environment import training_environment
    from scaling_search.training.fit import train_group

    config = directory.config()
    images = load(config.data, config.on_bad_data) if data is None else data
    if digest_of(images.identity) != digest_of(directory.images):
        raise UserError(
            f"the images of {directory.path} were {directory.images}", f"{config.data} gives {images.identity} now"
        )
    finished = [record for record in records if record.outcome.status == "ok"]
    chosen = _spread(sorted(finished, key=lambda one: (one.spec.network.multiply_adds, one.file.name)), repeat)
    outcomes: dict[str, Outcome] = {}

    def plan() -> Any:
        yield [record.spec for record in chosen]

    with display_for(progress) as display:
        display.phase("repeating")
        run_on_ray(
            plan(),
            train_group if family is None else partial(train_group, family=family),
            images,
            workers=workers,
            finished={},
            on_outcome=lambda spec, outcome: outcomes.update({spec.key: outcome}),
            watchers=(display,),
            worker_env=training_environment(),
            note=display.note,
        )
    same = 0
    for record in chosen:
        different = _different(record.outcome, outcomes[record.spec.key])
        same += not different
        problems += [f"{record.file}: {what}" for what in different]
    return f"{len(chosen)} trainings repeated, {same} the same to the bit"


def _spread(records: Sequence[_Record], count: int) -> list[_Record]:
    """So many of the records, evenly spread, both ends among them."""
    count = min(count, len(records))
    places = [round(index * (len(records) - 1) / max(count - 1, 1)) for index in range(count)]
    return [records[place] for place in places]


def _different(recorded: Outcome, again: Outcome) -> list[str]:
    """What a repeated training ended with that its record does not have."""
    if again.status != "ok":
        return [f"repeated, it {again.status}: {again.reason}"]
    return [
        f"{name} is {getattr(recorded, name)!r}, repeated {getattr(again, name)!r}"
        for name in ("accuracy", "loss")
        if getattr(recorded, name) != getattr(again, name)
    ] or ["its learning curve is another when repeated"] * (recorded.curve != again.curve)
