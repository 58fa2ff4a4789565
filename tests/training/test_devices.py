import jax
import pytest

from scaling_search.training.devices import AUTOTUNED_FROM, compiler_options, is_out_of_memory, peak_flops, utilisation
from scaling_search.training.environment import training_environment


def test_the_peak_is_that_of_the_kind_that_fits_first():
    assert peak_flops("NVIDIA H100 80GB HBM3") == 989e12
    assert peak_flops("NVIDIA H100 PCIe") == 756e12
    assert peak_flops("TPU v5 lite") < peak_flops("TPU v5p")
    assert peak_flops("cpu") is None


def test_utilisation_is_six_operations_per_multiply_add_over_the_peak():
    # B0 has 0.39B multiply-adds; at 2,000 images a second an H100 does 4.7 of 989 TFLOP/s.
    assert utilisation(390_000_000, 2000, "NVIDIA H100 80GB HBM3") == pytest.approx(4.68 / 989)
    assert utilisation(390_000_000, 2000, "NVIDIA H100 80GB HBM3", devices=2) == pytest.approx(2.34 / 989)
    assert utilisation(390_000_000, 2000, "cpu") is None


def test_running_out_of_device_memory_is_told_from_other_errors():
    assert is_out_of_memory(jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 5 bytes."))
    assert not is_out_of_memory(jax.errors.JaxRuntimeError("INTERNAL: no kernel"))
    assert not is_out_of_memory(ValueError("out of memory"))


def test_kernels_are_timed_for_long_trainings_on_a_gpu(monkeypatch):
    ours = training_environment()["XLA_FLAGS"]
    monkeypatch.setenv("XLA_FLAGS", ours)
    assert compiler_options(AUTOTUNED_FROM, "gpu")["xla_gpu_autotune_level"] == "4"
    assert compiler_options(AUTOTUNED_FROM / 2, "gpu") == compiler_options(AUTOTUNED_FROM, "cpu") == {}
    monkeypatch.setenv("XLA_FLAGS", f"{ours} --xla_gpu_autotune_level=0")
    assert compiler_options(AUTOTUNED_FROM, "gpu") == {}


def test_xla_knows_the_options():
    lowered = jax.jit(lambda x: x + 1).lower(1.0)
    assert lowered.compile(compiler_options(AUTOTUNED_FROM, "gpu"))(1.0) == 2.0
    with pytest.raises(jax.errors.JaxRuntimeError, match="xla_unheard_of"):
        lowered.compile({"xla_unheard_of": "1"})
