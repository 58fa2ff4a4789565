"""What architectures cost by the search's metric, and which cost too much to be trained."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scaling_search.config import Metric, NasConfig
from scaling_search.cost import memory
from scaling_search.family import Cost
from scaling_search.search.candidates import step_memory
from scaling_search.search.nas.space import Counts
from scaling_search.trial import Network
from scaling_search.units import Amount, parse_bytes, parse_count

Measure = Callable[[Sequence[Network]], list[float]]
"""Latencies of networks, in milliseconds."""


@dataclass(frozen=True)
class Limits:
    """The most that a network may cost."""

    multiply_adds: float | None
    parameters: float | None
    memory: float | None
    """Of a training step at `batch_size` images, bytes."""
    batch_size: int

    def allow(self, counts: Counts) -> NDArray[np.bool_]:
        """Which of the networks with these costs, (N, 4), take their input and may be trained: (N,)."""
        allowed = counts[:, 3] > 0
        if self.parameters is not None:
            allowed &= counts[:, 0] <= self.parameters
        if self.multiply_adds is not None:
            allowed &= counts[:, 1] <= self.multiply_adds
        if self.memory is not None:
            needed = [memory(Cost(*costs), side, self.batch_size) for *costs, side in counts.tolist()]
            allowed &= np.array(needed, np.int64) <= self.memory
        return allowed


def _number(parse: Callable[[Amount], float], amount: Amount | None) -> float | None:
    return None if amount is None else parse(amount)


def limits_of(config: NasConfig) -> Limits:
    """The limits of a search. Raises UserError if one cannot be read."""
    return Limits(
        multiply_adds=_number(parse_count, config.max_flops),
        parameters=_number(parse_count, config.max_params),
        memory=_number(parse_bytes, config.max_memory),
        batch_size=config.recipe.batch_size,
    )


def target_of(config: NasConfig) -> float | None:
    """T of the reward in the unit of the metric, if given. Raises UserError if it cannot be read."""
    match config.metric:
        case "flops":
            return _number(parse_count, config.target_flops)
        case "params":
            return _number(parse_count, config.target_params)
        case "memory":
            return _number(parse_bytes, config.target_memory)
        case "latency":
            return config.target_latency


def costs_by(metric: Metric, networks: Sequence[Network], batch_size: int, measure: Measure) -> list[float]:
    """What each network costs: multiply-adds, parameters, bytes of a training step, or milliseconds by `measure`."""
    match metric:
        case "flops":
            return [float(network.multiply_adds) for network in networks]
        case "params":
            return [float(network.parameters) for network in networks]
        case "memory":
            return [float(step_memory(network, batch_size)) for network in networks]
        case "latency":
            return measure(networks)
