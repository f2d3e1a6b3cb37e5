"""From sealed spools to segments: Arrow files that readers see, each visible by a rename.

What a spool becomes follows from the spool alone: its number gives the sequences, so a publish
that was cut short anywhere is simply done again, and what is there already is left as it is.
"""

import contextlib
import fcntl
import io
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pyarrow as pa

from trimtab.backends import spool
from trimtab.backends.durable import make_folder, sync_file, sync_folder
from trimtab.backends.rolls import Rolls
from trimtab.backends.segment_tables import Rest, labels_table, row_groups, rows_table
from trimtab.domain import layout
from trimtab.ports.logsink import Attempts, LabelBlock, LogSchema
from trimtab.ports.requestlog import Kind

if TYPE_CHECKING:
    from typing_extensions import Buffer

LOCK = ".publishing"
SEQUENCES = 1000
"""Sequences that each spool has to itself: one for every group of columns that fit together."""
BUFFER = 1024 * 1024
"""Bytes that are gathered for a write: the columns of a segment are small, and many."""
PIECE = 512 * 1024
"""Bytes that are written at once."""
_NO_SEGMENT = (msgspec.DecodeError, pa.ArrowException, ValueError, TypeError, LookupError)
"""What is raised where no segment can be made of what a spool holds."""


def no_rest() -> None:
    """Work on."""


def publish(home: Path, rolls: Rolls | None = None, rest: Rest = no_rest) -> int:
    """Make segments of every sealed spool of the state folder; returns how many spools.

    `rolls` knows which segments were rolled. `rest` is called often, between two pieces of work.
    While another process is at it, nothing is done. A spool that no segment can be made of is
    set aside as `.unreadable`. Raises `OSError` with the rest left for the next call.
    """
    folder = home / layout.SPOOL
    if not folder.is_dir():
        return 0
    publishing = _Publishing(home, rolls or Rolls(), rest)
    with _alone(folder) as alone:
        paths = spool.sealed_spools(folder) if alone else []
        for path in paths:
            publishing.publish(path)
        return len(paths)


def waits(home: Path) -> bool:
    """Whether there is a spool that is sealed, or one with something that its writer may have
    left."""
    try:
        with os.scandir(f"{home}/{layout.SPOOL}") as entries:
            return any(map(_holds_rows, entries))
    except FileNotFoundError:
        return False


def _holds_rows(entry: os.DirEntry[str]) -> bool:
    """A writer that has nothing to say has an empty spool."""
    if not entry.name.endswith(spool.LIVE):
        return entry.name.endswith(spool.SEALED)
    try:
        return entry.stat().st_size > 0
    except FileNotFoundError:  # it was sealed since
        return True


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[bool]:
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    else:
        yield True
    finally:
        os.close(descriptor)


@dataclass(frozen=True, slots=True)
class _Publishing:
    home: Path
    rolls: Rolls
    rest: Rest

    def publish(self, path: Path) -> None:
        """Make segments of one spool. Rows of which none can be made cost no other and no label."""
        try:
            name = spool.name_of(path)
            content = _Content(path.read_bytes(), self.rest)
            made = [self._made(*each) for each in self._segments(name, content)]
        except _NO_SEGMENT:
            made = [False]
        if all(made):
            path.unlink()
        else:
            path.rename(path.with_suffix(layout.UNREADABLE))

    def _made(self, path: Path, table: Callable[[], pa.Table], durable: bool) -> bool:
        """Whether there is a segment, which is made where there was none."""
        try:
            if not self._published(path):
                write_segment(path, table(), durable=durable, rest=self.rest)
        except _NO_SEGMENT:
            return False
        return True

    def _segments(
        self, name: tuple[str, int], content: "_Content"
    ) -> Iterator[tuple[Path, Callable[[], pa.Table], bool]]:
        """Each segment of a spool, how its table is made, and whether it is to be durable: rows of
        each group of releases whose columns do not clash, then labels."""
        first = name[1] * SEQUENCES
        for deployment, groups in row_groups(content.attempts).items():
            for sequence, schemas in enumerate(groups, first):
                attempts = {schema: content.attempts[schema] for schema in schemas}
                path = self._path(deployment, "rows", name[0], sequence)
                yield path, partial(rows_table, attempts, self.rest), False
        for deployment, blocks in content.labels.items():
            path = self._path(deployment, "labels", name[0], first)
            yield path, partial(labels_table, blocks), True

    def _path(self, deployment: str, kind: Kind, writer: str, sequence: int) -> Path:
        return self.home / layout.segments(deployment, kind) / f"{writer}-{sequence}.arrow"

    def _published(self, path: Path) -> bool:
        """Whether a segment exists, as itself or in a Parquet file. A roll deletes the one after it
        shows the other."""
        writer, _, sequence = path.stem.rpartition("-")
        listing = self.rolls.below
        return path.exists() or listing(path.parent).covering(writer, int(sequence)) is not None


class _Content:
    """What a spool holds, up to its first record that is not whole, in the order of the file."""

    def __init__(self, data: bytes, rest: Rest) -> None:
        self.attempts: dict[LogSchema, list[Attempts]] = {}
        self.labels: dict[str, list[LabelBlock]] = {}
        numbered: dict[int, list[Attempts]] = {}
        for record in spool.whole_records(data):
            rest()
            match record:
                case spool.AnsweredRecord(number=number, answered=answered):
                    numbered[number].append(answered)
                case spool.RowsRecord(number=number, entries=entries):
                    numbered[number] += entries
                case spool.SchemaRecord(number=number, schema=schema):
                    numbered[number] = self.attempts.setdefault(schema, [])
                case spool.LabelsRecord(deployment=deployment, columns=columns):
                    block = LabelBlock(deployment, columns)
                    self.labels.setdefault(deployment, []).append(block)
        self.attempts = {schema: parts for schema, parts in self.attempts.items() if parts}


class _Resting(io.FileIO):
    """A file that rests before each of its writes, none of which is large."""

    def __init__(self, path: Path, rest: Rest) -> None:
        super().__init__(path, "wb")
        self._rest = rest

    def write(self, data: "Buffer") -> int:
        """A piece of `data`; returns how much that was, as `RawIOBase` says."""
        self._rest()
        return super().write(memoryview(data)[:PIECE])


def write_segment(
    path: Path, table: pa.Table, *, durable: bool = False, rest: Rest = no_rest
) -> None:
    """Show a table as a finished segment by a rename, `durable` once it is on the disk."""
    make_folder(path.parent)
    temporary = path.with_suffix(".tmp")
    with (
        io.BufferedWriter(_Resting(temporary, rest), BUFFER) as file,
        pa.ipc.new_file(file, table.schema) as out,
    ):
        out.write_table(table)
    if durable:
        sync_file(temporary)
    temporary.rename(path)
    if durable:
        sync_folder(path.parent)
