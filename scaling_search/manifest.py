"""Configs as stored in manifests, and as the command line that asks for the same."""

import dataclasses
from typing import Any, TypeVar, cast

from scaling_search.config import (
    CONFIGS,
    QUICK,
    Experiment,
    Kind,
    NasConfig,
    RunConfig,
    Split,
    SweepConfig,
    TrainConfig,
    to_dict,
)
from scaling_search.errors import UserError, in_one_line
from scaling_search.plain import MALFORMED, check_kinds
from scaling_search.recipe import RECIPES, stored_recipe
from scaling_search.rule import Grid, GridKind

C = TypeVar("C", bound=Experiment)

_BEFORE: dict[type[Experiment], dict[str, Any]] = {RunConfig: {"match": "paper", "rivals": False}}
"""What manifests mean that do not say so, because they are older than the option."""


def _grid(kind: GridKind = "coefficients", **options: Any) -> Grid:
    return Grid(kind, **options)


_PARTS: dict[str, Any] = {"split": Split, "grid": _grid, "recipe": stored_recipe}
_RENAMED = {"target_flops": "max_flops", "target_memory": "max_memory"}
"""What fields of `RunConfig` were called in version 0.1."""


def config_from_dict(kind: type[C], tree: dict[str, Any]) -> C:
    """The inverse of `config.to_dict`, for a manifest read back. Raises UserError where a field is not known."""
    if kind is RunConfig:
        tree = {_RENAMED.get(name, name): value for name, value in tree.items()}
    tree = _BEFORE.get(kind, {}) | tree
    try:
        built: dict[str, Any] = {key: _PARTS[key](**value) if key in _PARTS else value for key, value in tree.items()}
        fields: dict[str, Any] = {k: tuple(value) if isinstance(value, list) else value for k, value in built.items()}
        config = kind(**fields)
        check_kinds(config)
    except MALFORMED as error:
        raise UserError(
            f"the run's manifest does not fit this version: {in_one_line(error)}", hint="start a new run with --name"
        ) from None
    return config


def stored_config(manifest: dict[str, Any], documents: dict[str, Any]) -> Experiment:
    """The config in a run's manifest, of any version; `documents` are the run's other JSON documents by name.

    Version 0.1 kept every kind of run as a RunConfig, which must be told by its documents.
    """
    kind = kind_of(manifest, documents)
    if "kind" in manifest:
        return config_from_dict(CONFIGS[kind], manifest["config"])
    config = config_from_dict(RunConfig, manifest["config"])
    match kind:
        case "nas":
            return config_from_dict(NasConfig, documents["nas"]["config"])
        case "sweep" | "train":
            return _config_of_old_sweep(config, documents["sweep"])
        case "method":
            return dataclasses.replace(config, **_steps_of_old_run(documents))


def kind_of(manifest: dict[str, Any], documents: dict[str, Any]) -> Kind:
    """What kind of run a manifest is of; in version 0.1, which does not say so, by the run's other documents."""
    if "kind" in manifest:
        if manifest["kind"] not in [*CONFIGS]:
            raise UserError(f"the run is of kind {manifest['kind']!r}", f"this version knows {', '.join(CONFIGS)}")
        return cast(Kind, manifest["kind"])
    if "nas" in documents:
        return "nas"
    if "sweep" in documents:
        return "train" if all(row["scaling"] == "network" for row in documents["sweep"]["rows"]) else "sweep"
    return "method"


def _config_of_old_sweep(config: RunConfig, document: dict[str, Any]) -> Experiment:
    of_family = {"family": config.family, "family_options": config.family_options}
    rows = [(row["scaling"], row["network"]["scale"]) for row in document["rows"]]
    if all(scaling == "network" for scaling, _ in rows):
        init = document.get("init") or {}
        weights = {"init": init.get("weights"), "trained": init.get("trained", "all")}
        return shared_part(config, TrainConfig, **of_family, **rows[0][1], **weights)
    dimensions = ("depth", "width", "resolution")
    factors = {name: tuple(scale[name] for scaling, scale in rows if scaling == name) for name in dimensions}
    compound = [tuple(scale.values()) for scaling, scale in rows if scaling == "compound"]
    return shared_part(
        config,
        SweepConfig,
        **of_family,
        dims=tuple(name[0] for name, values in factors.items() if values),
        **{f"{name}s": values for name, values in factors.items() if values},
        compound=bool(compound),
        **({"compound_scale": compound[0]} if compound else {}),
        scales=tuple(",".join(map(str, scale.values())) for scaling, scale in rows if scaling == "given"),
    )


