"""Some inputs of every target, whose choices Hypothesis makes, so that one that fails is made smaller."""

import json
import warnings
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz import campaign, seeds
from tests.fuzz.__main__ import has
from tests.fuzz.targets import TARGETS, made

EXAMPLES = {"run": 10, "orbax": 5, "table": 40, "gathered": 30, "images": 40, "records": 40, "torch": 40}


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


BLOCK = "mb6k3i24x2"
FOUND = (
    ("architecture", "-".join([BLOCK] * 6 + ["mb6k3i24x99999999"])),
    ("architecture", "-".join([BLOCK] * 6 + ["mb6k3i24x" + "9" * 5000])),
    ("architecture", "-".join([BLOCK] * 6 + ["mb6k3i24x٢"])),
    ("csv", "path,label\na.png,--1\nb.png,2\n"),
    ("csv", "path,label\na.png," + "9" * 5000 + "\nb.png,2\n"),
    ("config", json.dumps({**seeds.TIMM_CONFIG, "model_args": [1]})),
    ("config", json.dumps({**seeds.TIMM_CONFIG, "model_args": {"bn_eps": "x"}})),
    ("config", json.dumps({**seeds.TIMM_CONFIG, "label_names": 0.5})),
    ("config", json.dumps(seeds.TIMM_CONFIG).replace("0.875", "1" + "0" * 400)),
    ("checkpoint", "[]"),
    ("checkpoint", json.dumps({**seeds.CHECKPOINT, "key": seeds.records()[0]["key"], "curve": [1]})),
    ("manifest", json.dumps({**seeds.manifests()[0], "data": None})),
    ("manifest", json.dumps({**seeds.manifests()[0], "kind": {}})),
    ("manifest", json.dumps({**seeds.manifests()[4], "config": {"recipe": 3}})),
    ("record", json.dumps({**seeds.records()[1], "outcome": {"status": "failed", "reason": {}}})),
    ("record", "[" * 100_000),
)
"""What ended in a traceback, or did not end, when it was first tried."""


@pytest.mark.parametrize(("name", "text"), FOUND, ids=[f"{name} {at}" for at, (name, _) in enumerate(FOUND)])
def test_what_was_found_is_mended(name, text) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made(name)[0](text.encode())


@pytest.mark.parametrize("file", sorted(Path(__file__).with_name("found").glob("*.input")), ids=lambda file: file.stem)
def test_an_input_that_was_kept_is_mended(file) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made(file.stem.partition("-")[0])[0](file.read_bytes())


def test_a_table_of_other_rows_is_mended() -> None:
    read, manifest = made("table")[0], seeds.manifests()[0]
    for rows in ([{"key": ["a"]}], [{"key": "a", "outcome": None}], [{**seeds.records()[0], "spec": {"network": 3}}]):
        read(seeds.recorded_table(manifest, rows))
    for other in ({}, {**manifest, "config": []}, {**manifest, "kind": []}):
        read(seeds.recorded_table(other, list(seeds.records()[:1])))


def test_an_input_is_known_by_its_number() -> None:
    assert campaign.input_of("safetensors", 7) == campaign.input_of("safetensors", 7)
    assert campaign.input_of("safetensors", 7) != campaign.input_of("safetensors", campaign.FIRST + 7)
