"""What others may hand us, made to harm: what each tries, and what must happen instead.

Every entry makes its files in a folder and then does with them what a user would. It must end in a UserError that
matches `refused`, or where that is empty be read without harm. Nothing may be run, be written outside of the folder, or
take much memory. Tested elsewhere, and not repeated here:

- code in PyTorch checkpoints, modules and TorchScript: tests/weights/test_torch_checkpoint.py
- pickles in place of weights, shards that lie in other folders: tests/weights/test_files.py
- that nothing of a training's checkpoint is a pickle: tests/training/test_checkpoints.py
- HTML in every name of a run: tests/analysis/test_report.py, tests/analysis/test_report_in_browser.py
- bombs by a picture's header and links that lead back: tests/data/test_pictures.py, tests/data/test_folder.py
- that Ray listens on loopback alone, with a token: tests/runners/ray/test_driver.py
- another server's name for loopback: tests/cli/test_report_command.py
"""

import gzip
import io
import json
import os
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.fuzz import seeds
from tests.fuzz.mutation import png_of

RAN = "ran"
"""The file that appears where code of an entry was run."""


@dataclass(frozen=True)
class Attack:
    """An entry of the corpus."""

    name: str
    tries: str
    """What it is made to achieve."""
    make: Callable[[Path], Path]
    """Writes its files into an empty folder, and returns what is to be read."""
    read: Callable[[Path], Any]
    """What a user does with it."""
    refused: str = ""
    """A pattern in the UserError that it must end in; empty where it is to be read without harm."""
    warned: str = ""
    """A pattern in a warning that must be given."""


