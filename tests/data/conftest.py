"""Photographs that tests of data share."""

import numpy as np
import pytest
from PIL import Image

from scaling_search.data import ImageData, load


def slopes(width: int = 90, height: int = 60) -> np.ndarray:
    """An image whose red says how far right a pixel is, and whose green how far down."""
    across, down = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return np.stack([across, down, np.full_like(across, 128)], axis=-1).astype(np.uint8)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory) -> ImageData:
    """JPEGs of varied sizes, some turned by EXIF."""
    root = tmp_path_factory.mktemp("photographs")
    rng = np.random.default_rng(0)
    for number in range(40):
        folder = root / "ab"[number % 2]
        folder.mkdir(exist_ok=True)
        image = Image.fromarray(slopes(*(int(side) for side in rng.integers(60, 150, 2))))
        exif = Image.Exif()
        exif[0x0112] = (1, 6)[number % 3 == 0]
        image.save(folder / f"{number}.jpg", quality=95, exif=exif)
    return load(f"folder:{root}")
