"""What is known of the devices that train: memory, peak, and the error of running out."""

import os
from collections.abc import Sequence

import jax

PEAK_FLOPS = {
    "H200": 989e12,
    "H100 PCIe": 756e12,
    "H100 NVL": 835e12,
    "H100": 989e12,
    "A100": 312e12,
    "A10": 125e12,
    "L40S": 362e12,
    "L4": 121e12,
    "RTX 4090": 165.2e12,
    "RTX 3090": 71e12,
    "TPU v6": 918e12,
    "TPU v5p": 459e12,
    "TPU v5 lite": 197e12,
    "TPU v5e": 197e12,
    "TPU v5": 459e12,
    "TPU v4": 275e12,
    "TPU v3": 61.5e12,
    "TPU v2": 22.5e12,
}
"""Floating-point operations a second in bfloat16, dense, of a device as JAX counts them, by what its kind contains;
the first that fits counts. From the makers' data sheets; a TPU v2 or v3 chip is two devices."""
FLOPS_PER_MULTIPLY_ADD = 6
"""Of a training step: two operations each for the answer and for the gradients of inputs and of parameters."""
AUTOTUNED_FROM = 3e14
"""Operations of a training from which it pays to choose a GPU's kernels by timing them. On an H100 B0's step at 224 px
took 130 s to compile with that and 27 s without, and trained 7,869 and 1,069 images a second."""


def peak_flops(kind: str) -> float | None:
    """The peak in bfloat16 of a kind of device, or None where it is not known."""
    return next((peak for name, peak in PEAK_FLOPS.items() if name in kind), None)


def utilisation(multiply_adds: int, images_per_second: float, kind: str, devices: int = 1) -> float | None:
    """Model FLOPs utilisation of training: the share of the peak that the network's own operations are."""
    peak = peak_flops(kind)
    return FLOPS_PER_MULTIPLY_ADD * multiply_adds * images_per_second / (peak * devices) if peak else None


def compiler_options(operations: float, platform: str) -> dict[str, str | bool]:
    """XLA's options for the program of a training of so many operations: kernels of long ones are chosen by timing.

    `training_environment` has flags against it, for the short ones of a search. The user's own flags come after these.
    """
    flags_of_user = os.environ.get("XLA_FLAGS", "").count("xla_gpu_autotune_level") > 1
    if platform != "gpu" or flags_of_user or operations < AUTOTUNED_FROM:
        return {}
    return {"xla_gpu_autotune_level": "4", "xla_gpu_enable_triton_gemm": True}


def memory_limit(device: jax.Device) -> int | None:
    """Bytes of device memory that this process may take, or None where the device does not say, as a CPU."""
    statistics = device.memory_stats() or {}
    return statistics.get("bytes_limit")


def peak_memory(devices: Sequence[jax.Device]) -> int | None:
    """Most bytes that were in use on any of the devices at a time, or None where they don't say."""
    peaks = [(device.memory_stats() or {}).get("peak_bytes_in_use") for device in devices]
    return max((peak for peak in peaks if peak is not None), default=None)


def is_out_of_memory(error: Exception) -> bool:
    """Whether a device had too little memory."""
    text = str(error)
    return isinstance(error, jax.errors.JaxRuntimeError) and (
        "RESOURCE_EXHAUSTED" in text or "out of memory" in text.lower()
    )
