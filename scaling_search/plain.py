"""Plain data that others may have written: JSON in, and dataclasses whose fields hold what they are declared to."""

import dataclasses
import json
from collections.abc import Callable
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

MALFORMED = (
    KeyError,
    TypeError,
    AttributeError,
    ValueError,
    IndexError,
    OverflowError,
    ZeroDivisionError,
    RecursionError,
    MemoryError,
)
"""What is raised where plain data lack something or hold another kind of value than they should."""


def from_json(content: bytes | str) -> Any:
    """JSON as plain data. Raises ValueError where it is none, its parts lie too deep, or it has NaN or infinity."""
    try:
        return json.loads(content, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("its parts lie too deep inside each other") from None


def _refuse(constant: str) -> None:
    raise ValueError(f"it holds {constant}, which is no number in JSON")


def check_kinds(value: Any) -> None:
    """Checks a dataclass that was made from plain data, and those in its fields.

    Raises TypeError where a field holds another kind of value than it is declared to.
    """
    own: Any = type(value)
    for name, holds, kind in _checks(own):
        held = getattr(value, name)
        if not holds(held):
            raise TypeError(f"{name} is {held!r}"[:200] + f", not {kind}")


@cache
def _checks(kind: type) -> tuple[tuple[str, Callable[[Any], bool], str], ...]:
    hints = get_type_hints(kind, include_extras=True)
    return tuple((field.name, _holds(hints[field.name]), str(field.type)) for field in dataclasses.fields(kind))


@cache
def _holds(kind: Any) -> Callable[[Any], bool]:
    """Whether a value is of an annotated kind. A whole number is a float too."""
    simple = _simple(kind)
    if simple is not None:
        return lambda value: type(value) in simple
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _holds(inner[0])
    if origin in (Union, UnionType):
        any_of = tuple(map(_holds, inner))
        return lambda value: any(holds(value) for holds in any_of)
    if origin is Literal:
        return lambda value: isinstance(value, str | int) and value in inner
    if origin is tuple and inner[1:] == (...,):
        each = _holds(inner[0])
        return lambda value: isinstance(value, tuple) and all(map(each, value))
    if origin is tuple:
        parts = tuple(map(_holds, inner))
        return lambda value: (
            isinstance(value, tuple)
            and len(value) == len(parts)
            and all(holds(one) for holds, one in zip(parts, value, strict=True))
        )
    if origin is dict:
        keys, values = map(_holds, inner)
        return lambda value: isinstance(value, dict) and all(map(keys, value)) and all(map(values, value.values()))
    assert dataclasses.is_dataclass(kind), kind
    return lambda value: isinstance(value, kind) and check_kinds(value) is None  # type: ignore[func-returns-value, arg-type]


def _simple(kind: Any) -> frozenset[type] | None:
    """The types that plain data of a kind have; None where these alone do not tell."""
    known: dict[Any, frozenset[type]] = {
        float: frozenset({float, int}),
        **{one: frozenset({one}) for one in (int, bool, str, NoneType)},
        None: frozenset({NoneType}),
    }
    if get_origin(kind) in (Union, UnionType):
        parts = [_simple(part) for part in get_args(kind)]
        return None if None in parts else frozenset[type]().union(*(part for part in parts if part))
    return known.get(kind) if kind.__hash__ is not None else None
