"""RMSProp with momentum, of parameters packed as vectors: on a CPU each vector takes its step in one native call.

Of Optax's loops, one after another, each reads and writes whole vectors, which is a good part of a small image's step.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import Array, lax

from scaling_search.native import calls
from scaling_search.networks.lowering import Form, by_platform, takes_native
from scaling_search.training.moving import Optimiser, Packed, Pieces, filled_like, joined_pieces, towards


def rmsprop(
    rate: optax.Schedule, *, momentum: float, decay: float, epsilon: float, weight_decay: Mapping[str, float | Array]
) -> Optimiser:
    """RMSProp as TensorFlow has it, which the paper used: mean squares start at 1, epsilon lies inside the root.

    Weight decay, a number for each vector or one for each of its parameters, is part of the gradient. What it remembers
    is the state of `optax.rmsprop`.
    """
    like = optax.rmsprop(rate, decay, epsilon, initial_scale=1.0, momentum=momentum)

    def init(params: Packed) -> Any:
        squares, *others = jax.eval_shape(like.init, params)
        return filled_like(squares, 1), *filled_like(others, 0)

    def stepped(pieces: list[Array], vectors: list[Array], now: Array, keep: Array, decays: Any) -> list[Array]:
        if isinstance(decays, Array):
            pieces, decays = [joined_pieces(pieces) + decays * vectors[0]], 0.0
        static = (momentum, decay, epsilon, decays)
        forms = {"cpu": Form(_stepped_on_cpu, static), "plain": Form(_stepped, static)}
        return by_platform(*vectors, now, keep, *pieces, out=vectors, **forms)

    def move(
        gradients: Pieces, memory: Any, params: Packed, averages: Packed, keep: Array, times: Array | None
    ) -> tuple[Packed, Any, Packed]:
        squares, counted, trace = memory
        now = jnp.asarray(rate(counted.count), jnp.float32)
        if times is not None:
            now = times * now
        after = {}
        for name, pieces in gradients.items():
            vectors = [params[name], squares.nu[name], trace.trace[name], averages[name]]
            after[name] = stepped(pieces, vectors, now, keep, weight_decay[name])
        params, nu, updates, averages = ({name: one[n] for name, one in after.items()} for n in range(4))
        counted = counted._replace(count=optax.safe_increment(counted.count))
        return params, (squares._replace(nu=nu), counted, trace._replace(trace=updates)), averages

    return Optimiser(init, move)


def _stepped(params, squares, updates, averages, rate, keep, *rest):  # type: ignore[no-untyped-def]
    *pieces, momentum, decay, epsilon, weight_decay = rest
    gradients = joined_pieces(pieces) + weight_decay * params
    squares = (1 - decay) * gradients**2 + decay * squares
    updates = -rate * (gradients * lax.rsqrt(squares + epsilon)) + momentum * updates
    params = params + updates
    return [params, squares, updates, towards(averages, params, keep)]


def _stepped_on_cpu(params, squares, updates, averages, rate, keep, *rest):  # type: ignore[no-untyped-def]
    *pieces, momentum, decay, epsilon, weight_decay = rest
    vectors = params, squares, updates, averages
    if takes_native(*vectors, rate, keep, *pieces):
        return calls.rmsprop(vectors, rate, keep, pieces, momentum, decay, epsilon, weight_decay)
    return _stepped(*vectors, rate, keep, *rest)
