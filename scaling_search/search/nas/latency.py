"""Latency of networks on this machine: measured whole, or predicted from their layers.

One image at a time, in evaluation, compiled. A time is the median of many calls after a few that warm up; its spread,
between the quartiles, says how far to trust it. Times are measured in a process of their own (`Stopwatch`), which takes
no memory of an accelerator in advance, and while nothing is being trained.

    python -m scaling_search.search.nas.latency < networks.jsonl
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array

from scaling_search.config import to_dict
from scaling_search.errors import UserError
from scaling_search.family import load_family
from scaling_search.networks.blocks import BatchNorm, Conv, dense
from scaling_search.networks.mnasnet import LayerPlan, MnasNet, MnasNetFamily, MnasNetPlan, layer
from scaling_search.networks.ops import Activation
from scaling_search.rule import Scale
from scaling_search.search.nas.space import Space, random_genotypes
from scaling_search.training.environment import training_environment, with_users_flags
from scaling_search.trial import Network, network_from_dict

WARM_UP = 3
LEAST_CALLS, MOST_CALLS = 20, 500
SECONDS = 0.25
"""Time that a measurement may take beyond its least number of calls."""


@dataclass(frozen=True)
class Latency:
    """A time, in milliseconds."""

    median: float
    spread: float
    """From the first quartile to the third."""


def time_calls(call: Callable[[], Any]) -> Latency:
    """How long `call` takes until its result is there."""
    for _ in range(WARM_UP):
        jax.block_until_ready(call())
    times: list[float] = []
    end = time.perf_counter() + SECONDS
    while len(times) < LEAST_CALLS or (time.perf_counter() < end and len(times) < MOST_CALLS):
        began = time.perf_counter()
        jax.block_until_ready(call())
        times.append(1000 * (time.perf_counter() - began))
    low, median, high = np.percentile(times, [25, 50, 75])
    return Latency(float(median), float(high - low))


def module_latency(module: nnx.Module, shape: tuple[int, ...]) -> Latency:
    """How long a module takes, in evaluation, on an input of this shape with one image."""
    module.eval()
    net: Any = module
    x = jnp.ones(shape, jnp.float32)
    # Parameters are constants of the program, as where a network is deployed: handing over hundreds of arrays takes
    # longer than a small network.
    compiled = jax.jit(lambda x: net(x)).lower(x).compile()
    return time_calls(lambda: compiled(x))


def network_latency(network: Network) -> Latency:
    """How long a network takes for one image."""
    built = load_family(network.family, network.options).build(network.scale, network.num_classes, rngs=nnx.Rngs(0))
    side = network.input_resolution
    return module_latency(built, (1, side, side, 3))


class Stopwatch:
    """Measures `network_latency` in a process of its own, which the first call starts and `close` ends."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._said: IO[str] | None = None

    def __call__(self, networks: Sequence[Network]) -> list[Latency]:
        """The latency of each, one after the other. Raises UserError where it cannot be measured."""
        return [self._measure(network) for network in networks]

    def _measure(self, network: Network) -> Latency:
        process = self._started()
        assert process.stdin is not None and process.stdout is not None
        with suppress(BrokenPipeError):
            process.stdin.write(json.dumps(to_dict(network)) + "\n")
            process.stdin.flush()
        if answer := process.stdout.readline():
            return Latency(**json.loads(answer))
        code = process.wait()
        assert self._said is not None
        self._said.seek(0)
        reason = (self._said.read().strip().splitlines() or [f"the process ended with {code}"])[-1]
        self.close()
        raise UserError(f"latencies could not be measured: {reason}", hint="count multiply-adds instead")

    def _started(self) -> "subprocess.Popen[str]":
        if self._process is None:
            environment = {
                **os.environ,
                **with_users_flags(training_environment()),
                "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
                "PYTHONPATH": os.pathsep.join(place or str(Path.cwd()) for place in sys.path),
            }
            self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed by `close`
            pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": self._said}
            self._process = subprocess.Popen([sys.executable, "-m", __name__], env=environment, text=True, **pipes)
        return self._process

    def close(self) -> None:
        """Ends the process, if there is one; another call starts a new one."""
        process, self._process = self._process, None
        if process is not None:
            with suppress(BrokenPipeError):
                process.communicate()
        if self._said is not None:
            self._said.close()
            self._said = None


def measure_apart(networks: Sequence[Network]) -> list[Latency]:
    """`network_latency` of each, in a process of its own. Raises UserError where it fails."""
    with closing(Stopwatch()) as stopwatch:
        return stopwatch(networks)


def main() -> None:
    """Reads networks from stdin, one a line as JSON, and writes the latency of each to stdout."""
    for line in sys.stdin:
        print(json.dumps(to_dict(network_latency(network_from_dict(json.loads(line))))), flush=True)


# By layers


class Stem(nnx.Module):
    """Images -> what the first block takes."""

    def __init__(self, channels: int, stride: int, activation: Activation, *, rngs: nnx.Rngs):
        self.conv = Conv(3, channels, 3, stride=stride, rngs=rngs)
        self.norm = BatchNorm(channels, activation=activation)

    def __call__(self, x: Array) -> Array:
        """Applies it."""
        return self.norm(self.conv(x))


