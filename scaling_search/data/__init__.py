"""Where images come from, and how they are split, resized, augmented and batched. Numpy only, no JAX."""

from scaling_search.data.arrays import from_arrays
from scaling_search.data.augment import Moves, augment, draw_moves, reach
from scaling_search.data.batches import (
    Labels,
    Pass,
    check_batch_size,
    evaluation_batches,
    judging_batches,
    moves_alone,
    training_batches,
    training_pass,
)
from scaling_search.data.images import ImageData
from scaling_search.data.mix import Mixed
from scaling_search.data.prepare import Prepared, prepare
from scaling_search.data.resize import resize
from scaling_search.data.sources import load
from scaling_search.data.split import Division, divide, hold_out, resolve

__all__ = [
    "Division",
    "ImageData",
    "Labels",
    "Mixed",
    "Moves",
    "Pass",
    "Prepared",
    "augment",
    "check_batch_size",
    "divide",
    "draw_moves",
    "evaluation_batches",
    "from_arrays",
    "hold_out",
    "judging_batches",
    "load",
    "moves_alone",
    "prepare",
    "reach",
    "resize",
    "resolve",
    "training_batches",
    "training_pass",
]
