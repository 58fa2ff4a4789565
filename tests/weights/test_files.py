import json

import ml_dtypes
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from scaling_search.errors import UserError
from scaling_search.weights.files import (
    digest_of,
    numpy_arrays,
    read_arrays,
    read_metadata,
    safetensors_arrays,
    write_arrays,
)

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
def test_a_damaged_file_is_refused_in_one_line(name, tmp_path):
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


def safetensors(tensors):
    """The content of a safetensors file with tensors given as (type, shape, bytes)."""
    header, data = {}, b""
    for name, (dtype, shape, content) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    encoded = json.dumps(header).encode()
    return len(encoded).to_bytes(8, "little") + encoded + data


@pytest.mark.parametrize(
    ("dtype", "kind"),
    [
        ("F64", np.float64),
        ("F32", np.float32),
        ("F16", np.float16),
        ("BF16", ml_dtypes.bfloat16),
        ("F8_E4M3", ml_dtypes.float8_e4m3fn),
        ("F8_E5M2", ml_dtypes.float8_e5m2),
        ("F8_E4M3FNUZ", ml_dtypes.float8_e4m3fnuz),
        ("F8_E5M2FNUZ", ml_dtypes.float8_e5m2fnuz),
        ("F8_E8M0", ml_dtypes.float8_e8m0fnu),
    ],
)
def test_floating_point_numbers_of_any_size_are_read_as_float32(dtype, kind):
    values = np.array([[0.5, 2.0, 16.0]], np.float32)
    array = safetensors_arrays(safetensors({"a": (dtype, [1, 3], values.astype(kind).tobytes())}), "w")["a"]
    assert array.dtype == np.float32
    np.testing.assert_array_equal(array, values)


@pytest.mark.parametrize("kind", [np.int64, np.int32, np.int16, np.int8, np.uint8, np.uint16, np.uint32, np.bool_])
def test_integers_stay_integers(kind, tmp_path):
    array = np.array([0, 1, 1], kind)
    np.savez(tmp_path / "w.npz", n=array, half=np.float16(0.5), double=np.float64(0.1))
    for held in (safetensors_arrays(save({"n": array}), "w"), read_arrays(tmp_path / "w.npz")):
        assert held["n"].dtype == kind
        np.testing.assert_array_equal(held["n"], array)
    assert held["half"].dtype == held["double"].dtype == np.float32


@pytest.mark.parametrize(("dtype", "size"), [("C64", 8), ("F4", 1), ("F6_E2M3", 3)])
def test_numbers_of_other_kinds_are_refused(dtype, size):
    shape = [] if dtype == "C64" else [size * 8 // int(dtype[1])]
    with pytest.raises(UserError, match=f"'a' holds {dtype} numbers"):
        safetensors_arrays(safetensors({"a": (dtype, shape, bytes(size))}), "w")


@pytest.mark.parametrize("array", [np.zeros(2, np.complex64), np.array(["a"]), np.zeros(2, [("x", "f4")])])
def test_archives_of_other_things_are_refused(array, tmp_path):
    np.savez(tmp_path / "w.npz", a=array)
    with pytest.raises(UserError, match="'a' holds"):
        read_arrays(tmp_path / "w.npz")


def test_numbers_too_large_for_float32_are_refused():
    content = safetensors({"a": ("F64", [2], np.array([1.0, 1e300]).tobytes())})
    with pytest.raises(UserError, match="'a' holds float64 numbers too large for float32"):
        safetensors_arrays(content, "w")


@pytest.mark.parametrize("suffix", [".safetensors", ".npz", ".safetensors.index.json"])
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the file is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 21355344\n", "try git lfs pull"),
        (b"\n<!DOCTYPE html>\n<html>", "a web page"),
        (b"\x1b[31mred\n", "cannot be read"),
    ],
)
def test_what_stands_there_in_place_of_weights_is_named(content, reason, suffix, tmp_path):
    (tmp_path / f"w{suffix}").write_bytes(content)
    with pytest.raises(UserError, match=reason) as raised:
        read_arrays(tmp_path / f"w{suffix}")
    assert str(raised.value).isprintable()


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    file = tmp_path_factory.mktemp("npz") / "w.npz"
    np.savez_compressed(file, **ARRAYS)
    return file.read_bytes()


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_content_that_is_cut_is_refused(archive, data):
    for content, read in ((save(ARRAYS), safetensors_arrays), (archive, numpy_arrays)):
        with pytest.raises(UserError, match="cannot be read"):
            read(content[: data.draw(st.integers(0, len(content) - 1))], "w")


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_content_that_is_altered_is_refused_or_read(archive, data):
    for whole, read in ((save(ARRAYS), safetensors_arrays), (archive, numpy_arrays)):
        content = bytearray(whole)
        for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=3)):
            content[place] = data.draw(st.integers(0, 255))
        try:
            read(bytes(content), "w")
        except UserError as error:
            assert str(error).isprintable()


