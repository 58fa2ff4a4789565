"""A network's answers and gradients on this device, against the CPU's: `agreement.py NETWORK PIXELS BATCH`.

Prints one JSON object a line: padding, precision, and the relative errors ||device - CPU|| / ||CPU||, the CPU's being
in float32. In float32 these are of the logits and of all gradients of one step, and both sides compute exactly that:
without the shortened products (TF32) that an accelerator takes by default. A network freshly drawn magnifies every
rounding a hundredfold from its first layer to its last, on any device. So in bfloat16 each block gets the input that
it has on the CPU, and the errors are the largest of any block's answer and of any block's gradients.
"""

import json
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax import Array

from scaling_search.config import Precision
from scaling_search.family import load_family
from scaling_search.networks.blocks import Conv
from scaling_search.rule import Scale
from scaling_search.training.precision import compute_in

CLASSES = 100


def network_of(name: str, padding: str) -> Any:
    """The network with that padding in all of its convolutions."""
    net = load_family(name).build(Scale(), CLASSES, rngs=nnx.Rngs(0))
    for _, module in nnx.iter_modules(net):
        if isinstance(module, Conv) and module.padding in ("SAME", "SYMMETRIC"):
            module.padding = padding  # type: ignore[assignment]
    return net


def blocks_of(net: Any) -> list[Callable[[Array], Array]]:
    """Stem, blocks and head, one after the other."""
    blocks = [lambda x: net.stem_norm(net.stem(x)), *(block for stage in net.stages for block in stage)]
    return [*blocks, lambda x: net.head_norm(net.head(x))] if hasattr(net, "head") else blocks


def on(device: Any, function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function of arrays answers, computed on a device without shortened products."""
    with jax.default_matmul_precision("highest"):
        return jax.device_get(jax.jit(function)(*jax.device_put(arguments, device)))


def step(net: Any, device: Any, images: Any, labels: Any) -> tuple[Any, Any, Any]:
    """Logits in training, gradients, and the input of each block."""
    graphdef, params, rest = nnx.split(net, nnx.Param, ...)

    def loss(params: Any, rest: Any, images: Any, labels: Any) -> Any:
        net = nnx.merge(graphdef, params, rest, copy=True)
        net.train()
        inputs, x = [], images
        for block in blocks_of(net):
            inputs.append(x)
            x = block(x)
        logits = net.classify(x)
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean(), (logits, inputs)

    (_, (logits, inputs)), gradients = on(device, jax.value_and_grad(loss, has_aux=True), params, rest, images, labels)
    return logits, jax.tree.leaves(gradients), inputs


def block_by_block(net: Any, precision: Precision, device: Any, inputs: Sequence[Any]) -> tuple[Any, dict[str, Any]]:
    """Each block's answer to its input, and its gradients for one and the same gradient of the answer."""
    compute_in(net, precision)
    graphdef, params, rest = nnx.split(net, nnx.Param, ...)

    def weighed(params: Any, rest: Any, inputs: Any) -> Any:
        net = nnx.merge(graphdef, params, rest, copy=True)
        net.train()
        answers = [
            block(x.astype(precision)).astype(jnp.float32) for block, x in zip(blocks_of(net), inputs, strict=True)
        ]
        keys = jax.random.split(jax.random.key(0), len(answers))
        total = sum(
            (answer * jax.random.normal(key, answer.shape)).sum() for answer, key in zip(answers, keys, strict=True)
        )
        return total, answers

    (_, answers), gradients = on(device, jax.value_and_grad(weighed, has_aux=True), params, rest, inputs)
    by_block: dict[str, Any] = {}
    for path, leaf in nnx.to_flat_state(gradients):
        name = "/".join(map(str, path[: 3 if path[0] == "stages" else 1])).removesuffix("_norm")
        if name != "classifier":
            by_block.setdefault(name, []).append(leaf[...])
    return answers, by_block


def error(found: Any, reference: Any) -> float:
    """||found - reference|| / ||reference|| over lists of arrays, or arrays."""
    flat = [np.concatenate([np.ravel(np.asarray(leaf)) for leaf in jax.tree.leaves(one)]) for one in (found, reference)]
    return float(np.linalg.norm(flat[0] - flat[1]) / np.linalg.norm(flat[1]))


def compare(network: str, padding: str, images: Any, labels: Any) -> None:
    """Prints the errors in both precisions."""
    here, cpu = jax.devices()[0], jax.devices("cpu")[0]
    logits, gradients, inputs = step(network_of(network, padding), cpu, images, labels)
    found = step(network_of(network, padding), here, images, labels)
    _show(padding, "float32", error(found[0], logits), error(found[1], gradients))
    answers, by_block = block_by_block(network_of(network, padding), "float32", cpu, inputs)
    found_answers, found_by_block = block_by_block(network_of(network, padding), "bfloat16", here, inputs)
    _show(
        padding,
        "bfloat16",
        max(error(*pair) for pair in zip(found_answers, answers, strict=True)),
        max(error(found_by_block[name], by_block[name]) for name in by_block),
    )


def _show(padding: str, precision: str, answers: float, gradients: float) -> None:
    line = {"padding": padding, "precision": precision, "answers": answers, "gradients": gradients}
    print(json.dumps(line), flush=True)


def main(network: str, pixels: int, batch: int) -> None:
    rng = np.random.default_rng(0)
    # Noise of a few pixels' width, so that images are unlike each other after pooling.
    coarse = np.kron(rng.standard_normal((batch, pixels // 8, pixels // 8, 3)), np.ones((1, 8, 8, 1)))
    images = (coarse + rng.standard_normal((batch, pixels, pixels, 3)) / 4).astype(np.float32)
    labels = rng.integers(0, CLASSES, batch).astype(np.int32)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda padding: compare(network, padding, images, labels), ("SAME", "SYMMETRIC")))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
