"""The native grouped convolution against its definition, in float64."""

import re

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling_search import native
from scaling_search.native import calls

pytestmark = pytest.mark.skipif(not native.convolves(), reason=native.status())


@st.composite
def convolutions(draw):
    """Shapes of x (N, H, W, C), kernel (K, K', C / groups, F) and the result; stride and pads."""
    groups = draw(st.sampled_from([1, 2, 3, 5, 8, 9]))
    channels = draw(st.sampled_from([1, 2, 3, 4, 5, 8, 12, 16, 17, 32, 40]))
    features = draw(st.one_of(st.just(channels), st.integers(1, 40)))
    stride, taps = draw(st.integers(1, 3)), draw(st.sampled_from([(1, 1), (2, 3), (3, 3), (4, 1), (5, 7)]))
    pads = tuple((draw(st.integers(0, size)), draw(st.integers(0, size))) for size in taps)
    sides = tuple(draw(st.integers(max(1, size - sum(pad)), 17)) for size, pad in zip(taps, pads, strict=True))
    images = draw(st.integers(1, 3))
    out = tuple((side + sum(pad) - size) // stride + 1 for side, size, pad in zip(sides, taps, pads, strict=True))
    shapes = (
        (images, *sides, groups * channels),
        (*taps, channels, groups * features),
        (images, *out, groups * features),
    )
    return shapes, stride, pads


def defined(x, kernel, dy, stride, pads):
    """The convolution, and the gradients of x and of the kernel."""
    (rows, columns, channels, features), (images, height, width, _) = kernel.shape, dy.shape
    groups = x.shape[3] // channels
    padded = np.pad(x, ((0, 0), *pads, (0, 0)))
    slopes = dy.reshape(images, height, width, groups, -1)
    y, dpadded, dkernel = np.zeros(dy.shape), np.zeros(padded.shape), np.zeros(kernel.shape)
    for i, j in np.ndindex(rows, columns):
        at = np.s_[:, i : i + (height - 1) * stride + 1 : stride, j : j + (width - 1) * stride + 1 : stride]
        part, tap = (
            padded[at].reshape(images, height, width, groups, channels),
            kernel[i, j].reshape(channels, groups, -1),
        )
        y += np.einsum("nhwgc,cgf->nhwgf", part, tap).reshape(y.shape)
        dpadded[at] += np.einsum("nhwgf,cgf->nhwgc", slopes, tap).reshape(images, height, width, -1)
        dkernel[i, j] = np.einsum("nhwgc,nhwgf->cgf", part, slopes).reshape(channels, features)
    (top, _), (left, _) = pads
    return y, dpadded[:, top : top + x.shape[1], left : left + x.shape[2]], dkernel


@settings(max_examples=30, deadline=None)
@given(convolutions())
def test_a_grouped_convolution_and_its_gradients_are_as_defined(convolution):
    shapes, stride, pads = convolution
    generator = np.random.default_rng(0)
    x, kernel, dy = (generator.normal(size=shape).astype(np.float32) for shape in shapes)
    got = (
        calls.grouped(x, kernel, stride, pads),
        calls.grouped_dx(kernel, dy, x.shape, stride, pads),
        calls.grouped_dkernel(x, dy, kernel.shape, stride, pads),
    )
    for one, exact in zip(got, defined(*(a.astype(np.float64) for a in (x, kernel, dy)), stride, pads), strict=True):
        np.testing.assert_allclose(one, exact, rtol=0, atol=1e-5 * max(1, np.abs(exact).max()))


@pytest.mark.parametrize(("images", "stride"), [((0, 4, 4, 8), 1), ((2, 2, 2, 8), 1), ((1, 1, 10, 8), 5)])
def test_without_a_pixel_the_kernels_gradient_is_zero(images, stride):
    kernel, pads = (3, 3, 4, 8), ((0, 0), (0, 0))
    y = calls.grouped(np.ones(images, np.float32), np.ones(kernel, np.float32), stride, pads)
    assert y.size == 0
    assert not np.asarray(calls.grouped_dkernel(np.ones(images, np.float32), y, kernel, stride, pads)).any()
    assert not np.asarray(calls.grouped_dx(np.ones(kernel, np.float32), y, images, stride, pads)).any()


@pytest.mark.parametrize(
    ("kernel", "message"),
    [
        ((3, 3, 3, 8), "groups do not divide channels and features"),
        ((3, 3, 4, 7), "kernel has shape (3, 3, 4, 7), needs (3, 3, 4, 8)"),
        ((3, 3, 8), "images and kernel must have four dimensions"),
    ],
)
def test_groups_that_do_not_fit_are_a_clear_error(kernel, message):
    x = np.ones((1, 4, 4, 8), np.float32)
    with pytest.raises(Exception, match=re.escape(message)):
        jax.block_until_ready(calls.grouped_dkernel(x, x, kernel, 1, ((1, 1), (1, 1))))
