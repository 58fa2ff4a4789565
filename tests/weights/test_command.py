"""The command `weights`, from files to files."""

import json

import numpy as np
import pytest
from flax import nnx

from scaling_search.cli import main
from scaling_search.family import load_family
from scaling_search.rule import Scale
from scaling_search.weights.bundle import read_bundle, write_bundle
from scaling_search.weights.description import Description
from scaling_search.weights.files import read_arrays, write_arrays
from scaling_search.weights.transfer import export_weights, namings_of

TINY = load_family("efficientnet_tiny")
TIMM = namings_of(TINY)["timm"]


@pytest.fixture(scope="module")
def network():
    return TINY.build(Scale(), 4, rngs=nnx.Rngs(1))


def run(*words):
    main(["weights", *map(str, words), "--format", "json"])


def test_an_import_names_what_it_stripped_and_left_out(network, tmp_path, capsys):
    arrays = {f"model.{name}": array for name, array in export_weights(network, TIMM).items()}
    write_arrays(tmp_path / "w.safetensors", arrays | {"criterion.weight": np.ones(4, np.float32)}, {})
    run("import", tmp_path / "w.safetensors", "--network", "efficientnet_tiny", "-o", tmp_path / "own.safetensors")
    out, err = capsys.readouterr()
    assert json.loads(out)[0]["naming"] == "timm"
    assert "note: stripped 'model.' from the names of tensors" in err
    assert "criterion.weight" in err
    own = export_weights(network, None)
    np.testing.assert_array_equal(read_arrays(tmp_path / "own.safetensors")["head.kernel"], own["head.kernel"])


def test_an_import_without_a_head_gets_a_new_one_of_1000_classes(network, tmp_path, capsys):
    arrays = {name: array for name, array in export_weights(network, TIMM).items() if "classifier" not in name}
    write_arrays(tmp_path / "w.safetensors", arrays, {})
    run("import", tmp_path / "w.safetensors", "--network", "efficientnet_tiny", "-o", tmp_path / "own.safetensors")
    assert "note: the weights have no head: the network's is new and untrained" in capsys.readouterr().err
    assert read_arrays(tmp_path / "own.safetensors")["classifier.bias"].shape == (1000,)


def test_weights_that_say_what_they_are_for_need_no_network_to_be_named(network, tmp_path, capsys):
    description = Description(
        "efficientnet_tiny", (), Scale(), ("a", "b", "c", "d"), (0.5, 0.5, 0.5), (0.2, 0.2, 0.2), 16
    )
    write_bundle(tmp_path / "w.safetensors", network, description)
    run("export", tmp_path / "w.safetensors", "--naming", "huggingface", "-o", tmp_path / "folder")
    run("import", tmp_path / "folder", "-o", tmp_path / "again.safetensors")
    read, found = read_bundle(tmp_path / "again.safetensors")
    assert found == description
    np.testing.assert_array_equal(read.stem.kernel, network.stem.kernel)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["import", "w.safetensors"], "do not say which network they are for"),
        (["export", "w.safetensors"], "no file to export to given"),
        (["convert", "w.safetensors"], "no file to convert to given"),
        (["convert", "w.safetensors", "-o", "x.safetensors"], "safetensors already"),
        (["convert", "none.pth", "-o", "x.safetensors"], "there is no such file"),
        (["import", "w.safetensors", "--network", "efficientnet_tiny", "--averaged"], "no averaged copy"),
        (["export", "w.safetensors", "--network", "efficientnet_tiny", "--naming", "keras", "-o", "x"], "keras"),
        (
            ["export", "w.safetensors", "--network", "efficientnet_tiny", "--naming", "huggingface", "-o", "x"],
            "needs to know classes and pixels",
        ),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(words, complaint, network, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_arrays("w.safetensors", export_weights(network, TIMM), {})
    with pytest.raises(SystemExit) as raised:
        run(*words)
    assert raised.value.code not in (0, None)
    err = capsys.readouterr().err
    assert complaint in err
    assert len(err.strip().splitlines()) == 1


def test_a_checkpoint_is_converted_and_says_what_it_found(tmp_path, capsys):
    torch = pytest.importorskip("torch")
    state = {"a": torch.ones(2, dtype=torch.bfloat16), "n": torch.tensor(5)}
    torch.save({"net": state, "net_ema": {"a": torch.zeros(2)}, "epoch": 3}, tmp_path / "w.pth")
    run("convert", tmp_path / "w.pth", "-o", tmp_path / "w.safetensors")
    out, err = capsys.readouterr()
    assert json.loads(out)[0]["found_under"] == "net"
    assert "--averaged" in err
    np.testing.assert_array_equal(read_arrays(tmp_path / "w.safetensors")["a"], np.ones(2, np.float32))
    run("convert", tmp_path / "w.pth", "--averaged", "-o", tmp_path / "w.safetensors")
    np.testing.assert_array_equal(read_arrays(tmp_path / "w.safetensors")["a"], np.zeros(2, np.float32))
