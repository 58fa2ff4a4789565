"""Blocks that networks share: convolution, batch norm with its activation, squeeze-and-excitation, drop-connect.

Images are NHWC. A block works in the dtype of what it is given; parameters and statistics are float32.
"""

import math

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from scaling_search.networks import joined, ops
from scaling_search.networks.initialise import filled, normal, uniform, zeros
from scaling_search.networks.ops import Activation, Padding


class Conv(nnx.Module):
    """A convolution without bias: (N, H, W, in_channels) -> (N, H', W', out_channels).

    Kernels start normal with variance 2 / fan_out, as in the authors' code; for groups, the fan of one group.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        *,
        stride: int = 1,
        groups: int = 1,
        padding: Padding = "SAME",
        rngs: nnx.Rngs,
    ):
        window = (kernel_size, kernel_size) if isinstance(kernel_size, int) else kernel_size
        deviation = (2 / (math.prod(window) * out_channels / groups)) ** 0.5
        shape = (*window, in_channels // groups, out_channels)
        self.kernel = nnx.Param(normal(deviation)(rngs.params(), shape, jnp.float32))
        self.stride = stride
        self.groups = groups
        self.padding = padding

    def __call__(self, x: Array) -> Array:
        """Convolves x."""
        return ops.conv2d(x, self.kernel[...], stride=self.stride, padding=self.padding, groups=self.groups)

    def joins(self, x: Array) -> bool:
        """Whether a batch norm of x can be computed as one with it: whether it is depthwise."""
        return self.groups == x.shape[-1] and self.kernel[...].shape[2:] == (1, self.groups)

    def behind(self, norm: "BatchNorm", x: Array) -> tuple[Array, Array, Array]:
        """Convolves what the norm makes of x; with the batch's mean and variance."""
        return joined.batch_norm_conv2d_train(
            *(x, norm.scale[...], norm.bias[...], self.kernel[...]),
            epsilon=norm.epsilon,
            activation=norm.activation,
            stride=self.stride,
            padding=self.padding,
        )


class BatchNorm(nnx.Module):
    """Batch normalisation followed by an activation, computed as one.

    Momentum 0.99 in the sense of a decaying average, epsilon 1e-3 (section 5.2 of the paper and its code).
    """

    def __init__(
        self, channels: int, *, activation: Activation = "none", epsilon: float = 1e-3, initial_scale: float = 1.0
    ):
        self.scale = nnx.Param(filled((channels,), initial_scale))
        self.bias = nnx.Param(filled((channels,), 0.0))
        self.mean = nnx.BatchStat(filled((channels,), 0.0))
        self.var = nnx.BatchStat(filled((channels,), 1.0))
        self.use_running_average = False
        self.momentum = 0.99
        self.epsilon = epsilon
        self.activation = activation

    def __call__(self, x: Array) -> Array:
        """Normalises x (..., channels); in training, updates the running averages."""
        scale, bias = self.scale[...], self.bias[...]
        if self.use_running_average:
            return ops.batch_norm(
                x, scale, bias, self.mean[...], self.var[...], epsilon=self.epsilon, activation=self.activation
            )
        y, mean, variance = ops.batch_norm_train(x, scale, bias, self.epsilon, self.activation)
        self._move_averages(mean, variance)
        return y

    def then(self, following: "Conv | SqueezeExcite", x: Array) -> Array:
        """following(self(x)), in training computed as one with a depthwise convolution or squeeze-and-excitation."""
        if self.use_running_average or not following.joins(x):
            return following(self(x))
        y, mean, variance = following.behind(self, x)
        self._move_averages(mean, variance)
        return y

    def onto(self, shortcut: Array, x: Array) -> Array:
        """relu(shortcut + self(x)), of a norm without an activation; in training computed as one."""
        if self.use_running_average:
            return jax.nn.relu(shortcut + self(x))
        scale, bias = self.scale[...], self.bias[...]
        y, mean, variance = joined.batch_norm_residual_train(x, scale, bias, shortcut, epsilon=self.epsilon)
        self._move_averages(mean, variance)
        return y

    def _move_averages(self, mean: Array, variance: Array) -> None:
        averages = ops.moving_average([self.mean[...], self.var[...]], [mean, variance], self.momentum)
        # mean[...] = would ask a traced value for its sharding, which takes JAX longer the larger the network is.
        for statistic, average in zip((self.mean, self.var), averages, strict=True):
            statistic.set_value(average)


class SqueezeExcite(nnx.Module):
    """Scales each channel by a gate computed from the mean of all (Hu et al., 2018)."""

    def __init__(self, channels: int, squeezed: int, *, activation: Activation = "silu", rngs: nnx.Rngs):
        # Two dense layers on the mean; as 1x1 convolutions on a 1x1 image they start as Conv does.
        def dense(inputs: int, outputs: int) -> nnx.Linear:
            return nnx.Linear(inputs, outputs, kernel_init=normal((2 / outputs) ** 0.5), bias_init=zeros, rngs=rngs)

        self.squeeze = dense(channels, squeezed)
        self.excite = dense(squeezed, channels)
        self.activation = activation

    def __call__(self, x: Array) -> Array:
        """Gates x (N, H, W, channels)."""
        return ops.squeeze_excite(x, *self._layers, self.activation)

    @property
    def _layers(self) -> list[Array]:
        layers = (self.squeeze, self.excite)
        return [parameter[...] for layer in layers for parameter in (layer.kernel, layer.bias)]  # type: ignore[index]

    def joins(self, x: Array) -> bool:
        """Whether a batch norm of x can be computed as one with it."""
        return True

    def behind(self, norm: BatchNorm, x: Array) -> tuple[Array, Array, Array]:
        """Gates what the norm makes of x; with the batch's mean and variance."""
        return joined.batch_norm_squeeze_excite_train(
            *(x, norm.scale[...], norm.bias[...], self._layers),
            epsilon=norm.epsilon,
            activation=norm.activation,
            inner=self.activation,
        )


class Dropout(nnx.Dropout):
    """Flax's, with the same decisions, which cost a CPU less."""

    def __call__(self, x: Array) -> Array:  # type: ignore[override]
        """In training, drops what chance says and enlarges the rest."""
        if self.deterministic or self.rate == 0:
            return x
        stream = self.rngs
        shape = tuple(1 if axis in self.broadcast_dims else size for axis, size in enumerate(x.shape))
        weights = ops.kept(stream.key[...], stream.count[...], 1 - self.rate, shape)
        stream.count[...] += 1
        return x * weights.astype(x.dtype)


def drop_connect(rate: float, rngs: nnx.Rngs) -> Dropout:
    """Drops a block's whole output for a share `rate` of the images of a training batch (Huang et al., 2016)."""
    return Dropout(rate, broadcast_dims=(1, 2, 3), rngs=rngs)


def dense(inputs: int, outputs: int, *, rngs: nnx.Rngs) -> nnx.Linear:
    """A classifier: a dense layer whose kernel starts uniform within 1 / sqrt(outputs), as in the authors' code."""
    return nnx.Linear(inputs, outputs, kernel_init=uniform(outputs**-0.5), bias_init=zeros, rngs=rngs)
