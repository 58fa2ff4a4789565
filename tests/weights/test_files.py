import numpy as np
import pytest

from scaling_search.errors import UserError
from scaling_search.weights.files import digest_of, read_arrays, write_arrays

ARRAYS = {"one.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "one.bias": np.ones(2, np.float32)}


def test_safetensors_come_back_as_they_went(tmp_path):
    write_arrays(tmp_path / "w.safetensors", ARRAYS, {"network": "mine"})
    read = read_arrays(tmp_path / "w.safetensors")
    assert read.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(read[name], array)


def test_numpy_archives_are_read(tmp_path):
    np.savez(tmp_path / "w.npz", **ARRAYS)
    assert read_arrays(tmp_path / "w.npz").keys() == ARRAYS.keys()


def test_pickles_are_never_read(tmp_path):
    class Trap:
        def __reduce__(self):
            return (tmp_path.joinpath("sprung").touch, ())

    np.savez(tmp_path / "w.npz", trap=np.array([Trap()], dtype=object))
    with pytest.raises(UserError, match="cannot be read"):
        read_arrays(tmp_path / "w.npz")
    (tmp_path / "w.pth").write_bytes(b"\x80\x04N.")
    with pytest.raises(UserError, match="weights convert"):
        read_arrays(tmp_path / "w.pth")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("name", ["cut.safetensors", "cut.npz"])
def test_a_damaged_file_is_said_in_one_line(name, tmp_path):
    (tmp_path / name).write_bytes(b"PK\x03\x04 nothing more")
    with pytest.raises(UserError, match="cannot be read") as raised:
        read_arrays(tmp_path / name)
    assert "\n" not in str(raised.value)


def test_weights_changed_since_a_run_began_are_refused(tmp_path):
    file = tmp_path / "w.safetensors"
    write_arrays(file, ARRAYS, {})
    digest = digest_of(file)
    read_arrays(file, digest)
    write_arrays(file, {"one.bias": np.zeros(2, np.float32)}, {})
    with pytest.raises(UserError, match="no longer what they were"):
        read_arrays(file, digest)
