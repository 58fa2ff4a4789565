"""What a run trains on: the split resolved once, and files that were skipped counted."""

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from scaling_search.config import RunConfig, Split
from scaling_search.errors import UserError
from scaling_search.experiments.images import open_images

pytestmark = pytest.mark.usefixtures("drawn_at_once")


@pytest.fixture
def pets(tmp_path) -> RunConfig:
    for name in ("cat", "dog"):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for number in range(6):
            Image.new("L", (4, 4), number).save(tmp_path / "pets" / name / f"{number}.png")
    config = RunConfig(data=f"folder:{tmp_path / 'pets'}")
    return replace(config, recipe=replace(config.recipe, batch_size=4))


def test_the_split_is_the_datas_own_where_none_is_asked_for(pets) -> None:
    assert open_images(pets).split == Split(validation=0.1, test=0.1)
    assert open_images(replace(pets, split=Split(validation=0.3))).split == Split(validation=0.3, test=0.1)
    assert open_images(RunConfig(data="digits")).split == Split(validation=0.55, test=0.2)


def test_a_small_set_has_every_class_in_every_part(pets) -> None:
    assert open_images(pets).training == 8
    with pytest.raises(UserError, match=r"16 given for 8 training images \(split: 10 % validation, 10 % test"):
        open_images(replace(pets, recipe=RunConfig().recipe))


def test_what_was_skipped_is_counted(pets) -> None:
    assert open_images(pets).counts == {"classes": 2, "training": 8}
    (Path(pets.data.partition(":")[2]) / "cat" / "0.png").write_bytes(b"no image")
    with pytest.raises(UserError, match="on-bad-data skip"):
        open_images(pets)
    with pytest.warns(UserWarning, match="1 file skipped"):
        skipping = open_images(replace(pets, on_bad_data="skip"))
    assert skipping.counts == {"classes": 2, "training": 7, "skipped": 1}
