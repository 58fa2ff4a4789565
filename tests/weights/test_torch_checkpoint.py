import argparse
import gzip
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scaling_search.errors import UserError
from scaling_search.weights.files import write_arrays
from scaling_search.weights.torch_checkpoint import read_checkpoint

VALUES = [[0.5, -1.0, 2.0], [1.5, 0.25, -4.0]]
"""Exact in every floating-point type that has signs, eight bits or more."""


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch")


@pytest.fixture
def file(tmp_path):
    return tmp_path / "w.pth"


def refusal(file, **how):
    with pytest.raises(UserError) as raised:
        read_checkpoint(file, **how)
    message = str(raised.value)
    assert message.isprintable()
    assert file.name in message
    return message


OLD_TYPES = ("float32", "float64", "float16", "bfloat16")
NEW_TYPES = ("float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz")


@pytest.mark.parametrize(
    ("dtype", "legacy"), [*((dtype, False) for dtype in OLD_TYPES + NEW_TYPES), *((dtype, True) for dtype in OLD_TYPES)]
)
def test_every_floating_point_type_is_read_as_float32(dtype, legacy, torch, file):
    tensor = torch.tensor(VALUES).to(getattr(torch, dtype))
    torch.save(
        {"a": tensor, "b": torch.nn.Parameter(tensor[:1].float())}, file, _use_new_zipfile_serialization=not legacy
    )
    arrays = read_checkpoint(file).arrays
    assert arrays["a"].dtype == np.float32
    np.testing.assert_array_equal(arrays["a"], VALUES)
    np.testing.assert_array_equal(arrays["b"], VALUES[:1])


@pytest.mark.parametrize("dtype", NEW_TYPES)
def test_what_pytorch_itself_cannot_read_back_is_refused(dtype, torch, file):
    torch.save({"a": torch.ones(2).to(getattr(torch, dtype))}, file, _use_new_zipfile_serialization=False)
    assert "PyTorch cannot read it" in refusal(file)


def test_powers_of_two_are_read_as_float32(torch, file):
    torch.save({"a": torch.tensor([0.5, 4.0]).to(torch.float8_e8m0fnu)}, file)
    np.testing.assert_array_equal(read_checkpoint(file).arrays["a"], np.float32([0.5, 4.0]))


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "int32", "int64", "uint16", "uint32", "uint64", "bool"])
def test_integers_stay_integers(dtype, torch, file):
    torch.save({"n": torch.tensor([0, 1, 1]).to(getattr(torch, dtype))}, file)
    array = read_checkpoint(file).arrays["n"]
    assert array.dtype == dtype
    np.testing.assert_array_equal(array, [0, 1, 1])


def test_quantised_tensors_are_dequantised(torch, file):
    tensor = torch.tensor(VALUES)
    torch.save(
        {
            "tensor": torch.quantize_per_tensor(tensor, 0.25, 10, torch.quint8),
            "channel": torch.quantize_per_channel(tensor, torch.full((2,), 0.25), torch.zeros(2), 0, torch.qint8),
            "wide": torch.quantize_per_tensor(tensor, 0.25, 0, torch.qint32),
        },
        file,
    )
    for array in read_checkpoint(file).arrays.values():
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array[0], VALUES[0])


@pytest.mark.parametrize("layout", ["to_sparse", "to_sparse_csr", "to_sparse_csc"])
def test_sparse_tensors_are_filled_in(layout, torch, file):
    tensor = torch.tensor([[0.0, 1.0], [2.0, 0.0]])
    torch.save({"a": getattr(tensor, layout)()}, file)
    np.testing.assert_array_equal(read_checkpoint(file).arrays["a"], tensor)


def test_views_are_read_as_what_they_show(torch, file):
    whole = torch.tensor(VALUES)
    complex_ = torch.complex(whole, whole)
    torch.save(
        {"t": whole.T, "negated": complex_.conj().imag, "expanded": torch.ones(1).expand(3), "scalar": whole[0, 0]},
        file,
    )
    arrays = read_checkpoint(file).arrays
    np.testing.assert_array_equal(arrays["t"], np.transpose(VALUES))
    np.testing.assert_array_equal(arrays["negated"], np.negative(VALUES))
    np.testing.assert_array_equal(arrays["expanded"], np.ones(3))
    assert arrays["scalar"] == np.float32(0.5)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda torch: torch.zeros(2, dtype=torch.complex64), "complex64"),
        (lambda torch: torch.zeros(2, dtype=torch.complex32), "complex32"),
        (lambda torch: torch.empty(2, dtype=torch.float4_e2m1fn_x2), "float4_e2m1fn_x2"),
        (lambda torch: torch.empty(2, dtype=torch.bits8), "bits8"),
        (lambda torch: torch.empty(2, device="meta"), "meta"),
        (lambda torch: torch.nested.nested_tensor([torch.ones(1), torch.ones(2)]), "'a' cannot be read"),
        (lambda torch: torch.tensor([1e300], dtype=torch.float64), "too large for float32"),
    ],
)
def test_numbers_that_float32_cannot_hold_are_refused(make, reason, torch, file):
    torch.save({"a": make(torch)}, file)
    assert reason in refusal(file)


