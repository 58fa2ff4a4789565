import os
import subprocess
import sys
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import lax

from scaling_search import native
from scaling_search.networks import joined, ops
from scaling_search.networks.blocks import Dropout
from scaling_search.networks.ops import many, maximum, normalisation
from scaling_search.networks.ops.activation import sigmoid_by_tanh
from scaling_search.networks.pooling import max_pool

ACTIVATIONS = ("silu", "relu", "relu6", "none")


@pytest.fixture(params=["native", "pure"])
def path(request, monkeypatch):
    """Runs a test by the native kernels, and without them."""
    if request.param == "native" and not native.available():
        pytest.skip(native.status())
    monkeypatch.setattr(native, "available", lambda: request.param == "native")
    yield request.param
    jax.clear_caches()


def arrays(*shapes, dtype=jnp.float32):
    generator = np.random.default_rng(0)
    return [jnp.asarray(generator.normal(size=shape), dtype) for shape in shapes]


def agree(given, expected, tolerance=2e-5):
    for one, other in zip(jax.tree.leaves(given), jax.tree.leaves(expected), strict=True):
        assert one.shape == other.shape
        assert one.dtype == other.dtype
        one, other = np.asarray(one, np.float64), np.asarray(other, np.float64)
        np.testing.assert_allclose(one, other, rtol=0, atol=tolerance * max(1e-3, np.abs(other).max(initial=0)))


def with_gradients(function, *inputs):
    """One compiled function: the result, and its gradients along a random direction."""

    def both(*inputs):
        result, pull = jax.vjp(function, *inputs)
        direction = jnp.sin(jnp.arange(result.size, dtype=jnp.float32)).reshape(result.shape).astype(result.dtype)
        return result, pull(direction)

    return jax.jit(both)(*inputs)


def plain_convolution(x, kernel, *, stride, padding, groups):
    return lax.conv_general_dilated(
        x, kernel, (stride, stride), padding, dimension_numbers=("NHWC", "HWIO", "NHWC"), feature_group_count=groups
    )


# Every kernel size meets every stride; sides, channels and padding take turns.
SIDES = [(1, 1), (2, 3), (9, 7), (12, 17)]
CHANNELS = [1, 7, 8, 24, 37]
PADDINGS = ["SAME", ((0, 3), (2, 1)), "SAME", "VALID"]
CASES = [(size, stride) for size in (1, 3, 5, 7) for stride in (1, 2, 3)]


