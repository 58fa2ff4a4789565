"""Class activation maps: where in an image a network sees a class.

"Learning Deep Features for Discriminative Localization" (Zhou et al., CVPR 2016), drawn in Figure 7 of the EfficientNet
paper to compare single-dimension with compound scaling.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from scaling_search.errors import UserError


def class_activation_maps(network: nnx.Module, images: Array, classes: Array | None = None) -> tuple[Array, Array]:
    """Logits (N, num_classes), and one map for each image, (N, H', W'): sum over channels k of w_k f_k.

    f is the network's last feature map and w_k the sum over its pixels of the logit's derivative with respect to
    channel k. Where the network takes the mean over pixels and a dense layer, w is that layer's column, and the mean of
    the map is the logit less its bias, as in the source. `images` (N, H, W, 3) are normalised as the network wants
    them; `classes` (N,) are by default those that it answers with. Raises UserError for a network without `features`
    and `classify`, whose composition answers as the network does.
    """
    if not (callable(getattr(network, "features", None)) and callable(getattr(network, "classify", None))):
        raise UserError(
            f"a {type(network).__name__} does not say what its last feature map is",
            "a network has features(images) -> (N, H', W', C) and classify(features) -> logits",
        )
    network.eval()
    graphdef, state = nnx.split(network)

    @jax.jit
    def activation(state: Any, images: Array, classes: Array | None) -> tuple[Array, Array]:
        net: Any = nnx.merge(graphdef, state)
        features = net.features(images)

        def chosen_logit(features: Array) -> tuple[Array, Array]:
            logits = net.classify(features)
            picked = logits.argmax(-1) if classes is None else classes
            return jnp.take_along_axis(logits, picked[:, None], 1).sum(), logits

        slopes, logits = jax.grad(chosen_logit, has_aux=True)(features)
        return logits, (features * slopes.sum((1, 2), keepdims=True)).sum(-1)

    return activation(state, images, classes)
