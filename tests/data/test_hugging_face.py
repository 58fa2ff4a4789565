"""Images in Arrow and Parquet tables, in the layouts that Hugging Face's `datasets` writes."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from scaling_search.config import Split
from scaling_search.data import divide, load, resize
from scaling_search.errors import UserError


def encoded(value: int, size: tuple[int, int] = (4, 4)) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", size, value).save(buffer, "PNG")
    return buffer.getvalue()


def rows(
    values: list[int],
    labels: list[Any],
    *,
    names: list[str] | None = None,
    struct: bool = True,
    columns: tuple[str, str] = ("image", "label"),
) -> pa.Table:
    images = [encoded(value) for value in values]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())]) if struct else pa.binary()
    column = pa.array([{"bytes": image, "path": None} for image in images] if struct else images, kind)
    table = pa.table({columns[0]: column, columns[1]: labels})
    features = {columns[0]: {"_type": "Image"}, columns[1]: {"names": names, "_type": "ClassLabel"}}
    about = json.dumps({"info": {"features": features}})
    return table.replace_schema_metadata({"huggingface": about}) if names else table


def parquet(file: Path, table: pa.Table) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, file)
    return file


def arrow(file: Path, table: pa.Table, *, stream: bool = True) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    with pa.OSFile(str(file), "wb") as sink:
        writer = pa.ipc.new_stream(sink, table.schema) if stream else pa.ipc.new_file(sink, table.schema)
        writer.write_table(table)
        writer.close()
    return file


def values(images: Any) -> list[int]:
    return [int(value) for value in images[:, 0, 0, 0]]


NAMES = ["cat", "dog"]


def test_what_save_to_disk_writes_is_read_with_its_parts(tmp_path) -> None:
    for part, numbers in (("train", [1, 2, 3, 4, 5, 6]), ("validation", [7, 8]), ("test", [9, 10])):
        labels = [number % 2 for number in numbers]
        half = len(numbers) // 2
        for shard, some in ((0, slice(0, half)), (1, slice(half, None))):
            file = tmp_path / part / f"data-0000{shard}-of-00002.arrow"
            arrow(file, rows(numbers[some], labels[some], names=NAMES))
        (tmp_path / part / "state.json").write_text("{}")
        (tmp_path / part / "cache-1234.arrow").write_bytes(b"a computation's")
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["train", "validation", "test"]}')
    data = load(f"hf:{tmp_path}")
    division = divide(data, Split())
    assert data.classes == ("cat", "dog")
    assert values(data.images)[:6] == [1, 2, 3, 4, 5, 6]
    assert data.labels.tolist() == [1, 0, 1, 0, 1, 0, 1, 0]
    assert values(data.images[division.validation]) == [7, 8]
    assert values(data.test_images) == [9, 10]


@pytest.mark.parametrize("folder", ["", "data", "default/train"])
@pytest.mark.parametrize("struct", [True, False])
def test_parquet_files_belong_to_the_part_they_are_called(tmp_path, folder, struct) -> None:
    parquet(tmp_path / folder / "train-00000-of-00001.parquet", rows([1, 2, 3], [0, 1, 1], struct=struct))
    parquet(tmp_path / folder / "test-00000-of-00001.parquet", rows([4, 5], [0, 1], struct=struct))
    data = load(f"hf:{tmp_path}")
    assert (values(data.images), values(data.test_images)) == ([1, 2, 3], [4, 5])
    assert data.classes == ("0", "1")


@pytest.mark.parametrize("stream", [True, False])
def test_one_file_is_data_without_parts(tmp_path, stream) -> None:
    for file in (
        arrow(
            tmp_path / "pets.arrow", rows([1, 2, 3], ["cat", "dog", "cat"], columns=("img", "labels")), stream=stream
        ),
        parquet(tmp_path / "pets.parquet", rows([1, 2, 3], ["cat", "dog", "cat"], columns=("img", "labels"))),
    ):
        data = load(f"hf:{file}")
        assert (data.name, data.classes, data.labels.tolist()) == ("pets", ("cat", "dog"), [0, 1, 0])
        assert data.test_images is None


def test_names_that_no_image_has_are_left_out(tmp_path) -> None:
    parquet(tmp_path / "train.parquet", rows([1, 2], [1, 3], names=["ant", "bee", "cat", "dog"]))
    data = load(f"hf:{tmp_path}")
    assert (data.classes, data.labels.tolist()) == (("bee", "dog"), [0, 1])


def test_images_of_different_sizes_are_decoded_when_their_side_is_known(tmp_path) -> None:
    table = pa.table({"image": [encoded(10, (8, 4)), encoded(20, (5, 9))], "label": ["a", "b"]})
    data = load(f"hf:{parquet(tmp_path / 'train.parquet', table)}")
    assert resize(data.images, 4)[..., 0].reshape(2, -1).tolist() == [[10] * 16, [20] * 16]


@pytest.mark.filterwarnings("ignore:.*cannot be read as an image")
def test_a_bad_row_is_named_or_skipped(tmp_path) -> None:
    table = pa.table({"image": [encoded(1), b"no image", encoded(2), None], "label": ["a", "b", "b", "a"]})
    parquet(tmp_path / "pets.parquet", table)
    with pytest.warns(UserWarning), pytest.raises(UserError, match=r"row 1 cannot be read as an image \(not an image"):
        load(f"hf:{tmp_path / 'pets.parquet'}")
    with pytest.warns(UserWarning, match="2 files skipped"):
        data = load(f"hf:{tmp_path / 'pets.parquet'}", "skip")
    assert (len(data.images), data.skipped) == (2, 2)


@pytest.mark.parametrize(
    ("name", "table", "said"),
    [
        ("a.txt", None, "holds no .parquet or .arrow files"),
        ("train.parquet", None, "cannot be read"),
        ("train.arrow", None, "cannot be read"),
        ("train.parquet", pa.table({"x": [1]}), "has the columns x"),
        ("train.parquet", pa.table({"image": [b""], "label": pa.array([None], pa.int64())}), "row 0 has no label"),
        ("test.parquet", rows([1, 2], [0, 1]), "holds no train part"),
        ("train.parquet", rows([1, 2], [0, 0]), "all of one class"),
        ("train.parquet", rows([1, 2], [0, 7], names=NAMES), "an image has label '7'; the classes are cat, dog"),
        (
            "train.parquet",
            pa.table({"image": [{"bytes": None, "path": "a.jpg"}], "label": [0]}),
            "the image of row 0 is only named, a.jpg",
        ),
    ],
)
def test_what_does_not_fit_is_said_in_one_line(tmp_path, name, table, said) -> None:
    (tmp_path / name).write_bytes(b"no table")
    if table is not None:
        parquet(tmp_path / name, table)
    with pytest.raises(UserError, match=said) as error:
        load(f"hf:{tmp_path}")
    assert "\n" not in str(error.value)


def test_a_name_of_the_hub_is_told_how_to_be_saved() -> None:
    with pytest.raises(UserError, match=r"datasets.load_dataset\('ylecun/mnist'\).save_to_disk"):
        load("hf:ylecun/mnist")


def test_encoded_images_in_memory_go_to_workers_as_they_are(tmp_path) -> None:
    import pickle

    table = pa.table({"image": [encoded(10, (8, 4)), encoded(20, (5, 9))], "label": ["a", "b"]})
    data = load(f"hf:{parquet(tmp_path / 'train.parquet', table)}")
    (tmp_path / "train.parquet").unlink()
    assert np.array_equal(resize(pickle.loads(pickle.dumps(data)).images, 4), resize(data.images, 4))