@pytest.mark.parametrize("part", range(2))
def test_a_depthwise_convolution_and_its_gradients_are_the_plain_ones(path, part):
    chosen = CASES[part::2]
    settings, inputs = [], []
    for index, (size, stride) in enumerate(chosen, part):
        height, width = SIDES[index % 4]
        padding = PADDINGS[(index + index // 4) % 4]
        if padding == "VALID":
            height, width = max(height, size), max(width, size + 1)
        elif not isinstance(padding, str):
            height, width = max(height, size - 3), max(width, size - 3)
        channels = CHANNELS[index % 5]
        settings.append({"stride": stride, "padding": padding, "groups": channels})
        inputs.append(arrays((2, height, width, channels), (size, size, 1, channels)))

    def all_by(convolution):
        def each(*inputs):
            return [
                with_gradients(partial(convolution, **one), *pair) for one, pair in zip(settings, inputs, strict=True)
            ]

        return jax.jit(each)(*inputs)

    agree(all_by(ops.conv2d), all_by(plain_convolution))


@pytest.mark.parametrize("path", ["native"], indirect=True)
@pytest.mark.parametrize("size", [3, 5])
def test_short_rows_of_a_depthwise_convolution_and_their_gradients_are_the_plain_ones(path, size):
    inputs = [arrays((2, 4, width, 19), (size, size, 1, 19)) for width in range(2, 12)]

    def all_by(convolution):
        settings = {"stride": 1, "padding": "SAME", "groups": 19}
        return jax.jit(lambda *inputs: [with_gradients(partial(convolution, **settings), *pair) for pair in inputs])(
            *inputs
        )

    agree(all_by(ops.conv2d), all_by(plain_convolution))


def test_a_depthwise_kernel_of_many_columns_is_the_plain_one(path):
    settings = {"stride": 1, "padding": "SAME", "groups": 3}
    inputs = arrays((1, 20, 20, 3), (19, 19, 1, 3))
    agree(
        with_gradients(partial(ops.conv2d, **settings), *inputs),
        with_gradients(partial(plain_convolution, **settings), *inputs),
    )


@pytest.mark.parametrize(
    ("size", "stride", "groups", "padding"),
    [(1, 1, 1, "SAME"), (1, 2, 1, "SAME"), (3, 2, 1, "SAME"), (3, 1, 4, "VALID"), (1, 1, 1, ((1, 0), (0, 1)))],
)
def test_other_convolutions_and_their_gradients_are_the_plain_ones(size, stride, groups, padding):
    inputs = arrays((2, 7, 5, 8), (size, size, 8 // groups, 12))
    settings = {"stride": stride, "padding": padding, "groups": groups}
    agree(
        with_gradients(partial(ops.conv2d, **settings), *inputs),
        with_gradients(partial(plain_convolution, **settings), *inputs),
    )


@pytest.mark.parametrize("channels", [15, 16, 24])
@pytest.mark.parametrize(
    ("size", "stride", "padding"),
    [(1, 3, "SAME"), (3, 1, "SAME"), (3, 2, ((1, 1), (1, 1))), (5, 3, "VALID"), (7, 2, ((3, 3), (3, 3)))],
)
def test_dense_convolutions_of_few_and_of_many_channels_have_the_plain_gradients(size, stride, padding, channels):
    inputs = arrays((2, 8, 7, channels), (size, size, channels, 5))
    settings = {"stride": stride, "padding": padding, "groups": 1}
    agree(
        with_gradients(partial(ops.conv2d, **settings), *inputs),
        with_gradients(partial(plain_convolution, **settings), *inputs),
    )


# On both sides of the choice's bounds, in every size, stride and padding, of which some leave whole phases without a
# tap; images that are small or large to the kernels, and products of more steps than a block has.
WIDE_CASES = [
    ((2, 7, 9, 33), (3, 3, 33, 35), 1, "SAME"),
    ((2, 8, 7, 40), (3, 3, 40, 32), 2, ((1, 1), (1, 1))),
    ((2, 9, 8, 32), (5, 4, 32, 130), 3, ((0, 3), (2, 1))),
    ((1, 16, 13, 3), (7, 7, 3, 64), 2, "SYMMETRIC"),
    ((3, 19, 19, 3), (3, 3, 3, 13), 2, "SAME"),
    ((3, 3, 3, 300), (3, 3, 300, 48), 1, "SAME"),
    ((1, 12, 13, 33), (3, 3, 33, 65), 1, "SAME"),
    ((2, 5, 6, 32), (2, 2, 32, 32), 3, "VALID"),
    ((3, 15, 14, 96), (1, 1, 96, 64), 1, "SAME"),
    ((3, 9, 9, 70), (1, 1, 70, 65), 2, "SAME"),
    ((0, 4, 4, 32), (3, 3, 32, 32), 1, "SAME"),
    ((3, 43, 47, 16), (1, 1, 16, 96), 1, "SAME"),
    ((3, 47, 37, 208), (1, 1, 208, 8), 1, "SAME"),
    ((1, 43, 61, 48), (1, 1, 48, 72), 1, "SAME"),
    ((2, 21, 13, 192), (1, 1, 192, 96), 1, "SAME"),
]


@pytest.mark.parametrize(("images", "kernel", "stride", "padding"), WIDE_CASES)
def test_wide_convolutions_and_their_gradients_are_the_plain_ones(path, images, kernel, stride, padding):
    inputs = arrays(images, kernel)
    pads = ops.pads_of(images, kernel, stride, padding)
    agree(
        with_gradients(partial(ops.conv2d, stride=stride, padding=padding), *inputs),
        with_gradients(partial(plain_convolution, stride=stride, padding=pads, groups=1), *inputs),
    )


@pytest.mark.parametrize(
    ("channels", "features", "groups", "size", "stride"),
    [(24, 24, 6, 3, 1), (64, 128, 16, 3, 2), (96, 64, 2, 3, 1), (6, 9, 3, 5, 2), (40, 40, 5, 1, 1), (8, 16, 8, 3, 2)],
)
def test_grouped_convolutions_and_their_gradients_are_the_plain_ones(path, channels, features, groups, size, stride):
    inputs = arrays((2, 9, 8, channels), (size, size, channels // groups, features))
    settings = {"stride": stride, "padding": "SAME", "groups": groups}
    agree(
        with_gradients(partial(ops.conv2d, **settings), *inputs),
        with_gradients(partial(plain_convolution, **settings), *inputs),
    )


def plain_batch_norm(x, scale, bias, activation):
    axes = tuple(range(x.ndim - 1))
    mean = x.mean(axes)
    variance = ((x - mean) ** 2).mean(axes)
    return ops.activate((x - mean) / jnp.sqrt(variance + 1e-3) * scale + bias, activation), mean, variance


# Several pixels share a register where channels do not fill one, unless there are too many.
NORM_SHAPES = [(3, 5, 7, 13), (41, 9, 5, 69), (40, 6, 6, 24), (7, 3, 5, 106), (3, 2, 1, 1301)]


@pytest.mark.parametrize(
    ("shape", "activation"),
    [*((NORM_SHAPES[0], activation) for activation in ACTIVATIONS), *((shape, "silu") for shape in NORM_SHAPES[1:])],
)
def test_batch_norm_in_training_and_its_gradients_are_the_plain_ones(path, shape, activation):
    x, scale, bias = arrays(shape, shape[3:], shape[3:])
    x, scale, bias = 3 * x + 2, 2 * scale, 3 * bias
    agree(
        with_gradients(lambda *inputs: ops.batch_norm_train(*inputs, 1e-3, activation)[0], x, scale, bias),
        with_gradients(lambda *inputs: plain_batch_norm(*inputs, activation)[0], x, scale, bias),
    )


NORM_CASES = [
    ((2, 9, 7, 13), 3, 1, "SAME", "silu"),
    ((3, 48, 48, 40), 3, 2, "SAME", "silu"),
    ((5, 6, 6, 24), 5, 2, "SYMMETRIC", "relu"),
    ((2, 40, 5, 37), 5, 1, "VALID", "relu6"),
    ((2, 12, 9, 16), 7, 3, "SAME", "none"),
    ((4, 5, 3, 8), 1, 2, "SAME", "silu"),
    ((2, 13, 4, 20), 2, 3, ((0, 3), (2, 1)), "silu"),
    ((1, 2, 2, 4), 3, 1, "VALID", "silu"),
    ((16, 8, 8, 33), 3, 1, "SAME", "silu"),
    ((17, 5, 5, 106), 3, 2, "SAME", "silu"),
    ((6, 1, 1, 40), 5, 1, "SAME", "silu"),
    ((6, 2, 2, 24), 5, 2, "SAME", "silu"),
]
GATE_CASES = [
    ((3, 4, 5, 24), 5, "silu", "silu"),
    ((2, 48, 33, 37), 1, "relu", "relu6"),
    ((70, 3, 2, 4), 9, "none", "relu"),
    ((5, 1, 1, 40), 3, "relu6", "silu"),
    ((16, 5, 5, 75), 6, "silu", "silu"),
    ((64, 2, 2, 150), 37, "silu", "silu"),
]


def on_paths(cases):
    """All cases by the native kernels, and every third without them."""
    return [("native", *case) for case in cases] + [("pure", *case) for case in cases[::3]]


@pytest.mark.parametrize(
    ("path", "shape", "size", "stride", "padding", "activation"), on_paths(NORM_CASES), indirect=["path"]
)
def test_batch_norm_with_the_convolution_behind_it_is_the_two_one_after_the_other(
    path, shape, size, stride, padding, activation
):
    x, scale, bias, kernel = arrays(shape, shape[3:], shape[3:], (size, size, 1, shape[3]))
    settings = {"stride": stride, "padding": padding}

    def one(x, scale, bias, kernel):
        return joined.batch_norm_conv2d_train(x, scale, bias, kernel, epsilon=1e-3, activation=activation, **settings)[
            0
        ]

    def other(x, scale, bias, kernel):
        y, *_ = ops.batch_norm_train(x, scale, bias, 1e-3, activation)
        return ops.conv2d(y, kernel, groups=shape[3], **settings)

    inputs = (3 * x + 2, 2 * scale, 3 * bias, kernel)
    agree(with_gradients(one, *inputs), with_gradients(other, *inputs), tolerance=4e-6 if path == "native" else 2e-5)


@pytest.mark.parametrize(("dtype", "tolerance"), [(jnp.float32, 2e-7), (jnp.bfloat16, 4e-3)])
def test_the_sigmoid_by_tanh_is_the_sigmoid(dtype, tolerance):
    x = jnp.linspace(-30, 30, 601).astype(dtype)
    assert sigmoid_by_tanh(x).dtype == dtype
    np.testing.assert_allclose(*(np.asarray(f(x), np.float64) for f in (sigmoid_by_tanh, lax.logistic)), atol=tolerance)
    small = jnp.asarray([-5.0], dtype)
    np.testing.assert_allclose(
        *(np.asarray(f(small), np.float64) for f in (sigmoid_by_tanh, lax.logistic)), rtol=1e-2, atol=0
    )


@pytest.mark.parametrize("shape", [(3, 5, 7, 13), (4, 24, 24, 64)])
def test_batch_norm_with_a_residual_and_its_gradients_are_the_three_one_after_the_other(path, shape):
    x, shortcut, scale, bias = arrays(shape, shape, shape[-1:], shape[-1:])

    def apart(x, scale, bias, shortcut):
        return jax.nn.relu(shortcut + plain_batch_norm(x, scale, bias, "none")[0])

    def together(*inputs):
        return joined.batch_norm_residual_train(*inputs, epsilon=1e-3)[0]

    inputs = 3 * x + 2, scale, bias, shortcut
    agree(with_gradients(together, *inputs), with_gradients(apart, *inputs))
    _, mean, variance = joined.batch_norm_residual_train(*inputs, epsilon=1e-3)
    agree((mean, variance), plain_batch_norm(*inputs[:3], "none")[1:])


def test_batch_norm_in_training_tells_the_statistics_of_the_batch(path):
    x, scale, bias = arrays((6, 4, 4, 37), (37,), (37,))
    plain = plain_batch_norm(x + 3, scale, bias, "silu")[1:]
    agree(ops.batch_norm_train(x + 3, scale, bias, 1e-3, "silu")[1:], plain)
    kernel = jnp.ones((3, 3, 1, 37))
    agree(joined.batch_norm_conv2d_train(x + 3, scale, bias, kernel, epsilon=1e-3, activation="silu")[1:], plain)
    layers, settings = arrays((37, 3), (3,), (3, 37), (37,)), {"epsilon": 1e-3, "activation": "silu", "inner": "relu"}
    agree(joined.batch_norm_squeeze_excite_train(x + 3, scale, bias, layers, **settings)[1:], plain)


def test_batch_norm_in_evaluation_uses_the_statistics_given(path):
    x, scale, bias, mean, spread = arrays((5, 2, 3, 13), *[(13,)] * 4)

    def plain(x, scale, bias, mean, spread):
        return jax.nn.silu((x - mean) / jnp.sqrt(spread**2 + 1e-3) * scale + bias)

    def ours(x, scale, bias, mean, spread):
        return ops.batch_norm(x, scale, bias, mean, spread**2, epsilon=1e-3, activation="silu")

    inputs = (x, scale, bias, mean, spread)
    agree(with_gradients(ours, *inputs), with_gradients(plain, *inputs))


@pytest.mark.parametrize(("activation", "channels", "squeezed"), [("silu", 24, 5), ("relu", 37, 1), ("relu6", 4, 9)])
def test_squeeze_excite_and_its_gradients_are_the_plain_ones(path, activation, channels, squeezed):
    inputs = arrays((3, 4, 5, channels), (channels, squeezed), (squeezed,), (squeezed, channels), (channels,))

    def plain(x, squeeze, squeeze_bias, excite, excite_bias):
        hidden = ops.activate(x.mean((1, 2)) @ squeeze + squeeze_bias, activation)
        return x * jax.nn.sigmoid(hidden @ excite + excite_bias)[:, None, None, :]

    agree(
        with_gradients(lambda *inputs: ops.squeeze_excite(*inputs, activation), *inputs),
        with_gradients(plain, *inputs),
    )


@pytest.mark.parametrize(("path", "shape", "squeezed", "activation", "inner"), on_paths(GATE_CASES), indirect=["path"])
def test_batch_norm_with_the_gate_behind_it_is_the_two_one_after_the_other(path, shape, squeezed, activation, inner):
    channels = shape[3]
    x, scale, bias, *layers = arrays(
        shape, (channels,), (channels,), (channels, squeezed), (squeezed,), (squeezed, channels), (channels,)
    )
    settings = {"epsilon": 1e-3, "activation": activation, "inner": inner}

    def one(x, scale, bias, *layers):
        return joined.batch_norm_squeeze_excite_train(x, scale, bias, layers, **settings)[0]

    def other(x, scale, bias, *layers):
        return ops.squeeze_excite(ops.batch_norm_train(x, scale, bias, 1e-3, activation)[0], *layers, inner)

    inputs = (3 * x + 2, 2 * scale, 3 * bias, *layers)
    agree(with_gradients(one, *inputs), with_gradients(other, *inputs), tolerance=4e-6 if path == "native" else 2e-5)


def test_split_cuts_a_vector_and_its_gradient_joins_the_parts(path):
    shapes = ((2, 3), (), (4,), (1, 1, 5), (3, 1001), (2048,))
    (vector,) = arrays((16 + 3003 + 2048,))
    parts, pull = jax.vjp(lambda vector: ops.split(vector, shapes), vector)
    assert [part.shape for part in parts] == list(shapes)
    agree(jnp.concatenate([part.reshape(-1) for part in parts]), vector, tolerance=0)
    agree(pull([2 * part for part in parts])[0], 2 * vector, tolerance=0)


@pytest.mark.parametrize("shape", [(32, 1, 1, 1), (7,), (3, 6000), (0, 4)])
@pytest.mark.parametrize("share", [0.8, 0.05])
def test_what_is_kept_by_chance_is_what_jax_decides(path, shape, share):
    key, count = jax.random.key(3), jnp.uint32(5)
    weights = jax.jit(lambda key, count: ops.kept(key, count, share, shape))(key, count)
    decisions = jax.random.bernoulli(jax.random.fold_in(key, count), share, shape)
    agree(weights, jnp.where(decisions, jnp.float32(1 / share), 0), tolerance=1e-7)


def test_seeds_and_counts_decide_each_for_themselves(path):
    keys, counts = jax.random.split(jax.random.key(0), 3), jnp.arange(3, dtype=jnp.uint32)
    weights = jax.jit(jax.vmap(lambda key, count: ops.kept(key, count, 0.5, (64,))))(keys, counts)
    alone = [ops.kept(key, count, 0.5, (64,)) for key, count in zip(keys, counts, strict=True)]
    agree(weights, jnp.stack(alone), tolerance=0)
    assert len({tuple(row) for row in np.asarray(weights)}) == 3


@pytest.mark.parametrize("axes", [(), (1, 2, 3)])
def test_dropout_drops_what_flax_drops(path, axes):
    (x,) = arrays((6, 3, 3, 4))
    ours, flax = (kind(0.3, broadcast_dims=axes, rngs=nnx.Rngs(2)) for kind in (Dropout, nnx.Dropout))
    for _ in range(2):
        agree(ours(x), flax(x), tolerance=1e-6)
    ours.eval()
    agree(ours(x), x, tolerance=0)


def test_moving_averages_move_towards_the_values_without_a_gradient(path):
    old, new, other, last = arrays((7,), (7,), (3, 2), (3, 2))
    agree(
        ops.moving_average([old, other], [new, last], 0.75),
        [0.75 * old + 0.25 * new, 0.75 * other + 0.25 * last],
        tolerance=1e-6,
    )
    assert not jax.grad(lambda new: ops.moving_average([old], [new], 0.75)[0].sum())(new).any()


def test_bfloat16_stays_bfloat16_with_statistics_in_float32(path):
    x, kernel = arrays((2, 6, 6, 8), (3, 3, 1, 8), dtype=jnp.bfloat16)
    y = ops.conv2d(x, kernel, groups=8)
    z, mean, variance = ops.batch_norm_train(y, jnp.ones(8), jnp.zeros(8), 1e-3, "silu")
    both, *_ = joined.batch_norm_conv2d_train(y, jnp.ones(8), jnp.zeros(8), kernel, epsilon=1e-3, activation="silu")
    agree(both, ops.conv2d(z, kernel, groups=8), tolerance=1e-2)
    assert (y.dtype, z.dtype, mean.dtype, variance.dtype) == (jnp.bfloat16, jnp.bfloat16, jnp.float32, jnp.float32)
    wide = plain_convolution(*(a.astype(jnp.float32) for a in (x, kernel)), stride=1, padding="SAME", groups=8)
    agree(y.astype(jnp.float32), wide, tolerance=2e-2)


def test_a_whole_batch_of_inputs_is_mapped_one_by_one(path):
    x, kernel = arrays((3, 2, 5, 5, 4), (3, 3, 1, 4))
    mapped = jax.vmap(partial(ops.conv2d, groups=4), (0, None))(x, kernel)
    agree(mapped, jnp.stack([ops.conv2d(one, kernel, groups=4) for one in x]))

    def loss(x, kernel):
        both = joined.batch_norm_conv2d_train(x, jnp.ones(4), jnp.ones(4), kernel, epsilon=1e-3, activation="silu")
        return jnp.sin(both[0]).sum()

    gradients = jax.vmap(jax.grad(loss, (0, 1)), (0, None))(x, kernel)
    each = [jax.grad(loss, (0, 1))(one, kernel) for one in x]
    agree(gradients, [jnp.stack(arrays) for arrays in zip(*each, strict=True)])


@pytest.mark.parametrize("size", [1, 3])
def test_a_traced_program_shows_the_plain_convolution(size):
    groups = 1 if size == 1 else 8
    x, kernel = arrays((1, 6, 6, 8), (size, size, 8 // groups, 8))
    (call,) = jax.make_jaxpr(partial(ops.conv2d, groups=groups))(x, kernel).eqns
    (choice,) = call.params["call_jaxpr"].eqns
    assert [equation.primitive.name for equation in choice.params["jaxpr"].jaxpr.eqns] == ["conv_general_dilated"]


def test_equal_programs_print_alike():
    x, kernel = arrays((1, 6, 6, 8), (3, 3, 1, 8))
    one, again, other = (
        str(jax.make_jaxpr(partial(ops.conv2d, groups=8, stride=stride))(x, kernel).eqns[0].params["call_jaxpr"])
        for stride in (1, 1, 2)
    )
    assert one == again != other


PROGRAM = """
import hashlib, jax, jax.numpy as jnp, numpy as np
from scaling_search.networks import joined, ops
x, dy = (jnp.asarray(np.random.default_rng(n).normal(size=(16, 12, 12, 40)), jnp.float32) for n in (0, 1))
kernel, dense = jnp.linspace(-1, 1, 1000).reshape(5, 5, 1, 40), jnp.linspace(-1, 1, 1600).reshape(40, 40)
taps, one = jnp.linspace(-1, 1, 14400).reshape(3, 3, 40, 40), jnp.ones(40)
wide = jnp.linspace(-1, 1, 3840).reshape(1, 1, 40, 96)
few = jnp.linspace(-1, 1, 1080).reshape(3, 3, 3, 40)

def block(x, kernel, taps, wide, few, scale, bias, dense):
    x = ops.conv2d(x[..., :3], few) + ops.conv2d(ops.conv2d(x, taps), taps[:, :, :5], groups=8)
    y = ops.batch_norm_train(ops.conv2d(x, kernel, groups=40), scale, bias, 1e-3, "silu")[0]
    y = joined.batch_norm_conv2d_train(y, scale, bias, kernel, epsilon=1e-3, activation="silu")[0]
    y = ops.conv2d(ops.conv2d(y, wide), jnp.swapaxes(wide, 2, 3))
    y = ops.max_pool(joined.batch_norm_residual_train(y, scale, bias, x, epsilon=1e-3)[0], 3, 1, ((1, 1), (1, 1)))
    y = ops.squeeze_excite(y, dense, bias, dense, bias, "silu")
    settings = {"epsilon": 1e-3, "activation": "silu", "inner": "silu"}
    return joined.batch_norm_squeeze_excite_train(y, scale, bias, [dense, bias, dense, bias], **settings)[0]

@jax.jit
def both(*inputs):
    y, pull = jax.vjp(block, *inputs)
    return y, pull(dy)

results = jax.tree.leaves(both(x, kernel, taps, wide, few, one, one, dense))
dy = dy.astype(jnp.bfloat16)
results += jax.tree.leaves(jax.jit(both.__wrapped__)(x.astype(jnp.bfloat16), kernel, taps, wide, few, one, one, dense))
print(hashlib.sha256(b"".join(np.asarray(array).tobytes() for array in results)).hexdigest())
"""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs a choice of cores")
@pytest.mark.skipif(not native.convolves(), reason="needs native convolutions: XLA's are not the same to the last bit")
def test_native_results_are_the_same_to_the_last_bit_on_one_core_and_on_more():
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        pytest.skip("one core")

    def digest(allowed):
        start = f"import os; os.sched_setaffinity(0, {allowed})\n"
        done = subprocess.run([sys.executable, "-c", start + PROGRAM], capture_output=True, text=True, check=True)
        return done.stdout

    assert digest(cores[:1]) == digest(cores)


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_gpus_batch_norm_and_its_gradients_are_the_plain_ones(activation, large, monkeypatch):
    monkeypatch.setattr(normalisation, "LARGE", 0 if large else 2**20)
    x, dz, scale, bias = arrays((4, 5, 6, 7), (4, 5, 6, 7), (7,), (7,))
    forward = x, scale, bias, 1e-3, activation
    plain = normalisation._normalise_by_own(*forward)
    agree(normalisation._normalise_by_own_on_gpu(*forward), plain)
    backward = x, scale, bias, *plain[1:], dz, 1e-3, activation
    agree(normalisation._batch_norm_gradient_on_gpu(*backward), normalisation._batch_norm_gradient(*backward))


@pytest.mark.parametrize("shape", [(2, 12, 9, 3), (1, 7, 8, 2)])
@pytest.mark.parametrize(
    ("window", "stride", "pads"), [(3, 2, ((1, 1), (0, 1))), (2, 2, ((0, 0), (0, 0))), (3, 1, ((1, 1), (2, 0)))]
)
def test_a_gpus_max_pool_and_its_gradient_are_the_plain_ones(shape, window, stride, pads):
    """Values are often equal, where the gradient is the first one's."""
    x = jnp.round(2 * arrays(shape)[0]).astype(jnp.bfloat16)
    static = window, stride, pads
    y, which = maximum._largest_and_which(x, *static)
    plain, _ = maximum._largest(x, *static)
    agree(y, plain, tolerance=0)
    (dy,) = arrays(y.shape, dtype=jnp.bfloat16)
    given = x, y, which, dy, *static
    agree(maximum._gathered(*given), list(maximum._gradient(*given)), tolerance=2e-2)


def test_max_pool_of_bfloat16_is_that_of_float32():
    (x,) = arrays((2, 9, 8, 3), dtype=jnp.bfloat16)

    def both(x):
        return jax.vjp(lambda x: max_pool(x, 3, 2, "SYMMETRIC", ceil=True), x)

    (y, pull), (wide, wide_pull) = both(x), both(x.astype(jnp.float32))
    agree(y, wide.astype(jnp.bfloat16), tolerance=0)
    (dy,) = arrays(y.shape, dtype=jnp.bfloat16)
    agree(pull(dy)[0], wide_pull(dy.astype(jnp.float32))[0].astype(jnp.bfloat16), tolerance=2e-2)


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float32])
def test_relu_and_its_gradient_are_those_of_jax(dtype):
    x = arrays((50,), dtype=dtype)[0].at[3].set(0)
    agree(with_gradients(ops.relu, x), with_gradients(jax.nn.relu, x), tolerance=0)


def test_a_vector_is_cut_up_at_run_time_on_a_gpu_where_it_is_short():
    shapes = ((2, 3), (), (4,), (1, 1, 5))
    (vector,) = arrays((3, 16))

    def cut(form):
        return jax.vmap(lambda one: form(one, *shapes))(vector)

    agree(cut(many._split_on_gpu), cut(many._split), tolerance=0)