class _Runs:
    """Runs code where it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self._file = str(folder / RAN)

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (self._file,)


# Readers


def _weights(place: Path) -> Any:
    from scaling_search.weights.files import read_arrays

    return read_arrays(place)


def _opened(place: Path) -> Any:
    from scaling_search.weights.bundle import open_weights

    return open_weights(place)


def _data(kind: str) -> Callable[[Path], Any]:
    def read(place: Path) -> Any:
        from scaling_search.data import load

        return load(f"{kind}:{place}")

    return read


def _table(place: Path) -> Any:
    from scaling_search.recorded import RecordedTable

    table = RecordedTable(place)
    return table.config(), list(table.records())


def _run(place: Path) -> Any:
    from scaling_search.analysis.findings.facts import facts_of
    from scaling_search.analysis.frames import load_run

    return facts_of(load_run(place))


def _kept_weights(place: Path) -> Any:
    from scaling_search.store import RunDirectory

    found = RunDirectory(place).weights()
    outside = [file for file in found.values() if place.resolve() not in file.resolve().parents]
    assert not outside, outside
    return found


def _checkpoint(place: Path) -> Any:
    from scaling_search.training.checkpoints import Series

    return Series(place).read(5)


def _picture(place: Path) -> Any:
    from scaling_search.data.pictures import read_file

    return read_file(place)


def _named(name: str) -> Callable[[Path], Any]:
    def start(place: Path) -> Any:
        from scaling_search.config import RunConfig
        from scaling_search.store import start_run

        return start_run(RunConfig(name=name, runs=str(place), data="digits"), "digits:0")

    return start


# Builders


def _file(name: str, content: bytes | Callable[[], bytes]) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / name).write_bytes(content if isinstance(content, bytes) else content())
        return folder / name

    return make


def _archive(folder: Path, name: str, members: dict[str, bytes], kind: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(folder / name, "w", kind) as archive:
        for member, content in members.items():
            archive.writestr(member, content)
    return folder / name


def _npy(descr: str, shape: str, data: bytes = b"") -> bytes:
    head = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + data


def _objects_in_npz(folder: Path) -> Path:
    content = pickle.dumps(np.array([_Runs(folder)], object))
    return _archive(folder, "w.npz", {"a.npy": _npy("'|O'", "(1,)", content)})


def _npz_bomb(folder: Path) -> Path:
    # 64 arrays of 128 MiB, which all are the same few bytes of deflate.
    zeros = bytes(2**27)
    first = _archive(folder, "one.npz", {"a.npy": _npy("'|u1'", "(134217728,)", zeros)})
    with zipfile.ZipFile(first) as archive:
        info = archive.getinfo("a.npy")
        with first.open("rb") as file:
            file.seek(info.header_offset + 30 + len(info.filename))
            packed = file.read(info.compress_size)
    out, entries = io.BytesIO(), b""
    for number in range(64):
        name = b"a%02d.npy" % number
        common = struct.pack("<HHHHHIIIHH", 20, 0, 8, 0, 33, info.CRC, len(packed), info.file_size, len(name), 0)
        entries += b"PK\x01\x02\x14\0" + common + struct.pack("<HHHII", 0, 0, 0, 0, out.tell()) + name
        out.write(b"PK\x03\x04" + common + name + packed)
    start = out.tell()
    out.write(entries + b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 64, 64, len(entries), start, 0))
    first.unlink()
    return _file("bomb.npz", out.getvalue())(folder)


def _safetensors(header: bytes, data: bytes = b"") -> bytes:
    return struct.pack("<Q", len(header)) + header + data


def _described_weights(family: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        module = "from pathlib import Path\nPath(__file__).with_name('ran').mkdir()\n"
        (folder / "hostile_module.py").write_text(module)
        about = json.dumps({**seeds.DESCRIPTION, "family": family})
        return _file("w.safetensors", _safetensors(json.dumps({"__metadata__": {"scaling_search": about}}).encode()))(
            folder
        )

    return make


def _secret(folder: Path) -> Path:
    """A file beside the folder that is given, which must not be reached."""
    (folder / "given").mkdir()
    (folder / "secret.safetensors").write_bytes(_safetensors(b"{}"))
    return folder / "given"


def _shards_elsewhere(name: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        place = _secret(folder)
        index = {"weight_map": {"a": name.format(folder=folder)}}
        return _file("model.safetensors.index.json", json.dumps(index).encode())(place)

    return make


def _run_with(name: str, content: bytes) -> Callable[[Path], Path]:
    """A run in which a file is replaced, or there is another."""

    def make(folder: Path) -> Path:
        place = folder / "run"
        (place / "trials").mkdir(parents=True)
        manifest = seeds.manifests()[1]
        record = seeds.signed(seeds.records()[0])
        (place / "manifest.json").write_text(json.dumps(manifest))
        (place / "sweep.json").write_text(json.dumps(seeds.documents()["sweep"]))
        (place / "trials" / f"{record['key']}.json").write_text(json.dumps(record))
        (place / name).parent.mkdir(exist_ok=True)
        (place / name).write_bytes(content)
        return place

    return make


def _record_with(**outcome: Any) -> Callable[[Path], Path]:
    record = seeds.records()[0]
    altered = seeds.signed({**record, "outcome": {**record["outcome"], **outcome}})
    return _run_with(f"trials/{record['key']}.json", json.dumps(altered).encode())


def _record_text(old: str, new: str) -> Callable[[Path], Path]:
    record = seeds.records()[0]
    text = json.dumps(record)
    assert old in text
    return _run_with(f"trials/{record['key']}.json", text.replace(old, new, 1).encode())


def _manifest_with(**changes: Any) -> Callable[[Path], Path]:
    return _run_with("manifest.json", json.dumps({**seeds.manifests()[1], **changes}).encode())


def _weights_elsewhere(name: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        place = _run_with("weights.json", json.dumps({"0" * 20: name.format(folder=folder)}).encode())(folder)
        (place / "weights").mkdir()
        (folder / "secret.safetensors").write_bytes(_safetensors(b"{}"))
        return place

    return make


def _long_parquet(folder: Path) -> Path:
    """110 million equal rows in some kilobytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([("key", pa.bool_())], metadata={"scaling-search": "{}"})
    rows = pa.table({"key": pa.array(np.zeros(10**7, bool))}, schema)
    with pq.ParquetWriter(folder / "table.parquet", schema, compression="zstd") as writer:
        for _ in range(11):
            writer.write_table(rows, row_group_size=10**7)
    return folder / "table.parquet"


