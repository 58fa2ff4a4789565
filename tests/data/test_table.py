"""Images listed in a CSV file."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scaling_search.config import Split
from scaling_search.data import divide, load
from scaling_search.errors import UserError


@pytest.fixture
def pictures(tmp_path) -> Path:
    (tmp_path / "my photos").mkdir()
    for number in range(6):
        Image.new("L", (4, 4), number).save(tmp_path / "my photos" / f"{number}.png")
    return tmp_path


def table(folder: Path, text: str | bytes) -> str:
    (folder / "list.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    return f"csv:{folder / 'list.csv'}"


def values(images: object) -> list[int]:
    assert isinstance(images, np.ndarray)
    return [int(value) for value in images[:, 0, 0, 0]]


def rows(labels: str, *, header: str = "path,label", comma: str = ",") -> str:
    lines = (f"my photos/{number}.png{comma}{label}" for number, label in enumerate(labels.split()))
    return "\n".join([header, *lines])


def test_rows_are_images_and_labels_their_classes(pictures) -> None:
    data = load(table(pictures, rows("dog cat dog cat dog été")))
    assert values(data.images) == [0, 1, 2, 3, 4, 5]
    assert data.classes == ("cat", "dog", "été")
    assert data.labels.tolist() == [1, 0, 1, 0, 1, 2]
    assert data.name == "list"


def test_numbers_are_classes_in_their_own_order(pictures) -> None:
    data = load(table(pictures, rows("10 9 2 9 10 2")))
    assert data.classes == ("2", "9", "10")
    assert data.labels.tolist() == [2, 1, 0, 1, 2, 0]


@pytest.mark.parametrize(
    ("header", "comma"),
    [("Image,Label", ","), ("filename;class", ";"), ("FILE\tTarget", "\t"), ("\ufeffpath,label", ",")],
)
def test_columns_have_the_names_people_give_them(pictures, header, comma) -> None:
    assert load(table(pictures, rows("a b a b a b", header=header, comma=comma))).classes == ("a", "b")


def test_columns_come_in_any_order_quoted_and_beside_others(pictures) -> None:
    lines = [f'{number},"my photos/{number}.png",{"ab"[number % 2]}' for number in range(6)]
    data = load(table(pictures, "\r\n".join(["id,path,label", *lines, "", ""])))
    assert data.labels.tolist() == [0, 1, 0, 1, 0, 1]


def test_a_split_column_gives_the_datas_own_parts(pictures) -> None:
    parts = ["test", "TRAIN", "val", "train", "Test", "valid"]
    lines = [f"my photos/{number}.png,{'ab'[number % 2]},{part}" for number, part in enumerate(parts)]
    lines[3] = "my photos/3.png,a,"
    lines[2], lines[5] = "my photos/2.png,a,val", "my photos/5.png,b,valid"
    data = load(table(pictures, "\n".join(["path,label,split", *lines, "my photos/4.png,b,test"])))
    division = divide(data, Split())
    assert isinstance(data.images, np.ndarray)
    assert values(data.images[division.train]) == [1, 3]
    assert values(data.images[division.validation]) == [2, 5]
    assert values(data.test_images) == [0, 4, 4]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "list.csv is empty"),
        ("path,label", "there are no training images"),
        ("a,b\nx,y", "has the columns a, b; one must be called path"),
        ("path,name\nx,y", "one must be called label"),
        ("path,label\nx.png,", "line 2 has no label"),
        ("path,label\n,cat", "line 2 has no path"),
        ("path,label\nx.png", "line 2 has no label"),
        ("path,label\nx.png,cat\ny.png,cat", "the training images are all of one class"),
        ("path,label,split\nx.png,cat,holdout", "line 2: split 'holdout' given; it is one of train,"),
        ("path,label,split\nx,a,\ny,b,\nz,c,test", "z in the test part has label 'c'"),
        ("path,label\nx.png,cat\ny.png,dog", r"x.png cannot be read as an image \(No such file"),
        (b"\xff\xfe\x00\x01", "not text in UTF-8"),
        ('path,label\n"' + "x" * 200_000, "line 2: field larger than"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*cannot be read as an image")
def test_what_does_not_fit_is_said_with_its_line(tmp_path, text, said) -> None:
    with pytest.raises(UserError, match=said) as error:
        load(table(tmp_path, text))
    assert "\n" not in str(error.value)


def test_a_table_that_is_not_there_is_said(tmp_path) -> None:
    for place, said in ((tmp_path / "none.csv", "there is no file"), (tmp_path, "is a folder")):
        with pytest.raises(UserError, match=said):
            load(f"csv:{place}")
