"""Valid content altered at random: bytes, JSON by its tree, and what of a format must be put right again afterwards.

Every choice is drawn from the `random.Random` that is handed over, so that an input is known by its seed and number,
and Hypothesis, whose generators are such, can make a failing one smaller.
"""

import json
import struct
import zlib
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

Mutate = Callable[[Random], bytes]

MARK = b"\n=8<=\n"
"""Between the parts of an input that is more than one file."""

_NUMBERS = (
    0,
    1,
    2,
    3,
    7,
    127,
    128,
    255,
    256,
    2**15,
    2**16 - 1,
    2**24,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**63 - 1,
    2**64 - 1,
)
_TOKENS = (
    *(
        b"\0",
        b"\xff",
        b"\n",
        b",",
        b"..",
        b"../",
        b"/",
        b'"',
        b"{",
        b"}",
        b"[",
        b"]",
        b"%s",
        b"\x1b[31m",
        b"\xed\xa0\x80",
    ),
    *(b"nan", b"inf", b"-1", b"1e999", b"9" * 30, b"9" * 5000, b"</script>", "\u2028".encode(), "é".encode()),
)
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 0.5, -0.5, 1e308, 1e-320, 2**31, 2**53, 2**63, 2**64, -(2**63), 10**30, 10**400),
    *(
        float("nan"),
        float("inf"),
        -float("inf"),
        "",
        "0",
        "ok",
        "failed",
        "crashed",
        "nan",
        "é",
        "\ud800",
        "\0",
        "\x1b[2J",
    ),
    *("..", "../../x", "/etc/passwd", "a:b", "os:abort", "</script><script>", "\u2028", "x" * 3000, "9" * 5000),
    *([], {}, [None], [[]], [1, 2, 3], [0.5] * 7, {"a": 1}, {"": None}, ["a"], ["a=b"]),
)


def some(rng: Random, most: int = 6) -> int:
    """A small number, at least 1."""
    count = 1
    while count < most and rng.random() < 0.45:
        count += 1
    return count


def alter_bytes(content: bytes, rng: Random, others: Sequence[bytes] = (), tokens: Sequence[bytes] = ()) -> bytes:
    """The content with a few bytes or runs of them changed, moved, put in or taken out."""
    altered = bytearray(content)
    for _ in range(some(rng)):
        size = len(altered)
        at = rng.randrange(size + 1)
        length = min(size - at, rng.choice((1, 2, 4, 8, 16, 64, 256, 1024)))
        kind = rng.randrange(11)
        if kind == 0 and size:
            altered[at % size] ^= 1 << rng.randrange(8)
        elif kind == 1 and size:
            altered[at % size] = rng.randrange(256)
        elif kind == 2:
            width = rng.choice((1, 2, 4, 8))
            number = (rng.choice(_NUMBERS) + rng.randrange(-1, 2)) % 2 ** (8 * width)
            altered[at : at + width] = number.to_bytes(width, rng.choice(("little", "big")))
        elif kind == 3:
            altered[at:at] = rng.choice(tokens or _TOKENS)
        elif kind == 4:
            token = rng.choice(_TOKENS)
            altered[at : at + len(token)] = token
        elif kind == 5:
            del altered[at : at + length]
        elif kind == 6:
            altered[at:at] = altered[at : at + length] * rng.choice((1, 1, 2, 16))
        elif kind == 7:
            del altered[at:]
        elif kind == 8 and size:
            start = rng.randrange(size)
            altered[at : at + length] = altered[start : start + length]
        elif kind == 9:
            altered[at : at + length] = bytes(length)
        elif kind == 10 and others:
            other = rng.choice(others)
            start = rng.randrange(len(other) + 1)
            altered[at : at + length] = other[start : start + length]
    return bytes(altered)


def alter_tree(tree: Any, rng: Random, others: Sequence[Any] = ()) -> Any:
    """Plain data with one of its values or keys replaced, taken out, doubled or wrapped. The one given stays as it is.

    The way down is drawn too, so that what is deep is reached as well.
    """
    if isinstance(tree, dict) and tree and rng.random() < 0.85:
        key = rng.choice(list(tree))
        kind = rng.randrange(12)
        if kind == 0:
            return {name: value for name, value in tree.items() if name != key}
        if kind == 1:
            return {(_name(rng) if name == key else name): value for name, value in tree.items()}
        if kind == 2:
            return {**tree, _name(rng): _value(tree, rng, others)}
        return {**tree, key: alter_tree(tree[key], rng, others)}
    if isinstance(tree, list) and tree and rng.random() < 0.85:
        place = rng.randrange(len(tree))
        kind = rng.randrange(8)
        if kind == 0:
            return tree[:place] + tree[place + 1 :]
        if kind == 1:
            return tree[:place] + [tree[place]] * rng.choice((2, 3)) + tree[place + 1 :]
        return [*tree[:place], alter_tree(tree[place], rng, others), *tree[place + 1 :]]
    return _value(tree, rng, others)


