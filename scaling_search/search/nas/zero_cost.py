"""Scores of a network before it is trained, from one batch or none: more should mean better. For any Flax network.

"Zero-Cost Proxies for Lightweight NAS" (Abdelfattah et al., ICLR 2021) compares them. A score speaks of the initial
values it is given: average over a few seeds to compare networks. The network is left as it is.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax import Array

JITTER = 1e-5


def synflow(network: nnx.Module, resolution: int) -> float:
    """The logarithm of the sum of |parameter * d R / d parameter|, R the sum of the outputs for an image of ones.

    "Pruning neural networks without any data by iteratively conserving synaptic flow" (Tanaka et al., NeurIPS 2020),
    equation 4, on absolute values of the parameters and with batch norm as in evaluation, which does next to nothing
    before training. R grows with the product of all layers' sizes, beyond what float32 holds: so it is computed in
    float64, and its logarithm returned. NaN for a large network that turns images to float32 by itself.
    """
    graphdef, params, rest = _split(network)

    @jax.jit
    def score(params: Any, rest: Any) -> Array:
        def flow(params: Any) -> Array:
            net = _merged(graphdef, params, rest, training=False)
            return net(jnp.ones((1, resolution, resolution, 3), jnp.float64)).sum()

        gradients = jax.grad(flow)(params)
        products = jax.tree.map(lambda parameter, slope: jnp.abs(parameter * slope).sum(), params, gradients)
        return jnp.log(sum(jax.tree.leaves(products)))

    with jax.enable_x64(True):
        positive = jax.tree.map(lambda leaf: np.abs(np.asarray(leaf)).astype(np.float64), params)
        return float(score(positive, jax.tree.map(_as_float64, rest)))


def gradient_norm(network: nnx.Module, images: Array, labels: Array) -> float:
    """Euclidean norm of the cross-entropy's gradient on images (N, H, W, 3), normalised, with labels (N,)."""
    graphdef, params, rest = _split(network)

    @jax.jit
    def score(params: Any, rest: Any, images: Array, labels: Array) -> Array:
        def loss(params: Any) -> Array:
            logits = _logits(_merged(graphdef, params, rest, training=True), images)
            return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

        return optax.tree.norm(jax.grad(loss)(params))

    return float(score(params, rest, images, labels))


def jacobian_covariance(network: nnx.Module, images: Array) -> float:
    """How differently a network answers to different images (N, H, W, 3), N >= 2: 0 at the most for N unlike answers.

    From the correlations of the N Jacobians of the summed logits by the images: with eigenvalues e, it is
    -sum(log(e + k) + 1 / (e + k)) + N, k = 1e-5 ("Neural Architecture Search without Training", Mellor et al., first
    version, 2020, equation 3), but for the N, which makes unlike answers 0.
    """
    graphdef, rest = nnx.split(network)

    @jax.jit
    def score(rest: Any, images: Array) -> Array:
        def total(images: Array) -> Array:
            return _logits(nnx.merge(graphdef, rest, copy=True), images).sum()

        jacobians = jax.grad(total)(images).reshape(len(images), -1)
        values = jnp.linalg.eigvalsh(jnp.corrcoef(jacobians)) + JITTER
        values = jnp.maximum(values, JITTER)  # Rounding makes some of them a little negative.
        return len(images) - (jnp.log(values) + 1 / values).sum()

    return float(score(rest, images))


def _split(network: nnx.Module) -> tuple[Any, Any, Any]:
    """The graph, the parameters, and the rest of the state."""
    parts: Any = nnx.split(network, nnx.Param, ...)
    return parts  # type: ignore[no-any-return]


def _as_float64(leaf: Array) -> Any:
    # By NumPy, as XLA would compile a program for each shape.
    return np.asarray(leaf).astype(np.float64) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf


def _merged(graphdef: Any, params: Any, rest: Any, *, training: bool) -> Any:
    net: Any = nnx.merge(graphdef, params, rest, copy=True)
    net.train() if training else net.eval()
    return net


def _logits(net: Any, images: Array) -> Array:
    """The network's own answer, where it has auxiliary ones beside it."""
    net.train()
    answers = net(images)
    return answers[0] if isinstance(answers, tuple) else answers


SCORES: dict[str, Callable[[nnx.Module, Array, Array], float]] = {
    "synflow": lambda network, images, labels: synflow(network, images.shape[1]),
    "gradient_norm": gradient_norm,
    "jacobian_covariance": lambda network, images, labels: jacobian_covariance(network, images),
}
"""Every score by its name, as functions of a network, normalised images and labels."""
