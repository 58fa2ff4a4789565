"""One side of a comparison of training steps, a process that runs as many steps as it is told.

    python -m tests.benchmarks.step_worker SIDE NETWORK PIXELS BATCH PRECISION

Line by line it is told a number of steps on standard input, and answers with seconds a step, once the first, which
compiles, is done. An empty line ends it; its last answer is its largest resident size in bytes. Answers are JSON.
"""

import dataclasses
import json
import resource
import sys
import time
from collections.abc import Callable
from typing import Any, cast

import numpy as np

from scaling_search.recipe import Precision

CLASSES = 1000
LEARNING_RATE = 1e-3
RESNEXT50 = "resnext50_32x4d"
TIMM = {
    "efficientnet_b0": "tf_efficientnet_b0",
    "resnet50": "resnet50",
    "mobilenet_v2": "mobilenetv2_100",
    "densenet169": "densenet169",
    "inception_v4": "inception_v4",
    RESNEXT50: RESNEXT50,
}


def ours(network: str, pixels: int, batch: int, precision: Precision) -> tuple[Callable[[], None], dict[str, float]]:
    """A step of scaling-search, as a trial runs it, and the seconds that came before it."""
    import jax
    import jax.numpy as jnp
    from flax import nnx

    from scaling_search.baselines.resnext import RESNEXT101_64X4D
    from scaling_search.family import load_family
    from scaling_search.recipe import Recipe
    from scaling_search.rule import Scale
    from scaling_search.training.step import compile_program

    if network == RESNEXT50:
        family: Any = dataclasses.replace(RESNEXT101_64X4D, name=network, layers=(3, 4, 6, 3), groups=32)
    else:
        family = load_family(network)
    began = time.perf_counter()
    built = family.build(Scale(), CLASSES, rngs=nnx.Rngs(0))
    seconds = {"build": time.perf_counter() - began}
    images = np.random.default_rng(0).integers(0, 256, (batch, pixels, pixels, 3), np.uint8)
    labels = np.arange(batch, dtype=np.int32) % CLASSES
    program = compile_program(
        built,
        Recipe(batch_size=batch),
        images=jax.ShapeDtypeStruct(images.shape, images.dtype),
        mean=jnp.full(3, 127.0),
        std=jnp.full(3, 64.0),
        steps_per_epoch=100,
        precision=precision,
    )
    seconds |= program.seconds
    state = program.start(built)

    def step() -> None:
        nonlocal state
        state, loss = program.train(state, images, labels)
        loss.block_until_ready()

    return step, seconds


def theirs(
    network: str, pixels: int, batch: int, precision: Precision, form: str
) -> tuple[Callable[[], None], dict[str, float]]:
    """A step of timm's network, in bfloat16 by autocast: eager, in channels_last, or compiled."""
    import timm
    import torch

    torch.manual_seed(0)
    layout = torch.contiguous_format if form == "eager" else torch.channels_last
    model: Any = timm.create_model(TIMM[network], num_classes=CLASSES).train().to(memory_format=layout)
    optimiser = torch.optim.RMSprop(
        model.parameters(), LEARNING_RATE, alpha=0.9, eps=1e-3, momentum=0.9, weight_decay=1e-5, foreach=True
    )
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(batch, 3, pixels, pixels, generator=generator).to(memory_format=layout)
    labels = torch.arange(batch) % CLASSES
    forward = torch.compile(model) if form == "compiled" else model

    def step() -> None:
        optimiser.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bfloat16"):
            loss = torch.nn.functional.cross_entropy(forward(images), labels, label_smoothing=0.1)
        loss.backward()
        optimiser.step()
        loss.item()

    return step, {}


def main(side: str, network: str, pixels: int, batch: int, precision: Precision) -> None:
    """Answers until told to end."""
    whose, _, form = side.partition(" ")
    if whose == "ours":
        step, seconds = ours(network, pixels, batch, precision)
    else:
        step, seconds = theirs(network, pixels, batch, precision, form)
    began = time.perf_counter()
    step()
    _answer({**seconds, "first_step": time.perf_counter() - began})
    for line in sys.stdin:
        if not line.strip():
            break
        steps = int(line)
        began, busy = time.perf_counter(), time.process_time()
        for _ in range(steps):
            step()
        wall = time.perf_counter() - began
        _answer({"step": wall / steps, "wall": wall, "cpu": time.process_time() - busy})
    _answer({"peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024})


def _answer(figures: dict[str, float]) -> None:
    print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), cast(Precision, sys.argv[5]))
