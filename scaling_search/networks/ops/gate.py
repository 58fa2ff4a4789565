"""Squeeze-and-excitation."""

from functools import partial

import jax
from jax import Array, lax

from scaling_search.native import calls
from scaling_search.networks import shifts
from scaling_search.networks.lowering import Form, by_platform, in_float32, takes_native
from scaling_search.networks.ops.activation import Activation, activate, activation_gradient


@partial(jax.custom_vjp, nondiff_argnums=(5,))
def squeeze_excite(
    x: Array, squeeze: Array, squeeze_bias: Array, excite: Array, excite_bias: Array, activation: Activation
) -> Array:
    """Scales each channel of x (N, H, W, C) by a gate: two dense layers, (C, S) and (S, C), on the mean over pixels."""
    return _squeeze_excite_forward(x, squeeze, squeeze_bias, excite, excite_bias, activation)[0]


def squeeze_excite_kept(
    x: Array, squeeze: Array, squeeze_bias: Array, excite: Array, excite_bias: Array, activation: Activation
) -> tuple[Array, tuple[Array, Array, Array]]:
    """`squeeze_excite`, with what its gradient keeps: means (N, C), hidden values (N, S) and gates (N, C).

    To be differentiated from outside.
    """
    y, (*_, mean, hidden, gate) = _squeeze_excite_forward(x, squeeze, squeeze_bias, excite, excite_bias, activation)
    return y, (mean, hidden, gate)


def _squeeze_excite_forward(x, squeeze, squeeze_bias, excite, excite_bias, activation):  # type: ignore[no-untyped-def]
    wide = jax.ShapeDtypeStruct((x.shape[0], x.shape[3]), shifts.wide(x))
    hidden = jax.ShapeDtypeStruct((x.shape[0], squeeze.shape[1]), shifts.wide(x))
    y, *kept = by_platform(
        *(x, squeeze, squeeze_bias, excite, excite_bias),
        out=[x, wide, hidden, wide],
        cpu=Form(_gate_on_cpu, (activation,)),
        plain=Form(_gate, (activation,)),
    )
    return y, (x, squeeze, excite, *kept)


def _gate(x, squeeze, squeeze_bias, excite, excite_bias, activation):  # type: ignore[no-untyped-def]
    mean = x.mean((1, 2), dtype=shifts.wide(x))
    hidden = mean @ squeeze + squeeze_bias
    gate = lax.logistic(activate(hidden, activation) @ excite + excite_bias)
    return x * gate[:, None, None].astype(x.dtype), mean, hidden, gate


@in_float32
def _gate_on_cpu(x, squeeze, squeeze_bias, excite, excite_bias, activation):  # type: ignore[no-untyped-def]
    form = calls.squeeze_excite if takes_native(x, squeeze, squeeze_bias, excite, excite_bias) else _gate
    return form(x, squeeze, squeeze_bias, excite, excite_bias, activation)


def _squeeze_excite_backward(activation, kept, dy):  # type: ignore[no-untyped-def]
    x, squeeze, excite, _, hidden, gate = kept
    out = [x, squeeze, hidden[0], excite, gate[0]]
    forms = {"cpu": Form(_gate_gradient_on_cpu, (activation,)), "plain": Form(_gate_gradient, (activation,))}
    return tuple(by_platform(*kept, dy, out=out, **forms))


def _gate_gradient(x, squeeze, excite, mean, hidden, gate, dy, activation):  # type: ignore[no-untyped-def]
    pixels = x.shape[1] * x.shape[2]
    dgate = (dy * x).sum((1, 2), dtype=shifts.wide(x)) * gate * (1 - gate)
    dhidden = dgate @ excite.T
    slope = activation_gradient(hidden, activation)
    if slope is not None:
        dhidden = dhidden * slope
    dmean = (dhidden @ squeeze.T / pixels).astype(x.dtype)
    dx = dy * gate[:, None, None].astype(x.dtype) + dmean[:, None, None]
    return dx, mean.T @ dhidden, dhidden.sum(0), activate(hidden, activation).T @ dgate, dgate.sum(0)


@in_float32
def _gate_gradient_on_cpu(x, squeeze, excite, mean, hidden, gate, dy, activation):  # type: ignore[no-untyped-def]
    form = calls.squeeze_excite_gradient if takes_native(x, squeeze, excite, dy) else _gate_gradient
    return form(x, squeeze, excite, mean, hidden, gate, dy, activation)


squeeze_excite.defvjp(_squeeze_excite_forward, _squeeze_excite_backward)
