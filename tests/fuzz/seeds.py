"""Valid content of every kind that targets start from, small and the same each time."""

import io
import json
import struct
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from scaling_search.checksums import checksum_of
from scaling_search.config import NasConfig, RunConfig, SweepConfig, TrainConfig, to_dict
from scaling_search.data.examples import _masked_crc32c
from scaling_search.rule import Scale
from scaling_search.trial import Epoch, Network, Outcome, Spec, to_record

NETWORK = Network("efficientnet_tiny", ("depth=1.0",), Scale(1.1, 1.0, 1.2), 24, 10, "6x64@24", 4321, 987_654, 55_555)
_CONFIG = RunConfig(name="made", data="digits")
_DATA = "digits:0123456789ab"


@cache
def records() -> tuple[dict[str, Any], ...]:
    """Records of trials: one that succeeded, one that failed, one with weights to start from."""
    spec = Spec(NETWORK, _CONFIG.recipe, _DATA, _CONFIG.split, 0)
    curve = (Epoch(1, 10, 0.5, 2.0), Epoch(2, 20, 0.4, 1.0, 0.75, 0.5))
    ok = Outcome(
        "ok", 0.75, 0.5, curve=curve, seconds={"train": 2.0, "evaluate": 0.5}, device="cpu", machine="a", note="n"
    )
    failed = Outcome("failed", reason="the loss was not finite", failed_step=3, device="cpu")
    crashed = Outcome("crashed", reason="MemoryError")
    specs = (spec, replace(spec, seed=1), replace(spec, seed=1000, evaluate="test"))
    return tuple(as_stored(to_record(*pair)) for pair in zip(specs, (ok, failed, crashed), strict=True))


def as_stored(tree: Any) -> Any:
    """Plain data as JSON gives it back."""
    return json.loads(json.dumps(tree))


def signed(record: Any) -> Any:
    """A record with its checksum."""
    if not isinstance(record, dict):
        return record
    return {**record, "checksum": checksum_of({name: value for name, value in record.items() if name != "checksum"})}


@cache
def manifests() -> tuple[dict[str, Any], ...]:
    """A manifest of every kind of run, and one of version 0.1."""
    configs = (_CONFIG, SweepConfig(name="s", data="digits"), TrainConfig(name="t", data="digits"), NasConfig(name="n"))
    about = {
        "given": [],
        "workers": {"cpus_per_trial": 1.0},
        "data": _DATA,
        "images": {"classes": 10, "training": 1000},
        "started": "2026-01-01T00:00:00+0000",
        "python": "3.12.0",
        "machine": "x86_64, 2 CPUs",
        "packages": {"jax": "0.10.2"},
        "git": {"commit": "0" * 40, "dirty": False},
    }
    now = [{"kind": config.kind, "config": to_dict(config), **about} for config in configs]
    old = {name: value for name, value in now[0].items() if name != "kind"}
    return tuple(as_stored([*now, {**now[0], "resumed": [about]}, old]))


@cache
def documents() -> dict[str, dict[str, Any]]:
    """The documents of steps that a run writes."""
    baseline = replace(NETWORK, scale=Scale(), fingerprint="base")
    networks = {network.fingerprint: to_dict(network) for network in (NETWORK, baseline)}
    rule = {"alpha": 1.2, "beta": 1.1, "gamma": 1.15}
    growth = {"layers": 1.1, "channels": 1.0, "pixels": 1.2, "realised_cost": 2.0, "target_cost": 2.0}
    shares = {"depth_share": 0.4, "width_share": 0.3, "resolution_share": 0.3}
    point = {**rule, "cost_factor": 1.92, "network": "6x64@24", "rejected": None, **growth, **shares}
    step1 = {
        "phi": 1.0,
        "baseline": "base",
        "networks": networks,
        "points": [point, {**point, "alpha": 1.3, "rejected": "too large"}],
        "rivals": [{"rival": "depth alone", **point}],
        "notes": ["costs are matched within 1 %"],
        "rounds": [{"trainings": {"6x64@24": 2}}],
        "exhausted": ["base"],
    }
    model = {"coefficients": "found", **asdict(Scale()), "training_cost": 1e9, "trained": True}
    step2 = {
        "rule": rule,
        "networks": networks,
        "models": [
            {"model": "B0", "phi": 0.0, "network": "base", **model},
            {"model": "B1", "phi": 1.0, "network": "6x64@24", **model, "trained": False},
            {"model": "B1", "network": "6x64@24", **model, "coefficients": "published", "phi": None},
        ],
    }
    rows = [
        {"scaling": name, "network": to_dict(network)} for name, network in (("baseline", baseline), ("width", NETWORK))
    ]
    tried = {"batch": 0, "epochs": 2, "cost": 1e6, "accuracy": 0.5, "reward": 0.4, "network": "6x64@24"}
    nas = {
        "config": to_dict(NasConfig()),
        "networks": networks,
        "tried": [tried, {**tried, "network": "base", "accuracy": None, "reward": None}],
        "finalists": [{"network": "6x64@24"}],
        "best": {"family": "mnasnet_tiny", "options": []},
    }
    found = {"step1": step1, "step2": step2, "sweep": {"rows": rows, "init": None}, "nas": nas}
    return {name: as_stored(tree) for name, tree in found.items()}


