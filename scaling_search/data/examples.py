"""TFRecord files and the tf.train.Example messages inside, read without TensorFlow: pure functions of bytes."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_LONGEST_VARINT = 10


class BadRecordError(ValueError):
    """Bytes are no TFRecords, or no Example."""


class Span(NamedTuple):
    """A part of a buffer, in bytes from its beginning."""

    start: int
    end: int


@dataclass(frozen=True)
class Feature:
    """The values of one feature; those of floats are passed over."""

    texts: list[Span] = field(default_factory=list)
    """Where the values of a bytes_list lie."""
    numbers: list[int] = field(default_factory=list)
    """The values of an int64_list."""


def record_spans(content: memoryview) -> Iterator[Span]:
    """Where the records of a TFRecord file lie in its content.

    The checksums of the lengths are verified, and those of the records are not: a damaged image cannot be decoded.
    Raises BadRecordError, which says where, if a length is damaged or the file ends before its record does.
    """
    at = 0
    while at < len(content):
        head = content[at : at + 12]
        if len(head) < 12 or _masked_crc32c(head[:8]) != struct.unpack("<I", head[8:])[0]:
            raise BadRecordError(f"no TFRecord begins at byte {at}")
        span = Span(at + 12, at + 12 + struct.unpack("<Q", head[:8])[0])
        if span.end + 4 > len(content):
            raise BadRecordError(f"the record at byte {at} is cut off")
        yield span
        at = span.end + 4


def read_example(content: memoryview, of: Span) -> dict[str, Feature]:
    """The features by name of the tf.train.Example (tensorflow/core/example/example.proto) in a part of a buffer.

    Only the structure is read: spans say where texts lie. Raises BadRecordError where it is no Example.
    """
    features: dict[str, Feature] = {}
    for all_features in _children(content, of, 1):
        for entry in _children(content, all_features, 1):
            name, feature = "", Feature()
            for number, value in _fields(content, entry):
                if number == 1 and isinstance(value, Span):
                    name = str(content[value.start : value.end], "utf-8", "replace")
                elif number == 2 and isinstance(value, Span):
                    feature = _feature(content, value)
            features[name] = feature
    if not features:
        raise BadRecordError("it is no tf.train.Example with features")
    return features


def _feature(content: memoryview, of: Span) -> Feature:
    feature = Feature()
    for kind, values in _fields(content, of):
        if not isinstance(values, Span):
            continue
        if kind == 1:
            feature.texts.extend(_children(content, values, 1))
        elif kind == 3:
            for number, value in _fields(content, values):
                if number == 1:
                    # Packed, as writers of today do, or each by itself.
                    feature.numbers.extend(_packed(content, value) if isinstance(value, Span) else [_signed(value)])
    return feature


def _packed(content: memoryview, of: Span) -> Iterator[int]:
    at = of.start
    while at < of.end:
        value, at = _varint(content, at, of.end)
        yield _signed(value)


def _signed(value: int) -> int:
    return value - 2**64 if value >= 2**63 else value


def _children(content: memoryview, of: Span, wanted: int) -> Iterator[Span]:
    """The messages or texts that are field number `wanted`."""
    for number, value in _fields(content, of):
        if number == wanted and isinstance(value, Span):
            yield value


def _fields(content: memoryview, of: Span) -> Iterator[tuple[int, int | Span]]:
    """The fields of a message in protocol buffers' encoding: their numbers, and a varint or where the bytes lie."""
    at = of.start
    while at < of.end:
        tag, at = _varint(content, at, of.end)
        number, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            value, at = _varint(content, at, of.end)
            yield number, value
            continue
        if wire == _BYTES:
            length, at = _varint(content, at, of.end)
        elif wire in (_FIXED64, _FIXED32):
            length = 8 if wire == _FIXED64 else 4
        else:
            raise BadRecordError("it is no tf.train.Example")
        if at + length > of.end:
            raise BadRecordError("it is no tf.train.Example")
        yield number, Span(at, at + length)
        at += length


def _varint(content: memoryview, at: int, end: int) -> tuple[int, int]:
    """A number of 7 bits a byte, and where what follows begins."""
    value = 0
    for place in range(min(_LONGEST_VARINT, end - at)):
        byte = content[at + place]
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return value & 2**64 - 1, at + place + 1
    raise BadRecordError("it is no tf.train.Example")


def _crc32c_table() -> list[int]:
    table = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


_TABLE = _crc32c_table()


def _masked_crc32c(content: memoryview) -> int:
    """CRC-32C (Castagnoli), rotated and moved as TFRecords have it."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
