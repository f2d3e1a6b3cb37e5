"""The request log's writing side: a spool file per writer, sealed into Arrow segments.

Rows are appended to the spool before the answer leaves, so a killed process loses none. A spool is
sealed by renaming it; its rows then become segments, each visible by rename, and the sealed file
is removed last. Which sequences a sealed file becomes is written into it first, so that a publish
that was cut short is finished under the same names, never repeated under others.
Reading segments is another module's work.
"""

import fcntl
import os
import struct
import zlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from trimtab.domain import layout
from trimtab.domain.records import FIXED_COLUMNS, LABEL_COLUMNS
from trimtab.ports.logsink import Block, LabelBlock, LogSchema, Sealed, ValueKind

_FRAME = struct.Struct("<II")
_SCHEMA, _ROWS, _LABELS, _INTENT = range(4)
_TYPES = {
    "string": pa.string(),
    "int32": pa.int32(),
    "uint64": pa.uint64(),
    "float64": pa.float64(),
    "bool": pa.bool_(),
}


class SegmentLog:
    """`LogSink` on the state folder. `writer` is `g<index>-<start time in ms>` (docs/wire.md)."""

    def __init__(self, home: Path, writer: str) -> None:
        self.writer = writer
        self._home = home
        self._folder = home / layout.SPOOL
        self._descriptor = -1
        self._size = 0
        self._sealed = 0
        self._schemas: dict[LogSchema, int] = {}
        self._next: defaultdict[str, int] = defaultdict(int)  # by folder of segments
        self._encode = msgspec.msgpack.Encoder().encode

    def spool(self, blocks: Sequence[Block]) -> None:
        """Append rows; raises `OSError` with the spool as it was."""
        known = len(self._schemas)
        try:
            self._append(b"".join(self._records(blocks)))
        except OSError:
            for schema in list(self._schemas)[known:]:
                del self._schemas[schema]
            raise

    def spool_labels(self, block: LabelBlock) -> int:
        """Append labels; returns the descriptor to `sync`. Raises `OSError`."""
        self._append(self._record([_LABELS, block.deployment, block.columns]))
        return self._descriptor

    def sync(self, descriptor: int) -> None:
        """Make everything spooled so far durable, the name of the spool included."""
        os.fdatasync(descriptor)
        _sync_folder(self._folder)

    def seal(self, blocks: Sequence[Block], labels: Sequence[LabelBlock]) -> Sealed:
        """Close the spool that holds exactly these rows; the next append starts another."""
        path = self._folder / f"{self.writer}.{self._sealed}.log"
        self._live_path.rename(path)
        sealed = Sealed(str(path), self._descriptor, self._reserve(blocks, labels))
        self._sealed += 1
        self._descriptor, self._size = -1, 0
        self._schemas.clear()
        return sealed

    def publish(
        self, sealed: Sealed, blocks: Sequence[Block], labels: Sequence[LabelBlock]
    ) -> None:
        """Write the segments of a sealed spool and remove it. Repeatable on `OSError`."""
        intent = self._record([_INTENT, self.writer, dict(sealed.first)])
        _write_all(sealed.descriptor, intent)
        if labels:
            os.fdatasync(sealed.descriptor)
        _publish(self._home, self.writer, sealed.first, blocks, labels)
        Path(sealed.path).unlink()
        os.close(sealed.descriptor)

    def recover(self, index: int) -> int:
        """Turn what dead writers of gateway `index` left into segments; returns the rows.

        A spool that a living process holds is left to it. A record that was cut off ends its file,
        and a file that no segment can be made of is set aside as `.unreadable`.
        """
        rows = 0
        for path in sorted(self._folder.glob(f"g{index}-*.log")):
            if path.name.startswith(f"{self.writer}."):
                continue
            try:
                rows += self._recover_file(path)
            except (ValueError, TypeError, LookupError, pa.ArrowException):
                path.rename(path.with_suffix(".unreadable"))
        return rows

    def close(self) -> None:
        """Release the spool; an empty one is removed."""
        if self._descriptor >= 0:
            if self._size == 0:
                self._live_path.unlink()
            os.close(self._descriptor)
            self._descriptor = -1

    @property
    def _live_path(self) -> Path:
        return self._folder / f"{self.writer}.log"

    def _records(self, blocks: Sequence[Block]) -> Iterator[bytes]:
        for block in blocks:
            schema = block.schema
            number = self._schemas.get(schema)
            if number is None:
                number = self._schemas[schema] = len(self._schemas)
                names = [schema.deployment, schema.release, schema.inputs, schema.outputs]
                yield self._record([_SCHEMA, number, *names])
            yield self._record([_ROWS, number, block.fixed, block.inputs, block.outputs])

    def _record(self, content: list[Any]) -> bytes:
        payload = self._encode(content)
        return _FRAME.pack(len(payload), zlib.crc32(payload)) + payload

    def _append(self, data: bytes) -> None:
        """Write all of `data` or nothing: what a failed write left is cut off again."""
        if self._descriptor < 0:
            self._descriptor = _open_locked(self._live_path)
            self._size = 0
        try:
            _write_all(self._descriptor, data)
        except OSError:
            os.ftruncate(self._descriptor, self._size)
            raise
        self._size += len(data)

    def _reserve(self, blocks: Sequence[Block], labels: Sequence[LabelBlock]) -> dict[str, int]:
        first = {}
        for folder, segments in _planned(blocks, labels).items():
            first[folder] = self._next[folder]
            self._next[folder] += segments
        return first

    def _recover_file(self, path: Path) -> int:
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        try:
            if not _lock(descriptor):
                return 0
            left = _Leftover(path.read_bytes())
            os.ftruncate(descriptor, left.valid)
            writer, first = left.intent or (self.writer, self._reserve(left.blocks, left.labels))
            _write_all(descriptor, self._record([_INTENT, writer, first]))
            _publish(self._home, writer, first, left.blocks, left.labels)
            path.unlink()
            return sum(map(len, left.blocks))
        finally:
            os.close(descriptor)


