"""What a training has come to, and how it is kept: written now and then, and taken up by another process."""

import os
import platform
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from scaling_search.errors import UserError, in_one_line
from scaling_search.plain import MALFORMED, check_kinds
from scaling_search.training.checkpoints import KEPT, Arrays, Checkpoints, Series, write_curve
from scaling_search.training.hosts import any_of_them, first, of_the_first
from scaling_search.training.step import TrainState
from scaling_search.training.stopping import Best, Judgement
from scaling_search.trial import Epoch, Spec

FORMAT = 1
"""Of checkpoints. Increased when they hold something else."""
LOOK_SECONDS = 1.0
"""How often a training looks whether it is to end."""
LONG_SECONDS = 0.1
"""What a step takes that is long: to wait for each would make short ones slower."""
TELL_SECONDS = 1.0
"""How often a training writes its curve, at most."""


class TrainingStopped(Exception):  # noqa: N818 - no error: the run is to end.
    """The run is to end, and the training has written a checkpoint if it took long enough to need one."""


@dataclass
class SoFar:
    """What the training of one seed has come to. Its remaining steps and its outcome follow from this."""

    state: Any
    """A TrainState; None while the states of several are in one."""
    best: Best | None
    epoch: int = 0
    """Epochs that are done, evaluation included."""
    losses: np.ndarray = field(default_factory=lambda: np.zeros(0))
    """Of every step; those beyond `epoch` are of the epoch under way."""
    curve: list[Epoch] = field(default_factory=list)
    going: bool = True
    """Whether it goes on: seeds that are trained together do so until the last one ends."""
    seconds: dict[str, float] = field(default_factory=lambda: {"train": 0.0, "evaluate": 0.0})


@dataclass(frozen=True)
class Template:
    """What states and weights of a network look like, to put those of a checkpoint into."""

    start: Callable[[], TrainState]
    averaged: Callable[[TrainState], nnx.State[Any, Any]]


