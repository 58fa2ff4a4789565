"""`predict` and `evaluate` by weights that say what they are for, and by such that do not."""

import json

import numpy as np
import pytest
from flax import nnx
from PIL import Image

from scaling_search.cli import main
from scaling_search.networks.efficientnet import EFFICIENTNET_TINY
from scaling_search.rule import Scale
from scaling_search.weights.bundle import write_bundle
from scaling_search.weights.description import Description
from scaling_search.weights.files import write_arrays
from scaling_search.weights.transfer import export_weights


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("judging")
    network = EFFICIENTNET_TINY.build(Scale(), 10, rngs=nnx.Rngs(3))
    classes = tuple(str(digit) for digit in range(10))
    about = Description("efficientnet_tiny", (), Scale(), classes, (0.3,) * 3, (0.4,) * 3, 16)
    write_bundle(place / "described.safetensors", network, about)
    write_arrays(place / "plain.safetensors", export_weights(network, None), {})
    pictures = np.random.default_rng(0).integers(0, 255, (3, 20, 24, 3)).astype(np.uint8)
    (place / "pictures").mkdir()
    for number, pixels in enumerate(pictures):
        Image.fromarray(pixels).save(place / "pictures" / f"{number}.png")
    (place / "pictures" / "notes.txt").write_text("not a picture")
    (place / "bad").mkdir()
    (place / "bad" / "text.jpg").write_text("not a picture")
    (place / "bad" / "empty.png").touch()
    Image.fromarray(pictures[0]).save(place / "bad" / "without_ending", "PNG")
    return place


def printed(words, capsys):
    main([*map(str, words), "--format", "json"])
    return json.loads(capsys.readouterr().out)


def test_pictures_and_folders_of_them_are_predicted(folder, capsys):
    pictures = folder / "pictures"
    rows = printed(["predict", folder / "described.safetensors", pictures, pictures / "1.png", "--top", 2], capsys)
    assert [row["picture"] for row in rows[::2]] == [str(pictures / f"{number}.png") for number in (0, 1, 2, 1)]
    assert rows[2:4] == rows[6:8] and rows[0]["probability"] >= rows[1]["probability"]
    assert {row["class"] for row in rows} <= {str(digit) for digit in range(10)}


@pytest.mark.filterwarnings("always")
def test_bad_files_are_named_one_by_one_and_left_out_where_asked(folder, capsys):
    words = ["predict", folder / "described.safetensors", folder / "bad", "--top", 1]
    with pytest.raises(SystemExit):
        main([*map(str, words)])
    said = capsys.readouterr()
    *each, refused = said.err.splitlines()
    assert ["empty.png" in each[0], "text.jpg" in each[1], len(each)] == [True, True, 2]
    assert not said.out and "and 1 more" in refused and "--on-bad-data skip" in refused
    main([*map(str, words), "--on-bad-data", "skip", "--format", "csv"])
    said = capsys.readouterr()
    assert said.err.splitlines() == each
    assert said.out.splitlines()[1].startswith(str(folder / "bad" / "without_ending"))


def test_weights_that_do_not_say_what_they_are_for_need_a_network(folder, capsys):
    words = ["predict", folder / "plain.safetensors", folder / "pictures" / "0.png"]
    with pytest.raises(SystemExit):
        main([*map(str, words)])
    assert "--network" in capsys.readouterr().err
    rows = printed([*words, "--network", "efficientnet_tiny", "--resolution", 16], capsys)
    assert len(rows) == 5


def test_evaluation_counts_the_test_part(folder, tmp_path, capsys):
    file = tmp_path / "confusion.png"
    main(["evaluate", str(folder / "described.safetensors"), "--data", "digits", "-o", str(file), "--format", "json"])
    out = capsys.readouterr().out
    found = json.loads(out[: out.rindex("}") + 1])
    assert found["images"] == sum(row["images"] for row in found["classes"]) == 359
    assert 0 <= found["top1"] <= found["top5"] <= 1 and 0 <= found["calibration_error"] <= 1
    assert file.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["predict", "/no/such.safetensors", "x.png"], "there is no such file"),
        (["predict", "described.safetensors"], "no picture given"),
        (["predict", "described.safetensors", "nowhere.png"], "nowhere.png"),
        (["evaluate", "described.safetensors", "--data", "glyphs:128"], "32 classes"),
        (["evaluate", "described.safetensors", "--data", "digits", "-o", "confusion.jpg"], ".png"),
    ],
)
def test_bad_input_is_one_line(folder, words, complaint, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    with pytest.raises(SystemExit) as stop:
        main(words)
    (line,) = capsys.readouterr().err.splitlines()
    assert stop.value.code == 2 and complaint in line
