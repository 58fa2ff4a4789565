"""TFRecord and ArrayRecord shards, and what TensorFlow Datasets prepares, give the images that were written to them."""

import io
import json
import pickle
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from scaling_search.config import Split
from scaling_search.data import index, load, prepare
from scaling_search.data.examples import BadRecordError, Span, _masked_crc32c, read_example, record_spans
from scaling_search.errors import UserError

Value = bytes | int | Sequence[int] | Sequence[float]
PREPARED = Path(__file__).parent / "tensorflow_datasets"
"""What tensorflow-datasets 4.9.10 and TensorFlow 2.21 wrote of eight images."""


def varint(value: int) -> bytes:
    value %= 2**64
    out = b""
    while value >= 0x80:
        out, value = out + bytes([value & 0x7F | 0x80]), value >> 7
    return out + bytes([value])


def message(*fields: tuple[int, bytes]) -> bytes:
    return b"".join(varint(number << 3 | 2) + varint(len(value)) + value for number, value in fields)


def feature(value: Value) -> bytes:
    if isinstance(value, bytes):
        return message((1, message((1, value))))
    numbers = [value] if isinstance(value, int) else list(value)
    if any(isinstance(number, float) for number in numbers):
        return message((2, message((1, struct.pack(f"<{len(numbers)}f", *numbers)))))
    return message((3, message((1, b"".join(map(varint, numbers))))))


def example(features: Mapping[str, Value]) -> bytes:
    return message(
        (1, message(*((1, message((1, name.encode()), (2, feature(value)))) for name, value in features.items())))
    )


def framed(records: Sequence[bytes]) -> bytes:
    out = b""
    for record in records:
        length = struct.pack("<Q", len(record))
        crcs = (struct.pack("<I", _masked_crc32c(memoryview(part))) for part in (length, record))
        out += length + next(crcs) + record + next(crcs)
    return out


def png(shade: int, size: int = 5) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (size, 4), (shade, 0, 0)).save(file, "PNG")
    return file.getvalue()


def write(file: Path, records: Sequence[bytes]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    if "array_record" in file.name:
        module = pytest.importorskip("array_record.python.array_record_module")
        writer = module.ArrayRecordWriter(str(file), "group_size:1")
        for record in records:
            writer.write(record)
        writer.close()
    else:
        file.write_bytes(framed(records))
    return file


def records(count: int, first: int = 0) -> list[bytes]:
    return [
        example({"id": b"x", "box": [0.5, 0.25], "label": number % 2 + 3, "image": png(number)})
        for number in range(first, first + count)
    ]


def reds(images) -> list[int]:
    return [int(image[0, 0, 0]) for image in np.asarray(images)]


@pytest.mark.parametrize("kind", ["tfrecord", "array_record"])
def test_shards_are_read_in_their_parts_whatever_wrote_them(tmp_path, kind) -> None:
    write(tmp_path / f"pets-train.{kind}-00000-of-00002", records(4))
    write(tmp_path / f"pets-train.{kind}-00001-of-00002", records(3, first=4))
    write(tmp_path / f"pets-test.{kind}-00000-of-00001", records(2, first=10))
    data = load(f"records:{tmp_path}")
    assert data.classes == ("3", "4")
    assert reds(data.images) == list(range(7))
    assert data.labels.tolist() == [0, 1, 0, 1, 0, 1, 0]
    assert reds(data.test_images) == [10, 11]


@pytest.mark.parametrize("kind", ["tfrecord", "array_record"])
def test_images_of_many_sizes_are_decoded_from_the_shard_where_they_lie_also_by_another_process(tmp_path, kind) -> None:
    images = [example({"label": n % 2, "image": png(n, size=4 + n)}) for n in range(8)]
    data = load(f"records:{write(tmp_path / f'pets.{kind}', images)}")
    assert data.name == "pets"
    again = pickle.loads(pickle.dumps(data))
    assert np.array_equal(again.images.at(4), data.images.at(4))
    assert reds(data.images.at(4)) == list(range(8))
    assert prepare(data, Split(0.25, 0.25), 4, "validation").train_images.shape == (4, 4, 4, 3)


def test_imagenet_s_records_say_the_names_of_classes(tmp_path) -> None:
    rows = [
        example({"image/class/label": n % 2 + 1, "image/class/text": name, "image/encoded": png(n)})
        for n, name in enumerate([b"tench", b"goldfish"] * 2)
    ]
    write(tmp_path / "train-00000-of-00001", rows)
    write(tmp_path / "validation-00000-of-00001", rows)
    data = load(f"records:{tmp_path}")
    assert data.classes == ("tench", "goldfish")
    assert data.validation is not None and data.validation.tolist() == [4, 5, 6, 7]


def test_an_index_is_kept_of_shards_too(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(index, "WORTH_KEEPING", 2)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write(tmp_path / "pets" / "pets.tfrecord", records(4))
    first = load(f"records:{tmp_path / 'pets'}").identity
    assert len(list((tmp_path / "cache").rglob("*.parquet"))) == 1
    assert load(f"records:{tmp_path / 'pets'}").identity == first
    write(tmp_path / "pets" / "pets.tfrecord", records(4, first=1))
    assert load(f"records:{tmp_path / 'pets'}").identity != first


@pytest.mark.filterwarnings("ignore:.*cannot be read as an image")
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"no records at all", ": no TFRecord begins at byte 0"),
        (framed(records(3))[:-3], ": the record at byte"),
        (framed([b"\x0a\x03abc"]), "record 0: it is no tf.train.Example"),
        (framed([example({"label": 1})]), "record 0: it has the features label"),
        (framed([example({"image": png(1), "label": [1, 2]})]), "record 0: it has the features image, label"),
        (framed([example({"image": png(n), "label": 1}) for n in range(2)]), "all of one class"),
        (framed([example({"image": b"GIF", "label": n}) for n in range(2)]), "cannot be read as an image"),
        (b"", "no train part"),
    ],
)
def test_what_is_wrong_with_a_shard_is_said_in_a_line(tmp_path, content, said) -> None:
    (tmp_path / "pets.tfrecord").write_bytes(content)
    with pytest.raises(UserError) as error:
        load(f"records:{tmp_path}")
    assert said in str(error.value) and "\n" not in str(error.value)


