"""What a GPU would be given, seen in programs lowered for one; none is needed for that."""

import re

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from scaling_search.family import load_family
from scaling_search.networks.blocks import BatchNorm, Conv, SqueezeExcite
from scaling_search.rule import Scale


def lowered(function, *arguments, platform):
    return jax.jit(function).trace(*arguments).lower(lowering_platforms=(platform,)).as_text()


def gradients_of(module):
    graphdef, params, rest = nnx.split(module, nnx.Param, ...)
    return params, jax.grad(lambda params, x: nnx.merge(graphdef, params, rest, copy=True)(x).sum(), argnums=(0, 1))


def counted(text):
    return {
        kind: len(re.findall(rf"stablehlo\.{kind}\b", text)) for kind in ("convolution", "dot_general", "custom_call")
    }


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
def test_an_accelerator_gets_no_call_of_a_cpus_kernels(platform):
    network = load_family("efficientnet_tiny").build(Scale(), 10, rngs=nnx.Rngs(0))
    params, gradients = gradients_of(network)
    text = lowered(gradients, params, jnp.zeros((2, 16, 16, 3)), platform=platform)
    assert "scaling_search" not in text
    assert counted(text)["convolution"] > 0


def test_a_pointwise_convolution_is_a_matrix_product_on_a_gpu_and_a_convolution_on_a_tpu():
    params, gradients = gradients_of(Conv(8, 16, 1, rngs=nnx.Rngs(0)))
    found = {one: counted(lowered(gradients, params, jnp.zeros((2, 6, 6, 8)), platform=one)) for one in ("cuda", "tpu")}
    assert found["cuda"]["convolution"] == 0 and found["cuda"]["dot_general"] == 2
    assert found["tpu"]["convolution"] >= 2 and found["tpu"]["dot_general"] == 0


def test_a_strided_pointwise_convolution_stays_one_on_a_gpu():
    params, gradients = gradients_of(Conv(8, 16, 1, stride=2, rngs=nnx.Rngs(0)))
    assert counted(lowered(gradients, params, jnp.zeros((2, 6, 6, 8)), platform="cuda"))["dot_general"] == 0


@pytest.mark.parametrize(
    "module",
    [Conv(8, 8, 3, groups=8, rngs=nnx.Rngs(0)), BatchNorm(8, activation="silu"), SqueezeExcite(8, 2, rngs=nnx.Rngs(0))],
    ids=["depthwise", "batch norm", "squeeze and excite"],
)
def test_members_of_a_batch_are_computed_at_once_on_a_gpu_and_one_by_one_on_a_cpu(module):
    params, gradients = gradients_of(module)
    many = jax.tree.map(lambda leaf: jnp.stack([leaf, 2 * leaf]), params)
    images = jax.random.normal(jax.random.key(0), (2, 2, 6, 6, 8))
    mapped = jax.vmap(gradients)
    assert "stablehlo.while" not in lowered(mapped, many, images, platform="cuda")
    apart = [gradients(jax.tree.map(lambda leaf, one=one: leaf[one], many), images[one]) for one in (0, 1)]
    together = mapped(many, images)
    for found, *expected in zip(*map(jax.tree.leaves, (together, *apart)), strict=True):
        assert jnp.allclose(found, jnp.stack(expected), rtol=1e-4, atol=1e-5)
