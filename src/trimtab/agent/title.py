"""What the system calls a process that was forked: the command line of `ps` is its parent's."""

import ctypes
from pathlib import Path


def entitle(name: str, words: str) -> None:
    """Show `name` as the process's name, and `words` as its command line as far as the place of
    the one that it was started with goes. Nothing happens where the system has no such place."""
    try:
        Path("/proc/self/comm").write_text(name, encoding="ascii")
        place = _place()
    except OSError:
        return
    if place is not None:
        start, room = place
        ctypes.memmove(start, words.encode()[: room - 1].ljust(room, b"\0"), room)


def _place() -> tuple[int, int] | None:
    """Address and size of the command line; None unless it is found there."""
    fields = Path("/proc/self/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    if len(fields) < 47:
        return None
    start, end = int(fields[45]), int(fields[46])
    shown = Path("/proc/self/cmdline").read_bytes()
    if not shown or end - start != len(shown) or ctypes.string_at(start, len(shown)) != shown:
        return None
    return start, len(shown)
