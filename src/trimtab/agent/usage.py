"""What a process and everything that it started use, as the kernel tells it."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_MOST = 10_000
"""Processes that are counted; a fork bomb must not keep the agent busy."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Of a process and its descendants: resident bytes, and how many they are."""

    resident_bytes: int
    processes: int


def usage(pid: int) -> Usage:
    """The usage of a process; nothing when it is gone or the system does not say."""
    found = list(_family(pid))
    return Usage(sum(map(resident_bytes, found)), len(found))


def resident_bytes(pid: int) -> int:
    """Resident memory of a process; 0 where the system does not say."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_bytes().split()[1])
    except (OSError, IndexError, ValueError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def _family(pid: int) -> Iterator[int]:
    """The process and its descendants, parents first."""
    waiting = [pid]
    for _ in range(_MOST):
        if not waiting:
            return
        parent = waiting.pop()
        yield parent
        waiting += children(parent)


def children(pid: int) -> list[int]:
    """The children of a process, the dead that nobody has reaped included."""
    found: list[int] = []
    try:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            found += map(int, (thread / "children").read_bytes().split())
    except OSError:
        return found
    return found
