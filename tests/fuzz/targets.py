"""The readers, each as a function of bytes that ends well or in its documented error; all else is a finding."""

import gzip
import io
import json
import struct
import tempfile
import weakref
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from scaling_search.errors import UserError
from scaling_search.plain import MALFORMED
from tests.fuzz import seeds
from tests.fuzz.mutation import (
    MARK,
    Mutate,
    alter_bytes,
    alter_tree,
    as_json,
    bytes_mutator,
    json_mutator,
    one_of,
    parts_mutator,
    png_mutator,
    some,
    values_in,
)

PIXELS = 2**16
"""What an image may claim here, instead of Pillow's limit, so that a claim is refused before it takes seconds."""


@dataclass(frozen=True)
class Target:
    """A reader to be fuzzed."""

    make: Callable[[], tuple[Callable[[bytes], None], Mutate]]
    """Imports what it needs and returns the reader, which passes over what it documents, and what makes inputs."""
    share: float
    """Of the inputs of a whole campaign."""
    cost: int
    """Microseconds that an input takes, more or less, by which inputs are shared out among processes."""
    needs: str = ""
    """A package that not every environment has."""


class _Folder:
    """A folder in memory where there is one, for readers of files, until the process ends."""

    def __init__(self) -> None:
        memory = Path("/dev/shm")
        held = tempfile.TemporaryDirectory(prefix="fuzz-", dir=memory if memory.is_dir() else None)
        self.path = Path(held.name)
        self._ends = weakref.finalize(self, held.cleanup)


def _record() -> tuple[Callable[[bytes], None], Mutate]:
    """A record of a trial, as runs, `check` and the frames of a run read it."""
    from scaling_search.analysis.rows import curve_rows, timing_rows, trial_row
    from scaling_search.experiments.check import _readable
    from scaling_search.store import RunDirectory, finished_records, is_fresh, is_probe

    folder = _Folder()
    directory = RunDirectory(folder.path)
    (folder.path / "trials").mkdir()
    key, manifest = seeds.records()[0]["key"], seeds.manifests()[0]
    file = folder.path / "trials" / f"{key}.json"

    def read(content: bytes) -> None:
        file.write_bytes(content)
        for record in directory.records():
            try:
                seed = record["spec"]["seed"]
                trial_row(record, isinstance(seed, int) and is_fresh(manifest, seed))
                is_probe(manifest, seed)
                curve_rows(record)
                timing_rows(record)
            except MALFORMED:
                pass
        finished_records([directory])
        list(_readable(directory, []))

    def finish(tree: Any, rng: Random) -> Any:
        if isinstance(tree, dict) and rng.random() < 0.8:
            tree = {**tree, "key": key}
        return seeds.signed(tree) if rng.random() < 0.8 else tree

    _folders.append(folder)
    return read, json_mutator(seeds.records(), finish)


def _manifest() -> tuple[Callable[[bytes], None], Mutate]:
    """A manifest: its config, of any version, the command that asks for the same, and what has changed."""
    from scaling_search.store import RunDirectory, changes_between

    folder = _Folder()
    directory, file = RunDirectory(folder.path), folder.path / "manifest.json"

    def read(content: bytes) -> None:
        file.write_bytes(content)
        for reading in (directory.config, directory.kind, lambda: directory.images, directory.command):
            _documented(reading)
        _documented(lambda: changes_between(seeds.manifests()[0], directory.manifest()))

    _folders.append(folder)
    return read, json_mutator(seeds.manifests())


def _run() -> tuple[Callable[[bytes], None], Mutate]:
    """A whole run, of which any document is altered: frames, findings, tables, and the page."""
    from scaling_search.analysis.findings.facts import facts_of
    from scaling_search.analysis.frames import load_run
    from scaling_search.analysis.report.html import report_page
    from scaling_search.store import RunDirectory

    folder = _Folder()
    (folder.path / "trials").mkdir()
    names = ("manifest.json", "step1.json", "step2.json", "sweep.json", "nas.json")
    record = seeds.records()[0]

    def read(content: bytes) -> None:
        for old in (*folder.path.glob("*.json"), *folder.path.glob("trials/*")):
            old.unlink()
        parts = content.split(MARK)
        for name, part in zip((*names, f"trials/{record['key']}.json"), parts, strict=False):
            if part:
                (folder.path / name).write_bytes(part)
        directory = RunDirectory(folder.path)
        _documented(lambda: report_page(facts_of(load_run(folder.path)), directory.command()))

    def mutate(rng: Random) -> bytes:
        kind = rng.randrange(4)
        documents = seeds.documents()
        present = {0: ("step1", "step2"), 1: ("sweep",), 3: ("nas",)}.get(kind, ())
        trees: list[Any] = [
            seeds.manifests()[kind],
            *(documents[name] if name in present else None for name in ("step1", "step2", "sweep", "nas")),
            record,
        ]
        chosen = rng.choice([place for place, tree in enumerate(trees) if tree is not None])
        for _ in range(some(rng, 3)):
            trees[chosen] = alter_tree(trees[chosen], rng, values_in(record))
        trees[-1] = seeds.signed(trees[-1])
        return MARK.join(b"" if tree is None else as_json(tree, rng) for tree in trees)

    _folders.append(folder)
    return read, mutate


