"""Imports run one way through the house, those inside functions too."""

import ast
import os
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

FLOORS = (
    ("errors", "plain", "checksums", "provenance", "uncollected"),
    ("places",),
    ("atomic", "lease", "bounded"),
    ("unsent", "compacted"),
    ("units", "rule", "recipe", "traced"),
    ("config", "family"),
    ("trial", "manifest"),
    ("store",),
    ("recorded",),
    ("native",),
    ("networks", "data"),
    ("input_side",),
    ("cost", "weights", "baselines"),
    ("training", "evaluation"),
    ("search", "analysis"),
    ("runners",),
    ("experiments",),
    ("cli",),
)
"""Rooms of scaling_search, from the ground up. A room imports from floors below it, and from itself."""
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
OF_THE_ENGINE = {"analysis": {"store", "recorded", "rule", "errors", "units", "plain", "places"}}
"""Rooms that see less of the engine than their floor would allow."""


def files():
    """Every Python file of the package, through the links to analysis and baselines too."""
    for folder, _, names in os.walk(ROOT / "scaling_search", followlinks=True):
        yield from (Path(folder, name) for name in names if name.endswith(".py"))


def modules():
    """Every module of the package with its file."""
    found = {}
    for file in files():
        parts = file.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


def room_of(module):
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


@cache
def imports():
    """What each module imports of the package; a name that is a module of its own counts as that module."""
    known = modules()
    found = {name: set() for name in known}
    for name, file in known.items():
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("scaling_search"):
                inner = {f"{node.module}.{alias.name}" for alias in node.names} & known.keys()
                found[name] |= inner or {node.module}
            elif isinstance(node, ast.Import):
                found[name] |= {alias.name for alias in node.names} & known.keys()
    return found


def test_every_room_has_its_floor():
    assert {room_of(name) for name in imports()} - {""} == FLOOR_OF.keys()


@pytest.mark.parametrize("room", FLOOR_OF)
def test_a_room_imports_from_floors_below_it_alone(room):
    for name, taken in imports().items():
        for other in taken if room_of(name) == room else ():
            if room_of(other) in ("", room):
                continue
            assert FLOOR_OF[room_of(other)] < FLOOR_OF[room], f"{name} imports {other}"
            allowed = OF_THE_ENGINE.get(room)
            assert allowed is None or room_of(other) in allowed, f"{name} imports {other}"


def test_there_is_no_circle_of_files():
    graph = {name: taken - {name, "scaling_search"} for name, taken in imports().items() if name != "scaling_search"}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_the_house_claims_no_name_but_its_own():
    for file in [*files(), *(ROOT / "tests").rglob("*.py"), *(ROOT / "examples").rglob("*.py")]:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            named = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            named += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert not {name.split(".")[0] for name in named} & {"analysis", "baselines"}, file
