"""The network inside a file of weights: prefixes that wrappers leave before names, and copies of the network.

A wrapper keeps a network as an attribute, and its name then stands before all of the network's: `module.` of
DataParallel, `_orig_mod.` of torch.compile, `model.` of Lightning, `backbone.` of a detector, and any two of these.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from scaling_search.errors import UserError
from scaling_search.weights.wrappings import is_averaged

WRAPPERS = frozenset(
    (
        *("module", "model", "_orig_mod", "backbone", "encoder", "net", "network", "base_model", "trunk", "student"),
        *("_forward_module", "online_model", "model_ema", "ema_model", "ema", "module_ema", "averaged_model"),
        *("avg_model", "swa_model", "head", "cls_head"),
    )
)
"""Attributes that wrappers are known to keep a network, or its classifier, as."""
TRANSPARENT = frozenset(("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"))
"""Attributes that stand in the middle of names where a part of the network was wrapped."""


@dataclass(frozen=True)
class Stripped:
    """The names of a file as a network knows them."""

    names: dict[str, str]
    """From the network's names to the file's."""
    prefixes: tuple[str, ...]
    """What was stripped, such as `module.`, most used first."""
    outside: tuple[str, ...]
    """Names that are not under the network's prefix: they belong to what is around it."""
    other_copies: tuple[str, ...]
    """Prefixes of other copies of the network in the same file, such as an averaged one."""


def strip_prefixes(names: Iterable[str], known: Collection[str], *, averaged: bool = False) -> Stripped:
    """Finds a network with the tensors `known` among a file's `names`, whatever wrappers left before them.

    The network is where most of its tensors lie under one prefix, and the rest, such as a classifier beside a
    backbone, under prefixes that are known of wrappers. Of two copies the one that is not averaged is taken, or with
    `averaged` the one that is. Raises UserError where two copies are alike in that, or there is no averaged one.

    >>> stripped = strip_prefixes(["module.fc.bias", "module.fc.weight", "step"], {"fc.bias", "fc.weight"})
    >>> stripped.names["fc.bias"], stripped.prefixes, stripped.outside
    ('module.fc.bias', ('module.',), ('step',))
    """
    names = list(names)
    groups: dict[str, dict[str, str]] = {}
    for name in names:
        if split := _split(name, known):
            prefix, inner = split
            groups.setdefault(prefix, {})[inner] = name
    wanted = [prefix for prefix in groups if not averaged or is_averaged(prefix)]
    if averaged and not wanted:
        raise UserError("these weights have no averaged copy", hint="leave out --averaged")
    if not wanted:
        return Stripped({}, (), (), ())

    most = max(len(groups[prefix]) for prefix in wanted)

    def order(prefix: str) -> tuple[Any, ...]:
        tensors = len(groups[prefix])
        return 2 * tensors < most, is_averaged(prefix) and not averaged, -tensors, len(prefix), prefix

    main, *rest = sorted(wanted, key=order)
    taken, prefixes = dict(groups[main]), [main]
    copies = [prefix for prefix in groups if prefix not in wanted]
    for prefix in rest:
        new = groups[prefix].keys() - taken.keys()
        if is_averaged(prefix) != is_averaged(main):
            copies.append(prefix)
        elif min(len(groups[prefix]), len(groups[main])) > len(known) / 2:
            raise UserError(
                f"these weights hold two copies of the network, under {main!r} and {prefix!r}", hint="keep one of them"
            )
        elif new and all(part in WRAPPERS for part in prefix.split(".")[:-1]):
            taken |= {inner: groups[prefix][inner] for inner in new}
            prefixes.append(prefix)
    ours = set(taken.values())
    inside = sorted({f"{part}." for inner, name in taken.items() for part in _between(name, inner)})
    return Stripped(
        taken,
        tuple(prefix for prefix in (*prefixes, *inside) if prefix),
        tuple(sorted(name for name in names if name not in ours and not name.startswith((main, *copies)))),
        tuple(sorted(copies)),
    )


def known_in(names: Iterable[str], known: Collection[str]) -> int:
    """How many of the tensors `known` are found among a file's `names`, whatever stands before them."""
    return len({split[1] for name in names if (split := _split(name, known))})


def _split(name: str, known: Collection[str]) -> tuple[str, str] | None:
    """What stands before the network's name in a file's, and that name; None where there is no such."""
    parts = name.split(".")
    for start in range(len(parts)):
        rest = parts[start:]
        for inner in (".".join(rest), ".".join(part for part in rest if part not in TRANSPARENT)):
            if inner in known and rest[0] not in TRANSPARENT:
                return "".join(f"{part}." for part in parts[:start]), inner
    return None


def _between(name: str, inner: str) -> set[str]:
    """What a wrapper of a part of the network left in the middle of its name."""
    return set() if name.endswith(inner) else set(name.split(".")) & TRANSPARENT
