"""Frames and tensors between gateway and worker, and on disk (docs/wire.md, "Frames").

Pure functions over bytes: nothing here opens a socket, and nothing needs numpy. Decoding slices
memoryviews, so the body of a frame is never copied once it has arrived.
"""

import json
import math
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import IntEnum
from functools import lru_cache
from typing import Any, NamedTuple

Bytes = bytes | bytearray | memoryview
"""What holds bytes; views are of format `B` (one dimension, one byte per item)."""

PROTOCOL = 1
"""Version of the protocol, said in HELLO."""

MAX_FRAME = 256 * 1024 * 1024
"""Largest frame, in bytes after the length field; larger ones are refused unread."""

ITEM_SIZES: Mapping[str, int] = {
    "BOOL": 1,
    "UINT8": 1,
    "UINT16": 2,
    "UINT32": 4,
    "UINT64": 8,
    "INT8": 1,
    "INT16": 2,
    "INT32": 4,
    "INT64": 8,
    "FP16": 2,
    "FP32": 4,
    "FP64": 8,
}
"""Bytes per element of the numeric datatypes; BYTES has no fixed size."""

_PREFIX = struct.Struct("<IBI")
_LENGTH = struct.Struct("<I")
_AFTER_LENGTH = _PREFIX.size - _LENGTH.size
_ALIGNED = 8
_MISSING = 0xFFFFFFFF
_MISSING_BYTES = _LENGTH.pack(_MISSING)
_encode_header = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_decode_header = json.JSONDecoder().decode


class FrameError(ValueError):
    """The bytes are no frame, or a frame says what its tensors do not hold."""


class Kind(IntEnum):
    """What a frame is (docs/wire.md has the headers and directions)."""

    HELLO = 1
    PREDICT = 2
    RESULT = 3
    FAILURE = 4
    PING = 5
    PONG = 6
    BYE = 7
    GOLDEN = 8


_KINDS = {kind.value: kind for kind in Kind}


class Tensor(NamedTuple):
    """A named array as bytes: row-major numbers, or length-prefixed texts for BYTES."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: Bytes

    @property
    def elements(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)


class Frame(NamedTuple):
    """A decoded frame. `body` is a view of what was received: it stays valid with the frame."""

    kind: Kind
    header: dict[str, Any]
    body: memoryview


def described(name: str, datatype: str, shape: Sequence[int], size: int) -> dict[str, Any]:
    """A header's entry for a tensor whose `size` bytes are passed to `encode` separately."""
    return {"name": name, "datatype": datatype, "shape": list(shape), "size": size}


def encode(
    kind: Kind, header: Mapping[str, Any] | bytes, chunks: Sequence[Bytes] = ()
) -> list[Bytes]:
    """The frame as buffers to be written one after another; `chunks` are not copied.

    `header` may be JSON that is already encoded. Raises `FrameError` above `MAX_FRAME`.
    """
    text = header if isinstance(header, bytes) else dumped(header)
    length = _AFTER_LENGTH + len(text) + sum(map(len, chunks))
    if length > MAX_FRAME:
        raise FrameError(f"a frame of {length} bytes is over the limit of {MAX_FRAME}")
    return [_PREFIX.pack(length, kind, len(text)) + text, *chunks]


def aligned(header: bytes) -> bytes:
    """A header with as many spaces behind it that numbers after it lie as a processor reads them:
    whoever receives the frame in one buffer need not copy them."""
    return header + b" " * (-(_PREFIX.size + len(header)) % _ALIGNED)


def encode_tensors(
    kind: Kind, header: Mapping[str, Any] | bytes, tensors: Mapping[str, Sequence[Tensor]]
) -> list[Bytes]:
    """A frame with lists of tensors: `tensors` maps a header field (`inputs`) to its list.

    `header`, of one field at least, may be JSON that is already encoded.
    """
    text = header if isinstance(header, bytes) else dumped(header)
    chunks: list[Bytes] = []
    for field, each in tensors.items():
        listed = _listed(tuple([(*tensor[:3], len(tensor.data)) for tensor in each]))
        text = b'%b,"%b":%b}' % (text[:-1], field.encode(), listed)
        chunks += [tensor.data for tensor in each]
    return encode(kind, text, chunks)