def sharded(folder, shards):
    weight_map = {}
    for number, arrays in enumerate(shards, 1):
        shard = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        write_arrays(folder / shard, arrays, {})
        weight_map |= dict.fromkeys(arrays, shard)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": 32}, "weight_map": weight_map}))
    return index


def test_shards_are_read_by_their_index_or_their_folder(tmp_path):
    index = sharded(tmp_path, [{name: array} for name, array in ARRAYS.items()])
    for place in (index, tmp_path):
        read = read_arrays(place, digest_of(place))
        assert read.keys() == ARRAYS.keys()
        np.testing.assert_array_equal(read["one.weight"], ARRAYS["one.weight"])


def test_the_digest_of_shards_is_that_of_their_content(tmp_path):
    index = sharded(tmp_path, [{name: array} for name, array in ARRAYS.items()])
    before = digest_of(index)
    write_arrays(tmp_path / "model-00002-of-00002.safetensors", {"one.bias": np.zeros(2, np.float32)}, {})
    assert digest_of(index) != before


def test_shards_that_are_not_there_or_hold_something_else_are_named(tmp_path):
    index = sharded(tmp_path, [{name: array} for name, array in ARRAYS.items()])
    second = tmp_path / "model-00002-of-00002.safetensors"
    with pytest.raises(UserError, match=r"one shard of several; their index, model\.safetensors\.index\.json"):
        read_arrays(second)
    write_arrays(second, {"other": np.zeros(2, np.float32)}, {})
    with pytest.raises(UserError, match=f"{second.name}' does not have 'one.bias'"):
        read_arrays(index)
    second.unlink()
    with pytest.raises(UserError, match=f"{second.name}.*no such file"):
        read_arrays(index)


@pytest.mark.parametrize(
    "document",
    [
        *("[]", "{", "3", "{}", '{"weight_map": 3}', '{"weight_map": {"a": 3}}', '{"weight_map": {"a": ["b"]}}'),
        '{"weight_map": {"a": "../w.safetensors"}}',
        '{"weight_map": {"a": "pytorch_model-00001-of-00002.bin"}}',
    ],
)
def test_an_index_of_another_form_is_refused(document, tmp_path):
    (tmp_path / "model.safetensors.index.json").write_text(document)
    with pytest.raises(UserError, match="cannot be read"):
        read_arrays(tmp_path)


def test_metadata_come_back(tmp_path):
    write_arrays(tmp_path / "w.safetensors", ARRAYS, {"network": "mine", "classes": '["ä"]'})
    assert read_metadata(tmp_path / "w.safetensors") == {"network": "mine", "classes": '["ä"]'}
    np.savez(tmp_path / "w.npz", **ARRAYS)
    assert read_metadata(tmp_path / "w.npz") == {}


@pytest.mark.parametrize("name", ["", "none.safetensors", "w\0.safetensors", "long" * 200 + ".npz"])
def test_what_is_not_there_is_refused(name, tmp_path):
    with pytest.raises(UserError, match="given"):
        read_arrays(f"{tmp_path}/{name}")
    with pytest.raises(UserError, match="given"):
        digest_of(f"{tmp_path}/{name}")
