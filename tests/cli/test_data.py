"""`data stat` and `data show`."""

import json

import pytest
from PIL import Image

from scaling_search.cli import main


def test_stat_says_what_images_hold(capsys):
    main(["data", "stat", "digits", "--format", "json"])
    found = json.loads(capsys.readouterr().out)
    assert found["images"] == 1797 and found["size"] == "8x8" and found["channels"] == 1
    parts = [sum(row[part] for row in found["classes"]) for part in ("train", "validation", "test")]
    assert len(found["classes"]) == 10 and sum(parts) == 1797


def test_stat_prints_a_table_of_classes(capsys):
    main(["data", "stat", "digits"])
    text = capsys.readouterr().out
    assert "digits" in text and "train" in text and "validation" in text


def test_show_writes_a_contact_sheet(tmp_path, capsys):
    file = tmp_path / "sheet.png"
    main(
        [
            "data",
            "show",
            "digits",
            "--resolution",
            "16",
            "--count",
            "20",
            "--augment",
            "crop_flip",
            "--policy",
            "autoaugment",
            "-o",
            str(file),
        ]
    )
    assert capsys.readouterr().out == f"{file}\n"
    with Image.open(file) as sheet:
        assert sheet.format == "PNG" and min(sheet.size) > 3 * 16


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["stat", "nowhere"], "images come from"),
        (["show", "digits"], "try --output"),
        (["show", "digits", "-o", "sheet.jpg"], "must end in .png"),
        (["show", "digits", "-o", "/no/such/sheet.png"], "is not a folder"),
        (["show", "digits", "--resolution", "0", "-o", "sheet.png"], "resolution 0"),
        (["show", "digits", "--count", "0", "-o", "sheet.png"], "at least 1"),
    ],
)
def test_bad_input_is_one_line(words, complaint, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["data", *words])
    (line,) = capsys.readouterr().err.splitlines()
    assert stop.value.code == 2 and complaint in line
