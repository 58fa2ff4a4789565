import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from scaling_search import native
from scaling_search.networks.pooling import max_pool

needs_library = pytest.mark.skipif(not native.available(), reason=native.status())


def with_gradient(pool, x):
    y, pull = jax.vjp(pool, x)
    return y, *pull(jnp.sin(jnp.arange(y.size, dtype=jnp.float32)).reshape(y.shape))


@needs_library
@pytest.mark.parametrize(
    "shape, window, stride, padding, ceil, pads",
    [
        ((2, 13, 12, 21), 3, 2, "SYMMETRIC", False, ((1, 1), (1, 1))),
        ((2, 13, 12, 16), 3, 2, "VALID", True, ((0, 0), (0, 1))),
        ((3, 7, 7, 5), 3, 1, "SAME", False, ((1, 1), (1, 1))),
        ((2, 8, 9, 40), 2, 2, "VALID", False, ((0, 0), (0, 0))),
        ((1, 2, 3, 4), 3, 3, ((2, 4), (3, 0)), False, ((2, 4), (3, 0))),
    ],
)
def test_the_largest_of_a_window_and_its_gradient_are_the_plain_ones_to_the_last_bit(
    shape, window, stride, padding, ceil, pads
):
    # Rounded, so that many values are equal: the first of a window has the gradient.
    x = jnp.asarray(np.random.default_rng(0).normal(size=shape).round(), jnp.float32)
    found = jax.jit(lambda x: with_gradient(lambda x: max_pool(x, window, stride, padding, ceil=ceil), x))(x)
    plain = jax.jit(lambda x: with_gradient(lambda x: nnx.max_pool(x, (window, window), (stride, stride), pads), x))(x)
    for one, other in zip(found, plain, strict=True):
        np.testing.assert_array_equal(one, other)


@needs_library
def test_what_is_no_number_is_the_largest_of_its_window():
    x = jnp.zeros((1, 1, 6, 8)).at[0, 0, 1, 3].set(jnp.nan)
    found = np.isnan(max_pool(x, 3, 1, "SAME"))
    assert found[0, 0, :, 3].tolist() == [True, True, True, False, False, False]
    assert found.sum() == 3