@lru_cache(maxsize=1024)
def _listed(tensors: tuple[tuple[str, str, tuple[int, ...], int], ...]) -> bytes:
    """The JSON of a header's list: what is sent is described alike time and again."""
    return dumped([described(*tensor) for tensor in tensors])


def dumped(header: Mapping[str, Any] | list[Any]) -> bytes:
    """A header, or a part of one, as compact JSON."""
    return _encode_header(header).encode()


def loaded(header: bytes) -> Any:
    """A header's JSON."""
    return _decode_header(header.decode())


def tensors_of(frame: Frame, *fields: str) -> list[list[Tensor]]:
    """The tensor lists of a frame in the order of `fields`, as views of its body.

    Raises `FrameError` unless the lists describe exactly the bytes that are there.
    """
    offset = 0
    lists = []
    for field in fields:
        tensors = []
        for entry in _entries(frame.header, field):
            tensor, offset = _tensor(entry, frame.body, offset)
            tensors.append(tensor)
        lists.append(tensors)
    if offset != len(frame.body):
        raise FrameError(f"tensors describe {offset} bytes of a body of {len(frame.body)}")
    return lists


def encode_texts(values: Iterable[str | None]) -> bytes:
    """The bytes of a BYTES tensor: per element u32 length and UTF-8, None as missing.

    Most texts are classes or categories, so that each comes many times.
    """
    texts = list(values)
    encoded = {text: _encoded(text) for text in set(texts)}
    return b"".join([encoded[text] for text in texts])


def _encoded(text: str | None) -> bytes:
    if text is None:
        return _MISSING_BYTES
    data = text.encode()
    return _LENGTH.pack(len(data)) + data


def decode_texts(data: Bytes, count: int) -> list[str | None]:
    """The texts of a BYTES tensor of `count` elements.

    Raises `FrameError` when the bytes hold another number of elements or are not UTF-8.
    """
    view = bytes(data)
    if count > 1 and (alike := _texts_alike(view, count)) is not None:
        return alike
    values: list[str | None] = []
    offset = 0
    try:
        for _ in range(count):
            (length,) = _LENGTH.unpack_from(view, offset)
            offset += _LENGTH.size
            if length == _MISSING:
                values.append(None)
                continue
            if offset + length > len(view):
                raise FrameError("a text is longer than its tensor")
            values.append(view[offset : offset + length].decode())
            offset += length
    except (struct.error, UnicodeDecodeError) as error:
        raise FrameError(f"a BYTES tensor cannot be read: {error}") from error
    if offset != len(view):
        raise FrameError(f"a BYTES tensor has {len(view) - offset} bytes after its last element")
    return values


def _texts_alike(view: bytes, count: int) -> list[str | None] | None:
    """The texts when all are ASCII and as long as one another, as the names of two classes often
    are."""
    size = len(view) // count if count else 0
    length = size - _LENGTH.size
    if length < 1 or size * count != len(view):
        return None
    for place, byte in enumerate(_LENGTH.pack(length)):
        if view[place::size] != bytes([byte]) * count:
            return None
    if not view.isascii():
        return None
    text = view.decode()
    if length == 1:
        return list(text[_LENGTH.size :: size])
    return [text[start : start + length] for start in range(_LENGTH.size, len(text), size)]


