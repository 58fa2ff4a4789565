import numpy as np
import pytest
from PIL import Image

from scaling_search.data.pictures import normalised, read_picture
from scaling_search.errors import UserError


def test_the_middle_is_taken(tmp_path):
    pixels = np.zeros((128, 200, 3), np.uint8)
    pixels[20:108, 56:144] = 255  # The middle 88 by 88.
    Image.fromarray(pixels).save(tmp_path / "a.png")
    picture = read_picture(tmp_path / "a.png", 96)  # 96 / 128 of 128 pixels: 4 black ones on each side of the middle.
    assert picture.shape == (96, 96, 3)
    assert picture[0, 48].max() == 0 and picture[48, 0].max() == 0
    assert (picture[6:90, 6:90] == 255).all()


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK"])
def test_other_kinds_of_pixels_become_rgb(mode, tmp_path):
    Image.new("RGB", (50, 40), (200, 200, 200)).convert(mode).save(tmp_path / "a.tiff")
    assert read_picture(tmp_path / "a.tiff", 32).shape == (32, 32, 3)


@pytest.mark.parametrize(("name", "complaint"), [("none.png", "no such file"), ("text.png", "cannot be read")])
def test_what_is_no_picture_is_said(name, complaint, tmp_path):
    (tmp_path / "text.png").write_text("not a picture")
    with pytest.raises(UserError, match=complaint):
        read_picture(tmp_path / name, 32)


def test_normalisations():
    pixels = np.array([[0, 127, 255]], np.uint8)
    np.testing.assert_allclose(normalised(pixels, "half"), [[-1, -1 / 255, 1]], atol=1e-6)
    np.testing.assert_allclose(normalised(pixels, "lite"), [[-127 / 128, 0, 1]], atol=1e-6)
    np.testing.assert_allclose(normalised(pixels, "imagenet")[0, 0], -0.485 / 0.229, rtol=1e-6)
