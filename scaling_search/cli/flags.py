"""A config as the options of the command line that make it."""

from typing import Any


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