class _Leftover:
    """What a spool file holds, up to its first record that is not whole."""

    def __init__(self, data: bytes) -> None:
        self.blocks: list[Block] = []
        self.labels: list[LabelBlock] = []
        self.intent: tuple[str, dict[str, int]] | None = None
        self.valid = 0
        self._schemas: dict[int, LogSchema] = {}
        for record, end in _whole_records(data):
            self._take(*record)
            self.valid = end

    def _take(self, kind: int, *fields: Any) -> None:
        if kind == _SCHEMA:
            number, deployment, release, inputs, outputs = fields
            self._schemas[number] = LogSchema(deployment, release, _pairs(inputs), _pairs(outputs))
        elif kind == _ROWS:
            self.blocks.append(Block(self._schemas[fields[0]], *fields[1:]))
        elif kind == _LABELS:
            self.labels.append(LabelBlock(*fields))
        elif kind == _INTENT:
            self.intent = (fields[0], fields[1])


def _pairs(columns: list[list[Any]]) -> tuple[tuple[str, ValueKind], ...]:
    return tuple((name, kind) for name, kind in columns)


def _whole_records(data: bytes) -> Iterator[tuple[list[Any], int]]:
    """The records of a spool with the offset each ends at; stops at a torn or damaged one."""
    offset = 0
    while offset + _FRAME.size <= len(data):
        size, check = _FRAME.unpack_from(data, offset)
        start = offset + _FRAME.size
        payload = data[start : start + size]
        if len(payload) < size or zlib.crc32(payload) != check:
            return
        offset = start + size
        yield msgspec.msgpack.decode(payload), offset


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _open_locked(path: Path) -> int:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return descriptor


def _write_all(descriptor: int, data: bytes) -> None:
    written = os.write(descriptor, data)
    while written < len(data):
        written += os.write(descriptor, data[written:])


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _planned(blocks: Sequence[Block], labels: Sequence[LabelBlock]) -> dict[str, int]:
    """How many segments each folder gets: rows and labels are counted apart."""
    groups = _row_groups(blocks).items()
    planned = {layout.segments(name, "rows"): len(each) for name, each in groups}
    return planned | {layout.segments(name, "labels"): 1 for name in _by_deployment(labels)}


def _by_deployment(labels: Sequence[LabelBlock]) -> dict[str, list[LabelBlock]]:
    found: dict[str, list[LabelBlock]] = {}
    for block in labels:
        found.setdefault(block.deployment, []).append(block)
    return found


