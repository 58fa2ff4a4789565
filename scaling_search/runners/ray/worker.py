"""A trial as Ray Tune runs it: a process, with cores of its own, that trains one group of specs after the other."""

import gc
import os
import pickle
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from scaling_search.data import ImageData
from scaling_search.runners.agenda import outcomes_of
from scaling_search.runners.ray.cores import keep_to_own_cores
from scaling_search.runners.ray.nodes import Origin, installed, name_of_this_node, refuse_other_versions
from scaling_search.training.ahead import Ahead
from scaling_search.training.environment import compilation_cache, trim_cache
from scaling_search.trial import Outcome, Spec
from scaling_search.uncollected import uncollected

with uncollected():
    from ray.tune import Trainable

GROUP, CORES, ACCELERATED = "group", "cores", "accelerated"
"""Keys of a trial's config: the specs to train, the CPU cores it may keep to itself, whether it has a GPU or TPU."""
FOLLOWING = "following"
"""Key of a trial's config where its process may make the next training ready: a spec, or None where that is not known.
"""
OUTCOME, NUMBER, LAST = "outcome", "number", "last"
"""Keys of a trial's result: the outcome of its next spec, that spec's number in the group, from 0, and whether it was
the last one."""


def kept_apart(config: Mapping[str, Any]) -> ExitStack:
    """Keeps this process to what its trial has, until the result is closed.

    To be called first of all: JAX, which comes with the training, starts a thread for each core.
    """
    cores = keep_to_own_cores(config[CORES])
    if not config[ACCELERATED] and not os.environ.get("JAX_PLATFORMS"):
        # The machine may have some all the same.
        os.environ["JAX_PLATFORMS"] = "cpu"
    return cores


def settled(origin: Origin) -> str:
    """Makes this process, on a machine of a cluster, like those of a run on one machine. Returns the machine's name.

    Raises UserError where it has other versions.
    """
    machine = name_of_this_node()
    refuse_other_versions(machine, installed(), origin.versions)
    # As on one machine, wherever there is such a folder.
    with suppress(OSError):
        os.chdir(origin.folder)
    cache = os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(compilation_cache()))
    trim_cache(Path(cache))
    return machine


class Worker(Trainable):
    """Trains a group a trial and one spec a step. Tune resets it for the next trial, so that JAX starts once."""

    def __init__(self, config: dict[str, Any], **options: Any) -> None:
        self._cores = kept_apart(config)
        super().__init__(config, **options)

    def setup(  # type: ignore[override]
        self, config: dict[str, Any], train: bytes, data: ImageData, origin: Origin | None
    ) -> None:
        """Once a process. `train` is a pickled `agenda.Train`.

        `origin` is that of a run on a cluster. Raises UserError where this machine, which may have joined late, has
        other versions.
        """
        self._train, self._data = train, data
        self._machine = None if origin is None else settled(origin)
        self._ahead: Ahead[Any] = Ahead()
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Once a trial."""
        group = new_config[GROUP]
        self._next = (new_config[FOLLOWING],) if FOLLOWING in new_config else ()
        self._count = self._left = len(group)
        self._outcomes = outcomes_of(lambda specs, data: self._train_group(specs), group, None)
        return True

    def step(self) -> dict[str, Any]:
        """Once a spec."""
        outcome = replace(next(self._outcomes), machine=self._machine)
        self._left -= 1
        if not self._left:
            # The network and its program, which the training holds until then, take memory.
            self._outcomes.close()
        return {OUTCOME: outcome, NUMBER: self._count - self._left - 1, LAST: not self._left}

    def _train_group(self, specs: Sequence[Spec]) -> Iterator[Outcome]:
        # Unpickled here, where what is raised becomes the outcome's reason. JAX comes with it.
        with uncollected():
            train = pickle.loads(self._train)
            # What was loaded stays: collections pass it by from now on.
            if not gc.get_freeze_count():
                gc.freeze()
        yield from train(specs, self._data, **self._looking_ahead())

    def _looking_ahead(self) -> dict[str, Any]:
        """What a training takes besides, where it makes the next one ready."""
        if not self._next:
            return {}
        [self._ahead.following] = self._next
        return {"ahead": self._ahead}
