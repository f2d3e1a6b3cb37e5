"""Records of the cache: written whole, and as good as none where they cannot be read."""

import os
from pathlib import Path
from typing import Any, TypeVar

import msgspec

Record = TypeVar("Record")


def kept(path: Path, kind: type[Record]) -> Record | None:
    """The record at `path`; None where there is none, or one that a crash left torn."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (FileNotFoundError, msgspec.DecodeError, UnicodeDecodeError):
        return None


def keep(path: Path, record: Any) -> None:
    """Put a record in its place; several processes may do so at once. Raises `OSError`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    with unfinished.open("wb") as file:
        file.write(msgspec.json.encode(record))
        file.flush()
        os.fsync(file.fileno())
    unfinished.rename(path)