def test_a_broken_array_record_is_refused(tmp_path) -> None:
    pytest.importorskip("array_record")
    (tmp_path / "pets.array_record").write_bytes(b"no records at all" * 9)
    with pytest.raises(UserError, match=r"pets\.array_record"):
        load(f"records:{tmp_path}")


def test_what_tensorflow_datasets_itself_wrote_is_read(monkeypatch) -> None:
    monkeypatch.setenv("TFDS_DATA_DIR", str(PREPARED))
    data = load("tfds:pets")
    assert data.classes == ("cat", "dog")
    assert dict(zip(reds(data.images), data.labels.tolist(), strict=True)) == {0: 0, 1: 1, 2: 0, 3: 1, 4: 0, 5: 1}
    assert reds(data.test_images) == [10, 11] and data.test_labels.tolist() == [0, 1]


@pytest.fixture
def prepared(tmp_path, monkeypatch) -> Path:
    """The folder of data sets, with two versions of one, as TensorFlow Datasets lays them out."""
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    info = {
        "name": "pets",
        "supervisedKeys": {"tuple": {"items": [{"featureKey": "photo"}, {"featureKey": "species"}]}},
        "splits": [{"name": name} for name in ("train", "test", "extra")],
    }
    for version, shade in (("1.9.0", 0), ("1.10.0", 100)):
        folder = tmp_path / "pets" / version
        rows = [example({"photo": png(shade + n), "label": 7, "species": n % 2}) for n in range(6)]
        write(folder / "pets-train.tfrecord-00000-of-00001", rows)
        write(folder / "pets-test.tfrecord-00000-of-00001", rows[:2])
        write(folder / "pets-extra.tfrecord-00000-of-00001", rows)
        (folder / "dataset_info.json").write_text(json.dumps(info))
        (folder / "species.labels.txt").write_text("cat\ndog\nnewt\n")
    (tmp_path / "pets" / "1.11.0.incompleteABC").mkdir()
    return tmp_path


def test_the_newest_version_that_tensorflow_datasets_prepared_is_read_as_it_describes_it(prepared) -> None:
    with pytest.warns(UserWarning, match="passed over shards of other parts"):
        data = load("tfds:pets")
    assert data.name == "pets"
    assert data.classes == ("cat", "dog")
    assert reds(data.images) == [100, 101, 102, 103, 104, 105]
    assert data.labels.tolist() == [0, 1, 0, 1, 0, 1]
    assert len(data.test_images) == 2
    with pytest.warns(UserWarning):
        assert reds(load("tfds:pets:1.9.0").images) == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("tfds:mnist", "tfds build mnist"),
        ("tfds:pets:3.0.0", "holds 1.9.0, 1.10.0"),
        ("tfds:", "tfds:NAME"),
        ("tfds:configured", "try tfds:configured/large"),
    ],
)
def test_what_is_not_prepared_is_said_with_how_to_prepare_it(prepared, source, said) -> None:
    (prepared / "configured" / "large").mkdir(parents=True)
    with pytest.raises(UserError) as error:
        load(source)
    assert said in str(error.value)


@given(st.binary(max_size=200))
def test_any_bytes_are_an_example_or_refused(content) -> None:
    try:
        found = read_example(memoryview(content), Span(0, len(content)))
    except BadRecordError:
        return
    spans = [span for one in found.values() for span in one.texts]
    assert all(0 <= span.start <= span.end <= len(content) for span in spans)


@given(st.lists(st.binary(max_size=20), max_size=5), st.integers(0, 200))
def test_records_are_found_where_they_were_written_and_cuts_are_seen(written, length) -> None:
    content = framed(written)
    assert [content[slice(*span)] for span in record_spans(memoryview(content))] == written
    ends = {len(framed(written[:count])) for count in range(len(written) + 1)}
    if length < len(content) and length not in ends:
        with pytest.raises(BadRecordError):
            list(record_spans(memoryview(content[:length])))


@given(
    st.dictionaries(
        st.text(max_size=5), st.one_of(st.binary(max_size=9), st.lists(st.integers(-(2**63), 2**63 - 1))), min_size=1
    )
)
def test_features_are_read_as_they_were_written(features) -> None:
    content = memoryview(example(features))
    found = read_example(content, Span(0, len(content)))
    assert found.keys() == features.keys()
    for name, value in features.items():
        texts = [bytes(content[slice(*span)]) for span in found[name].texts]
        assert (texts, found[name].numbers) == (([value], []) if isinstance(value, bytes) else ([], list(value)))