def _table() -> tuple[Callable[[bytes], None], Mutate]:
    """A recorded table."""
    from scaling_search.recorded import RecordedTable

    folder = _Folder()
    file = folder.path / "table.parquet"
    rows = list(seeds.records()[:1])
    valid = seeds.recorded_table(seeds.manifests()[0], rows)
    others = [value for tree in (*rows, seeds.manifests()[0]) for value in values_in(tree)]

    def read(content: bytes) -> None:
        file.write_bytes(content)
        table = RecordedTable(file)
        for reading in (table.manifest, lambda: list(table.records()), table.config, lambda: table._networks):
            _documented(reading)

    def rewritten(rng: Random) -> bytes:
        trees: list[Any] = [seeds.manifests()[0], rows]
        chosen = rng.randrange(2)
        for _ in range(some(rng)):
            trees[chosen] = alter_tree(trees[chosen], rng, others)
        try:
            return seeds.recorded_table(*trees, sign=rng.random() < 0.8)
        except Exception:  # What Arrow cannot hold.
            return alter_bytes(valid, rng)

    _folders.append(folder)
    return read, one_of(rewritten, bytes_mutator([valid]))


def _architecture() -> tuple[Callable[[bytes], None], Mutate]:
    """An architecture as text and as JSON, and what its network costs."""
    from scaling_search.networks.mnasnet import EFFICIENTNET_B0, MNASNET_A1, Architecture, MnasNetFamily
    from scaling_search.rule import Scale

    def read(content: bytes) -> None:
        text = content.decode("utf-8", "surrogateescape")
        try:
            tree = json.loads(text) if text.startswith("[") else None
        except (ValueError, RecursionError):
            return

        def parsed() -> None:
            found = Architecture.parse(text) if tree is None else Architecture.from_json(tree)
            if str(found) != text and tree is None and "0" not in text:
                raise AssertionError(f"{text!r} comes back as {found}")
            MnasNetFamily(architecture=str(found)).plan(Scale(), 10).cost(32)

        _documented(parsed)

    texts = [str(one).encode() for one in (EFFICIENTNET_B0, MNASNET_A1)]
    tokens = (
        b"-",
        b"conv",
        b"sep",
        b"mb3",
        b"mb6",
        b"k3",
        b"k5",
        b"se",
        b"p",
        b"i",
        b"n",
        b"x1",
        b"x",
        b"0",
        b"99999999",
    )
    trees = json_mutator([EFFICIENTNET_B0.to_json()])
    return read, one_of(bytes_mutator(texts, tokens), bytes_mutator(texts), trees)


def _description() -> tuple[Callable[[bytes], None], Mutate]:
    """What weights say they are for, in their metadata."""
    from scaling_search.weights.description import Description

    def read(content: bytes) -> None:
        _documented(lambda: Description.from_json(content.decode("utf-8", "surrogateescape")).to_json())

    return read, json_mutator([seeds.DESCRIPTION])


def _config() -> tuple[Callable[[bytes], None], Mutate]:
    """The config.json of a model's folder."""
    from scaling_search.weights.hugging_face import read_config

    folder = _Folder()

    def read(content: bytes) -> None:
        (folder.path / "config.json").write_bytes(content)
        _documented(lambda: read_config(folder.path))

    _folders.append(folder)
    return read, json_mutator([seeds.TIMM_CONFIG])


def _index() -> tuple[Callable[[bytes], None], Mutate]:
    """The index of weights in shards, and the shards."""
    from safetensors.numpy import save

    from scaling_search.weights.files import digest_of, read_arrays

    folder = _Folder()
    place = folder.path / "w"
    place.mkdir()
    index = place / "model.safetensors.index.json"
    shards = [save({name: seeds.arrays()[name]}) for name in ("stem.kernel", "stem.bias")]
    for name, shard in zip("ab", shards, strict=True):
        (place / f"{name}.safetensors").write_bytes(shard)
        # What must not be reached.
        (folder.path / f"{name}.safetensors").write_bytes(shard)

    def read(content: bytes) -> None:
        index.write_bytes(content)
        for reading in (lambda: read_arrays(index), lambda: digest_of(index)):
            _documented(reading)

    _folders.append(folder)
    return read, json_mutator([seeds.INDEX])