class Decoder:
    """Turns a byte stream into frames, whatever the pieces it arrives in.

    A `FrameError` leaves the stream without a known position: close the connection.
    """

    def __init__(self, limit: int = MAX_FRAME, loads: Callable[[bytes], Any] = loaded) -> None:
        self._limit = limit
        self._loads = loads
        self._pending = bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """The frames that `data` completes. Exhaust the iterator before feeding again.

        Frames that lie within `data` are views of it; only a frame split between pieces is copied.
        """
        view = memoryview(data)
        while view:
            if self._pending:
                view = view[self._collect(view) :]
                whole = self._complete(memoryview(self._pending))
                if not whole:
                    continue
                view_of_frame, self._pending = memoryview(self._pending), bytearray()
                yield self._frame(view_of_frame)
            elif size := self._complete(view):
                yield self._frame(view[:size])
                view = view[size:]
            else:
                self._pending = bytearray(view)
                return

    @property
    def waiting(self) -> bool:
        """Whether part of a frame has arrived (the end of the stream would cut it off)."""
        return bool(self._pending)

    def _collect(self, view: memoryview) -> int:
        """Move what the pending frame still lacks out of `view`; returns how much that was."""
        have = len(self._pending)
        if have < _LENGTH.size:
            wanted = _LENGTH.size - have
        else:
            wanted = _LENGTH.size + int(_LENGTH.unpack_from(self._pending)[0]) - have
        taken = min(wanted, len(view))
        self._pending += view[:taken]
        return taken

    def _complete(self, view: memoryview) -> int:
        """Size of the frame that `view` starts with, 0 while it is incomplete."""
        if len(view) < _LENGTH.size:
            return 0
        (length,) = _LENGTH.unpack_from(view)
        if not _AFTER_LENGTH <= length <= self._limit:
            raise FrameError(f"a frame of {length} bytes is not within 5 and {self._limit}")
        size = _LENGTH.size + int(length)
        return size if len(view) >= size else 0

    def _frame(self, view: memoryview) -> Frame:
        _, kind, header_size = _PREFIX.unpack_from(view)
        body = _PREFIX.size + header_size
        if body > len(view):
            raise FrameError("a header is longer than its frame")
        try:
            header = self._loads(bytes(view[_PREFIX.size : body]))
        except ValueError as error:
            raise FrameError(f"a frame cannot be read: {error}") from error
        known = _KINDS.get(kind)
        if known is None:
            raise FrameError(f"a frame of the unknown kind {kind}")
        if not isinstance(header, dict):
            raise FrameError("a header is not a JSON object")
        return Frame(known, header, view[body:])


def decode_all(data: bytes) -> list[Frame]:
    """The frames of a complete file or message; a frame that is cut off is a `FrameError`."""
    decoder = Decoder()
    frames = list(decoder.feed(data))
    if decoder.waiting:
        raise FrameError("the last frame is cut off")
    return frames


def _entries(header: Mapping[str, Any], field: str) -> list[Any]:
    entries = header.get(field)
    if not isinstance(entries, list):
        raise FrameError(f"a header lacks its list {field!r}")
    return entries


def _tensor(entry: Any, body: memoryview, offset: int) -> tuple[Tensor, int]:
    try:
        name, datatype, size = entry["name"], entry["datatype"], entry["size"]
        shape = tuple(entry["shape"])
    except (KeyError, TypeError) as error:
        raise FrameError(f"a tensor's entry lacks {error}") from error
    if [n for n in (size, *shape) if not isinstance(n, int) or n < 0]:
        raise FrameError(f"tensor {name!r} has a shape or size that is no whole number")
    item = ITEM_SIZES.get(datatype)
    if item is None and datatype != "BYTES":
        raise FrameError(f"tensor {name!r} has the unknown datatype {datatype!r}")
    if item is not None and item * math.prod(shape) != size:
        raise FrameError(f"tensor {name!r} of shape {list(shape)} cannot have {size} bytes")
    if offset + size > len(body):
        raise FrameError(f"tensor {name!r} is cut off")
    return Tensor(name, datatype, shape, body[offset : offset + size]), offset + size