class Keeper:
    """Keeps the trainings of specs that go on side by side. Two trainings of one spec never do."""

    long_steps = False
    """Whether there were few looks at whether to stop, one a step, since the file was last read."""

    def __init__(self, checkpoints: Checkpoints, specs: Sequence[Spec], made_on: Mapping[str, Any]) -> None:
        self._checkpoints = checkpoints
        self._specs = tuple(specs)
        self._series = [Series(checkpoints.of(spec.key)) for spec in specs]
        self._made_on = dict(made_on)
        self._began = self._last = time.monotonic()
        self._look = self._last + LOOK_SECONDS
        self._told = self._last
        self._steps = 0
        self._asked = False
        self._note: str | None = None

    def take_up(self, template: Template) -> list[SoFar] | None:
        """What all of its trainings had come to after the same number of steps, or None where they start anew."""
        common = set.intersection(*(set(one.numbers()) for one in self._series))
        numbers = of_the_first(sorted(common, reverse=True), 2 * KEPT)
        like = template.start() if numbers else None
        for number in numbers:
            taken = None
            try:
                read = [series.read(number) for series in self._series]
                taken = [_unpacked(*one, spec, like, template) for one, spec in zip(read, self._specs, strict=True)]
            except UserError as error:
                self._say(str(error))
            if any_of_them(taken is None) or taken is None:
                continue
            if self._note:
                self._say(f"the one after {number} steps was used")
            for series, (_, about) in zip(self._series, read, strict=True):
                if first():
                    series.forget_after(number)
                self._compare(number, about["made_on"])
            self._began -= sum(taken[0].seconds.values())
            return taken
        for series in self._series if first() else ():
            series.forget_after(-1)
        if self._note:
            self._say("training began anew")
        return None

    def due(self) -> bool:
        """Whether it is time to write a checkpoint, at the end of an epoch that is judged."""
        now = time.monotonic()
        return any_of_them(now - self._last >= self._checkpoints.every and self._long_enough(now))

    def asked_to_stop(self) -> bool:
        """Whether the run is to end, asked after each step. Reads the file once a second."""
        now = time.monotonic()
        self._steps += 1
        if not self._asked and now >= self._look:
            self.long_steps = now - self._look + LOOK_SECONDS > self._steps * LONG_SECONDS
            self._look, self._steps = now + LOOK_SECONDS, 0
            self._asked = self._checkpoints.stop_asked()
        return self._asked

    def tell(self, curves: Iterable[Sequence[Epoch]], images_per_second: float) -> None:
        """Writes what each has come to where trackers look for it, once a second at most.

        What they have not seen by the end comes with the outcome, so that nothing is lost where it cannot be written.
        """
        folder, now = self._checkpoints.curves, time.monotonic()
        if folder is None or not first() or now - self._told < TELL_SECONDS:
            return
        self._told = now
        for spec, curve in zip(self._specs, curves, strict=True):
            with suppress(OSError):
                write_curve(folder, spec.key, curve, images_per_second)

    def save(self, trainings: Iterable[SoFar]) -> None:
        """Begins to write a checkpoint of each; one that cannot be written is noted, and training goes on.

        Of several hosts the first one writes.
        """
        self._last = time.monotonic()
        if not first():
            return
        for spec, series, so_far in zip(self._specs, self._series, trainings, strict=True):
            arrays, about = _packed(so_far, spec, self._made_on)
            number = len(so_far.losses)
            if number in series.numbers():
                # It was stopped before an evaluation.
                continue
            self._tried(series, partial(series.write, number, arrays, about))

    def stop(self, trainings: Iterable[SoFar]) -> TrainingStopped:
        """Writes a checkpoint of each to the end, if they took long enough, and returns what to raise."""
        if self._long_enough(time.monotonic()):
            self.save(trainings)
        self.finish()
        return TrainingStopped()

    def finish(self) -> str | None:
        """Waits until all that was begun is written, and returns what a person should know."""
        for series in self._series:
            self._tried(series, series.finish)
        return self._note

    def _long_enough(self, now: float) -> bool:
        return now - self._began >= self._checkpoints.least

    def _tried(self, series: Series, write: Callable[[], None]) -> None:
        try:
            write()
        except Exception as error:  # Orbax and TensorStore have many.
            self._say(f"a checkpoint could not be written to {series.folder}: {_reason(error)}")

    def _compare(self, number: int, theirs: Mapping[str, Any]) -> None:
        names = [name for name in sorted({*theirs, *self._made_on}) if theirs.get(name) != self._made_on.get(name)]
        if names:
            before, now = (", ".join(f"{name} {one.get(name)}" for name in names) for one in (theirs, self._made_on))
            self._say(f"went on after {number} steps with {now}, before with {before}: numbers depend on it")

    def _say(self, line: str) -> None:
        if line not in (self._note or ""):
            self._note = f"{self._note}; {line}" if self._note else line


def at_one_point(checkpoints: Checkpoints, specs: Sequence[Spec]) -> list[list[Spec]]:
    """The specs, in order, in runs that can go on side by side: from the same number of steps, or all from none."""
    runs: list[tuple[list[Spec], set[int]]] = []
    for spec in specs:
        numbers = set(Series(checkpoints.of(spec.key)).numbers())
        if runs and (runs[-1][1] & numbers or not (runs[-1][1] | numbers)):
            run, common = runs.pop()
            runs.append(([*run, spec], common & numbers))
        else:
            runs.append(([spec], numbers))
    # Where a folder is shared, another host may see it as it was a moment ago.
    ends = of_the_first(list(accumulate(len(run) for run, _ in runs)), len(specs))
    return [list(specs[begin:end]) for begin, end in pairwise([0, *ends])]


def made_here(devices: int, **more: Any) -> dict[str, Any]:
    """What the numbers of a training depend on beside its spec, as a checkpoint says it."""
    kind = jax.devices()[0].device_kind
    if jax.default_backend() == "cpu":
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        kind = f"{_cpu()} with {cores} core{'s' * (cores != 1)}"
    return {"device": kind, "devices": devices, "jax": jax.__version__, **more}


def _reason(error: Exception) -> str:
    """Why a file could not be written, out of TensorStore's long messages."""
    text = in_one_line(error)
    found = re.findall(r"([^:\[\]]+) \[os_error_code", text)
    return found[-1].strip() if found else text[:200]


