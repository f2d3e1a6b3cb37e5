"""The request log's writing side: one append-only file per gateway, handed over by a rename.

Records are appended before the answer leaves, so a killed process loses none. The file a writer
appends to is `<writer>.<n>.live`, and it holds a lock on it for as long as it lives; sealing
renames it to `<writer>.<n>.log`. Only to append is part of a request: the next file is made before
it is needed and the last one renamed after it was, where nobody waits for the disk. What becomes
of a sealed file is the matter of `publishing`.

A record is `u32 length, u32 crc32`, and one of the structs below in MessagePack. This module needs
neither pyarrow nor numpy: it is all that a gateway loads of the log.
"""

import contextlib
import fcntl
import math
import os
import re
import struct
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import msgspec

from trimtab.backends.durable import sync_folder
from trimtab.domain import layout
from trimtab.ports.logsink import Answered, Attempts, Entry, LabelBlock, LogSchema

LIVE, SEALED = ".live", ".log"
MOST_UNSEALED = 32 * 1024 * 1024
"""Bytes up to which a file grows while nobody takes the one that was sealed before it."""

_FRAME = struct.Struct("<II")
_NAME = re.compile(r".+\.[0-9]+")


class SchemaRecord(msgspec.Struct, frozen=True, array_like=True, tag=0):
    """Declares a schema of this file before the first rows that have it."""

    number: int
    schema: LogSchema


