"""The command that shows what there is where a file was looked for."""

import shlex
from pathlib import Path


def listing(path: Path) -> str:
    """`ls` of the nearest folder above `path` that exists, to be pasted as it is.

    Of a pattern that matched nothing the folders before its first star count."""
    folder = path.parent
    while not folder.is_dir():
        folder = folder.parent
    return f"ls {shlex.quote(str(folder))}"