def _row_groups(blocks: Sequence[Block]) -> dict[str, list[list[Block]]]:
    """Blocks that fit into one segment: same deployment, and no column of two kinds."""
    groups: dict[str, list[list[Block]]] = {}
    kinds: dict[tuple[str, int], dict[str, ValueKind]] = {}
    for block in blocks:
        mine = _column_kinds(block.schema)
        of_deployment = groups.setdefault(block.schema.deployment, [])
        for number, group in enumerate(of_deployment):
            known = kinds[block.schema.deployment, number]
            if all(known.get(name, kind) == kind for name, kind in mine.items()):
                group.append(block)
                known.update(mine)
                break
        else:
            kinds[block.schema.deployment, len(of_deployment)] = mine
            of_deployment.append([block])
    return groups


def _column_kinds(schema: LogSchema) -> dict[str, ValueKind]:
    inputs: dict[str, ValueKind] = {f"in.{name}": kind for name, kind in schema.inputs}
    return inputs | {f"out.{name}": kind for name, kind in schema.outputs}


def _publish(
    home: Path,
    writer: str,
    first: Mapping[str, int],
    blocks: Sequence[Block],
    labels: Sequence[LabelBlock],
) -> None:
    """Write the segments in the order of their sequences; those that exist already are skipped."""
    for deployment, groups in _row_groups(blocks).items():
        folder = layout.segments(deployment, "rows")
        for number, group in enumerate(groups, first[folder]):
            if not _published(home / folder, writer, number):
                _write_segment(home / folder / f"{writer}-{number}.arrow", _rows_table(group))
    for deployment, each in _by_deployment(labels).items():
        folder = layout.segments(deployment, "labels")
        if not _published(home / folder, writer, first[folder]):
            path = home / folder / f"{writer}-{first[folder]}.arrow"
            _write_segment(path, _labels_table(each), durable=True)


def _published(folder: Path, writer: str, number: int) -> bool:
    """Whether a segment exists, as itself or rolled into `<writer>-<first>-<last>.parquet`."""
    if (folder / f"{writer}-{number}.arrow").exists():
        return True
    for rolled in folder.glob(f"date=*/{writer}-*-*.parquet"):
        start, end = rolled.stem.rsplit("-", 2)[1:]
        if int(start) <= number <= int(end):
            return True
    return False


def _write_segment(path: Path, table: pa.Table, *, durable: bool = False) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as file:
        with pa.ipc.new_file(file, table.schema) as out:
            out.write_table(table)
        if durable:
            file.flush()
            os.fsync(file.fileno())
    temporary.rename(path)
    if durable:
        _sync_folder(path.parent)


def _rows_table(blocks: Sequence[Block]) -> pa.Table:
    """One table of all blocks; a column that a block lacks is null in its rows."""
    by_schema: dict[LogSchema, list[Block]] = {}
    for block in blocks:
        by_schema.setdefault(block.schema, []).append(block)
    tables = [_schema_table(schema, each) for schema, each in by_schema.items()]
    return pa.concat_tables(tables, promote_options="default").combine_chunks()


def _schema_table(schema: LogSchema, blocks: Sequence[Block]) -> pa.Table:
    columns: dict[str, pa.Array[Any]] = {}
    for position, (name, kind) in enumerate(FIXED_COLUMNS):
        values = _chained([block.fixed[position] for block in blocks])
        columns[name] = pa.array(values, type=_TYPES[kind])
    for position, (name, value_kind) in enumerate(schema.inputs):
        values = _chained([block.inputs[position] for block in blocks])
        columns[f"in.{name}"] = _value_array(values, value_kind)
    for position, (name, value_kind) in enumerate(schema.outputs):
        values = _chained([block.outputs[position] for block in blocks])
        columns[f"out.{name}"] = _value_array(values, value_kind)
    return pa.table(columns)


def _chained(lists: list[list[Any]]) -> list[Any]:
    return lists[0] if len(lists) == 1 else list(chain.from_iterable(lists))


def _value_array(values: list[Any], kind: ValueKind) -> "pa.Array[Any]":
    """Numbers become float64 whatever they were, because monitors compare them as such."""
    if kind == "number":
        return pa.array(np.array(values, dtype=np.float64), from_pandas=True)
    if kind == "vector":
        return pa.array(values, type=pa.list_(pa.float64()))
    return pa.array(values, type=pa.string())


def _labels_table(blocks: Sequence[LabelBlock]) -> pa.Table:
    return pa.table(
        {
            name: pa.array(_chained([b.columns[position] for b in blocks]), type=_TYPES[kind])
            for position, (name, kind) in enumerate(LABEL_COLUMNS)
        }
    )
