"""Images a second that training is fed with, beside torchvision's DataLoader: random resized crops and flips of JPEGs.

    pip install -e '.[peer,images]'
    python -m tests.benchmarks.loading FOLDER --side 224 --rounds 5
    python -m tests.benchmarks.loading FOLDER --peer /other/environment/bin/python

FOLDER has a folder of JPEGs for each class; --make 2000 fills it first, with pieces of pictures of scikit-image and
scikit-learn, of about 500 x 375 pixels. Both sides read it in turns, with as many threads or worker processes. On a
machine that does other things too, go by the seconds of a core.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

BATCH = 64
CROP_AREA = 0.08


def main() -> None:
    """Measures both sides in turns and prints a row for each, and the ratio."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.loading", description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--make", type=int, metavar="COUNT", help="make so many images first")
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--peer", default=sys.executable, help="a Python with torchvision")
    parser.add_argument("--serve", choices=SIDES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(SIDES[options.serve](options.folder, options.side, options.workers))
        return
    if options.make:
        make(options.folder, options.make)
    script = [str(Path(__file__)), str(options.folder), "--side", str(options.side), "--workers", str(options.workers)]
    started = {
        side: subprocess.Popen(
            [python, *script, "--serve", side], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for side, python in (("ours", sys.executable), ("torchvision", options.peer))
    }
    found: dict[str, list[dict[str, float]]] = {side: [] for side in started}
    for _ in range(options.rounds):
        for side, process in started.items():
            assert process.stdin and process.stdout
            process.stdin.write("\n")
            process.stdin.flush()
            found[side].append(json.loads(process.stdout.readline()))
    print("| side | images/s | images / second of a core |\n| --- | --- | --- |")
    best = {
        side: [max(one["images"] / one[clock] for one in rounds) for clock in ("wall", "cpu")]
        for side, rounds in found.items()
    }
    for side, (wall, cpu) in best.items():
        print(f"| {side} | {wall:.0f} | {cpu:.0f} |")
    ratios = [ours / theirs for ours, theirs in zip(best["ours"], best["torchvision"], strict=True)]
    print(f"ratio: {ratios[0]:.2f} by the clock, {ratios[1]:.2f} by seconds of a core")
    for process in started.values():
        process.communicate("")


def serve(epoch: Callable[[int], int]) -> None:
    """For every line of the input, reads all images once and prints how many, and how long it took."""
    epoch(0)
    for number, _ in enumerate(sys.stdin, start=1):
        began, used = time.perf_counter(), seconds_of_a_core()
        images = epoch(number)
        print(
            json.dumps({"images": images, "wall": time.perf_counter() - began, "cpu": seconds_of_a_core() - used}),
            flush=True,
        )


def seconds_of_a_core() -> float:
    """Of this process and those that it started and that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def ours(folder: Path, side: int, workers: int) -> Callable[[int], int]:
    """Bytes, as training takes them: they are normalised on the device."""
    from scaling_search.config import Split
    from scaling_search.data import load, prepare
    from scaling_search.data.batches import EpochBatches
    from scaling_search.data.stream import stream
    from scaling_search.recipe import Recipe

    recipe = Recipe(augment="crop_flip", crop_area=CROP_AREA, batch_size=BATCH)
    images = prepare(load(f"folder:{folder}"), Split(validation=0.02, test=0.02), side, "validation", recipe)

    def epoch(number: int) -> int:
        return sum(len(batch) for batch, _ in stream(EpochBatches(images, recipe, 0, number), workers))

    return epoch


def torchvision(folder: Path, side: int, workers: int) -> Callable[[int], int]:
    """As in PyTorch's ImageNet example, but for the normalisation, which can be done on the device there too."""
    from torch.utils.data import DataLoader
    from torchvision import datasets, transforms

    seen = [transforms.RandomResizedCrop(side, (CROP_AREA, 1.0)), transforms.RandomHorizontalFlip()]
    images: Any = datasets.ImageFolder(str(folder), transforms.Compose([*seen, transforms.PILToTensor()]))
    loader = DataLoader(images, BATCH, shuffle=True, num_workers=workers, drop_last=True)
    return lambda number: sum(len(batch) for batch, _ in loader)


SIDES: dict[str, Callable[[Path, int, int], Callable[[int], int]]] = {"ours": ours, "torchvision": torchvision}


def make(folder: Path, count: int) -> None:
    """Writes `count` JPEGs of 440 to 560 by 335 to 415 pixels, a fifth of them upright, in ten classes."""
    import skimage.data
    import sklearn.datasets
    from PIL import Image

    of_skimage, of_sklearn = Path(skimage.data.__file__).parent, Path(sklearn.datasets.__file__).parent / "images"
    names = ("astronaut.png", "chelsea.png", "coffee.png", "motorcycle_left.png", "hubble_deep_field.jpg", "rocket.jpg")
    files = [*(of_skimage / name for name in names), *(of_sklearn / name for name in ("china.jpg", "flower.jpg"))]
    pictures = [Image.open(file).convert("RGB") for file in files]
    rng = np.random.default_rng(0)
    for number in range(count):
        picture = pictures[number % len(pictures)]
        width, height = (int(side) for side in (500 + rng.integers(-60, 61), 375 + rng.integers(-40, 41)))
        width, height = (height, width) if rng.random() < 0.2 else (width, height)
        scale = rng.uniform(0.6, 1.0) * min(picture.width / width, picture.height / height)
        left, top = rng.uniform(0, picture.width - scale * width), rng.uniform(0, picture.height - scale * height)
        box = (left, top, left + scale * width, top + scale * height)
        file = folder / f"class{number % 10}" / f"{number}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        picture.resize((width, height), Image.Resampling.BICUBIC, box=box).save(file, quality=90)


if __name__ == "__main__":
    main()