def _long_images(folder: Path) -> Path:
    """A picture of 8 MiB, two thousand times, in a file of some kilobytes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    image = pa.DictionaryArray.from_arrays(pa.array(np.zeros(2000, np.int32)), pa.array([bytes(2**23)], pa.binary()))
    table = pa.table({"image": image, "label": np.arange(2000) % 2})
    with pq.ParquetWriter(folder / "train.parquet", table.schema, compression="zstd", store_schema=False) as writer:
        writer.write_table(table)
    return folder / "train.parquet"


def _extension_type(folder: Path) -> Path:
    """A column of an extension type whose Python class is named in a pickle, as PyArrow once read them."""
    import pyarrow as pa

    about = {
        b"ARROW:extension:name": b"arrow.py_extension_type",
        b"ARROW:extension:metadata": pickle.dumps(_Runs(folder)),
    }
    field = pa.field("image", pa.binary()).with_metadata(about)
    schema = pa.schema([field, pa.field("label", pa.int64())])
    image = seeds.pictures()["PNG L"]
    table = pa.table([pa.array([image, image], pa.binary()), pa.array([0, 1])], schema=schema)
    with pa.OSFile(str(folder / "train.arrow"), "wb") as sink, pa.ipc.new_stream(sink, schema) as writer:
        writer.write_table(table)
    return folder / "train.arrow"


def _pandas_metadata(folder: Path) -> Path:
    """A recorded table with a column of an extension type and the metadata by which pandas would make objects."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pylist([seeds.records()[0]])
    about = {
        b"ARROW:extension:name": b"arrow.py_extension_type",
        b"ARROW:extension:metadata": pickle.dumps(_Runs(folder)),
    }
    table = table.append_column(pa.field("x", pa.binary()).with_metadata(about), pa.array([b""], pa.binary()))
    pandas = json.dumps({"columns": [{"name": "x", "pandas_type": "object", "numpy_type": "object", "metadata": None}]})
    metadata = {"scaling-search": json.dumps(seeds.manifests()[0]), "pandas": pandas}
    pq.write_table(table.replace_schema_metadata(metadata), folder / "table.parquet")
    return folder / "table.parquet"


def _image_table(images: list[Any], path: str | None = None) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        import pyarrow as pa
        import pyarrow.parquet as pq

        kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        rows = [{"bytes": image, "path": path} for image in images]
        pq.write_table(pa.table({"image": pa.array(rows, kind), "label": [0, 1]}), folder / "train.parquet")
        return folder / "train.parquet"

    return make


def _saved_by_datasets(folder: Path) -> Path:
    """A folder that `datasets` saved whose state names a module and pickles to be loaded."""
    image = seeds.pictures()["PNG L"]
    _image_table([image, image])(folder)
    (folder / "state.json").write_text(json.dumps({"_format_type": "hostile_module", "_data_files": ["../../x"]}))
    (folder / "dataset_infos.pkl").write_bytes(pickle.dumps(_Runs(folder)))
    (folder / "data.py").write_text("raise SystemExit")
    return folder


def _idx(*lengths: int, body: bytes = b"", packed: bool = False) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        head = bytes([0, 0, 8, 3]) + b"".join(struct.pack(">I", length) for length in lengths)
        content = gzip.compress(head + body) if packed else head + body
        (folder / "train-images-idx3-ubyte").write_bytes(content)
        (folder / "train-labels-idx1-ubyte").write_bytes(seeds.idx_file(np.array([0, 1])))
        return folder

    return make


def _tfrecord(records: bytes) -> Callable[[Path], Path]:
    return _file("a-train.tfrecord", records)


def _claimed_length() -> bytes:
    from scaling_search.data.examples import _masked_crc32c

    length = struct.pack("<Q", 2**62)
    return length + struct.pack("<I", _masked_crc32c(memoryview(length))) + b"x" * 16


def _png(width: int, height: int, *more: tuple[bytes, bytes], rows: bytes = b"\0") -> bytes:
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return png_of([(b"IHDR", head), *more, (b"IDAT", zlib.compress(rows, 1)), (b"IEND", b"")])