def _cpu() -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _packed(so_far: SoFar, spec: Spec, made_on: Mapping[str, Any]) -> tuple[Arrays, dict[str, Any]]:
    """A training as named arrays, copied from the device, and the rest as plain data."""
    best = so_far.best
    arrays = _named("state", so_far.state) | {"losses": np.array(so_far.losses)}
    if best is not None and best.weights is not None:
        arrays |= _named("best", best.weights)
    about = {
        "format": FORMAT,
        "key": spec.key,
        "made_on": dict(made_on),
        "epoch": so_far.epoch,
        "going": so_far.going,
        "seconds": dict(so_far.seconds),
        "curve": [asdict(point) for point in so_far.curve],
        "best": None
        if best is None
        else {
            "epoch": best.epoch,
            "judgement": best.judgement,
            "evaluations_since": best.evaluations_since,
            # Not finite where no evaluation has been one; JSON has no such numbers.
            "held": [value.hex() for value in best.held],
        },
    }
    return arrays, about


def _unpacked(arrays: Arrays, about: Mapping[str, Any], spec: Spec, like: Any, template: Template) -> SoFar:
    """The training that `_packed` had. Raises UserError where it is not of this spec, network and version."""
    try:
        return _made_of(arrays, about, spec, like, template)
    except MALFORMED as error:
        raise UserError(f"a checkpoint of {spec.key} cannot be read: {in_one_line(error)}") from None


def _made_of(arrays: Arrays, about: Mapping[str, Any], spec: Spec, like: Any, template: Template) -> SoFar:
    if about.get("format") != FORMAT or about.get("key") != spec.key:
        raise UserError(f"a checkpoint of {about.get('key')}, format {about.get('format')}, lies among {spec.key}'s")
    best = None
    if (told := about["best"]) is not None:
        best = Best(
            spec.recipe.patience or 0,
            epoch=told["epoch"],
            judgement=None if told["judgement"] is None else Judgement(*told["judgement"]),
            weights=None if told["epoch"] is None else _filled("best", template.averaged(like), arrays, np.array),
            evaluations_since=told["evaluations_since"],
            held=tuple(map(float.fromhex, told["held"])),  # type: ignore[arg-type]
        )
    curve = [Epoch(**point) for point in about["curve"]]
    for point in curve:
        check_kinds(point)
    epoch, seconds = about["epoch"], {phase: float(taken) for phase, taken in about["seconds"].items()}
    if type(epoch) is not int or not isinstance(about["made_on"], dict):
        raise TypeError(f"epoch {epoch!r}, made on {about['made_on']!r}"[:200])
    return SoFar(
        state=_filled("state", like, arrays, jnp.array),
        best=best,
        epoch=epoch,
        losses=arrays.get("losses", np.zeros(0)),
        curve=curve,
        going=bool(about["going"]),
        seconds=seconds,
    )


def _named(prefix: str, tree: Any) -> dict[str, np.ndarray]:
    """Copies of a tree's leaves, as the next step is given the memory of these; random keys as their numbers."""
    leaves, _ = jax.tree.flatten_with_path(tree)
    return {_name(prefix, path): np.array(_plain(leaf)) for path, leaf in leaves}


def _filled(prefix: str, tree: Any, arrays: Arrays, make: Callable[[Any], Any]) -> Any:
    """The tree with leaves from arrays. Raises UserError where these do not fit."""
    leaves, structure = jax.tree.flatten_with_path(tree)
    filled = []
    for path, leaf in leaves:
        name, like = _name(prefix, path), jax.eval_shape(_plain, leaf)
        array = arrays.get(name, np.zeros(0, like.dtype).reshape(like.shape) if 0 in like.shape else None)
        if array is None or array.shape != like.shape or array.dtype != like.dtype:
            raise UserError(f"a checkpoint does not fit its network: it has no {name} of shape {like.shape}")
        random = isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        filled.append(
            jax.random.wrap_key_data(jnp.array(array), impl=jax.random.key_impl(leaf)) if random else make(array)
        )
    return jax.tree.unflatten(structure, filled)


def _plain(leaf: Any) -> Any:
    random = isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return jax.random.key_data(leaf) if random else leaf


def _name(prefix: str, path: Any) -> str:
    return f"{prefix}.{jax.tree_util.keystr(path, simple=True, separator='.')}"
