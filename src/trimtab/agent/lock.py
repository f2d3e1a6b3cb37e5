"""One agent per state folder."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from trimtab import errors
from trimtab.domain import layout


@contextmanager
def hold_home(home: Path) -> Iterator[None]:
    """Hold the state folder. Raises `Unavailable` TT-107 when another agent does.

    The kernel lets go of the lock when this process ends, however it ends."""
    handle = os.open(home / layout.LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise errors.Unavailable(
                errors.HOME_IN_USE,
                "start on",
                str(home),
                "another trimtab is running on this state folder",
                unchanged="the running one was not touched",
                hint="trimtab status",
            ) from None
        yield
    finally:
        os.close(handle)
