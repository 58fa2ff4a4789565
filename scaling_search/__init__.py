"""scaling-search: compound scaling and neural architecture search with JAX and Flax.

Names load when they are used, so that importing the package costs nothing and `scaling-search --help` is quick.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_ROOMS = {
    "CompoundRule": "rule",
    "Grid": "rule",
    "PAPER_RULE": "rule",
    "PUBLISHED": "rule",
    "Scale": "rule",
    "RunConfig": "config",
    "UserError": "errors",
    "efficientnet": "networks.efficientnet",
}

__all__ = ["__version__", *_ROOMS]


def __getattr__(name: str) -> Any:
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_ROOMS[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
