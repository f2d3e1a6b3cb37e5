"""Finished chunks beside the output, so that a crash costs what was under way and no more.

A chunk is finished when its file is there: it is written under another name, flushed and renamed.
The manifest says whose chunks they are; without it they are nobody's.
"""

import contextlib
import fcntl
import hashlib
import os
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import msgspec
import pyarrow as pa

from trimtab import errors
from trimtab.scoring import table

_SUFFIX = ".scoring"
_MANIFEST = "manifest.json"
_LOCK = "lock"
_CHUNK = ".arrows"
_READ = 1 << 20


class Manifest(msgspec.Struct, frozen=True):
    """What the chunks of a work folder belong to."""

    deployment: str
    input: str
    digest: str
    chunk_rows: int
    prefix: str


def folder_of(output: Path) -> Path:
    """Where finished chunks of an output are kept until it is whole."""
    return output.with_name(output.name + _SUFFIX)


class Work:
    """The folder of one scoring; `path` is the output."""

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.folder = folder_of(path)
        self._path = path
        self._manifest = manifest

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        """Begin, or go on with what is there, alone for as long as it is entered.

        Raises `Refused` TT-905 if it is of other work, `Conflict` TT-905 while another run is at
        it."""
        self.folder.mkdir(exist_ok=True)
        with (self.folder / _LOCK).open("ab") as lock:
            self._claim(lock)
            self._recognise()
            yield

    def _claim(self, lock: BinaryIO) -> None:
        """The kernel takes the lock back from a process that ends, however it ends."""
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as cause:
            raise errors.Conflict(
                errors.OTHER_SCORING,
                "score into",
                str(self._path),
                "another run is at work on it",
                unchanged="nothing was sent or written",
                hint="wait for it, or name another output",
            ) from cause

    def _recognise(self) -> None:
        manifest = self.folder / _MANIFEST
        if not manifest.exists():
            # The folder's removal was cut short: its files go in any order.
            for left in self.folder.glob(f"*{_CHUNK}"):
                left.unlink()
            self._put(manifest, msgspec.json.encode(self._manifest))
            return
        try:
            found = msgspec.json.decode(manifest.read_bytes(), type=Manifest)
        except ValueError:
            found = None
        if found != self._manifest:
            raise errors.Refused(
                errors.OTHER_SCORING,
                "score into",
                str(self._path),
                f"{self.folder} holds finished rows of another table, deployment or prefix",
                unchanged="nothing was sent or written",
                hint=f"rm -r {shlex.quote(str(self.folder))}",
            )

    def finished(self, number: int, rows: int, schema: pa.Schema) -> bool:
        """Whether a chunk need not be scored again: it is there whole, with the columns of the
        output."""
        try:
            found = self._kept(number)
        except (FileNotFoundError, pa.ArrowInvalid):
            return False
        return len(found) == rows and found.schema.equals(schema)

    def keep(self, number: int, chunk: pa.Table) -> None:
        """A chunk is scored; it stays so from now on.

        As a stream, for in Arrow's files a column of categories has the same ones in all batches,
        and each row group of a Parquet file may have its own."""
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, chunk.schema) as writer:
            writer.write_table(chunk)
        self._put(self._chunk(number), sink.getvalue())

    def publish(self, chunks: int, schema: pa.Schema) -> None:
        """Write the output from all chunks, whole or not at all, and remove the folder."""
        with _unfinished(self.folder / f"whole{table.ending(self._path)}") as whole:
            table.write(whole, self._read(chunks), schema)
            with whole.open("rb") as file:
                os.fsync(file.fileno())
            whole.replace(self._path)
        _sync(self._path.parent)
        shutil.rmtree(self.folder)

    def _read(self, chunks: int) -> Iterator[pa.Table]:
        for number in range(chunks):
            yield self._kept(number)

    def _kept(self, number: int) -> pa.Table:
        with pa.OSFile(str(self._chunk(number)), "rb") as file:
            return pa.ipc.open_stream(file).read_all()

    def _chunk(self, number: int) -> Path:
        return self.folder / f"{number:08d}{_CHUNK}"

    def _put(self, path: Path, data: "bytes | pa.Buffer") -> None:
        with _unfinished(path.with_suffix(".tmp")) as unfinished:
            with unfinished.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(path)
        _sync(self.folder)


@contextlib.contextmanager
def _unfinished(path: Path) -> Iterator[Path]:
    """A file in the making. If it cannot be written, as onto a full disk, it takes no room there,
    and the error names it."""
    try:
        yield path
    except OSError as cause:
        path.unlink(missing_ok=True)
        if cause.errno is None or cause.filename is not None:
            raise
        raise OSError(cause.errno, cause.strerror, str(path)) from None


def digest_of(path: Path) -> str:
    """The sha256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while data := file.read(_READ):
            digest.update(data)
    return digest.hexdigest()


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