def _safetensors() -> tuple[Callable[[bytes], None], Mutate]:
    """A file of weights."""
    from safetensors.numpy import save

    from scaling_search.weights.files import safetensors_arrays

    valid = save(seeds.arrays(), {"scaling_search": json.dumps(seeds.DESCRIPTION)})
    length = int.from_bytes(valid[:8], "little")
    header, data = json.loads(valid[8 : 8 + length]), valid[8 + length :]
    headers = json_mutator([header])

    def rewritten(rng: Random) -> bytes:
        head = headers(rng)
        return struct.pack("<Q", len(head)) + head + (data if rng.random() < 0.8 else alter_bytes(data, rng))

    return lambda content: _documented(lambda: safetensors_arrays(content, "w")), one_of(
        rewritten, bytes_mutator([valid])
    )


def _npz() -> tuple[Callable[[bytes], None], Mutate]:
    """A NumPy archive of weights."""
    from scaling_search.weights.files import numpy_arrays

    members = {name: _npy(array) for name, array in seeds.arrays().items()}
    members["object"] = _npy(np.array([1, "a"], object))
    whole = [_archive(members, zipfile.ZIP_STORED), _archive(members, zipfile.ZIP_DEFLATED)]
    tokens = (
        b"'descr': '|O'",
        b"'<f8'",
        b"'shape': (9999999999,)",
        b"(-1,)",
        b"True",
        b"\x93NUMPY\x03\x00",
        b"[('a','<f8')]",
    )

    def rewritten(rng: Random) -> bytes:
        name = rng.choice(list(members))
        altered = alter_bytes(members[name], rng, list(members.values()), tokens if rng.random() < 0.5 else ())
        return _archive({name: altered}, rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)))

    def read(content: bytes) -> None:
        _documented(lambda: numpy_arrays(content, "w"))

    return read, one_of(rewritten, bytes_mutator(whole))


def _npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def _archive(members: dict[str, bytes], kind: int) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", kind) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return buffer.getvalue()


def _torch() -> tuple[Callable[[bytes], None], Mutate]:
    """A PyTorch checkpoint, of both of its formats."""
    import torch

    from scaling_search.weights.torch_checkpoint import read_checkpoint

    folder = _Folder()
    file = folder.path / "w.pth"
    tree = {
        "epoch": 3,
        "model": {name: torch.from_numpy(array) for name, array in seeds.arrays().items()},
        "args": [1, "a"],
    }
    found = []
    for new in (True, False):
        buffer = io.BytesIO()
        torch.save(tree, buffer, _use_new_zipfile_serialization=new)
        found.append(buffer.getvalue())
    with zipfile.ZipFile(io.BytesIO(found[0])) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    pickled = next(name for name in members if name.endswith("data.pkl"))
    opcodes = [
        bytes([code])
        for code in b"(.0123FIJKLMNPQRSTUVXabcdeghijlopqrstu}]\x80\x81\x82\x85\x86\x87\x88\x89\x8a\x8c\x94\x95"
    ]
    tokens = [*opcodes, b"cos\nsystem\n", b"cbuiltins\neval\n", b"ctorch._utils\n_rebuild_tensor_v2\n", b"R.", b"b."]

    def read(content: bytes) -> None:
        file.write_bytes(content)
        _documented(lambda: read_checkpoint(file))

    def rewritten(rng: Random) -> bytes:
        altered = alter_bytes(members[pickled], rng, (), tokens if rng.random() < 0.5 else ())
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, content in members.items():
                archive.writestr(name, altered if name == pickled else content)
        return buffer.getvalue()

    _folders.append(folder)
    return read, one_of(rewritten, bytes_mutator(found, tokens))


def _checkpoint() -> tuple[Callable[[bytes], None], Mutate]:
    """What a checkpoint of a training says of itself, with a right checksum, taken up for its trial."""
    from scaling_search.training.so_far import Template, _unpacked
    from scaling_search.trial import spec_from_dict

    spec = spec_from_dict(seeds.records()[0]["spec"])
    like = {"weights": np.zeros(3, np.float32)}
    template = Template(lambda: like, lambda state: state)  # type: ignore[arg-type, return-value]
    held = {"state.weights": np.ones(3, np.float32), "losses": np.zeros(5)}

    def read(content: bytes) -> None:
        try:
            about = json.loads(content)
        except (ValueError, RecursionError):
            return
        _documented(lambda: _unpacked(held, about, spec, like, template))

    return read, json_mutator(
        [{**seeds.CHECKPOINT, "key": spec.key}, {**seeds.CHECKPOINT, "key": spec.key, "best": None}]
    )


