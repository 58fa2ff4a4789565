"""Configs of every kind of run come back from their manifests, those of version 0.1 too."""

import json
from dataclasses import replace

import pytest

from scaling_search.config import CONFIGS, QUICK, NasConfig, RunConfig, SweepConfig, TrainConfig, to_dict
from scaling_search.errors import UserError
from scaling_search.manifest import check_same, command_of, config_from_dict, flags_of, stored_config, with_steps_of
from tests.tiny import TINY

SHARED = {"name": "mine", "seeds": 2, "data": "idx:images"}


@pytest.mark.parametrize(
    "config",
    [
        RunConfig(steps=(2,), coefficients=(1.2, 1.1, 1.15), max_flops="2M", max_memory=2**20, **SHARED),
        QUICK,
        SweepConfig(dims=("w",), scales=("2,1,1.3",), **SHARED),
        TrainConfig(depth=2.0, init="weights.npz", trained="head", **SHARED),
        NasConfig(target_flops="1M", max_params="2M", halving=3, **SHARED),
    ],
)
def test_a_config_survives_its_manifest(config):
    tree = json.loads(json.dumps({"kind": config.kind, "config": to_dict(config)}))
    assert stored_config(tree, {}) == config
    assert CONFIGS[config.kind] is type(config)


def old(config, **changes):
    """A manifest as version 0.1 wrote it: a RunConfig whatever the kind of run, without what is new."""
    tree = to_dict(config) | changes
    for name in ("steps", "coefficients"):
        tree.pop(name)
    for new, name in (("max_flops", "target_flops"), ("max_memory", "target_memory")):
        tree[name] = tree.pop(new)
    return {"config": tree, "data": "digits:0"}


def test_a_run_of_version_0_1_is_a_method_with_its_limits():
    tiny = replace(TINY, **SHARED)
    manifest = old(tiny, max_flops=2e6, max_memory="8MiB")
    assert stored_config(manifest, {}) == replace(tiny, max_flops=2e6, max_memory="8MiB")


def test_step_2_alone_of_version_0_1_keeps_its_coefficients():
    documents = {"step2": {"rule": {"alpha": 1.2, "beta": 1.1, "gamma": 1.15}}}
    config = stored_config(old(RunConfig()), documents)
    assert config.steps == (2,) and config.coefficients == (1.2, 1.1, 1.15)
    assert stored_config(old(RunConfig()), documents | {"step1": {}}).steps == (1, 2)


def row(scaling, depth=1.0, width=1.0, resolution=1.0):
    return {"scaling": scaling, "network": {"scale": {"depth": depth, "width": width, "resolution": resolution}}}


def test_a_sweep_of_version_0_1_asks_for_the_same_networks():
    rows = [row("baseline"), row("width", width=2.0), row("width", width=3.0), row("compound", 1.4, 1.2, 1.3)]
    document = {"rows": [*rows, row("given", 2.0, 1.0, 1.3)], "init": None}
    config = stored_config(old(RunConfig(family="mobilenet_v2", **SHARED)), {"sweep": document})
    assert config == SweepConfig(
        family="mobilenet_v2",
        dims=("w",),
        widths=(2.0, 3.0),
        compound=True,
        compound_scale=(1.4, 1.2, 1.3),
        scales=("2.0,1.0,1.3",),
        **SHARED,
    )


def test_a_training_of_version_0_1_starts_from_the_same_weights():
    document = {"rows": [row("network", width=1.5)], "init": {"weights": "/w.npz", "digest": "0", "trained": "head"}}
    config = stored_config(old(RunConfig(family="resnet50", **SHARED)), {"sweep": document})
    assert config == TrainConfig(family="resnet50", width=1.5, init="/w.npz", trained="head", **SHARED)


def test_a_search_of_version_0_1_keeps_its_config():
    config = NasConfig(target_flops="1M", **SHARED)
    assert stored_config(old(RunConfig(**SHARED)), {"nas": {"config": to_dict(config)}}) == config


def test_a_manifest_of_a_later_version_is_refused_in_one_line():
    with pytest.raises(UserError, match=r"does not fit this version.*unheard_of"):
        config_from_dict(RunConfig, to_dict(RunConfig()) | {"unheard_of": 1})
    with pytest.raises(UserError, match=r"of kind 'dream'"):
        stored_config({"kind": "dream", "config": {}}, {})


def test_a_command_says_only_what_differs():
    assert command_of(RunConfig()) == ["run"]
    assert command_of(replace(QUICK, seeds=4)) == ["run", "--quick", "--seeds", "4"]
    assert command_of(RunConfig(steps=(1,), rivals=False)) == ["step1", "--no-rivals"]
    assert command_of(SweepConfig(compound=True)) == ["sweep", "--compound"]
    assert command_of(TrainConfig(width=2.0)) == ["train", "--width", "2.0"]
    assert flags_of({"split": {"seed": 1}}, {"split": {"seed": 0}}) == ["--split.seed", "1"]


def test_step_2_in_the_folder_of_step_1_keeps_its_rivals():
    step1, step2 = RunConfig(steps=(1,), rivals=False), RunConfig(steps=(2,))
    assert with_steps_of(step2, step1) == RunConfig(steps=(1, 2), rivals=False)
    assert check_same(step1, step2, ("a", "a")) == check_same(step2, step1, ("a", "a")) == []


def test_step_1_with_rivals_is_another_run_than_without():
    """They count in the surface whose region is the answer."""
    with_, without = RunConfig(), RunConfig(rivals=False)
    assert check_same(without, with_, ("a", "a")) == ["rivals was False and is now True"]
    assert check_same(with_, replace(without, steps=(1,)), ("a", "a")) == ["rivals was True and is now False"]


def test_another_way_to_match_costs_is_another_run():
    assert RunConfig(match="paper").what_it_computes() != RunConfig().what_it_computes()


def test_a_manifest_that_says_nothing_of_matching_is_of_a_lattice_rounded_as_in_the_paper():
    tree = {name: value for name, value in to_dict(TINY).items() if name not in ("match", "match_by", "rivals")}
    tree["grid"] = {name: value for name, value in tree["grid"].items() if name not in ("kind", "divisions")}
    assert config_from_dict(RunConfig, tree) == TINY
