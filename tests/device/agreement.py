"""A network's answers and gradients on this device, against the CPU's: `agreement.py NETWORK PIXELS BATCH`.

Prints one JSON object a line: padding, precision, and the relative errors ||device - CPU|| / ||CPU||, the CPU's being
in float32. In float32 these are of the logits and of all gradients of one step, and both sides compute exactly that:
without the shortened products (TF32) that an accelerator takes by default.

A network freshly drawn magnifies every rounding a hundredfold from its first layer to its last, on any device. So in
bfloat16 each block gets an input of its own, and the errors are the largest of any block's answer and of any block's
gradients. Those of a random loss are sums that nearly cancel: `cpu_gradients` is the error that bfloat16 makes in them
on the CPU itself. In float32 `blocks` are the gradients' errors block by block: where ReLUs turn a rounding at 0 into
another gradient, those of the whole step are larger.
"""

import json
import sys
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax import Array

from scaling_search.family import load_family
from scaling_search.networks.blocks import Conv
from scaling_search.recipe import Precision
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
    # A reference is computed once: to compile it well takes longer.
    options = {"xla_backend_optimization_level": 0} if device.platform == "cpu" else {}
    arguments = jax.device_put(arguments, device)
    with jax.default_matmul_precision("highest"):
        return jax.device_get(jax.jit(function).lower(*arguments).compile(options)(*arguments))


def step(net: Any, device: Any, images: Any, labels: Any) -> tuple[Any, Any]:
    """Logits in training, and gradients."""
    graphdef, params, rest = nnx.split(net, nnx.Param, ...)

    def loss(params: Any, rest: Any, images: Any, labels: Any) -> Any:
        net = nnx.merge(graphdef, params, rest, copy=True)
        net.train()
        logits = net(images)
        return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean(), logits

    (_, logits), gradients = on(device, jax.value_and_grad(loss, has_aux=True), params, rest, images, labels)
    return logits, jax.tree.leaves(gradients)


def shapes_of(net: Any, images: Any) -> list[tuple[int, ...]]:
    """The shape of each block's input, and of the last one's answer."""
    graphdef, state = nnx.split(net)

    def shapes(state: Any, x: Any) -> Any:
        seen = [x]
        for block in blocks_of(nnx.merge(graphdef, state, copy=True)):
            seen.append(block(seen[-1]))
        return seen

    return [one.shape for one in jax.eval_shape(shapes, state, images)]


def block_by_block(net: Any, precision: Precision, device: Any, shapes: Any) -> tuple[Any, dict[str, Any]]:
    """Each block's answer to a random input, and its gradients for a random gradient of the answer."""
    compute_in(net, precision)
    graphdef, params, rest = nnx.split(net, nnx.Param, ...)
    rng = np.random.default_rng(1)
    inputs, weights = ([rng.standard_normal(one, np.float32) for one in cut] for cut in (shapes[:-1], shapes[1:]))

    def weighed(params: Any, rest: Any, inputs: Any, weights: Any) -> Any:
        net = nnx.merge(graphdef, params, rest, copy=True)
        net.train()
        answers = [
            block(x.astype(precision)).astype(jnp.float32) for block, x in zip(blocks_of(net), inputs, strict=True)
        ]
        return sum((answer * weight).sum() for answer, weight in zip(answers, weights, strict=True)), answers

    (_, answers), gradients = on(device, jax.value_and_grad(weighed, has_aux=True), params, rest, inputs, weights)
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


def compare(pool: Executor, network: str, padding: str, images: Any, labels: Any) -> Callable[[], None]:
    """Starts to compute; what it answers prints the errors in both precisions."""
    here, cpu = jax.devices()[0], jax.devices("cpu")[0]
    shapes = shapes_of(network_of(network, padding), images)

    def steps(device: Any) -> Any:
        return pool.submit(step, network_of(network, padding), device, images, labels)

    def blocks(precision: Precision, device: Any) -> Any:
        return pool.submit(block_by_block, network_of(network, padding), precision, device, shapes)

    reference, whole = steps(cpu), blocks("float32", cpu)
    found, exact = (steps(here), blocks("float32", here)) if here != cpu else (reference, whole)
    narrow = blocks("bfloat16", cpu)
    by_block = blocks("bfloat16", here) if here != cpu else narrow

    def show() -> None:
        errors = (error(*pair) for pair in zip(found.result(), reference.result(), strict=True))
        _show(padding, "float32", *errors, blocks=_worst(exact.result(), whole.result(), 1))
        answers, gradients = (_worst(by_block.result(), whole.result(), part) for part in (0, 1))
        _show(padding, "bfloat16", answers, gradients, cpu_gradients=_worst(narrow.result(), whole.result(), 1))

    return show


def _worst(found: Any, reference: Any, part: int) -> float:
    """The largest error of any block, in its answer (0) or its gradients (1)."""
    one, other = found[part], reference[part]
    blocks = one if part else range(len(one))
    return max(error(one[block], other[block]) for block in blocks)


def _show(padding: str, precision: str, answers: float, gradients: float, **more: float) -> None:
    line = {"padding": padding, "precision": precision, "answers": answers, "gradients": gradients}
    print(json.dumps(line | more), flush=True)


def main(network: str, pixels: int, batch: int) -> None:
    rng = np.random.default_rng(0)
    # Noise of a few pixels' width, so that images are unlike each other after pooling.
    coarse = np.kron(rng.standard_normal((batch, pixels // 8, pixels // 8, 3)), np.ones((1, 8, 8, 1)))
    images = (coarse + rng.standard_normal((batch, pixels, pixels, 3)) / 4).astype(np.float32)
    labels = rng.integers(0, CLASSES, batch).astype(np.int32)
    with ThreadPoolExecutor(8) as pool:
        for show in [compare(pool, network, padding, images, labels) for padding in ("SAME", "SYMMETRIC")]:
            show()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
