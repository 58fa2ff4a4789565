"""What comes before training: costing a grid, building a network, compiling its programs; and the default run."""

import dataclasses
import os
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.search import PROGRAM
from tests.benchmarks.steps import Setting, Side

B0 = Setting("efficientnet_b0", 224, 16)


def costing(count: int = 2000) -> dict[str, float]:
    """EfficientNets costed in a second from (d, w, r), with the fingerprints that tell networks apart."""
    from scaling_search.cost import cost_of_scale
    from scaling_search.networks.efficientnet import EFFICIENTNET
    from scaling_search.rule import Scale, round_resolution

    draw = random.Random(0).uniform
    scales = [Scale(draw(0.5, 4), draw(0.5, 2), draw(0.5, 3)) for _ in range(count)]
    began = time.perf_counter()
    for scale in scales:
        cost_of_scale(EFFICIENTNET, scale, 1000, round_resolution(224, scale.resolution))
    return {"networks_per_second": count / (time.perf_counter() - began)}


def costing_in_bulk(count: int = 100_000) -> dict[str, float]:
    """EfficientNets costed in a second from arrays of (d, w, pixels)."""
    import numpy as np

    from scaling_search.cost import costs_in_bulk
    from scaling_search.networks.efficientnet import EFFICIENTNET

    rng = np.random.default_rng(0)
    scales = rng.uniform(0.5, 4, count), rng.uniform(0.5, 2, count), rng.integers(112, 672, count)
    began = time.perf_counter()
    costs_in_bulk(EFFICIENTNET, *scales)
    return {"networks_per_second": count / (time.perf_counter() - began)}


def counting(count: int = 1000) -> dict[str, int]:
    """On how many random scales the counts from the plan, alone and in bulk, are the traced network's."""
    import jax

    from scaling_search.cost import cost, costs_in_bulk
    from scaling_search.family import Cost
    from scaling_search.networks.efficientnet import EFFICIENTNET
    from scaling_search.networks.initialise import abstract_network
    from scaling_search.rule import Scale

    draw = random.Random(1).uniform
    scales = [(Scale(draw(0.2, 2), draw(0.2, 2)), round(draw(16, 600))) for _ in range(count)]
    arrays = zip(*((scale.depth, scale.width, side) for scale, side in scales), strict=True)
    bulk = costs_in_bulk(EFFICIENTNET, *map(list, arrays))
    equal = 0
    for index, (scale, side) in enumerate(scales):
        traced = cost(abstract_network(EFFICIENTNET, scale, 1000), side)
        together = Cost(*(int(getattr(bulk, field.name)[index]) for field in dataclasses.fields(Cost)))
        equal += traced == together == EFFICIENTNET.plan(scale, 1000).cost(side)
        # What was traced is kept in JAX's caches.
        jax.clear_caches()
    return {"scales": count, "equal": equal}


def compiling(
    folder: Path,
    setting: Setting = B0,
    rounds: int = 3,
    sides: Sequence[str] = ("ours", "ours pure"),
) -> dict[str, dict[str, float]]:
    """Seconds to build a network, trace and compile its programs, cold and from the cache; the least of each."""
    found = {}
    for name in sides:
        starts: dict[str, list[dict[str, float]]] = {"cold": [], "warm": []}
        for number in range(rounds):
            for kind in starts:
                side = Side(name, setting, str(folder / f"compile {name} {number}"))
                starts[kind].append(side.start)
                side.end()
        for kind, seconds in starts.items():
            found[f"{name}, {kind}"] = {phase: min(one[phase] for one in seconds) for phase in seconds[0]}
    return found


def default_run(folder: Path) -> dict[str, Any]:
    """Seconds of `scaling-search run --phi 1` with empty caches."""
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache of the default run")}
    began = time.perf_counter()
    command = [PROGRAM, "run", "--phi", "1"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return {"seconds": time.perf_counter() - began}