def _name(rng: Random) -> str:
    return str(
        rng.choice(("", "a", "key", "spec", "outcome", "status", "network", "config", "seed", "..", "\ud800", "é"))
    )


def _value(old: Any, rng: Random, others: Sequence[Any]) -> Any:
    kind = rng.randrange(8)
    if kind == 0 and others:
        return rng.choice(others)
    if kind == 1:
        return [old]
    if kind == 2:
        return {"a": old}
    if kind == 3 and isinstance(old, int | float):
        return rng.choice((-old, old + 1, old * 1000, str(old), float(old) if abs(old) < 1e300 else old))
    if kind == 3 and isinstance(old, str):
        return alter_bytes(old.encode("utf-8", "replace"), rng).decode("utf-8", "replace")
    return rng.choice(VALUES)


def values_in(tree: Any) -> list[Any]:
    """Every value in plain data, at every depth."""
    inside = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    return [value for one in inside for value in (one, *values_in(one))]


def as_json(tree: Any, rng: Random) -> bytes:
    """Plain data as text; now and then with what JSON allows and dictionaries cannot say, or is no JSON any more."""
    text = json.dumps(tree).encode()
    kind = rng.random()
    if kind < 0.85:
        return text
    if kind < 0.88 and text.startswith(b"{"):
        # A key twice.
        return b'{"' + _name(rng).encode("utf-8", "replace") + b'": 1, ' + text[1:]
    if kind < 0.90:
        depth = rng.choice((50, 990, 100_000))
        return text.replace(b"null", b"[" * depth + b"]" * rng.choice((depth, 0)), 1)
    if kind < 0.92:
        return text.decode().encode(rng.choice(("utf-16", "utf-8-sig", "utf-32")))
    return alter_bytes(text, rng)


def json_mutator(trees: Sequence[Any], finish: Callable[[Any, Random], Any] = lambda tree, rng: tree) -> Mutate:
    """Inputs that are JSON; `finish` puts right what follows from the rest, such as a checksum."""
    others = [value for tree in trees for value in values_in(tree)]

    def mutate(rng: Random) -> bytes:
        tree = rng.choice(trees)
        for _ in range(some(rng)):
            tree = alter_tree(tree, rng, others)
        return as_json(finish(tree, rng), rng)

    return mutate


def bytes_mutator(seeds: Sequence[bytes], tokens: Sequence[bytes] = ()) -> Mutate:
    """Inputs that are any bytes."""

    def mutate(rng: Random) -> bytes:
        return alter_bytes(rng.choice(seeds), rng, seeds, tokens)

    return mutate


def one_of(*ways: Mutate) -> Mutate:
    """Inputs made in one of several ways."""

    def mutate(rng: Random) -> bytes:
        return rng.choice(ways)(rng)

    return mutate


def parts_mutator(*parts: tuple[bytes, Mutate]) -> Mutate:
    """Inputs of several files, of which one is altered, and now and then all."""

    def mutate(rng: Random) -> bytes:
        chosen, every = rng.randrange(len(parts)), rng.random() < 0.1
        return MARK.join(way(rng) if every or number == chosen else seed for number, (seed, way) in enumerate(parts))

    return mutate


def png_mutator(seeds: Sequence[bytes]) -> Mutate:
    """PNGs altered inside their chunks, whose checksums are right again."""
    of_each = [png_chunks(seed) for seed in seeds]
    others = [data for chunks in of_each for _, data in chunks]

    def mutate(rng: Random) -> bytes:
        chunks = list(rng.choice(of_each))
        for _ in range(some(rng, 3)):
            place = rng.randrange(len(chunks))
            kind, data = chunks[place]
            match rng.randrange(6):
                case 0:
                    chunks.insert(rng.randrange(len(chunks) + 1), (kind, data))
                case 1 if len(chunks) > 1:
                    del chunks[place]
                case 2:
                    chunks[place] = (
                        rng.choice((b"tRNS", b"iCCP", b"zTXt", b"gAMA", b"acTL", b"fcTL", b"PLTE", b"eXIf")),
                        data,
                    )
                case 3 if kind == b"IDAT":
                    with_pixels = alter_bytes(_inflated(data), rng, others)
                    chunks[place] = (kind, zlib.compress(with_pixels, 1))
                case _:
                    chunks[place] = (kind, alter_bytes(data, rng, others))
        return png_of(chunks)

    return mutate


def png_chunks(content: bytes) -> list[tuple[bytes, bytes]]:
    """The chunks of a PNG."""
    chunks, at = [], 8
    while at + 12 <= len(content):
        length = int.from_bytes(content[at : at + 4], "big")
        chunks.append((content[at + 4 : at + 8], content[at + 8 : at + 8 + length]))
        at += 12 + length
    return chunks


def png_of(chunks: Sequence[tuple[bytes, bytes]]) -> bytes:
    """A PNG of these chunks."""
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def _inflated(data: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(data, 100_000)
    except zlib.error:
        return data
