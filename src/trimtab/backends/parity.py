"""Parity segments: pairs of served and told values, written by whichever process was told them."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from trimtab.backends import requestlog_files as files
from trimtab.backends.durable import make_folder
from trimtab.backends.publishing import write_segment
from trimtab.backends.rolls import Rolls

LOCK = ".comparing"
WRITER = "told"
"""One writer whatever the process, so that cursors do not grow; the lock keeps its order."""


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Wait until no other process compares for the deployment of `folder`. Raises `OSError`."""
    make_folder(folder)
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def write(folder: Path, rolls: Rolls, pairs: pa.Table, now: float) -> None:
    """Add a durable segment, inside `alone`. Raises `OSError`.

    Its sequence grows with the time, so that it does also after all that came before expired.
    """
    fresh, rolled, leftover = files.visible(folder, rolls)
    taken = [piece.sequence for piece in (*fresh, *leftover)] + [roll.last for roll in rolled]
    sequence = max(int(now * 1000.0), max(taken, default=-1) + 1)
    write_segment(folder / f"{WRITER}-{sequence}.arrow", pairs, durable=True)
