"""Between configs and the options of the command line: which options make a config, and which config options bring."""

import dataclasses
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

from scaling_search.config import RunConfig

T = TypeVar("T")


def flags_of(given: dict[str, Any], usual: dict[str, Any], prefix: str = "") -> list[str]:
    """The options of which `usual` has the defaults and whose values in `given` are others."""
    flags: list[str] = []
    for key in (key for key in usual if key in given):
        name, value = f"{prefix}{key.replace('_', '-')}", given[key]
        if isinstance(value, dict):
            flags += flags_of(value, usual[key], f"{name}.")
        elif value != usual[key]:
            flags += [f"--{name}", *map(str, value if isinstance(value, list) else [value])]
    return flags


def replayed_config(options: Sequence[str]) -> RunConfig | None:
    """The config of the recorded table that `--replay` names among options that are not parsed yet, or None."""
    from scaling_search.recorded import RecordedTable

    for option, value in pairwise([*options, ""]):
        name, equals, given = option.partition("=")
        if name == "--replay" and (equals or value):
            return RecordedTable(Path(given if equals else value).expanduser()).config()
    return None


def taking(kind: type[T], config: RunConfig, but: tuple[str, ...] = ()) -> T:
    """An object of a dataclass that has fields in common with a config, but for some, with these from the config."""
    fields: Any = dataclasses.fields(kind)  # type: ignore[arg-type]
    shared = {one.name for one in fields} & {one.name for one in dataclasses.fields(config)}
    return kind(**{name: getattr(config, name) for name in shared.difference(but)})
