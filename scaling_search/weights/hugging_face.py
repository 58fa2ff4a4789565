"""Hugging Face's layout: a folder with `config.json`, in timm's form, beside `model.safetensors`.

    timm.create_model("local-dir:FOLDER", pretrained=True)

loads it where the network is one of timm's own, in which case the weights have timm's names.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

from flax import nnx

from scaling_search.atomic import write_atomically
from scaling_search.errors import UserError, first_line
from scaling_search.family import Family, load_family
from scaling_search.networks.efficientnet import EfficientNetFamily
from scaling_search.plain import MALFORMED
from scaling_search.rule import Scale
from scaling_search.weights.description import KEY, Description, channels
from scaling_search.weights.files import write_arrays
from scaling_search.weights.transfer import export_weights, namings_of

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
_TIMM = {
    "resnet50": "resnet50",
    "resnet152": "resnet152",
    "resnext101_64x4d": "resnext101_64x4d",
    "senet154": "legacy_senet154",
    "densenet169": "densenet169",
    "inception_v3": "inception_v3",
    "inception_v4": "inception_v4",
    "inception_resnet_v2": "inception_resnet_v2",
    "xception": "legacy_xception",
    "nasnet_a": "nasnetalarge",
    "pnasnet5": "pnasnet5large",
    "mobilenet_v1": "mobilenetv1_100",
    "mobilenet_v2": "mobilenetv2_100",
}
"""What timm calls families that are there as here. Its EfficientNets have our names."""
_EFFICIENTNETS = (
    *(f"efficientnet_b{number}" for number in range(9)),
    "efficientnet_l2",
    *(f"efficientnet_lite{number}" for number in range(5)),
)
_PYTORCH_EPSILON = 1e-5
"""Of batch norm in networks that were trained in PyTorch."""


def timm_architecture(description: Description) -> tuple[str, dict[str, Any]] | None:
    """What timm's create_model is to be called with for this network: a name and arguments; None where timm lacks it.

    An EfficientNet is one of timm's where its layers are those of a published model, whatever scale led there.
    """
    family, scale = description.network, description.scale
    if isinstance(family, EfficientNetFamily):
        layers = _layers(family, scale)
        name = next((name for name in _EFFICIENTNETS if _layers(load_family(name), Scale()) == layers), None)
        if name is None:
            return None
        if family.padding == "SAME" and family.batch_norm_epsilon != _PYTORCH_EPSILON:
            epsilon = family.batch_norm_epsilon
            return f"tf_{name}", {} if epsilon == EfficientNetFamily.batch_norm_epsilon else {"bn_eps": epsilon}
        arguments: dict[str, Any] = {"pad_type": "same"} if family.padding == "SAME" else {}
        if family.batch_norm_epsilon != _PYTORCH_EPSILON:
            arguments["bn_eps"] = family.batch_norm_epsilon
        return name, arguments
    at_baseline = (scale.depth, scale.width) == (1.0, 1.0) and not description.options
    return (_TIMM[description.family], {}) if at_baseline and description.family in _TIMM else None


def write_model_folder(folder: str | Path, network: nnx.Module, description: Description) -> None:
    """Writes config.json and model.safetensors into `folder`, which is made where there is none.

    The weights have timm's names where timm has the network, the network's own elsewhere. Raises UserError where they
    cannot be written.
    """
    path = Path(folder).expanduser()
    known = timm_architecture(description)
    naming = namings_of(description.network)["timm"] if known else None
    try:
        path.mkdir(parents=True, exist_ok=True)
        write_arrays(path / WEIGHTS, export_weights(network, naming), {"format": "pt", KEY: description.to_json()})
        write_atomically(path / CONFIG, json.dumps(_config(description, known), indent=2).encode())
    except OSError as error:
        raise UserError(f"cannot write {str(folder)!r}: {error.strerror or first_line(error)}") from None


def read_config(place: Path) -> Description | None:
    """What a timm config says of the weights in a folder, or beside them; None where there is none, or of another form.

    Raises UserError where it names an architecture that is not to be had here.
    """
    file = (place if place.is_dir() else place.parent) / CONFIG
    try:
        config = json.loads(file.read_bytes())
        architecture = config["architecture"].partition(".")[0]
        pretrained = config.get("pretrained_cfg", config)
        classes = config.get("num_classes", pretrained["num_classes"])
        names = config.get("label_names", pretrained.get("label_names")) or map(str, range(classes))
        mean, std = (channels(pretrained[name]) for name in ("mean", "std"))
        side = int(pretrained["input_size"][-1])
        crop = float(pretrained.get("crop_pct", 1.0))
    except (*MALFORMED, OSError):
        return None
    try:
        family, options = _family(architecture, config.get("model_args") or {})
        return Description(family, options, Scale(), tuple(map(str, names)), mean, std, side, min(crop, 1.0))
    except MALFORMED as error:
        raise UserError(f"{file} cannot be read: {first_line(error)}") from None


def _config(description: Description, known: tuple[str, dict[str, Any]] | None) -> dict[str, Any]:
    architecture, arguments = known or (description.family, {})
    side = description.input_resolution
    return {
        "architecture": architecture,
        "num_classes": len(description.classes),
        "label_names": list(description.classes),
        **({"model_args": arguments} if arguments else {}),
        "pretrained_cfg": {
            "num_classes": len(description.classes),
            "input_size": [3, side, side],
            "interpolation": "bicubic",
            "crop_pct": description.crop,
            "mean": list(description.mean),
            "std": list(description.std),
            "custom_load": False,
        },
    }


def _family(architecture: str, arguments: dict[str, Any]) -> tuple[str, tuple[str, ...]]:
    """The family, with its options, that timm calls so."""
    name = architecture.removeprefix("tf_")
    if name in _EFFICIENTNETS:
        same = architecture.startswith("tf_") or arguments.get("pad_type") == "same"
        default = EfficientNetFamily.batch_norm_epsilon if architecture.startswith("tf_") else _PYTORCH_EPSILON
        epsilon = float(arguments.get("bn_eps", default))
        return name, (f"padding={'SAME' if same else 'SYMMETRIC'}", f"batch_norm_epsilon={epsilon!r}")
    ours = {theirs: name for name, theirs in _TIMM.items()}
    if architecture not in ours:
        raise UserError(
            f"architecture {architecture!r} given", f"known are {', '.join(sorted(ours))} and the EfficientNets"
        )
    return ours[architecture], ()


def _layers(family: Family, scale: Scale) -> object:
    """The layers of an EfficientNet as plain data, without what is not in its weights."""
    assert isinstance(family, EfficientNetFamily)
    plan = family.plan(scale, 1)
    stages = tuple(dataclasses.replace(stage, style=None) for stage in plan.stages)  # type: ignore[arg-type]
    return plan.stem, plan.stem_stride, stages, plan.head, family.lite
