"""Images that are decoded while a network trains give the numbers of those that lie in memory, whoever decodes them."""

import threading
import time
import warnings

import numpy as np
import pytest

from scaling_search.config import Split
from scaling_search.data import ImageData, encoded, evaluation_batches, prepare, training_batches
from scaling_search.data.batches import EpochBatches
from scaling_search.data.pictures import decode
from scaling_search.data.stream import ahead, noting_waits, stream
from scaling_search.data.views import Squares
from scaling_search.recipe import Recipe

RECIPES = [
    Recipe(augment="shift_flip", batch_size=6, erasing=0.5),
    Recipe(augment="crop_flip", batch_size=6, policy="randaugment", cutmix=1.0),
]


def batches(data: ImageData, recipe: Recipe, epoch: int = 1) -> EpochBatches:
    return EpochBatches(prepare(data, Split(), 16, "validation", recipe), recipe, 0, epoch)


def same(first, second) -> bool:
    flat = [[batch, *(labels if isinstance(labels, tuple) else (labels,))] for batch, labels in (first, second)]
    return all(np.array_equal(one, other) for one, other in zip(*flat, strict=True))


@pytest.mark.parametrize("recipe", RECIPES)
def test_what_memory_does_not_hold_is_decoded_as_it_is_used_and_gives_the_same(
    photographs, recipe, monkeypatch
) -> None:
    whole = prepare(photographs, Split(), 16, "validation", recipe)
    monkeypatch.setattr(encoded, "IN_MEMORY", 0.0)
    streamed = prepare(photographs, Split(), 16, "validation", recipe)
    assert isinstance(streamed.eval_images, Squares)
    for name in ("mean", "std"):
        assert np.array_equal(getattr(streamed, name), getattr(whole, name))
    judged = [list(evaluation_batches(one.eval_images, one.eval_labels, 3)) for one in (whole, streamed)]
    assert all(np.array_equal(a, b) for one, two in zip(*judged, strict=True) for a, b in zip(one, two, strict=True))
    assert np.array_equal(np.stack(list(streamed.eval_images)), whole.eval_images)
    first, second = (EpochBatches(one, recipe, 0, 1) for one in (whole, streamed))
    assert len(first) == len(second) == 5
    assert all(same(first[number], second[number]) for number in range(5))


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_batch_is_a_function_of_its_number(photographs, recipe) -> None:
    again = batches(photographs, recipe)
    backwards = [again[number] for number in reversed(range(5))][::-1]
    assert all(same(one, two) for one, two in zip(ahead(batches(photographs, recipe)), backwards, strict=True))
    assert not same(batches(photographs, recipe, 2)[0], backwards[0])


def test_any_number_of_threads_makes_the_same_and_a_position_can_be_saved(photographs) -> None:
    pytest.importorskip("grain")
    source = batches(photographs, RECIPES[1])
    expected = [source[number] for number in range(len(source))]
    for threads in (1, 3):
        assert all(same(*pair) for pair in zip(stream(source, threads), expected, strict=True))
    reader = stream(source, 2)
    next(reader), next(reader)
    position = reader.get_state()
    resumed = stream(source, 3)
    resumed.set_state(position)
    assert all(same(*pair) for pair in zip(resumed, expected[2:], strict=True))


@pytest.mark.parametrize("recipe", RECIPES)
def test_an_epoch_taken_up_at_any_step_goes_on_with_the_same_batches(photographs, recipe) -> None:
    images = prepare(photographs, Split(), 16, "validation", recipe)
    whole = list(training_batches(images, recipe, seed=3, epoch=2))
    for step in range(len(whole) + 1):
        rest = list(training_batches(images, recipe, seed=3, epoch=2, start=step))
        assert len(rest) == len(whole) - step
        assert all(same(*pair) for pair in zip(rest, whole[step:], strict=True))


def test_the_time_until_a_batch_is_there_is_noted() -> None:
    def slowly():
        for number in range(3):
            time.sleep(0.02)
            yield number

    seconds: dict[str, float] = {}
    assert list(noting_waits(slowly(), seconds)) == [0, 1, 2]
    assert seconds["data"] >= 0.06


def test_threads_that_decode_leave_the_filters_of_warnings_as_they_were(photographs) -> None:
    content = photographs.images[:1].contents.read(0)
    before = list(warnings.filters)
    threads = [threading.Thread(target=lambda: [decode(content) for _ in range(50)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(warnings.filters) == before
