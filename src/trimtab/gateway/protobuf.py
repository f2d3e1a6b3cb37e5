"""The wire format of protocol buffers: messages as fields, numbers as variable-length integers.

Source: the encoding guide of Protocol Buffers (protobuf.dev). What a field means is for its reader.
"""

import struct
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trimtab.worker.frames import Bytes

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
"""Wire types; groups, which no message here ever had, are refused."""

MAX_TAG = (1 << 32) - 1
MOST_FIELDS = 200_000
_UINT64 = (1 << 64) - 1
_LONGEST = 10
_DOUBLE = struct.Struct("<d")


class ProtobufError(ValueError):
    """The bytes are no message."""


def tag(number: int, wire_type: int) -> int:
    """What stands in front of a field."""
    return number << 3 | wire_type


class Reader:
    """Reads a message and those within it; `left` bounds the fields that they have together."""

    __slots__ = ("left",)

    def __init__(self, most: int = MOST_FIELDS) -> None:
        self.left = most

    def fields(self, data: Bytes) -> list[tuple[int, Any]]:
        """The fields as `fields` reads them; raises `ProtobufError`."""
        found = fields(data, self.left)
        self.left -= len(found)
        return found


def fields(data: Bytes, most: int = MOST_FIELDS) -> list[tuple[int, Any]]:
    """Every field of a message as (tag, value), in order; raises `ProtobufError`.

    The value of a VARINT is an int, any other a slice of `data`, and so a view if that is one.
    """
    try:
        found, at = _fields(data, most)
    except IndexError:
        raise ProtobufError("the message ends within a field") from None
    if at < len(data):
        raise ProtobufError("the message has too many fields")
    if at > len(data):
        raise ProtobufError("the message ends within a field")
    return found


def _fields(data: Bytes, most: int) -> tuple[list[tuple[int, Any]], int]:
    """At most so many fields, and the offset after them; raises `IndexError` beyond the end."""
    value: Any
    found: list[tuple[int, Any]] = []
    at, end = 0, len(data)
    for _ in range(most):
        if at >= end:
            break
        mark = data[at]
        at += 1
        if mark >= 0x80:
            mark, at = varint(data, at - 1)
        if mark & 7 == BYTES:
            size = data[at]
            at += 1
            if size >= 0x80:
                size, at = varint(data, at - 1)
            value, at = data[at : at + size], at + size
        elif mark & 7 == VARINT:
            value, at = varint(data, at)
        else:
            size = _fixed_size(mark)
            value, at = data[at : at + size], at + size
        if not 8 <= mark <= MAX_TAG:
            raise ProtobufError(f"there is no field {mark >> 3}")
        found.append((mark, value))
    return found, at


def _fixed_size(mark: int) -> int:
    if mark & 7 == FIXED64:
        return 8
    if mark & 7 == FIXED32:
        return 4
    raise ProtobufError(f"field {mark >> 3} has the unknown wire type {mark & 7}")


def varint(data: Bytes, at: int) -> tuple[int, int]:
    """The unsigned number at an offset, and the offset after it.

    Raises `ProtobufError`, and `IndexError` when the bytes end within it.
    """
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & _UINT64, at
        shift += 7
        if shift >= 7 * _LONGEST:
            raise ProtobufError("a number is longer than 10 bytes")


def varints(data: Bytes) -> NDArray[np.uint64]:
    """Packed numbers, all at once; raises `ProtobufError`."""
    raw = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(raw < 0x80)
    if len(ends) == len(raw):
        return raw.astype(np.uint64)
    if not len(ends) or ends[-1] != len(raw) - 1:
        raise ProtobufError("the message ends within a field")
    starts = np.concatenate(([0], ends[:-1] + 1))
    longer = ends - starts
    if longer.max() >= _LONGEST:
        raise ProtobufError("a number is longer than 10 bytes")
    bits = (raw & 0x7F).astype(np.uint64)
    values = bits[starts]
    for place in range(1, int(longer.max()) + 1):
        some = np.flatnonzero(longer >= place)
        values[some] |= bits[starts[some] + place] << np.uint64(7 * place)
    return values


def signed(value: int) -> int:
    """An unsigned number read as int64."""
    return value - (1 << 64) if value >> 63 else value


def text_of(value: Bytes) -> str:
    """A string field; raises `ProtobufError` unless it is UTF-8."""
    try:
        return str(value, "utf-8")
    except UnicodeDecodeError:
        raise ProtobufError("a text is not UTF-8") from None


def double_of(value: Bytes) -> float:
    """A field of wire type FIXED64 as a double."""
    return float(_DOUBLE.unpack(value)[0])


def encoded_varint(value: int) -> bytes:
    """A number from 0, or a negative int64."""
    if 0 <= value < 0x80:
        return bytes((value,))
    value &= _UINT64
    parts = bytearray()
    while value >= 0x80:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)


def nested(number: int, data: Bytes) -> bytes:
    """A field of bytes or of a message that is encoded already."""
    return field_head(number, len(data)) + data


def field_head(number: int, size: int) -> bytes:
    """What stands in front of `size` bytes of a field."""
    return encoded_varint(tag(number, BYTES)) + encoded_varint(size)


def text(number: int, value: str) -> bytes:
    """A string field; nothing when it is empty, for that is the default."""
    return nested(number, value.encode()) if value else b""


def integer(number: int, value: int) -> bytes:
    """A field of a whole number or truth value; nothing when it is 0."""
    return encoded_varint(tag(number, VARINT)) + encoded_varint(value) if value else b""


def integers(number: int, values: Iterable[int]) -> bytes:
    """A packed field of whole numbers."""
    packed = b"".join(map(encoded_varint, values))
    return nested(number, packed) if packed else b""
