import jax
import numpy as np
import pytest

from scaling_search.networks.sums import channel_sums


@pytest.mark.parametrize(("shape", "arrays"), [((32, 3, 2, 5), 2), ((37, 2, 4), 3), ((67, 3), 1), ((1, 4, 6), 2)])
def test_channel_sums_are_those_over_all_other_axes(shape, arrays):
    given = np.random.default_rng(0).normal(size=(arrays, *shape)).astype(np.float32)
    expected = given.reshape(arrays, -1, shape[-1]).sum(1)
    np.testing.assert_allclose(jax.jit(channel_sums)(*given), expected, atol=1e-4)