def _orbax() -> tuple[Callable[[bytes], None], Mutate]:
    """The files of a checkpoint of a training, of which one is altered."""
    from scaling_search.training.checkpoints import Series

    folder = _Folder()
    made = Series(folder.path / "made")
    made.write(5, {"a.b": np.arange(6, dtype=np.float32), "losses": np.zeros(5)}, seeds.CHECKPOINT)
    made.finish()
    root = folder.path / "made" / "5"
    files = {file.relative_to(root): file.read_bytes() for file in sorted(root.rglob("*")) if file.is_file()}
    place = folder.path / "read" / "5"
    count = 0

    def read(content: bytes) -> None:
        nonlocal place, count
        # In another folder each time, as TensorStore keeps what it has read.
        count += 1
        series = Series(folder.path / f"read{count}")
        place = series.folder / "5"
        for name, part in zip(files, content.split(MARK), strict=False):
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_bytes(part)
        if place.is_dir():
            _documented(lambda: series.read(5))
        import shutil

        shutil.rmtree(series.folder, ignore_errors=True)

    _folders.append(folder)
    return read, parts_mutator(*((content, bytes_mutator([content])) for content in files.values()))


def _idx() -> tuple[Callable[[bytes], None], Mutate]:
    """A pair of IDX files, gzipped or not."""
    from scaling_search.data.sources import load

    folder = _Folder()
    names = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
    pixels = np.arange(4 * 3 * 2).reshape(4, 3, 2)
    plain = [seeds.idx_file(array) for array in (pixels, np.array([0, 1, 1, 0]), pixels[:2], np.array([1, 0]))]
    packed = [gzip.compress(one, mtime=0) for one in plain]

    def read(content: bytes) -> None:
        parts = [*content.split(MARK), b"", b"", b""]
        for name, part in zip(names, parts, strict=False):
            file = folder.path / name
            file.write_bytes(part) if part else file.unlink(missing_ok=True)
        _documented(lambda: load(f"idx:{folder.path}"))

    def gzipped(content: bytes) -> Mutate:
        return lambda rng: gzip.compress(alter_bytes(content, rng), 1, mtime=0)

    ways = [
        (one, one_of(bytes_mutator([one, zipped]), gzipped(one))) for one, zipped in zip(plain, packed, strict=True)
    ]
    _folders.append(folder)
    return read, one_of(parts_mutator(*ways[:2]), parts_mutator(*ways))


def _image() -> tuple[Callable[[bytes], None], Mutate]:
    """An encoded picture, decoded whole and reduced."""
    from scaling_search.data import pictures

    found = seeds.pictures()
    pngs = [content for name, content in found.items() if name.startswith("PNG")]

    def read(content: bytes) -> None:
        for least in (None, 2):
            try:
                with _few_pixels():
                    picture = pictures.decode(content, least=least)
            except pictures.BadPictureError:
                continue
            square = picture.square(4)
            if square.shape != (4, 4, picture.channels) or square.dtype != np.uint8:
                raise AssertionError(f"a square of {square.shape} {square.dtype}")

    return read, one_of(bytes_mutator(list(found.values())), png_mutator(pngs))


def _tfrecord() -> tuple[Callable[[bytes], None], Mutate]:
    """A shard of TFRecords with their examples."""
    from scaling_search.data.examples import BadRecordError, read_example, record_spans

    images = list(seeds.pictures().values())[:2]
    examples = [seeds.example(image, label) for label, image in enumerate(images)]
    valid = seeds.framed(examples)

    def read(content: bytes) -> None:
        view = memoryview(content)
        try:
            for span in record_spans(view):
                for feature in read_example(view, span).values():
                    for text in feature.texts:
                        if not span.start <= text.start <= text.end <= span.end:
                            raise AssertionError(f"{text} is outside of {span}")
        except BadRecordError:
            pass

    def rewritten(rng: Random) -> bytes:
        return seeds.framed([alter_bytes(rng.choice(examples), rng, examples)])

    return read, one_of(rewritten, rewritten, bytes_mutator([valid]))


