"""Which weights a run keeps, and what their files are called.

The processes that train write the weights of every training into the run's folder, named by the trial's key, before
they hand over its outcome. Which of them are wanted is known in the end; until then at most one file for each network
is there, unless all are kept.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from scaling_search.config import Experiment
from scaling_search.places import Place, rename
from scaling_search.recorded import RecordedTable
from scaling_search.store import RunDirectory
from scaling_search.trial import Outcome, Spec

if TYPE_CHECKING:
    from scaling_search.analysis.of_run import Findings
    from scaling_search.training.kept import Keep


class Pruner:
    """Watches a plan, and deletes the weights of a network's seeds that another seed of it surpasses."""

    def __init__(self, keep: "Keep") -> None:
        self._keep = keep
        self._best: dict[str, tuple[float, int, Place]] = {}

    def started(self, slots: int) -> None:
        """Nothing to delete yet."""

    def planned(self, specs: Sequence[Spec], known: Mapping[str, Outcome]) -> None:
        """Nothing to delete yet."""

    def finished(self, spec: Spec, outcome: Outcome) -> None:
        """A training has ended, and has left its weights."""
        if outcome.accuracy is None or not self._keep.takes(spec):
            return
        this = (outcome.accuracy, -spec.seed, self._keep.file(spec))
        last = self._best.setdefault(spec.network.fingerprint, this)
        if this != last:
            self._best[spec.network.fingerprint] = max(this, last)
            min(this, last)[-1].unlink(missing_ok=True)


def adopt(directory: RunDirectory, key: str, others: Iterable[RunDirectory | RecordedTable]) -> None:
    """Copies the weights of a trial that `directory` takes from another run, where one of `others` has them."""
    for other in others:
        if isinstance(other, RunDirectory) and (theirs := other.weights().get(key)):
            directory.make_folder(directory.weights_folder)
            directory.write_file(f"weights/{_file(directory, key).name}", theirs.read_bytes())
            return


def settle(directory: RunDirectory, config: Experiment, findings: "Findings") -> list[str]:
    """Gives the weights that are wanted the names of what they are, deletes the others, and says what is new.

    A process that is killed meanwhile leaves what the next call sets right.
    """
    held = directory.weights()
    trials = findings.run.trials
    trained = trials[(trials["status"] == "ok") & (trials["evaluate"] != "test")]
    # Seeds that confirm the winner have their accuracy in a column of its own.
    trained = trained.assign(accuracy=trained["val_accuracy"].fillna(trained["fresh_accuracy"]))
    trained = trained.sort_values(["accuracy", "seed"], ascending=[False, True], kind="stable")
    names: dict[str, str] = {}
    missing: list[str] = []
    for role, fingerprint in _wanted(config, findings, trained["fingerprint"]):
        mine = trained[trained["fingerprint"] == fingerprint]
        keys = dict(zip(mine["key"], mine["seed"], strict=True))
        there = [key for key in keys if key in held]
        if config.keep == "best":
            names |= dict.fromkeys(there[:1], f"{role}.safetensors")
            missing += [role] * (len(keys) > 0 and not there)
        else:
            names |= {key: f"{role}-seed{keys[key]}.safetensors" for key in there}
            missing += [role] * (len(keys) - len(there))
    if config.seeds == 1:
        names = {key: name.replace(f"-seed{config.seed}.", ".") for key, name in names.items()}
    if {key: file.name for key, file in held.items()} == names == directory.document("weights"):
        return []
    _rename(directory, held, names)
    return _said(directory, names, missing)


def _wanted(config: Experiment, findings: "Findings", trained: Iterable[str]) -> list[tuple[str, str]]:
    """The networks of which weights are kept, each with a name for its files and its fingerprint, by fingerprint."""
    roles = _roles(findings)
    if config.keep == "all":
        for fingerprint in trained:
            roles.setdefault(fingerprint, [f"network-{fingerprint.partition('@')[0][:8]}"])
    return [("-".join(names), fingerprint) for fingerprint, names in roles.items()]


def _roles(findings: "Findings") -> dict[str, list[str]]:
    """What the networks that matter most are in a run, by fingerprint."""
    from scaling_search.analysis.statistics.scales import DIMENSIONS

    run = findings.run
    roles: dict[str, list[str]] = {}
    if findings.winner is not None:
        roles[findings.winner.fingerprint] = ["winner"]
    for fingerprint in run.points["fingerprint"][run.points["phi"] == 0]:
        roles.setdefault(fingerprint, []).append("B0")
    for row in run.models[run.models["trained"]].to_dict("records"):
        names = roles.setdefault(row["fingerprint"], [])
        if row["coefficients"] == "found" and row["model"] not in names:
            names.append(row["model"])
        elif not names:
            names.append(f"{row['model']}-published")
    for row in run.sweep.to_dict("records"):
        scaled = DIMENSIONS if row["scaling"] == "given" else [name for name in DIMENSIONS if name == row["scaling"]]
        roles.setdefault(row["fingerprint"], [row["scaling"], *(f"{row[name]:g}" for name in scaled)])
    if findings.nas is not None:
        finalists = findings.nas["fingerprint"][findings.nas["finalist"]]
        for place, fingerprint in enumerate(finalists, start=1):
            roles[fingerprint] = ["best" if place == 1 else f"finalist-{place}"]
    return roles


def _rename(directory: RunDirectory, held: dict[str, Place], names: dict[str, str]) -> None:
    """Gives files of weights their names, and deletes those that get none."""
    for key, file in held.items():
        if key not in names:
            file.unlink(missing_ok=True)
        elif file.name != names[key]:
            # By its key first: its new name may be another's old one.
            rename(file, _file(directory, key).name)
    directory.write_document("weights", names)
    for key, name in names.items():
        if (file := _file(directory, key)).exists():
            rename(file, name)


def _file(directory: RunDirectory, key: str) -> Place:
    return directory.weights_folder / f"{key}.safetensors"


def _said(directory: RunDirectory, names: dict[str, str], missing: list[str]) -> list[str]:
    lines = []
    if names:
        size = sum((directory.weights_folder / name).stat().st_size for name in names.values())
        files = f"{len(names)} file{'s' * (len(names) > 1)}"
        lines.append(f"wrote {files} of weights, {size / 1e6:,.1f} MB, to {directory.weights_folder}")
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        lines.append(
            f"no weights of {missing[0]}{more}: trained by another run or before weights were kept, or they could not "
            "be written; a run with another --name trains anew"
        )
    return lines