def pictures() -> dict[str, bytes]:
    """A small picture of every format that this build of Pillow writes, by format and mode."""
    from PIL import Image

    ramp = (np.add.outer(np.arange(8) * 30, np.arange(7) * 5) % 256).astype(np.uint8)
    grey = Image.fromarray(ramp)
    colour = Image.fromarray(np.stack([ramp, ramp[::-1], ramp[:, ::-1]], -1))
    plain = ("BMP", "DIB", "WEBP", "JPEG2000", "AVIF", "QOI", "PPM", "ICO", "PCX", "SGI", "TGA", "DDS", "MPO")
    made = {
        **{("PNG", mode): grey.convert(mode) for mode in ("L", "LA", "1")},
        **{("PNG", mode): colour.convert(mode) for mode in ("RGB", "RGBA", "P")},
        ("PNG", "I;16"): Image.fromarray(ramp.astype(np.uint16) * 257),
        **{("JPEG", mode): colour.convert(mode) for mode in ("L", "RGB", "CMYK")},
        **{("TIFF", mode): colour.convert(mode) for mode in ("RGB", "CMYK", "LAB", "1", "P")},
        ("TIFF", "F"): Image.fromarray(ramp.astype(np.float32)),
        ("TIFF", "I"): Image.fromarray(ramp.astype(np.int32)),
        **{(form, "RGB"): colour for form in plain},
        **{(form, "L"): grey for form in ("GIF", "PPM", "PCX", "SGI", "TGA")},
        ("GIF", "P"): colour.convert("P"),
        ("XBM", "1"): grey.convert("1"),
    }
    found = {}
    for (form, mode), image in made.items():
        buffer = io.BytesIO()
        try:
            more = {"exif": image.getexif()} if form in ("JPEG", "WEBP") else {}
            image.save(buffer, form, **more)
        except (OSError, KeyError, ValueError):
            continue
        found[f"{form} {mode}"] = buffer.getvalue()
    frames = [colour, colour.rotate(90), grey.convert("RGB")]
    for form in ("GIF", "PNG", "WEBP", "TIFF"):
        buffer = io.BytesIO()
        try:
            frames[0].save(buffer, form, save_all=True, append_images=frames[1:])
        except (OSError, KeyError, ValueError):
            continue
        found[f"{form} animated"] = buffer.getvalue()
    found["SUN"] = struct.pack(">8I", 0x59A66A95, 8, 8, 8, 64, 1, 0, 0) + bytes(64)
    found["PSD"] = b"8BPS\0\x01" + bytes(6) + struct.pack(">HIIHH", 3, 4, 4, 8, 3) + bytes(12) + b"\0\0" + bytes(48)
    found["XPM"] = b'/* XPM */\nstatic char * a[] = {\n"4 2 2 1",\n"  c #000000",\n". c #ffffff",\n" .. ",\n". . "};\n'
    return found


def arrays() -> dict[str, np.ndarray]:
    """What a file of weights may hold."""
    return {
        "stem.kernel": np.arange(12, dtype=np.float32).reshape(3, 4),
        "stem.bias": np.ones(4, np.float16),
        "count": np.array(7, np.int64),
        "none": np.zeros((0, 3), np.float64),
    }