def _steps_of_old_run(documents: dict[str, Any]) -> dict[str, Any]:
    """Which steps a run of version 0.1 was for, as far as what it wrote tells."""
    if "step1" not in documents and "step2" in documents:
        return {"steps": (2,), "coefficients": tuple(documents["step2"]["rule"].values())}
    return {}


def command_of(config: Experiment) -> list[str]:
    """The command line, in words, that asks for the same config: only what differs from the defaults."""
    starts: list[tuple[list[str], Experiment]] = [([], type(config)())]
    name: str = config.kind
    if isinstance(config, RunConfig):
        alone: dict[tuple[int, ...], str] = {(1,): "step1", (2,): "step2"}
        name = alone.get(config.steps, "run")
        config = dataclasses.replace(config, steps=RunConfig.steps)
        starts.append((["--quick"], QUICK))
    starts += [
        (["--recipe", name], dataclasses.replace(starts[0][1], recipe=recipe))
        for name, recipe in RECIPES.items()
        if recipe != starts[0][1].recipe
    ]
    given = to_dict(config)
    commands = [[*words, *flags_of(given, to_dict(start))] for words, start in starts]
    return [name, *min(commands, key=len)]


def flags_of(given: dict[str, Any], usual: dict[str, Any], prefix: str = "") -> list[str]:
    """The options of which `usual` has the defaults and whose values in `given` are others."""
    flags: list[str] = []
    for key in (key for key in usual if key in given):
        name, value = f"{prefix}{key.replace('_', '-')}", given[key]
        if isinstance(value, dict):
            flags += flags_of(value, usual[key], f"{name}.")
        elif isinstance(value, bool):
            flags += [f"--{name}" if value else f"--{prefix}no-{key.replace('_', '-')}"] if value != usual[key] else []
        elif value != usual[key]:
            flags += [f"--{name}", *map(str, value if isinstance(value, list) else [value])]
    return flags


def check_same(old: Experiment, new: Experiment, images: tuple[str, str]) -> list[str]:
    """Changes that affect results, one phrase each; `images` are the digests of the old and the new."""
    if old.kind != new.kind:
        return [f"it is a {old.kind} run, not a {new.kind} run"]
    before, after = old.what_it_computes(), new.what_it_computes()
    changes = differences(before, after) + differences({"images": images[0]}, {"images": images[1]})
    if isinstance(old, RunConfig) and isinstance(new, RunConfig):
        both = {*old.steps} & {*new.steps}
        # Rivals count in the region, and so in what the answer is.
        of_steps = [name for step, name in ((2, "coefficients"), (1, "rivals")) if step in both]
        changes += [
            line for name in of_steps for line in differences({name: getattr(old, name)}, {name: getattr(new, name)})
        ]
    return changes


def differences(old: dict[str, Any], new: dict[str, Any], prefix: str = "") -> list[str]:
    """Changes from one config to another, both as plain data, one phrase each."""
    changes: list[str] = []
    for key in sorted(old.keys() | new.keys()):
        before, after = old.get(key), new.get(key)
        if isinstance(before, dict) and isinstance(after, dict):
            changes += differences(before, after, f"{prefix}{key}.")
        elif before != after:
            changes.append(f"{prefix}{key} was {before!r} and is now {after!r}")
    return changes


def with_steps_of(new: Experiment, old: Experiment) -> Experiment:
    """The new config with what the old asked for as well: `step2` in the folder of `step1` makes a run of both."""
    if not (isinstance(new, RunConfig) and isinstance(old, RunConfig)):
        return new
    both = tuple(sorted({*new.steps, *old.steps}))
    rivals = old.rivals if 1 in old.steps else new.rivals
    rounds = old if new.certainty is None else new
    return dataclasses.replace(
        new,
        steps=both,
        coefficients=new.coefficients or old.coefficients,
        rivals=rivals,
        shorter=tuple(sorted({*new.shorter, *old.shorter})),
        **{name: getattr(rounds, name) for name in ("certainty", "within", "max_trainings")},
    )


def shared_part(config: Experiment, kind: type[C], **changes: Any) -> C:
    """A config of another kind with what every kind of run shares, such as the recipe and the images."""
    names = [field.name for field in dataclasses.fields(Experiment)]
    # Which weights to keep is asked of each kind anew: their defaults differ.
    shared = {name: getattr(config, name) for name in names if name != "keep"}
    return kind(**{**shared, **changes})
