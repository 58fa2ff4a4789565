"""Random resized crops in training, and what evaluation sees beside them."""

import dataclasses
import io

import numpy as np
import pytest
from PIL import Image

from scaling_search.config import Split
from scaling_search.data import ImageData, from_arrays, prepare, training_batches
from scaling_search.data.pictures import decode, seen
from scaling_search.data.resize import resized
from scaling_search.data.views import Views, draw_box
from scaling_search.recipe import Recipe
from tests.data.conftest import slopes

CROPS = Recipe(augment="crop_flip", batch_size=10)


def test_boxes_have_the_published_areas_and_aspects_and_lie_inside() -> None:
    rng = np.random.default_rng(0)
    boxes = np.array([draw_box(500, 375, 0.08, rng) for _ in range(4000)])
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, 2] <= 500).all()
    assert (boxes[:, 3] <= 375).all()
    across, down = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    areas = across * down / (500 * 375)
    assert areas.min() > 0.079
    assert areas.max() > 0.95
    assert 0.4 < areas.mean() < 0.54
    assert (across / down).min() > 0.74
    assert (across / down).max() < 1.35
    assert np.isclose(np.log(across / down).mean(), 0, atol=0.05)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (3, 1000), (1000, 3)])
def test_an_image_that_no_crop_fits_gives_its_middle(width, height) -> None:
    for seed in range(20):
        box = draw_box(width, height, 0.9, np.random.default_rng(seed))
        assert 0 <= box.left < box.right <= width
        assert 0 <= box.top < box.bottom <= height


def test_a_crop_is_the_part_of_the_image_that_its_box_says() -> None:
    image = slopes()
    for number in range(20):
        box = draw_box(90, 60, 0.2, np.random.default_rng(number))
        crop = resized(image, 16, box, Image.Resampling.BILINEAR).astype(float)
        assert np.isclose(crop[..., 0].mean(), 255 * ((box.left + box.right) / 2 - 0.5) / 89, atol=2)
        assert np.isclose(crop[..., 1].mean(), 255 * ((box.top + box.bottom) / 2 - 0.5) / 59, atol=2)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize("least", [None, 40])
def test_a_crop_of_an_encoded_image_is_upright_and_reduced_where_that_will_do(orientation, least) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    encoded = io.BytesIO()
    Image.fromarray(slopes(240, 160)).save(encoded, "jpeg", quality=98, exif=exif)
    picture = decode(encoded.getvalue(), least=least)
    whole = np.asarray(decode(encoded.getvalue()).image)
    box = (20, 30, 120, 140)
    assert np.abs(picture.crop(box, 24).astype(int) - resized(whole, 24, box, Image.Resampling.BILINEAR)).max() <= 12
    assert np.abs(picture.crop(box, 24).astype(int) - resized(whole, 24, box, Image.Resampling.BILINEAR)).mean() < 2


def batches(data: ImageData, recipe: Recipe = CROPS, *, seed: int = 0, epoch: int = 1):
    prepared = prepare(data, Split(), 16, "validation", recipe)
    return [images for images, _ in training_batches(prepared, recipe, seed=seed, epoch=epoch)]


def test_training_sees_other_crops_in_each_epoch_and_the_same_by_the_same_seed(photographs) -> None:
    first = np.concatenate(batches(photographs))
    assert first.shape == (30, 16, 16, 3)
    assert first.dtype == np.uint8
    assert np.array_equal(first, np.concatenate(batches(photographs)))
    assert not np.array_equal(first, np.concatenate(batches(photographs, epoch=2)))
    assert not np.array_equal(first, np.concatenate(batches(photographs, seed=1)))


def test_about_half_of_the_crops_are_mirrored(photographs) -> None:
    def mirrored(recipe: Recipe) -> float:
        seen = np.concatenate([image for epoch in range(4) for image in batches(photographs, recipe, epoch=epoch)])
        rise = seen[:, :, -1, :2].astype(float).mean(1) - seen[:, :, 0, :2].astype(float).mean(1)
        # Pictures that were turned have their slopes the other way round.
        steepest = np.take_along_axis(rise, np.abs(rise).argmax(1)[:, None], 1)
        return float((steepest < 0).mean())

    plain = mirrored(dataclasses.replace(CROPS, augment="crop"))
    assert plain < 0.45
    assert abs(mirrored(CROPS) - 0.5) < 0.15


def test_an_image_is_a_function_of_seed_epoch_and_its_number_alone(photographs) -> None:
    one = prepare(photographs, Split(), 16, "validation", CROPS)
    reverse = dataclasses.replace(one, train_labels=np.arange(len(one.train_labels)))
    by_number = {}
    for size in (10, 7):
        recipe = dataclasses.replace(CROPS, batch_size=size)
        for images, labels in training_batches(reverse, recipe, seed=3, epoch=5):
            for image, number in zip(images, labels, strict=True):
                assert np.array_equal(by_number.setdefault(int(number), image), image)


def test_evaluation_sees_the_central_part_after_crops_and_all_of_the_middle_without() -> None:
    data = from_arrays(np.broadcast_to(slopes(80, 60), (30, 60, 80, 3)).copy(), np.arange(30) % 2)
    whole = prepare(data, Split(), 21, "validation").eval_images[0].astype(float)
    central = prepare(data, Split(), 21, "validation", CROPS).eval_images[0].astype(float)
    spans = [image[10, -1, 0] - image[10, 0, 0] for image in (whole, central)]
    assert np.isclose(spans[1] / spans[0], 0.875, atol=0.02)
    assert np.isclose(whole.mean(), central.mean(), atol=1)


def test_small_images_are_not_enlarged_to_be_cropped() -> None:
    assert seen(0.875, 16, 100) == 0.875
    assert seen(0.875, 16, 17) == 16 / 17
    assert seen(0.875, 16, 16) == seen(0.875, 16, 8) == 1
    assert seen(1.0, 16, 100) == 1


def test_grey_images_and_floats_are_cropped_too() -> None:
    for images in (np.zeros((30, 20, 30, 1), np.uint8), np.ones((30, 20, 30, 3), np.float32)):
        prepared = prepare(from_arrays(images, np.arange(30) % 2), Split(), 8, "validation", CROPS)
        assert isinstance(prepared.train_images, Views)
        batch, _ = next(training_batches(prepared, CROPS, seed=0, epoch=0))
        assert batch.shape == (10, 8, 8, 3)
        assert batch.dtype == images.dtype