DESCRIPTION = {
    "family": "efficientnet_b0",
    "options": ["drop_connect=0.1"],
    "scale": {"depth": 1.0, "width": 1.0, "resolution": 1.0},
    "classes": ["cat", "dog"],
    "mean": [0.5, 0.5, 0.5],
    "std": [0.2, 0.2, 0.2],
    "input_resolution": 224,
    "crop": 0.875,
}
TIMM_CONFIG = {
    "architecture": "tf_efficientnet_b0",
    "num_classes": 3,
    "label_names": ["a", "b", "c"],
    "model_args": {"bn_eps": 0.001, "pad_type": "same"},
    "pretrained_cfg": {
        "num_classes": 3,
        "input_size": [3, 224, 224],
        "crop_pct": 0.875,
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225],
    },
}
INDEX = {"metadata": {"total_size": 48}, "weight_map": {"stem.kernel": "a.safetensors", "stem.bias": "b.safetensors"}}
CHECKPOINT = {
    "format": 1,
    "key": "0" * 20,
    "made_on": {"device": "cpu", "devices": 1, "jax": "0.10.2"},
    "epoch": 1,
    "going": True,
    "seconds": {"train": 1.0, "evaluate": 0.5},
    "curve": [{"epoch": 1, "step": 5, "learning_rate": 0.1, "train_loss": 1.0, "accuracy": 0.5, "loss": 1.0}],
    "best": {
        "epoch": None,
        "judgement": [0.5, None],
        "evaluations_since": 0,
        "held": ["-0x1.0p+0", "0x0.0p+0"],
    },
}
TABLE = (
    b"path,label,split\na.png,cat,train\nb.png,dog,train\nc.png,dog,test\n",
    "\ufefffile;class\n'a b.png';1\nb.png;-2\n".encode(),
    b'image\tlabel\n"a\nb.png"\tx\nb.png\ty\n',
)


def idx_file(array: np.ndarray) -> bytes:
    """An IDX file of bytes."""
    head = bytes([0, 0, 8, array.ndim]) + b"".join(struct.pack(">I", length) for length in array.shape)
    return head + array.astype(np.uint8).tobytes()


def _varint(value: int) -> bytes:
    out = b""
    while value >= 0x80:
        out, value = out + bytes([value & 0x7F | 0x80]), value >> 7
    return out + bytes([value])


def _message(*fields: tuple[int, bytes]) -> bytes:
    return b"".join(_varint(number << 3 | 2) + _varint(len(value)) + value for number, value in fields)


def example(image: bytes, label: int) -> bytes:
    """A tf.train.Example of an image, its label and a few more features."""
    features = {
        "image": _message((1, _message((1, image)))),
        "label": _message((3, _message((1, _varint(label))))),
        "share": _message((2, _message((1, struct.pack("<2f", 0.5, 1.5))))),
        "image/class/text": _message((1, _message((1, b"cat")))),
    }
    return _message((1, _message(*((1, _message((1, name.encode()), (2, value))) for name, value in features.items()))))


def framed(records: list[bytes]) -> bytes:
    """A TFRecord file."""
    out = b""
    for record in records:
        length = struct.pack("<Q", len(record))
        crcs = [struct.pack("<I", _masked_crc32c(memoryview(part))) for part in (length, record)]
        out += length + crcs[0] + record + crcs[1]
    return out


def recorded_table(manifest: Any, rows: Any, *, sign: bool = True) -> bytes:
    """A recorded table of this manifest and these rows. Raises an exception of Arrow's where it has no such columns."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pylist(rows)
    metadata = {b"scaling-search": json.dumps(manifest)}
    if sign:
        metadata[b"scaling-search-checksum"] = checksum_of([as_stored(manifest), table.to_pylist()])
    buffer = io.BytesIO()
    pq.write_table(table.replace_schema_metadata(metadata), buffer, compression="zstd")
    return buffer.getvalue()


def image_tables() -> dict[str, bytes]:
    """Tables of images as Hugging Face's `datasets` writes them: Parquet, and Arrow's two formats."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    images = list(pictures().values())[:2]
    column = pa.array(
        [{"bytes": image, "path": None} for image in images * 2],
        pa.struct([("bytes", pa.binary()), ("path", pa.string())]),
    )
    about = json.dumps({"info": {"features": {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}}})
    table = pa.table({"image": column, "label": [0, 1, 1, 0]}).replace_schema_metadata({"huggingface": about})
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    found = {"parquet": buffer.getvalue()}
    for name, new in (("stream", pa.ipc.new_stream), ("file", pa.ipc.new_file)):
        sink = pa.BufferOutputStream()
        with new(sink, table.schema) as writer:
            writer.write_table(table)
        found[name] = sink.getvalue().to_pybytes()
    return found


ROOT = Path(__file__).parents[2]
