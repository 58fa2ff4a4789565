"""A training step of one side: `steps.py SIDE NETWORK PIXELS BATCH`. Answers on stdout, told on stdin to go on.

SIDE is "ours", "timm compiled" or "timm eager". The first answer is how long it took to be ready: compiled for ours,
which takes no memory for activations until it is asked for steps; the first step done for PyTorch. Then every line on
stdin, a number of steps, is answered with the seconds they took. Both sides compute in bfloat16, by autocast in
PyTorch, on images that lie on the device.
"""

import json
import sys
import time
from collections.abc import Callable
from typing import Any

CLASSES = 1000
OPTIONS = {"efficientnet_b0": {"drop_rate": 0.2, "drop_path_rate": 0.2}, "resnet50": {}}
LEARNING_RATE = 1e-3

Side = tuple[Callable[[int], None], Callable[[], dict[str, Any]]]
"""Makes so many steps and waits for their end; what is known of it then."""


def ours(network: str, pixels: int, batch: int) -> Side:
    import jax
    import jax.numpy as jnp
    import numpy as np
    from flax import nnx

    from scaling_search.cost import cost_of_scale
    from scaling_search.family import load_family
    from scaling_search.recipe import Recipe
    from scaling_search.rule import Scale
    from scaling_search.training import devices
    from scaling_search.training.step import steps_of

    family = load_family(network)
    built = family.build(Scale(), CLASSES, rngs=nnx.Rngs(0))
    steps = steps_of(
        built,
        Recipe(batch_size=batch),
        mean=jnp.full(3, 127.0),
        std=jnp.full(3, 64.0),
        steps_per_epoch=100,
        precision="bfloat16",
    )
    rng = np.random.default_rng(0)
    images = jnp.asarray(rng.integers(0, 256, (batch, pixels, pixels, 3), np.uint8))
    labels = jnp.arange(batch) % CLASSES
    began = time.perf_counter()
    state = steps.start(built)
    compiled = jax.jit(steps.train, donate_argnums=0).lower(state, images, labels).compile()
    seconds = time.perf_counter() - began
    loss = None

    def step(count: int) -> None:
        nonlocal state, loss
        for _ in range(count):
            state, loss = compiled(state, images, labels)
        jax.block_until_ready(loss)

    def known() -> dict[str, Any]:
        device = jax.devices()[0]
        counted, _ = cost_of_scale(family, Scale(), CLASSES, pixels)
        return {
            "multiply_adds": counted.multiply_adds,
            "peak_flops": devices.peak_flops(device.device_kind),
            "device": device.device_kind,
            "memory": devices.peak_memory([device]),
            "loss": None if loss is None else float(loss),
            "compile": seconds,
        }

    return step, known


def theirs(network: str, pixels: int, batch: int, form: str) -> Side:
    import timm
    import torch

    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.backends.cudnn.benchmark = True
    model: Any = timm.create_model(network, num_classes=CLASSES, **OPTIONS[network])
    model = model.train().to(device, memory_format=torch.channels_last)
    optimiser = torch.optim.RMSprop(
        model.parameters(), LEARNING_RATE, alpha=0.9, eps=1e-3, momentum=0.9, weight_decay=1e-5, foreach=True
    )
    images = torch.randn(batch, 3, pixels, pixels, device=device).to(memory_format=torch.channels_last)
    labels = torch.arange(batch, device=device) % CLASSES
    forward = torch.compile(model) if form == "compiled" else model
    loss = None

    def step(count: int) -> None:
        nonlocal loss
        for _ in range(count):
            optimiser.zero_grad(set_to_none=True)
            with torch.autocast(device, dtype=torch.bfloat16):
                loss = torch.nn.functional.cross_entropy(forward(images), labels, label_smoothing=0.1)
            loss.backward()
            optimiser.step()
        loss.item()

    def known() -> dict[str, Any]:
        memory = torch.cuda.max_memory_allocated() if device == "cuda" else None
        return {"memory": memory, "loss": float(loss.item())}

    return step, known


def main(side: str, network: str, pixels: int, batch: int) -> None:
    began = time.perf_counter()
    if side == "ours":
        step, known = ours(network, pixels, batch)
    else:
        step, known = theirs(network, pixels, batch, side.removeprefix("timm "))
        step(1)
    _answer({"ready": time.perf_counter() - began, **known()})
    for line in sys.stdin:
        began = time.perf_counter()
        step(int(line))
        _answer({"seconds": time.perf_counter() - began, **known()})


def _answer(figures: dict[str, Any]) -> None:
    print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
