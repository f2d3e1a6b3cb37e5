"""Folders that a build works in, gone when it is over, whatever became of it."""

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

YOUNG = 60.0
"""Seconds for which a folder may be one that was made and is not held yet."""


@contextlib.contextmanager
def scratch(folder: Path, prefix: str) -> Iterator[Path]:
    """A folder of one's own below `folder`; what killed processes left there goes first, which of
    an environment is hundreds of megabytes."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for left in folder.iterdir():
        _remove_left(left)
    with tempfile.TemporaryDirectory(dir=folder, prefix=prefix) as name:
        held = os.open(name, os.O_RDONLY)
        try:
            fcntl.flock(held, fcntl.LOCK_EX)
            yield Path(name)
        finally:
            os.close(held)


def _remove_left(folder: Path) -> None:
    """Remove a folder that nobody holds any more."""
    with contextlib.suppress(OSError):
        if time.time() - folder.lstat().st_mtime < YOUNG:
            return
        held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder)
        finally:
            os.close(held)