def _gif(frames: int, side: int) -> bytes:
    """An animation of so many frames on a screen of this side, each of one pixel that is said to be the whole of it."""
    head = b"GIF89a" + struct.pack("<HHBBB", side, side, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x4c\x01\0"
    return head + frame * frames + b";"


def _csv(content: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        place = folder / "given"
        place.mkdir()
        (folder / "secret.txt").write_text("secret")
        for name in ("a.png", "b.png"):
            (place / name).write_bytes(seeds.pictures()["PNG L"])
            (folder / name).write_bytes(seeds.pictures()["PNG L"])
        return _file("table.csv", content.format(folder=folder).encode("utf-8", "surrogateescape"))(place)

    return make


def _images_folder(folder: Path) -> Path:
    for name in ("cat", "dog"):
        (folder / name).mkdir()
        for number in range(2):
            (folder / name / f"{number}.png").write_bytes(seeds.pictures()["PNG L"])
    return folder


def _linked_devices(folder: Path) -> Path:
    _images_folder(folder)
    (folder / "cat" / "endless.png").symlink_to("/dev/zero")
    return folder


def _sparse(name: str, head: bytes = b"") -> Callable[[Path], Path]:
    """A file of two terabytes that takes no space."""

    def make(folder: Path) -> Path:
        file = folder / name
        file.write_bytes(head)
        os.truncate(file, 2 * 2**40)
        return file

    return make


def _sparse_image(folder: Path) -> Path:
    _images_folder(folder)
    _sparse("0.png")(folder / "cat")
    return folder


def _sparse_idx(folder: Path) -> Path:
    head = bytes([0, 0, 8, 3]) + struct.pack(">III", 2**21, 2**10, 2**10)
    _sparse("train-images-idx3-ubyte", head)(folder)
    os.truncate(folder / "train-images-idx3-ubyte", len(head) + 2**41)
    (folder / "train-labels-idx1-ubyte").write_bytes(seeds.idx_file(np.array([0, 1])))
    return folder


def _linked(name: str) -> Callable[[Path], Path]:
    """A run in which a file that is going to be written is a link to one outside."""

    def make(folder: Path) -> Path:
        place = _run_with("x.csv", b"")(folder)
        (folder / "secret.txt").write_text("secret")
        (place / "checkpoints").mkdir()
        (place / name.format(process=os.getpid())).symlink_to(folder / "secret.txt")
        return place

    return make


def _report(place: Path) -> Any:
    from scaling_search.analysis import findings_of, load_run

    findings_of(load_run(place)).report()
    assert (place.parent / "secret.txt").read_text() == "secret"


def _orders(place: Path) -> Any:
    from scaling_search.training.checkpoints import Checkpoints

    Checkpoints(place / "checkpoints").stop()
    assert (place.parent / "secret.txt").read_text() == "secret"


def _hostile_checkpoint(change: Callable[[Path], None]) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        from scaling_search.training.checkpoints import Series

        series = Series(folder / "made")
        series.write(5, {"a": np.arange(6, dtype=np.float32)}, seeds.CHECKPOINT)
        series.finish()
        change(folder / "made" / "5")
        return folder / "made"

    return make


def _handler_by_name(place: Path) -> None:
    file = place / "_CHECKPOINT_METADATA"
    tree = json.loads(file.read_text())
    tree["item_handlers"] = dict.fromkeys(tree["item_handlers"], "hostile_module.Handler")
    file.write_text(json.dumps(tree))
    _hostile_module(place.parents[1])


def _pickles_inside(place: Path) -> None:
    for file in (place / "arrays").rglob("*"):
        if file.is_file():
            file.write_bytes(pickle.dumps(_Runs(place.parents[1])))


def _hostile_module(folder: Path) -> None:
    (folder / "hostile_module.py").write_text("from pathlib import Path\nPath(__file__).with_name('ran').mkdir()\n")


DEEP = "[" * 100_000 + "]" * 100_000
DIGITS = "9" * 100_000

ATTACKS = (
    # Pickles
    Attack(
        "objects in a NumPy archive", "runs code as it is unpickled", _objects_in_npz, _weights, "Object arrays cannot"
    ),
    Attack(
        "a pickle called weights",
        "runs code as it is unpickled",
        lambda folder: _file("w.npz", pickle.dumps(_Runs(folder)))(folder),
        _weights,
        "not a NumPy archive",
    ),
    Attack(
        "a pickle called safetensors",
        "runs code as it is unpickled",
        lambda folder: _file("w.safetensors", pickle.dumps(_Runs(folder)))(folder),
        _weights,
        "damaged or cut off",
    ),
    Attack("a pickle in an extension type", "runs code when Arrow meets its own type", _extension_type, _data("hf")),
    Attack("a pickle in a recorded table", "runs code when Arrow or pandas meet the type", _pandas_metadata, _table),
    Attack(
        "pickles beside a saved data set", "has its format, module or cache loaded", _saved_by_datasets, _data("hf")
    ),
    Attack(
        "pickles in a checkpoint",
        "runs code where arrays are expected",
        _hostile_checkpoint(_pickles_inside),
        _checkpoint,
        "cannot be read",
    ),
    Attack(
        "a handler named in a checkpoint",
        "has Orbax import a module that is named in the metadata",
        _hostile_checkpoint(_handler_by_name),
        _checkpoint,
    ),
    Attack(
        "a family by import path in weights",
        "has a module of the current folder imported, which runs its code",
        _described_weights("hostile_module:Family"),
        _opened,
        "would be imported",
    ),
    Attack(
        "a function as a family in weights",
        "has a function of the standard library called",
        _described_weights("os:abort"),
        _opened,
        "would be imported",
    ),
    # Names that lead elsewhere
    Attack(
        "a shard above",
        "reads a file outside of the model's folder",
        _shards_elsewhere("../secret.safetensors"),
        _weights,
        "same folder",
    ),
    Attack(
        "a shard by an absolute path",
        "reads any file",
        _shards_elsewhere("{folder}/secret.safetensors"),
        _weights,
        "same folder",
    ),
    Attack("a shard that is the folder", "reads what is no file", _shards_elsewhere(".."), _weights, "same folder"),
    Attack(
        "kept weights above",
        "has another file taken for the run's own",
        _weights_elsewhere("../../secret.safetensors"),
        _kept_weights,
    ),
    Attack(
        "kept weights by an absolute path", "likewise", _weights_elsewhere("{folder}/secret.safetensors"), _kept_weights
    ),
    Attack(
        "members above in a NumPy archive",
        "writes outside of the folder, or shadows a name",
        lambda folder: _archive(
            folder, "w.npz", {"../../a.npy": _npy("'<f4'", "(1,)", bytes(4)), "/b.npy": _npy("'<f4'", "()", bytes(4))}
        ),
        _weights,
    ),
    Attack(
        "a member that is no array",
        "has bytes taken for an array",
        lambda folder: _archive(folder, "w.npz", {"a.txt": b"text"}),
        _weights,
        "floating-point numbers or integers",
    ),
    *(
        Attack(
            f"a run called {name!r}",
            "writes outside of the folder of runs",
            lambda folder: folder,
            _named(name),
            "name",
        )
        for name in ("../up", "/tmp/elsewhere", "a/../../up", "..", ".", "a/b", "a\0b")
    ),
    Attack(
        "a record that names another",
        "replaces the outcome of another trial",
        _run_with(f"trials/{'0' * 20}.json", json.dumps(seeds.signed(seeds.records()[0])).encode()),
        _run,
        warned="does not match its name",
    ),
    Attack(
        "a picture named by a table",
        "has a file of this machine read by its path",
        _image_table([None, None], "/etc/passwd"),
        _data("hf"),
        "only named",
    ),
    Attack(
        "a table of paths to what is no picture",
        "shows the content of a file; paths may lead anywhere, as the user wrote the table, but only pictures are read",
        _csv("path,label\n../secret.txt,x\nb.png,y\n"),
        _data("csv"),
        "not an image",
    ),
    Attack(
        "a table of paths above",
        "reads pictures outside: this is allowed",
        _csv("path,label\n../a.png,x\n{folder}/b.png,y\n"),
        _data("csv"),
    ),
    Attack(
        "a table of devices",
        "is waited for, or never ends",
        _csv("path,label\n/dev/zero,x\nb.png,y\n"),
        _data("csv"),
        "not a file",
    ),
    Attack("a link to an endless device", "never ends", _linked_devices, _data("folder"), "not a file"),
    Attack(
        "a link in place of the report", "has a file outside of the run overwritten", _linked("report.html"), _report
    ),
    Attack(
        "a link beside the report",
        "likewise, by the name it has while it is written",
        _linked(".report.html.{process}"),
        _report,
    ),
    Attack("a link in place of orders", "likewise, as a run is stopped", _linked("checkpoints/orders"), _orders),
    # Claims
    Attack(
        "weights of terabytes",
        "fills memory from a file that takes no space",
        _sparse("w.npz", b"PK"),
        _weights,
        "memory",
    ),
    Attack("a picture of terabytes", "likewise", _sparse_image, _data("folder"), "larger than"),
    Attack("IDX of terabytes on disk", "likewise", _sparse_idx, _data("idx"), "this machine has"),
    Attack("a shard of terabytes", "likewise", _sparse("a-train.tfrecord"), _data("records"), "memory|no TFRecord"),
    Attack("an NPZ bomb", "expands to 8 GiB", _npz_bomb, _weights, "decompression bomb"),
    Attack(
        "an array of a trillion numbers",
        "has memory allocated by a header",
        lambda folder: _archive(folder, "w.npz", {"a.npy": _npy("'<f8'", "(1000000000000,)")}),
        _weights,
        "cannot be read",
    ),
    Attack(
        "a shape of negative numbers",
        "has sizes multiplied to something small",
        lambda folder: _archive(folder, "w.npz", {"a.npy": _npy("'<f8'", "(-1, -1)", bytes(8))}),
        _weights,
        "cannot be read",
    ),
    Attack(
        "code in a NumPy header",
        "has an expression evaluated",
        lambda folder: _archive(folder, "w.npz", {"a.npy": _npy("__import__('os').mkdir('ran')", "(1,)", bytes(8))}),
        _weights,
        "cannot be read",
    ),
    Attack(
        "a safetensors header of exabytes",
        "has memory allocated by a length",
        _file("w.safetensors", struct.pack("<Q", 2**62) + b"{}"),
        _weights,
        "damaged or cut off",
    ),
    Attack(
        "a tensor of exabytes",
        "has memory allocated by a shape, or multiplies beyond 64 bits",
        _file(
            "w.safetensors",
            _safetensors(b'{"a":{"dtype":"F32","shape":[4294967296,4294967296,1],"data_offsets":[0,0]}}'),
        ),
        _weights,
        "damaged or cut off",
    ),
    Attack(
        "a tensor of nothing that is long",
        "has an array made that no machine can have",
        _file("w.safetensors", _safetensors(b'{"a":{"dtype":"F32","shape":[0,%d],"data_offsets":[0,0]}}' % 2**63)),
        _weights,
        "cannot be read",
    ),
    Attack(
        "tensors over each other",
        "has the same bytes read ten thousand times",
        _file(
            "w.safetensors",
            _safetensors(
                json.dumps(
                    {str(n): {"dtype": "F32", "shape": [1024], "data_offsets": [0, 4096]} for n in range(10_000)}
                ).encode(),
                bytes(4096),
            ),
        ),
        _weights,
        "damaged or cut off",
    ),
    Attack(
        "a deep safetensors header",
        "exhausts the stack",
        _file("w.safetensors", _safetensors(DEEP.encode())),
        _weights,
        "damaged",
    ),
    Attack(
        "a deep index",
        "exhausts the stack",
        _file("model.safetensors.index.json", DEEP.encode()),
        _weights,
        "weight_map",
    ),
    Attack("a long Parquet table", "holds 110 million rows in a small file", _long_parquet, _table, "claims to hold"),
    Attack("a picture many times over", "expands to 16 GiB", _long_images, _data("hf"), "claims to hold"),
    Attack(
        "IDX of terabytes", "has memory allocated by a header", _idx(2**31, 2**20, 2**10), _data("idx"), "has fewer"
    ),
    Attack(
        "IDX of 2^96 bytes",
        "multiplies beyond 64 bits",
        _idx(2**32 - 1, 2**32 - 1, 2**32 - 1),
        _data("idx"),
        "has fewer",
    ),
    Attack(
        "gzipped IDX of terabytes",
        "likewise, in a few bytes",
        _idx(2**31, 2**20, 2**10, packed=True),
        _data("idx"),
        "has fewer",
    ),
    Attack(
        "gzipped IDX that goes on",
        "expands to 64 MiB behind two images",
        _idx(2, 1, 1, body=bytes(2**26), packed=True),
        _data("idx"),
        "has more",
    ),
    Attack(
        "a TFRecord of exabytes",
        "reads beyond the end, or has memory allocated",
        _tfrecord(_claimed_length()),
        _data("records"),
        "cut off",
    ),
    Attack(
        "an endless varint",
        "never ends",
        _tfrecord(seeds.framed([b"\x0a" + b"\xff" * 4000])),
        _data("records"),
        "no tf.train.Example",
    ),
    Attack(
        "deep messages",
        "exhausts the stack",
        _tfrecord(seeds.framed([b"".join(b"\x0a" + bytes([255, 127]) for _ in range(20_000))])),
        _data("records"),
        "no tf.train.Example",
    ),
    # Pictures
    Attack(
        "a PNG of a trillion pixels",
        "has memory allocated by a header",
        _file("a.png", _png(10**6, 10**6)),
        _picture,
        "decompression bomb",
    ),
    Attack("a PNG of no pixels", "divides by nothing", _file("a.png", _png(0, 0)), _picture, "cannot be read"),
    Attack(
        "a GIF of a screen of 4 billion pixels",
        "has a frame of one pixel enlarged",
        _file("a.gif", _gif(1, 65535)),
        _picture,
        "bomb",
    ),
    Attack(
        "an animation of a million frames", "has all of them decoded", _file("a.gif", lambda: _gif(10**6, 4)), _picture
    ),
    Attack(
        "text that expands to 128 MiB",
        "fills memory beside the pixels",
        _file("a.png", lambda: _png(1, 1, (b"zTXt", b"a\0\0" + zlib.compress(bytes(2**27), 1)), rows=b"\0\0")),
        _picture,
    ),
    Attack(
        "a profile that expands to 128 MiB",
        "fills memory beside the pixels",
        _file("a.png", lambda: _png(1, 1, (b"iCCP", b"a\0\0" + zlib.compress(bytes(2**27), 1)), rows=b"\0\0")),
        _picture,
    ),
    Attack(
        "pixels that expand to 128 MiB",
        "fills memory with rows that the header does not promise",
        _file("a.png", lambda: _png(1, 1, rows=bytes(2**27))),
        _picture,
    ),
    Attack(
        "a PostScript program",
        "has Ghostscript started",
        _file("a.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(ran) (w) file\n"),
        _picture,
        "not an image",
    ),
    Attack(
        "an SVG",
        "has a file of this machine included",
        _file("a.png", b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'),
        _picture,
        "not an image",
    ),
    # Records, manifests and documents
    Attack(
        "a deep record", "exhausts the stack", _record_text('"note": "n"', f'"note": {DEEP}'), _run, warned="too deep"
    ),
    Attack("a deep manifest", "exhausts the stack", _run_with("manifest.json", DEEP.encode()), _run, "too deep"),
    Attack(
        "a number of 100,000 digits", "takes minutes to read", _record_text("55555", DIGITS), _run, warned="skipped"
    ),
    Attack("a number of 400 digits", "is infinite as a float", _record_with(accuracy=10**400), _run, warned="skipped"),
    Attack(
        "NaN as an accuracy",
        "wins every comparison, or none",
        _record_text('"accuracy": 0.75, "loss"', '"accuracy": NaN, "loss"'),
        _run,
        warned="NaN",
    ),
    Attack(
        "infinity by an exponent",
        "is larger than every other",
        _record_text('"accuracy": 0.75, "loss": 0.5, "reason"', '"accuracy": 1e999, "loss": 0.5, "reason"'),
        _run,
        warned="accuracy",
    ),
    Attack("an accuracy above 1", "wins every comparison", _record_with(accuracy=7.0), _run, warned="accuracy"),
    Attack(
        "a list as a reason", "is matched as text", _record_with(status="failed", reason=["x"]), _run, warned="reason"
    ),
    Attack(
        "a key twice",
        "says one thing to a reader that takes the first and another to one that takes the last",
        _record_text('"accuracy": 0.75', '"accuracy": 0.99, "accuracy": 0.75'),
        _run,
    ),
    Attack(
        "a record in UTF-16",
        "is read as other text",
        _run_with(f"trials/{seeds.records()[0]['key']}.json", json.dumps(seeds.records()[0]).encode("utf-16")),
        _run,
    ),
    Attack(
        "a kind that is a list", "is looked up where it cannot be", _manifest_with(kind=["method"]), _run, "of kind"
    ),
    Attack("a config that is a list", "has no fields", _manifest_with(config=[]), _run, "does not state"),
    Attack(
        "a number of seeds that is text",
        "is added to numbers",
        _manifest_with(config={**seeds.manifests()[1]["config"], "seeds": "3"}),
        _run,
        "seeds",
    ),
    Attack(
        "a network of nothing",
        "divides by its cost",
        _run_with("sweep.json", b'{"rows": [{"scaling": "width", "network": {}}]}'),
        _run,
        "cannot be read",
    ),
)
"""The corpus."""

assert len({attack.name for attack in ATTACKS}) == len(ATTACKS)