def _records() -> tuple[Callable[[bytes], None], Mutate]:
    """A shard of TFRecords as data to train on."""
    from scaling_search.data.sources import load

    folder = _Folder()
    file = folder.path / "made-train.tfrecord"
    images = list(seeds.pictures().values())
    examples = [seeds.example(images[0], 0), seeds.example(images[0], 1)]

    def read(content: bytes) -> None:
        file.write_bytes(content)
        with _few_pixels():
            _documented(lambda: load(f"records:{file}"))

    def mutate(rng: Random) -> bytes:
        if rng.random() < 0.3:
            return seeds.framed([*examples, seeds.example(alter_bytes(rng.choice(images), rng), rng.randrange(2))])
        return seeds.framed([*examples, alter_bytes(rng.choice(examples), rng, examples)])

    _folders.append(folder)
    return read, mutate


def _csv() -> tuple[Callable[[bytes], None], Mutate]:
    """A table of paths and labels."""
    from scaling_search.data.table import list_table

    folder = _Folder()
    file = folder.path / "table.csv"

    def read(content: bytes) -> None:
        file.write_bytes(content)
        _documented(lambda: list_table(file))

    # Digits that are decimal, and are not, to Python.
    digits = ("\u00b2".encode(), "\u0661".encode(), b"-")
    tokens = (b"path", b"label", b"split", b"train", b",", b"\n", b'"', b"\r", b"\0", *digits)
    _folders.append(folder)
    return read, one_of(bytes_mutator(seeds.TABLE, tokens), bytes_mutator(seeds.TABLE))


def _images() -> tuple[Callable[[bytes], None], Mutate]:
    """A table of images, Parquet or Arrow, as data to train on."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from scaling_search.data.sources import load

    folder = _Folder()
    found = seeds.image_tables()
    image = next(iter(seeds.pictures().values()))

    def read(content: bytes) -> None:
        parquet = content.startswith(b"PAR1")
        file = folder.path / ("train.parquet" if parquet else "train.arrow")
        file.write_bytes(content)
        with _few_pixels():
            _documented(lambda: load(f"hf:{file}"))

    def rewritten(rng: Random) -> bytes:
        rows: Any = [{"image": {"bytes": image, "path": None}, "label": label} for label in (0, 1)]
        about: Any = {"info": {"features": {"label": {"names": ["cat", "dog"]}}}}
        others = [*values_in(rows), *seeds.pictures().values()]
        for _ in range(some(rng, 3)):
            if rng.random() < 0.7:
                rows = alter_tree(rows, rng, others)
            else:
                about = alter_tree(about, rng)
        try:
            table = pa.Table.from_pylist(rows).replace_schema_metadata({"huggingface": json.dumps(about)})
            buffer = io.BytesIO()
            pq.write_table(table, buffer)
        except Exception:  # What Arrow cannot hold.
            return alter_bytes(found["parquet"], rng)
        return buffer.getvalue()

    _folders.append(folder)
    return read, one_of(rewritten, bytes_mutator(list(found.values())))


@contextmanager
def _few_pixels() -> Iterator[None]:
    from scaling_search.data import pictures

    most, pictures.MOST_PIXELS = pictures.MOST_PIXELS, PIXELS
    try:
        yield
    finally:
        pictures.MOST_PIXELS = most


def _documented(reading: Callable[[], Any]) -> None:
    """Reads, and passes over the error that every reader documents. Its message must be one that can be shown."""
    try:
        reading()
    except UserError as error:
        message = str(error)
        if not message.strip() or "\n" in message or "\x1b" in message:
            raise AssertionError(f"a message that is not a clear line: {message!r}") from error
        message.encode()


_folders: list[_Folder] = []
"""Kept until the process ends."""

TARGETS = {
    "record": Target(_record, 0.6, 400),
    "manifest": Target(_manifest, 0.25, 900),
    "run": Target(_run, 0.0015, 60_000),
    "table": Target(_table, 0.02, 5_000),
    "architecture": Target(_architecture, 1.2, 60),
    "idx": Target(_idx, 0.4, 500),
    "image": Target(_image, 0.5, 600),
    "tfrecord": Target(_tfrecord, 1.5, 100),
    "records": Target(_records, 0.05, 2_000),
    "csv": Target(_csv, 1.2, 100),
    "images": Target(_images, 0.03, 4_000),
    "safetensors": Target(_safetensors, 1.5, 40),
    "npz": Target(_npz, 0.4, 250),
    "index": Target(_index, 0.4, 200),
    "description": Target(_description, 1.2, 50),
    "config": Target(_config, 0.5, 100),
    "checkpoint": Target(_checkpoint, 0.4, 300),
    "orbax": Target(_orbax, 0.004, 12_000),
    "torch": Target(_torch, 0.1, 800, needs="torch"),
}


@cache
def made(name: str) -> tuple[Callable[[bytes], None], Mutate]:
    """The reader of a target and what makes its inputs, once a process."""
    return TARGETS[name].make()
