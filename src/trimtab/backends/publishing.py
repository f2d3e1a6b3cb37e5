"""From sealed spools to segments: Arrow files that readers see, each visible by a rename.

What a spool becomes follows from the spool alone: its number gives the sequences, so a publish
that was cut short anywhere is simply done again, and what is there already is left as it is.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pyarrow as pa

from trimtab.backends import spool
from trimtab.backends.durable import sync_file, sync_folder
from trimtab.backends.rolls import Rolls
from trimtab.backends.segment_tables import labels_table, row_groups, rows_table
from trimtab.domain import layout
from trimtab.ports.logsink import Attempts, LabelBlock, LogSchema

LOCK = ".publishing"
SEQUENCES = 1000
"""Sequences that each spool has to itself: one for every group of columns that fit together."""
BUFFER = 1024 * 1024
"""Bytes that are gathered for a write: the columns of a segment are small, and many."""


def publish(home: Path, rolls: Rolls | None = None) -> int:
    """Make segments of every sealed spool of the state folder; returns how many spools.

    `rolls` knows which segments were rolled.
    While another process is at it, nothing is done. A spool that no segment can be made of is
    set aside as `.unreadable`. Raises `OSError` with the rest left for the next call.
    """
    folder = home / layout.SPOOL
    if not folder.is_dir():
        return 0
    rolls = rolls or Rolls()
    with _alone(folder) as alone:
        paths = spool.sealed_spools(folder) if alone else []
        for path in paths:
            _publish(home, path, rolls)
        return len(paths)


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


def _publish(home: Path, path: Path, rolls: Rolls) -> None:
    try:
        writer, number = spool.name_of(path)
        content = _Content(path.read_bytes())
        _write_rows(home, writer, number, content, rolls)
        _write_labels(home, writer, number, content, rolls)
    except (msgspec.DecodeError, pa.ArrowException, ValueError, TypeError, LookupError):
        path.rename(path.with_suffix(layout.UNREADABLE))
    else:
        path.unlink()


class _Content:
    """What a spool holds, up to its first record that is not whole, in the order of the file."""

    def __init__(self, data: bytes) -> None:
        self.attempts: dict[LogSchema, list[Attempts]] = {}
        self.labels: dict[str, list[LabelBlock]] = {}
        numbered: dict[int, list[Attempts]] = {}
        for record in spool.whole_records(data):
            match record:
                case spool.SchemaRecord(number=number, schema=schema):
                    numbered[number] = self.attempts.setdefault(schema, [])
                case spool.RowsRecord(number=number, entries=entries):
                    numbered[number] += entries
                case spool.AnsweredRecord(number=number, answered=answered):
                    numbered[number].append(answered)
                case spool.LabelsRecord(deployment=deployment, columns=columns):
                    block = LabelBlock(deployment, columns)
                    self.labels.setdefault(deployment, []).append(block)
        self.attempts = {schema: parts for schema, parts in self.attempts.items() if parts}


def _write_rows(home: Path, writer: str, number: int, content: _Content, rolls: Rolls) -> None:
    """One segment for each group of releases whose columns do not clash."""
    for deployment, groups in row_groups(content.attempts).items():
        folder = home / layout.segments(deployment, "rows")
        for sequence, schemas in enumerate(groups, number * SEQUENCES):
            if not _published(folder, writer, sequence, rolls):
                table = rows_table({schema: content.attempts[schema] for schema in schemas})
                write_segment(folder / f"{writer}-{sequence}.arrow", table)


def _write_labels(home: Path, writer: str, number: int, content: _Content, rolls: Rolls) -> None:
    for deployment, blocks in content.labels.items():
        folder = home / layout.segments(deployment, "labels")
        sequence = number * SEQUENCES
        if not _published(folder, writer, sequence, rolls):
            path = folder / f"{writer}-{sequence}.arrow"
            write_segment(path, labels_table(blocks), durable=True)


def _published(folder: Path, writer: str, sequence: int, rolls: Rolls) -> bool:
    """Whether a segment exists, as itself or in a Parquet file. A roll deletes the one after it
    shows the other."""
    if (folder / f"{writer}-{sequence}.arrow").exists():
        return True
    return rolls.below(folder).covering(writer, sequence) is not None


def write_segment(path: Path, table: pa.Table, *, durable: bool = False) -> None:
    """Show a table as a finished segment by a rename, `durable` once it is on the disk."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    with (
        pa.BufferedOutputStream(pa.OSFile(str(temporary), "wb"), BUFFER) as file,
        pa.ipc.new_file(file, table.schema) as out,
    ):
        out.write_table(table)
    if durable:
        sync_file(temporary)
    temporary.rename(path)
    if durable:
        sync_folder(path.parent)
