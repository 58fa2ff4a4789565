"""Native 1x1 convolutions and convolutions of few channels against their definition, in float64."""

import re

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling_search import native
from scaling_search.native import calls

pytestmark = pytest.mark.skipif(not native.convolves(), reason=native.status())


def random(*shapes):
    generator = np.random.default_rng(0)
    return [generator.normal(size=shape).astype(np.float32) for shape in shapes]


def agree(given, exact):
    for one, other in zip(given, exact, strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-5 * max(1, np.abs(other).max(initial=0)))


sides = st.integers(1, 9)
# Registers of every instruction set that are full, one less and one more, several of them, and tiles of every height.
columns = st.one_of(st.integers(1, 50), st.sampled_from([63, 64, 65, 96, 100, 130, 191, 250]))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 3), sides, sides, columns, columns)
def test_a_1x1_convolution_and_its_gradients_are_as_defined(images, height, width, channels, features):
    x, kernel, dy = random(
        (images, height, width, channels), (1, 1, channels, features), (images, height, width, features)
    )
    wide_x, wide_kernel, wide_dy = (array.astype(np.float64) for array in (x, kernel, dy))
    dkernel = np.einsum("nhwc,nhwf->cf", wide_x, wide_dy)[None, None]
    agree([calls.pointwise(x, kernel)], [wide_x @ wide_kernel[0, 0]])
    agree(calls.pointwise_gradient(x, kernel, dy), [wide_dy @ wide_kernel[0, 0].T, dkernel])


@pytest.mark.parametrize(("channels", "features"), [(24, 16), (13, 39), (5, 96), (33, 70), (1, 1)])
@pytest.mark.parametrize("pixels", [1023, 2049, 5000])
def test_many_pixels_are_shared_out(pixels, channels, features):
    x, kernel, dy = random((1, pixels, 1, channels), (1, 1, channels, features), (1, pixels, 1, features))
    wide_x, wide_kernel, wide_dy = (array.astype(np.float64) for array in (x, kernel, dy))
    dkernel = np.einsum("nhwc,nhwf->cf", wide_x, wide_dy)[None, None]
    agree([calls.pointwise(x, kernel)], [wide_x @ wide_kernel[0, 0]])
    agree(calls.pointwise_gradient(x, kernel, dy), [wide_dy @ wide_kernel[0, 0].T, dkernel])


@st.composite
def convolutions(draw):
    """Shapes of x (N, H, W, C), kernel (K, K', C, F) and the result; stride and pads."""
    channels, features = draw(st.integers(1, 6)), draw(st.one_of(st.integers(1, 40), st.just(64)))
    stride, taps = draw(st.integers(1, 3)), draw(st.sampled_from([(1, 1), (2, 3), (3, 3), (4, 1), (5, 7)]))
    pads = tuple((draw(st.integers(0, size)), draw(st.integers(0, size))) for size in taps)
    sizes = tuple(draw(st.integers(max(1, size - sum(pad)), 17)) for size, pad in zip(taps, pads, strict=True))
    images = draw(st.integers(1, 5))
    out = tuple((side + sum(pad) - size) // stride + 1 for side, size, pad in zip(sizes, taps, pads, strict=True))
    return ((images, *sizes, channels), (*taps, channels, features), (images, *out, features)), stride, pads


def defined(x, kernel, dy, stride, pads):
    """The convolution, and the gradient of its kernel."""
    padded = np.pad(x, ((0, 0), *pads, (0, 0)))
    y, dkernel, (_, height, width, _) = np.zeros(dy.shape), np.zeros(kernel.shape), dy.shape
    for i, j in np.ndindex(kernel.shape[:2]):
        part = padded[:, i : i + (height - 1) * stride + 1 : stride, j : j + (width - 1) * stride + 1 : stride]
        y += part @ kernel[i, j]
        dkernel[i, j] = np.einsum("nhwc,nhwf->cf", part, dy)
    return y, dkernel


@settings(max_examples=40, deadline=None)
@given(convolutions())
def test_a_convolution_of_few_channels_and_its_kernels_gradient_are_as_defined(convolution):
    shapes, stride, pads = convolution
    x, kernel, dy = random(*shapes)
    got = calls.gathered(x, kernel, stride, pads), calls.gathered_dkernel(x, dy, kernel.shape, stride, pads)
    agree(got, defined(*(array.astype(np.float64) for array in (x, kernel, dy)), stride, pads))


def test_without_a_pixel_the_kernels_gradients_are_zero():
    x, kernel, dy = random((0, 4, 4, 3), (1, 1, 3, 5), (0, 4, 4, 5))
    assert calls.pointwise(x, kernel).shape == dy.shape
    dx, dkernel = calls.pointwise_gradient(x, kernel, dy)
    assert dx.shape == x.shape
    assert not np.asarray(dkernel).any()
    assert not np.asarray(calls.gathered_dkernel(x, dy, (3, 3, 3, 5), 1, ((1, 1), (1, 1)))).any()


x, y = random((2, 4, 4, 8), (2, 4, 4, 5))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: calls.pointwise(x, np.ones((1, 1, 9, 5), np.float32)), "kernel has shape (1, 1, 9, 5)"),
        (
            lambda: calls.pointwise_gradient(x, np.ones((1, 1, 8, 5), np.float32), y[:, :3]),
            "images have shapes (2, 4, 4, 8) and (2, 3, 4, 5)",
        ),
        (
            lambda: calls.gathered(x, np.ones((3, 3, 7, 5), np.float32), 1, ((1, 1), (1, 1))),
            "kernel has shape (3, 3, 7, 5), needs (3, 3, 8, 5)",
        ),
    ],
)
def test_a_wrong_shape_is_a_clear_error(call, message):
    with pytest.raises(Exception, match=re.escape(message)):
        jax.block_until_ready(call())