def test_infinite_and_undefined_numbers_are_passed_on(torch, file):
    torch.save({"a": torch.tensor([float("inf"), float("nan")], dtype=torch.float64)}, file)
    np.testing.assert_array_equal(read_checkpoint(file).arrays["a"], [np.inf, np.nan])


def test_the_checkpoint_of_a_training_is_read(torch, file):
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    optimizer = torch.optim.AdamW(network.parameters())
    network(torch.ones(2, 3, 5, 5)).sum().backward()
    optimizer.step()
    averaged = torch.optim.swa_utils.AveragedModel(network)
    torch.save(
        {
            "epoch": 3,
            "state_dict": network.state_dict(),
            "state_dict_ema": averaged.state_dict(),
            "optimizer": optimizer.state_dict(),
            "args": argparse.Namespace(lr=0.1, output_dir=Path("runs")),
            "best": np.float64(0.9),
            "confusion": np.eye(3, dtype=np.int64),
            "rng_state": torch.get_rng_state(),
        },
        file,
    )
    checkpoint = read_checkpoint(file)
    assert checkpoint.arrays.keys() == network.state_dict().keys()
    assert checkpoint.under == "state_dict"
    assert any("--averaged" in note for note in checkpoint.notes)
    assert "module.0.weight" in read_checkpoint(file, averaged=True).arrays
    assert read_checkpoint(file, averaged=True).under == "state_dict_ema"


def test_the_checkpoint_of_lightning_is_read(torch, file):
    state = OrderedDict((f"model.{name}", tensor) for name, tensor in torch.nn.Linear(2, 3).state_dict().items())
    torch.save({"state_dict": state, "hyper_parameters": {"lr": 0.1}, "callbacks": {}, "loops": {}}, file)
    assert read_checkpoint(file).arrays.keys() == {"model.weight", "model.bias"}


class Sprung:
    """What a file must not be able to run."""

    def __init__(self, place):
        self.place = place

    def __reduce__(self):
        return (Path.touch, (self.place,))


def test_code_in_a_file_is_never_run(torch, file, tmp_path):
    torch.save({"a": torch.ones(1), "trap": Sprung(tmp_path / "sprung")}, file)
    assert "without running code from it" in refusal(file)
    file.write_bytes(pickle.dumps(Sprung(tmp_path / "sprung"), 2))
    refusal(file)
    assert not (tmp_path / "sprung").exists()


def test_a_whole_module_and_a_program_are_refused_with_what_to_save_instead(torch, file):
    torch.save(torch.nn.Linear(2, 3), file)
    assert "torch.nn.modules.linear.Linear" in refusal(file)
    assert "state_dict()" in refusal(file)
    torch.jit.script(torch.nn.Linear(2, 3)).save(file)
    assert "TorchScript" in refusal(file)


@pytest.mark.parametrize("legacy", [False, True])
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 0.999), flipped=st.integers(0, 7))
def test_a_damaged_checkpoint_is_refused_in_one_line_or_read(share, flipped, legacy, torch, tmp_path):
    whole = tmp_path / "whole.pth"
    torch.save({"model": {"a": torch.ones(50, 7)}}, whole, _use_new_zipfile_serialization=not legacy)
    content = bytearray(whole.read_bytes())
    place = int(share * len(content))
    (tmp_path / "cut.pth").write_bytes(content[:place])
    refusal(tmp_path / "cut.pth")
    content[place] ^= 1 << flipped
    (tmp_path / "flipped.pth").write_bytes(content)
    try:
        read_checkpoint(tmp_path / "flipped.pth")
    except UserError as error:
        assert str(error).isprintable()


# From here on PyTorch need not be there.


def test_a_file_of_another_kind_is_named_before_pytorch_is_asked(file, tmp_path):
    for content, reason in [
        (b"", "empty"),
        (b"hello\x1b[31m\n", "another kind"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 9\n", "git lfs pull"),
        (b"\n<!DOCTYPE html><html>", "web page"),
        (b"\x89HDF\r\n\x1a\n" + bytes(50), "another kind"),
        (gzip.compress(b"weights"), "another kind"),
        (bytes(5000), "another kind"),
    ]:
        file.write_bytes(content)
        assert reason in refusal(file)
    write_arrays(tmp_path / "w.safetensors", {"a": np.ones(3, np.float32)}, {})
    (tmp_path / "w.safetensors").rename(file)
    assert "safetensors already" in refusal(file)


def test_what_is_not_a_file_is_refused(tmp_path):
    assert "no such file" in refusal(tmp_path / "none.pth")
    assert "it is a folder" in refusal(tmp_path)
    refusal(tmp_path / ("long" * 200))


def test_an_archive_that_is_not_pytorchs_is_refused(torch, file):
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.npy", b"1")
    assert "PyTorch cannot read it" in refusal(file)
    file.write_bytes(pickle.dumps([1, 2], 2))
    assert "PyTorch cannot read it" in refusal(file)
