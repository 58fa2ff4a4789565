"""What a CPU computes in bfloat16: by its tile instructions where it has any, else in float32."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from scaling_search import native
from scaling_search.networks import joined, ops

pytestmark = pytest.mark.skipif(not native.available(), reason=native.status())

HALF_ULP = 2.0**-8
"""The largest error of a number rounded to bfloat16, as a share of it."""
SHAPES = [
    # images, side, channels; size, features; stride, padding
    ((2, 8, 32), (1, 32), 1, "SAME"),
    ((3, 9, 64), (3, 64), 1, "SAME"),
    ((2, 9, 3), (3, 20), 2, "SAME"),
    ((5, 5, 17), (5, 33), 2, "SYMMETRIC"),
    ((4, 6, 48), (1, 100), 2, "SAME"),
    ((32, 3, 512), (3, 96), 1, "SAME"),
    ((40, 12, 40), (3, 72), 2, "SYMMETRIC"),
    ((2, 4, 2048), (1, 40), 1, "SAME"),
    ((1, 1, 1), (1, 1), 1, "SAME"),
    ((3, 11, 7), (7, 15), 2, "VALID"),
    ((1, 2, 4), (1, 8), 3, "SAME"),
    ((2, 30, 64), (3, 300), 1, ((0, 2), (2, 0))),
]


@pytest.fixture(params=["tiles", "float32"])
def products(request, monkeypatch):
    """Multiplies by tiles, and as a CPU without them does."""
    if request.param == "tiles" and not native.has_amx():
        pytest.skip("the CPU has no tile instructions for bfloat16")
    monkeypatch.setattr(native, "has_amx", lambda: request.param == "tiles")
    yield request.param
    jax.clear_caches()


def drawn(*shape, dtype=jnp.bfloat16, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), dtype)


def wide(array):
    return array.astype(jnp.float32)


def relative(given, expected):
    expected = np.asarray(expected, np.float64)
    return np.linalg.norm(np.asarray(given, np.float64) - expected) / np.linalg.norm(expected)


@pytest.mark.parametrize(("images", "kernel", "stride", "padding"), SHAPES)
def test_a_convolution_and_its_gradients_are_those_of_float32_rounded_once(products, images, kernel, stride, padding):
    (count, side, channels), (size, features) = images, kernel
    x, taps = drawn(count, side, side + 1, channels), drawn(size, size, channels, features, seed=1)

    def plain(x, taps):
        pads = ops.pads_of(x.shape, taps.shape, stride, padding)
        dimensions = ("NHWC", "HWIO", "NHWC")
        return lax.conv_general_dilated(x, taps, (stride, stride), pads, dimension_numbers=dimensions)

    expected, pull = jax.vjp(plain, wide(x), wide(taps))
    dy = drawn(*expected.shape, seed=2)
    y, pull_half = jax.jit(lambda x, taps: jax.vjp(lambda *a: ops.conv2d(*a, stride=stride, padding=padding), x, taps))(
        x, taps
    )
    for given, right in zip((y, *pull_half(dy)), (expected, *pull(wide(dy))), strict=True):
        assert given.dtype == jnp.bfloat16
        # Rounded at random, results are half as far off as they may be; sums are as float32's.
        assert relative(wide(given), right) < HALF_ULP if right.any() else not given.any()


@pytest.mark.parametrize("activation", ["none", "relu", "relu6", "silu"])
@pytest.mark.parametrize("shape", [(3, 5, 5, 37), (64, 6, 6, 16), (1, 1, 2, 1100)])
def test_batch_norm_sums_in_float32_and_rounds_once(activation, shape):
    x, scale, bias = drawn(*shape), drawn(shape[-1], dtype=jnp.float32), drawn(shape[-1], dtype=jnp.float32, seed=1)

    def of(x):
        return jax.vjp(lambda x, *affine: ops.batch_norm_train(x, *affine, 1e-3, activation), x, scale, bias)

    (expected, *statistics), pull = of(wide(x))
    (y, *found), pull_half = of(x)
    assert y.dtype == jnp.bfloat16
    np.testing.assert_allclose(wide(y), expected, rtol=HALF_ULP, atol=1e-5)
    for one, other in zip(found, statistics, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    dy = drawn(*shape, seed=3)
    nothing = [jnp.zeros_like(one) for one in statistics]
    for given, right in zip(pull_half((dy, *nothing)), pull((wide(dy), *nothing)), strict=True):
        # What lies before the activation is rounded too.
        assert relative(wide(given), right) < 3 * HALF_ULP


JOINED = {
    "depthwise": lambda x, scale, bias, kernel, *layers: joined.batch_norm_conv2d_train(
        x, scale, bias, kernel, epsilon=1e-3, activation="silu", stride=2
    )[0],
    "residual": lambda x, scale, bias, kernel, *layers: joined.batch_norm_residual_train(
        x, scale, bias, jnp.roll(x, 1, axis=0), epsilon=1e-3
    )[0],
    "gate": lambda x, scale, bias, kernel, *layers: joined.batch_norm_squeeze_excite_train(
        x, scale, bias, layers, epsilon=1e-3, activation="silu", inner="relu"
    )[0],
}


@pytest.mark.parametrize("what", JOINED)
@pytest.mark.parametrize("shape", [(3, 9, 8, 40), (2, 40, 40, 17), (9, 3, 3, 64)])
def test_what_is_joined_with_a_batch_norm_is_float32s_rounded(what, shape):
    channels = shape[-1]
    x, vectors = drawn(*shape), [drawn(channels, dtype=jnp.float32, seed=seed) for seed in range(3)]
    kernel = drawn(5, 5, 1, channels, dtype=jnp.float32)
    layers = [drawn(channels, 8, dtype=jnp.float32), drawn(8, dtype=jnp.float32)]
    layers += [drawn(8, channels, dtype=jnp.float32, seed=1), vectors[2]]
    others = (*vectors[:2], kernel, *layers)

    expected, pull = jax.vjp(JOINED[what], wide(x), *others)
    y, pull_half = jax.vjp(JOINED[what], x, *others)
    dy = drawn(*y.shape, seed=4)
    assert y.dtype == jnp.bfloat16
    assert relative(wide(y), expected) < HALF_ULP
    for given, right in zip(pull_half(dy), pull(wide(dy)), strict=True):
        assert relative(wide(given), right) < 3 * HALF_ULP if right.any() else not given.any()


def test_what_is_no_number_stays_none_and_infinity_infinite():
    values = jnp.asarray([[np.nan, 1.0, np.inf, -np.inf] + [3.0e38] * 28], jnp.bfloat16)
    one = jnp.ones(32)
    y = ops.batch_norm(values, one, 0 * one, 0 * one, one, epsilon=0.0, activation="none")
    np.testing.assert_array_equal(wide(y), wide(values))


def test_other_operations_are_those_of_float32_rounded():
    x, kernel = drawn(2, 7, 7, 24), drawn(3, 3, 1, 24, seed=1)
    layers = [drawn(24, 8, seed=2), drawn(8), drawn(8, 24, seed=3), drawn(24)]
    given = jax.jit(lambda: (ops.conv2d(x, kernel, groups=24), ops.squeeze_excite(x, *layers, "silu")))()
    right = ops.conv2d(wide(x), wide(kernel), groups=24), ops.squeeze_excite(wide(x), *map(wide, layers), "silu")
    for one, other in zip(given, right, strict=True):
        assert one.dtype == jnp.bfloat16
        np.testing.assert_array_equal(one, other.astype(jnp.bfloat16))
