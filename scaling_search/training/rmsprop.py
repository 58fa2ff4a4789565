"""RMSProp with momentum, of parameters packed as vectors: on a CPU each vector takes its step in one native call.

Of Optax's loops, one after another, each reads and writes whole vectors, which is a good part of a small image's step.
"""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import optax
from jax import Array, lax

from scaling_search.native import calls
from scaling_search.networks.lowering import Form, by_platform, takes_native

Packed = dict[str, Array]


def rmsprop(
    rate: optax.Schedule, *, momentum: float, decay: float, epsilon: float, weight_decay: Mapping[str, float | Array]
) -> optax.GradientTransformation:
    """RMSProp as TensorFlow has it, which the paper used: mean squares start at 1, epsilon lies inside the root.

    Weight decay, a number for each vector or one for each of its parameters, is part of the gradient. The state is that
    of `optax.rmsprop`.
    """
    like = optax.rmsprop(rate, decay, epsilon, initial_scale=1.0, momentum=momentum)

    def stepped(
        gradients: Array, params: Array, squares: Array, updates: Array, now: Array, decays: Any
    ) -> list[Array]:
        if isinstance(decays, Array):
            gradients, decays = gradients + decays * params, 0.0
        static = (momentum, decay, epsilon, decays)
        forms = {"cpu": Form(_stepped_on_cpu, static), "plain": Form(_stepped, static)}
        return by_platform(gradients, params, squares, updates, now, out=[squares, updates], **forms)

    def update(gradients: Packed, state: Any, params: Packed) -> tuple[Packed, Any]:
        squares, counted, trace = state
        now = jnp.asarray(rate(counted.count), jnp.float32)
        after = {
            name: stepped(gradients[name], params[name], squares.nu[name], trace.trace[name], now, weight_decay[name])
            for name in params
        }
        updates = {name: one[1] for name, one in after.items()}
        squares = squares._replace(nu={name: one[0] for name, one in after.items()})
        counted = counted._replace(count=optax.safe_increment(counted.count))
        return updates, (squares, counted, trace._replace(trace=updates))

    return optax.GradientTransformation(like.init, update)  # type: ignore[arg-type]


def _stepped(gradients, params, squares, updates, rate, momentum, decay, epsilon, weight_decay):  # type: ignore[no-untyped-def]
    gradients = gradients + weight_decay * params
    squares = (1 - decay) * gradients**2 + decay * squares
    return [squares, -rate * (gradients * lax.rsqrt(squares + epsilon)) + momentum * updates]


def _stepped_on_cpu(*arguments):  # type: ignore[no-untyped-def]
    return (calls.rmsprop if takes_native(*arguments[:5]) else _stepped)(*arguments)
