"""The same search as its author would write it with Ray Tune and timm: `python -m ... trainings.json`."""

import json
import sys
from pathlib import Path
from typing import Any


def train(config: dict[str, Any]) -> dict[str, float]:
    """Trains one network and judges it once."""
    import numpy as np
    import torch
    from timm.models.efficientnet import _gen_efficientnet
    from timm.optim import create_optimizer_v2

    from scaling_search.config import Split
    from scaling_search.data import load, prepare

    torch.set_num_threads(1)
    torch.manual_seed(config["seed"])
    images = prepare(load("digits"), Split(validation=0.2, test=0.2), config["resolution"], "validation")
    model = _gen_efficientnet(
        "tf_efficientnet_b0",
        channel_multiplier=config["width"],
        depth_multiplier=config["depth"],
        num_classes=10,
        drop_rate=0.2,
        drop_path_rate=0.2,
    ).to(memory_format=torch.channels_last)
    optimiser = create_optimizer_v2(model, "rmsprop", lr=1e-3, weight_decay=1e-5, momentum=0.9, eps=1e-3)

    def tensor(batch: "np.ndarray") -> "torch.Tensor":
        normal = (batch.astype(np.float32) - images.mean) / images.std
        return torch.from_numpy(normal).permute(0, 3, 1, 2)

    rng = np.random.default_rng(config["seed"])
    size = config["batch_size"]
    for _ in range(config["epochs"]):
        model.train()
        order = rng.permutation(len(images.train_images))
        for start in range(0, len(order) // size * size, size):
            batch = order[start : start + size]
            labels = torch.from_numpy(images.train_labels[batch]).long()
            loss = torch.nn.functional.cross_entropy(
                model(tensor(images.train_images[batch])), labels, label_smoothing=0.1
            )
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
    model.eval()
    correct = 0
    with torch.inference_mode():
        for start in range(0, len(images.eval_images), size):
            logits = model(tensor(images.eval_images[start : start + size]))
            correct += int((logits.argmax(1).numpy() == images.eval_labels[start : start + size]).sum())
    return {"accuracy": correct / len(images.eval_images)}


def main(file: str) -> None:
    """Trains everything in the file, one CPU a trial, and prints a table."""
    import ray
    from ray import tune

    specs = json.loads(Path(file).read_text())
    # Not a cluster that happens to run here.
    ray.init("local", include_dashboard=False, log_to_driver=False)
    tuner = tune.Tuner(
        tune.with_resources(lambda config: train(config["training"]), {"cpu": 1}),
        param_space={"training": tune.grid_search(specs)},
        run_config=tune.RunConfig(verbose=0),
    )
    print(tuner.fit().get_dataframe()[["accuracy"]])


if __name__ == "__main__":
    main(sys.argv[1])
