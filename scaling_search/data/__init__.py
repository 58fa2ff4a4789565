"""Where images come from, and how they are split, resized, augmented and batched. Numpy only, no JAX."""

from scaling_search.data.arrays import from_arrays
from scaling_search.data.augment import augment
from scaling_search.data.batches import check_batch_size, evaluation_batches, training_batches
from scaling_search.data.images import ImageData
from scaling_search.data.prepare import Prepared, prepare
from scaling_search.data.resize import resize
from scaling_search.data.sources import load
from scaling_search.data.split import Division, divide, resolve

__all__ = [
    "Division",
    "ImageData",
    "Prepared",
    "augment",
    "check_batch_size",
    "divide",
    "evaluation_batches",
    "from_arrays",
    "load",
    "prepare",
    "resize",
    "resolve",
    "training_batches",
]