class RowsRecord(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """Attempts of one schema."""

    number: int
    entries: Sequence[Entry]


class AnsweredRecord(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """Attempts of one schema that were answered together."""

    number: int
    answered: Answered


class LabelsRecord(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """Labels of one deployment."""

    deployment: str
    columns: Sequence[list[Any]]


Record = SchemaRecord | RowsRecord | LabelsRecord | AnsweredRecord


class _File:
    """A spool that is appended to. `schemas` are those it declares, by number; `torn` is whether
    there may be part of a record behind its `size` bytes."""

    __slots__ = ("descriptor", "path", "schemas", "size", "torn")

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.descriptor = descriptor
        self.size = 0
        self.torn = False
        self.schemas: dict[LogSchema, int] = {}

    def append(self, data: bytearray) -> None:
        """Write all of `data` or nothing: what a failed write left is cut off again.

        A file system may refuse that too, as long as it is full; nothing is appended before."""
        self._mend()
        self.torn = True
        try:
            _write_all(self.descriptor, data)
        except OSError:
            self._mend()
            raise
        self.size += len(data)
        self.torn = False

    def _mend(self) -> None:
        if self.torn:
            os.ftruncate(self.descriptor, self.size)
            self.torn = False

    @property
    def sealed(self) -> Path:
        """Where it is when it was handed over and not taken."""
        return self.path.with_suffix(SEALED)

    def end(self) -> None:
        """Hand it over; a file that holds nothing is removed."""
        if self.size:
            self.path.rename(self.sealed)
        else:
            self.path.unlink()
        os.close(self.descriptor)


class SpoolLog:
    """`LogSink` on the state folder. `writer` is `g<index>-<start time in ms>` (docs/wire.md)."""

    def __init__(self, home: Path, writer: str) -> None:
        self._folder = home / layout.SPOOL
        self._writer = writer
        self._numbers = count()
        self._file: _File | None = None
        self._next: _File | None = None
        self._left: list[_File] = []
        self._handed_over: deque[tuple[Path, float]] = deque()
        self._encode_into = msgspec.msgpack.Encoder().encode_into

    def spool(self, attempts: Sequence[tuple[LogSchema, Sequence[Attempts]]]) -> None:
        """Append attempts; raises `OSError`, or what no record holds, with the spool as it was."""
        file = self._open_file()
        known = len(file.schemas)
        try:
            file.append(self._encoded(_records(attempts, file.schemas)))
        except Exception:
            for schema in list(file.schemas)[known:]:
                del file.schemas[schema]
            raise

    def spool_labels(self, block: LabelBlock) -> int:
        """Append labels; returns the descriptor to `sync`. Raises `OSError`."""
        file = self._open_file()
        file.append(self._encoded([LabelsRecord(block.deployment, block.columns)]))
        return os.dup(file.descriptor)

    def sync(self, descriptor: int) -> None:
        """Make everything spooled so far durable, the name of the spool included."""
        try:
            os.fdatasync(descriptor)
            sync_folder(self._folder)
        finally:
            os.close(descriptor)

    def prepare(self) -> bool:
        """Make the spool that comes next, where there is one to hand over.

        While the file before this one has not been taken, this one grows instead, so that a
        stopped controller does not leave one small file for each interval."""
        if self._next is None and (self._file is None or self._due(self._file)):
            self._next = self._open()
        return self._next is not None

    def turn(self) -> None:
        """Append to the prepared spool from now on."""
        if self._next is None:
            return
        if self._file is not None:
            self._left.append(self._file)
        self._file, self._next = self._next, None

    def seal(self) -> None:
        """Rename what was left by `turn`."""
        while self._left:
            file = self._left[0]
            file.end()
            if file.size:
                self._handed_over.append((file.sealed, time.monotonic()))
            del self._left[0]

    def behind(self) -> float:
        """Seconds since the oldest spool that nobody has taken yet was sealed; 0 without any."""
        waiting = self._handed_over
        while waiting and not waiting[0][0].exists():
            waiting.popleft()
        return time.monotonic() - waiting[0][1] if waiting else 0.0

    def close(self) -> None:
        """Seal what is left; an empty spool is removed."""
        self._left += [each for each in (self._file, self._next) if each is not None]
        self._file = self._next = None
        self.seal()

    def _due(self, file: _File) -> bool:
        if not file.size:
            return False
        waits = self._left or (self._handed_over and self._handed_over[-1][0].exists())
        return file.size >= MOST_UNSEALED or not waits

    def _encoded(self, records: Iterable[Record]) -> bytearray:
        data = bytearray()
        for record in records:
            self._add(data, record)
        return data

    def _add(self, data: bytearray, record: Record) -> None:
        """Encode a record where it is written from: most of it are the values of many rows."""
        at = len(data)
        start = at + _FRAME.size
        self._encode_into(record, data, start)
        with memoryview(data) as view, view[start:] as payload:
            _FRAME.pack_into(data, at, len(payload), zlib.crc32(payload))

    def _open_file(self) -> _File:
        """The spool in use; of a full disk the first one may not have been prepared."""
        if self._file is None:
            self._file = self._open()
        return self._file

    def _open(self) -> _File:
        """A new file. Who publishes may come between its making and its lock, and take it for one
        that a dead writer left; the next one then is another."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(BlockingIOError, FileNotFoundError):
            return self._made()
        return self._made()

    def _made(self) -> _File:
        """A file that is locked before it has the name of one that is appended to."""
        path = self._folder / f"{self._writer}.{next(self._numbers)}{LIVE}"
        unseen = path.with_name(f".{path.name}")
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC
        descriptor = os.open(unseen, flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            unseen.rename(path)
        except OSError:
            os.close(descriptor)
            raise
        return _File(path, descriptor)


def _records(
    attempts: Sequence[tuple[LogSchema, Sequence[Attempts]]], schemas: dict[LogSchema, int]
) -> Iterator[Record]:
    """Attempts as records, after those of schemas that are new to the file; `schemas` grows."""
    for schema, some in attempts:
        number = schemas.get(schema)
        if number is None:
            number = schemas[schema] = len(schemas)
            yield SchemaRecord(number, schema)
        entries: list[Entry] = []
        for each in some:
            if isinstance(each, Entry):
                entries.append(each)
                continue
            if entries:
                yield RowsRecord(number, entries)
                entries = []
            yield AnsweredRecord(number, each)
        if entries:
            yield RowsRecord(number, entries)


def sealed_spools(folder: Path) -> list[Path]:
    """Files of `folder` that no writer appends to any more, in the order of each writer, up to one
    that is not sealed: readers do not go back to what appears after its successor.

    What a dead writer left is sealed first; the lock tells whether it is dead."""
    live = sorted(_named(folder.glob(f"*{LIVE}")), key=name_of, reverse=True)
    first = dict(name_of(path) for path in live if not _seal_if_dead(path))
    sealed = sorted(_named(folder.glob(f"*{SEALED}")), key=name_of)
    numbered = ((path, *name_of(path)) for path in sealed)
    return [path for path, writer, number in numbered if number < first.get(writer, math.inf)]


def _named(paths: Iterable[Path]) -> Iterator[Path]:
    return (path for path in paths if _NAME.fullmatch(path.stem))


def name_of(path: Path) -> tuple[str, int]:
    """Writer and number of a spool file."""
    writer, _, number = path.stem.rpartition(".")
    return writer, int(number)


def _seal_if_dead(path: Path) -> bool:
    """Whether a file is sealed now."""
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.rename(path.with_suffix(SEALED))
            return True
        finally:
            os.close(descriptor)
    return False


def whole_records(data: bytes) -> Iterator[Record]:
    """The records of a spool; stops at a torn or damaged one, or at the zeros of space that was
    reserved and never written before the power went. Raises `msgspec.DecodeError`."""
    decode: Callable[[memoryview], Record] = msgspec.msgpack.Decoder(Record).decode
    view = memoryview(data)
    offset = 0
    while offset + _FRAME.size <= len(view):
        size, check = _FRAME.unpack_from(view, offset)
        start = offset + _FRAME.size
        payload = view[start : start + size]
        if not size or len(payload) < size or zlib.crc32(payload) != check:
            return
        offset = start + size
        yield decode(payload)


def _write_all(descriptor: int, data: bytearray) -> None:
    written = os.write(descriptor, data)
    while written < len(data):
        written += os.write(descriptor, data[written:])