class Head(nnx.Module):
    """What the last block makes -> logits."""

    def __init__(self, before: int, channels: int, num_classes: int, activation: Activation, *, rngs: nnx.Rngs):
        self.conv = Conv(before, channels, 1, rngs=rngs)
        self.norm = BatchNorm(channels, activation=activation)
        self.classifier = dense(channels, num_classes, rngs=rngs)

    def __call__(self, x: Array) -> Array:
        """Applies it."""
        return self.classifier(self.norm(self.conv(x)).mean((1, 2)))


@dataclass(frozen=True)
class StemPart:
    """A network's stem."""

    channels: int
    stride: int
    activation: Activation

    def build(self) -> nnx.Module:
        """The module."""
        return Stem(self.channels, self.stride, self.activation, rngs=nnx.Rngs(0))


@dataclass(frozen=True)
class LayerPart:
    """One of its layers."""

    plan: LayerPlan

    def build(self) -> nnx.Module:
        """The module."""
        return layer(self.plan, rngs=nnx.Rngs(0))


@dataclass(frozen=True)
class HeadPart:
    """Its head."""

    before: int
    channels: int
    num_classes: int
    activation: Activation

    def build(self) -> nnx.Module:
        """The module."""
        return Head(self.before, self.channels, self.num_classes, self.activation, rngs=nnx.Rngs(0))


Part = StemPart | LayerPart | HeadPart


@dataclass(frozen=True)
class Place:
    """A part, and what it is given."""

    part: Part
    side: int
    channels: int


def places(plan: MnasNetPlan, resolution: int) -> list[Place]:
    """The parts of a network, in order, where they stand at an input of `resolution` pixels a side."""
    activation = plan.style.activation
    found = [Place(StemPart(plan.stem, plan.stem_stride, activation), resolution, 3)]
    side = -(-resolution // plan.stem_stride)
    for stage in plan.stages:
        for one in stage:
            # In evaluation nothing is dropped, so that layers which differ in that alone are one.
            found.append(Place(LayerPart(replace(one, drop_connect=0.0)), side, one.in_channels))
            side = -(-side // one.stride)
    before = plan.stages[-1][-1].out_channels
    return [*found, Place(HeadPart(before, plan.head, plan.num_classes, activation), side, before)]


@dataclass(frozen=True)
class LatencyTable:
    """What each part takes beyond a program that does nothing, and what that takes: milliseconds."""

    times: dict[Place, float]
    overhead: float

    def predict(self, plan: MnasNetPlan, resolution: int) -> float:
        """A network's latency as the sum of its parts. Raises KeyError for a part that the table has not."""
        return self.overhead + sum(self.times[place] for place in places(plan, resolution))


def latency_table(plans: Iterable[MnasNetPlan], resolution: int) -> LatencyTable:
    """Measures every different part of the networks, each once."""
    different = dict.fromkeys(place for plan in plans for place in places(plan, resolution))
    nothing = jax.jit(lambda x: x + 1).lower(jnp.ones(())).compile()
    start = jnp.ones(())
    overhead = time_calls(lambda: nothing(start)).median
    shapes = {place: (1, place.side, place.side, place.channels) for place in different}
    times = {
        place: max(0.0, module_latency(place.part.build(), shape).median - overhead) for place, shape in shapes.items()
    }
    return LatencyTable(times, overhead)


def random_latencies(
    space: Space, family_options: tuple[str, ...], num_classes: int, count: int, seed: int
) -> list[dict[str, Any]]:
    """`count` random architectures of MnasNet's space: what a table of their parts predicts, and what was measured.

    Rows have `architecture`, `multiply_adds`, `predicted_ms`, `measured_ms` (median), `spread_ms` (between the
    quartiles) and `error`, predicted / measured - 1. Raises UserError for a space of another family.
    """
    genotypes = random_genotypes(space, count, np.random.default_rng(seed)).tolist()
    families = [load_family(space.family, (*space.options(tuple(one)), *family_options)) for one in genotypes]
    planned = [(family, family.plan(Scale(), num_classes)) for family in families if isinstance(family, MnasNetFamily)]
    if len(planned) < count:
        raise UserError(f"space of family {space.family!r} given", "latency tables only cover MnasNet's spaces")
    resolution = planned[0][0].resolution
    table = latency_table((plan for _, plan in planned), resolution)
    rows = []
    for family, plan in planned:
        measured = module_latency(MnasNet(plan, rngs=nnx.Rngs(0)), (1, resolution, resolution, 3))
        predicted = table.predict(plan, resolution)
        rows.append(
            {
                "architecture": family.architecture,
                "multiply_adds": plan.cost(resolution).multiply_adds,
                "predicted_ms": predicted,
                "measured_ms": measured.median,
                "spread_ms": measured.spread,
                "error": predicted / measured.median - 1,
            }
        )
    return rows


if __name__ == "__main__":
    main()
