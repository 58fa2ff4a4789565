"""Some inputs of every target, whose choices Hypothesis makes, so that one that fails is made smaller."""

import warnings

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz import campaign
from tests.fuzz.__main__ import has
from tests.fuzz.targets import TARGETS, made

EXAMPLES = {"run": 10, "orbax": 5, "table": 40, "images": 40, "records": 40, "torch": 40}


@pytest.mark.parametrize("name", TARGETS)
def test_what_is_altered_is_read_or_refused(name) -> None:
    if not has(TARGETS[name].needs):
        pytest.skip(f"needs {TARGETS[name].needs}")
    read, mutate = made(name)

    @settings(max_examples=EXAMPLES.get(name, 120), suppress_health_check=list(HealthCheck))
    @given(st.randoms(use_true_random=False))
    def check(random) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            read(mutate(random))

    check()


def test_an_input_is_known_by_its_number() -> None:
    assert campaign.input_of("safetensors", 7) == campaign.input_of("safetensors", 7)
    assert campaign.input_of("safetensors", 7) != campaign.input_of("safetensors", campaign.FIRST + 7)
