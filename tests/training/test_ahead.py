from collections.abc import Callable
from dataclasses import replace
from threading import Event, current_thread, main_thread

import pytest

from scaling_search.training.ahead import Ahead
from scaling_search.trial import Spec
from tests.runners.fake_training import seeds_of

FIRST, SECOND = (seeds_of(name, 0)[0] for name in "ab")


@pytest.fixture
def ahead() -> Ahead[str]:
    return Ahead()


def makes(made: list[Spec]) -> Callable[[Spec], str]:
    def make(spec: Spec) -> str:
        made.append(spec)
        return f"{spec.key} {'here' if current_thread() is main_thread() else 'ahead'}"

    return make


def test_what_was_begun_is_taken_and_made_once(ahead: Ahead[str]) -> None:
    made: list[Spec] = []
    ahead.following = SECOND
    assert ahead.take(FIRST, makes(made)) == (f"{FIRST.key} here", None)
    ahead.begin(makes(made))
    ahead.begin(makes(made))
    found, waited = ahead.take(SECOND, makes(made))
    assert found == f"{SECOND.key} ahead" and waited is not None
    assert made == [FIRST, SECOND]
    assert ahead.take(SECOND, makes(made))[0] == f"{SECOND.key} here"


def test_a_wrong_guess_keeps_nobody_waiting(ahead: Ahead[str]) -> None:
    end = Event()
    ahead.following = SECOND
    ahead.begin(lambda spec: str(end.wait()))
    assert ahead.take(replace(SECOND, seed=7), lambda spec: "now") == ("now", None)
    end.set()


def test_without_a_guess_nothing_is_begun(ahead: Ahead[str]) -> None:
    made: list[Spec] = []
    ahead.begin(makes(made))
    assert ahead.take(FIRST, makes(made))[1] is None
    assert made == [FIRST]


def test_what_goes_wrong_ahead_is_raised_where_it_is_needed(ahead: Ahead[str]) -> None:
    def fail(spec: Spec) -> str:
        raise ValueError(spec.key)

    ahead.following = SECOND
    ahead.begin(fail)
    assert ahead.take(FIRST, lambda spec: "fine")[0] == "fine"
    ahead.begin(fail)
    with pytest.raises(ValueError, match=SECOND.key):
        ahead.take(SECOND, fail)
