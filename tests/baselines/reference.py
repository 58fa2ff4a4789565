"""Makes the stored figures of the reference implementations: what they cost, and what they answer.

    pip install -e '.[peer]'
    python -m tests.baselines.reference [NETWORK ...]

writes reference/NETWORK.json: parameters and multiply-adds at the resolution of Table 2, counted by hooks on PyTorch's
convolutions and dense layers; and the logits of two images by weights that NumPy draws from each tensor's name, so
that anyone can draw the same without PyTorch. `gain` scales kernels such that logits of the two images differ by about
1: then neither do signals fade on the way, which would hide an error, nor do they overflow.
"""

import hashlib
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).with_name("reference")
LOGITS = 8
"""Of a network's logits, so many are stored."""


@cache
def normals() -> np.ndarray:
    """Normal values, as many as a prime number, so that no kernel's shape fits into them."""
    return np.random.default_rng(0).standard_normal(65_537).astype(np.float32)


def drawn(name: str, shape: tuple[int, ...], gain: float) -> np.ndarray:
    """The values of the tensor that PyTorch calls `name`: the same everywhere."""
    generator = np.random.default_rng(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]))
    leaf = name.rpartition(".")[2]
    if leaf == "running_var" or (leaf == "weight" and len(shape) == 1):
        values = generator.uniform(0.5, 1.5, shape)
    elif leaf == "weight":
        # The same values again and again, from a place of each kernel's own: to draw 80 million takes seconds.
        start = int(generator.integers(len(normals())))
        repeated = np.roll(normals(), -start) * np.float32(gain / np.prod(shape[1:]) ** 0.5)
        values = np.resize(repeated, shape)
    else:
        values = 0.1 * generator.standard_normal(shape)
    return values.astype(np.float32, copy=False)


def pictures(resolution: int) -> np.ndarray:
    """Two images, NHWC."""
    return np.random.default_rng(0).standard_normal((2, resolution, resolution, 3)).astype(np.float32)


@dataclass(frozen=True)
class Peer:
    """A network elsewhere."""

    make: Callable[[], Any]
    source: str
    resolution: int
    """At which multiply-adds are counted."""
    small: int = 96
    """At which logits are computed."""
    gain: float | None = None
    """Given where bisection finds one at which PyTorch's own float32 is further than 1e-3 from float64."""


def timm(name: str, resolution: int = 224, small: int = 96, gain: float | None = None) -> Peer:
    """A network of timm, without dropout and auxiliary heads."""

    def make() -> Any:
        import timm

        return timm.create_model(name)

    return Peer(make, f"timm {name}", resolution, small, gain)


def densenet264() -> Any:
    """torchvision's DenseNet with the layers that the paper's Table 1 gives DenseNet-264; no library names it."""
    from torchvision.models import DenseNet

    return DenseNet(growth_rate=32, block_config=(6, 12, 64, 48), num_init_features=64)


def polynet() -> Any:
    """pretrainedmodels' PolyNet, pooling whatever is left of the image rather than 9x9 pixels."""
    import torch
    from pretrainedmodels.models.polynet import PolyNet

    network = PolyNet()
    network.avg_pool = torch.nn.AdaptiveAvgPool2d(1)
    return network


PEERS: dict[str, Peer] = {
    "resnet50": timm("resnet50"),
    "resnet152": timm("resnet152"),
    "nasnet_a": timm("nasnetalarge", 331),
    "pnasnet5": timm("pnasnet5large", 331),
    "resnext101_64x4d": timm("resnext101_64x4d", 320),
    "senet154": timm("legacy_senet154", 320),
    "densenet169": timm("densenet169"),
    "densenet264": Peer(densenet264, "torchvision DenseNet with blocks of 6, 12, 64 and 48 layers", 224),
    "inception_v3": timm("inception_v3", 299),
    "inception_v4": timm("inception_v4", 299),
    "inception_resnet_v2": timm("inception_resnet_v2", 299),
    "xception": timm("legacy_xception", 299),
    "polynet": Peer(polynet, "pretrainedmodels polynet", 331),
    "mobilenet_v1": timm("mobilenetv1_100"),
    "mobilenet_v2": timm("mobilenetv2_100", gain=1.4),
}


def published_resolution(number: int) -> int:
    """Input side of EfficientNet-B<number>."""
    return (224, 240, 260, 300, 380, 456, 528, 600)[number]


PEERS |= {f"efficientnet_b{n}": timm(f"tf_efficientnet_b{n}", published_resolution(n), 64) for n in range(8)}
PEERS |= {f"efficientnet_b{n}_symmetric": timm(f"efficientnet_b{n}", published_resolution(n), 65) for n in range(8)}
PEERS |= {
    f"efficientnet_lite{n}": timm(f"tf_efficientnet_lite{n}", side, 64, gain=1.4)
    for n, side in enumerate((224, 240, 260, 280, 300))
}


def fill(model: Any, gain: float) -> None:
    """Sets every tensor of a PyTorch model to its drawn values."""
    import torch

    tensors = model.state_dict()
    with torch.no_grad():
        for name, tensor in tensors.items():
            if not name.endswith("num_batches_tracked"):
                tensor.copy_(torch.from_numpy(drawn(name, tuple(tensor.shape), gain)))


def answers(model: Any, gain: float, resolution: int) -> np.ndarray:
    """The model's logits of the two pictures."""
    import torch

    fill(model, gain)
    with torch.no_grad():
        return model(torch.from_numpy(pictures(resolution).transpose(0, 3, 1, 2).copy())).double().numpy()


def suitable_gain(model: Any, resolution: int) -> float:
    """The gain at which the logits of the two pictures differ by about 1, by bisection."""
    low, high = 0.1, 10.0
    for _ in range(12):
        gain = (low * high) ** 0.5
        one, other = answers(model, gain, resolution)
        spread = float(np.std(one - other))
        if 0.5 < spread < 2:
            break
        low, high = (gain, high) if spread < 1 else (low, gain)
    return round(gain, 4)


def multiply_adds(model: Any, resolution: int) -> int:
    """Multiply-adds of convolutions and dense layers for one image, by hooks."""
    import torch

    total = 0

    def convolution(module: Any, inputs: Any, output: Any) -> None:
        nonlocal total
        total += output.numel() * module.weight[0].numel()

    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
            module.register_forward_hook(convolution)
    with torch.no_grad():
        model(torch.zeros(1, 3, resolution, resolution))
    return total


def figures(peer: Peer) -> dict[str, Any]:
    """What is stored of a network."""
    model = peer.make().eval()
    gain = peer.gain or suitable_gain(model, peer.small)
    logits = answers(model, gain, peer.small)
    return {
        "source": peer.source,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "resolution": peer.resolution,
        "multiply_adds": multiply_adds(model, peer.resolution),
        "small_resolution": peer.small,
        "gain": gain,
        "logits": logits[:, :LOGITS].round(6).tolist(),
        "logits_mean": float(logits.mean().round(6)),
        "logits_std": float(logits.std().round(6)),
    }


if __name__ == "__main__":
    for name in sys.argv[1:] or PEERS:
        found = figures(PEERS[name])
        (FOLDER / f"{name}.json").write_text(json.dumps(found, indent=1) + "\n")
        print(name, {key: value for key, value in found.items() if key != "logits"})
