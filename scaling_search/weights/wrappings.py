"""Where a training checkpoint keeps the network's tensors: under `state_dict`, `net`, `model_ema` and so on.

Works on any tree of mappings and knows nothing of PyTorch.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from scaling_search.errors import UserError

USUAL = (
    *("state_dict", "model_state_dict", "model_state", "model", "net", "network", "module", "params", "weights"),
    *("model_weights", "net_state_dict", "network_state_dict", "generator", "checkpoint", "ckpt", "state", "data"),
)
"""What programs call the dictionary of a network's tensors, or one around it; the first that is found wins."""
_AVERAGED = re.compile(r"(^|_)(ema|avg|averaged?|swa|polyak)(_|$)", re.IGNORECASE)
_OF_TRAINING = re.compile(r"optim|schedul|scaler|amp$|criterion|loss|callback|loops|rng", re.IGNORECASE)
"""Parts of a checkpoint that hold tensors which are not the network's."""
DEPTH = 3
"""Mappings inside each other that are looked into."""


@dataclass(frozen=True)
class Found:
    """A network's tensors in a checkpoint."""

    tensors: dict[str, Any]
    under: str
    """The keys that lead there, such as `checkpoint.model`; empty where the checkpoint is that dictionary itself."""
    averaged: bool
    """Whether these are an averaged copy of the weights."""
    averaged_beside: str
    """Where an averaged copy lies that was not taken; empty where there is none."""
    left_out: tuple[str, ...]
    """Entries beside the tensors that are not tensors."""


def is_averaged(name: str) -> bool:
    """Whether a key or a prefix such as `model_ema` names an averaged copy of a network.

    >>> is_averaged("model_ema"), is_averaged("state_dict"), is_averaged("schema")
    (True, False, False)
    """
    return any(_AVERAGED.search(part) for part in name.split("."))


def find_tensors(tree: object, is_tensor: Callable[[object], bool], *, averaged: bool = False) -> Found:
    """The network's tensors in a checkpoint: its weights as trained, or with `averaged` their averaged copy.

    An averaged copy is also taken where a checkpoint has nothing else. Raises UserError where there are no tensors, no
    averaged ones though these were asked for, or several dictionaries of tensors none of which has a usual name.
    """
    places = _without_strays(list(_places(tree, is_tensor, ())))
    if not places:
        raise UserError("it holds no dictionary of tensors", hint="save model.state_dict()")
    copies = [place for place in places if is_averaged(".".join(place.path))]
    trained = [place for place in places if place not in copies]
    if averaged and not copies:
        return _averaged_inside(_chosen(trained))
    chosen = _chosen(copies if averaged or not trained else trained)
    beside = "" if chosen in copies or not copies else ".".join(_chosen(copies).path)
    return Found(chosen.tensors, ".".join(chosen.path), chosen in copies, beside, chosen.others)


@dataclass(frozen=True)
class _Place:
    path: tuple[str, ...]
    tensors: dict[str, Any]
    others: tuple[str, ...]

    @property
    def rank(self) -> tuple[int, ...]:
        """Lower is likelier to be the network: by the usual names on the way there."""
        return tuple(USUAL.index(key) if key in USUAL else -1 if is_averaged(key) else len(USUAL) for key in self.path)


def _places(tree: object, is_tensor: Callable[[object], bool], path: tuple[str, ...]) -> Iterator[_Place]:
    """Every mapping that holds tensors by name."""
    if not isinstance(tree, Mapping):
        return
    named = {key: value for key, value in tree.items() if isinstance(key, str)}
    tensors = {key: value for key, value in named.items() if is_tensor(value)}
    if tensors:
        yield _Place(path, tensors, tuple(key for key in named if key not in tensors))
    if len(path) < DEPTH:
        for key, value in named.items():
            if not _OF_TRAINING.search(key):
                yield from _places(value, is_tensor, (*path, key))


def _without_strays(places: list[_Place]) -> list[_Place]:
    """The places without those that hold fewer tensors than a dictionary inside them: a step or a score beside it."""

    def is_stray(place: _Place) -> bool:
        return any(
            other.path[: len(place.path)] == place.path and len(other.tensors) > len(place.tensors) for other in places
        )

    return [place for place in places if not is_stray(place)]


def _chosen(places: list[_Place]) -> _Place:
    """The place that is the network, of at least one."""
    usual = [place for place in places if len(USUAL) not in place.rank]
    if usual:
        return min(usual, key=lambda place: place.rank)
    if len(places) > 1:
        keys = ", ".join(repr(".".join(place.path)) for place in places)
        raise UserError(
            f"it holds several dictionaries of tensors, under {keys}", hint="save the one that is meant as a state_dict"
        )
    return places[0]


def _averaged_inside(place: _Place) -> Found:
    """The averaged tensors of a dictionary that holds both kinds, told by prefixes such as `ema_model.`."""
    tensors = {name: tensor for name, tensor in place.tensors.items() if is_averaged(name.rpartition(".")[0])}
    if not tensors:
        raise UserError("it holds no averaged weights", hint="leave out --averaged")
    return Found(tensors, ".".join(place.path), True, "", place.others)
