"""What a process and everything that it started use, as the kernel tells it."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_MOST = 10_000
"""Processes that are counted; a fork bomb must not keep the agent busy."""
_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
_OWN_CPU, _ALL_CPU = slice(11, 13), slice(11, 15)
"""User and system time of a process, and with that of the children that it has waited for."""
_MINOR_FAULTS, _MAJOR_FAULTS, _THREADS, _BORN, _RESIDENT = 7, 9, 17, 19, 21
"""Fields of `/proc/<pid>/stat` behind the name (proc(5) counts three more)."""
_AFRESH = 10
"""Looks of which one is at everything, and measurements in which what is private is asked anew:
what others do to shared pages, or a child that was started without any work, shows in no number."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Of a process and its descendants: resident bytes, and how many they are."""

    resident_bytes: int
    processes: int


@dataclass(frozen=True, slots=True)
class Resources:
    """All that a process and its descendants use.

    `private_bytes` are shared with nobody; None where the kernel does not say. `started_at` is when
    the process itself began, in epoch seconds.
    """

    cpu_seconds: float
    resident_bytes: int
    private_bytes: int | None
    processes: int
    threads: int
    open_files: int
    started_at: float


class Steady:
    """The usage of one process, again and again. As long as it does not work, nor get memory or
    threads, neither it nor what it has started can have changed: that is not looked at then."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.moved = True
        """Whether it did anything between the last two looks, as far as is known."""
        self._marks: dict[int, Mark] = {}
        self._found = Usage(0, 0)
        self._left = 0

    def look(self) -> Usage:
        """The usage now; nothing when the process is gone or the system does not say."""
        self._left -= 1
        known = self._marks
        self.moved = not known or any(_mark(pid) != mark for pid, mark in known.items())
        if self._left > 0 and not self.moved:
            return self._found
        pids = tuple(family(self.pid))
        self._marks = {pid: mark for pid in pids if (mark := _mark(pid))}
        self._found = _together(pids)
        self._left = _AFRESH if len(self._marks) == len(pids) else 0
        return self._found


class Privates:
    """Private memory of processes, of which the kernel takes milliseconds to tell."""

    def __init__(self) -> None:
        self._before: dict[int, tuple[Mark, int, int | None]] = {}
        self._now: dict[int, tuple[Mark, int, int | None]] = {}

    def begin(self) -> None:
        """A new measurement; what was not asked for in the last is forgotten."""
        self._before, self._now = self._now, {}

    def of(self, pid: int, mark: "Mark") -> int | None:
        """Bytes; those of the measurement before where the process has had no other page since."""
        known, left, private = self._before.get(pid, ((), 0, None))
        if known != mark or left <= 0:
            left, private = _AFRESH, _private_bytes(Path(f"/proc/{pid}"))
        self._now[pid] = mark, left - 1, private
        return private


Mark = tuple[int, ...]
"""Numbers of a process that are others after it has worked or got memory."""


@dataclass(frozen=True, slots=True)
class _Process:
    cpu_seconds: float
    resident_bytes: int
    private_bytes: int | None
    threads: int
    open_files: int
    born_seconds: float
    """Seconds from the start of the system."""


def usage(pid: int) -> Usage:
    """The usage of a process; nothing when it is gone or the system does not say."""
    return _together(tuple(family(pid)))


def _together(pids: tuple[int, ...]) -> Usage:
    return Usage(sum(map(resident_bytes, pids)), len(pids))


def resources(
    pid: int, booted_at: float, privates: Privates, *, alone: bool = False
) -> Resources | None:
    """What a process uses, with its descendants unless `alone`; None when it is gone.

    `booted_at` is when the system started, from `boot_time`; `privates` know what was private.
    """
    pids = (pid,) if alone else tuple(family(pid))
    cpu = _OWN_CPU if alone else _ALL_CPU
    found = [process for each in pids if (process := _process(each, cpu, privates)) is not None]
    if not found:
        return None
    private = [p.private_bytes for p in found if p.private_bytes is not None]
    return Resources(
        cpu_seconds=sum(p.cpu_seconds for p in found),
        resident_bytes=sum(p.resident_bytes for p in found),
        private_bytes=sum(private) if private else None,
        processes=len(found),
        threads=sum(p.threads for p in found),
        open_files=sum(p.open_files for p in found),
        started_at=booted_at + found[0].born_seconds,
    )


def boot_time() -> float:
    """When the system started, in epoch seconds; 0 where it does not say."""
    try:
        lines = Path("/proc/stat").read_bytes().splitlines()
    except OSError:
        return 0.0
    return next((float(line.split()[1]) for line in lines if line.startswith(b"btime ")), 0.0)


def resident_bytes(pid: int) -> int:
    """Resident memory of a process; 0 where the system does not say."""
    try:
        pages = int(_read(f"/proc/{pid}/statm").split()[1])
    except (OSError, IndexError, ValueError):
        return 0
    return pages * _PAGE


def is_stopped(pid: int) -> bool:
    """Whether a signal has stopped a process; one that a debugger holds is not meant."""
    try:
        return _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()[0] == b"T"
    except (OSError, IndexError):
        return False


def family(pid: int) -> Iterator[int]:
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
    folder = f"/proc/{pid}/task"
    try:
        for thread in os.listdir(folder):  # noqa: PTH208 - a fifth of the time
            found += map(int, _read(f"{folder}/{thread}/children").split())
    except OSError:
        return found
    return found


def _read(path: str) -> bytes:
    """A short file, read as cheaply as can be: several are read for each worker many times a
    second. Raises `OSError`."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        found = b""
        while part := os.read(descriptor, _PAGE):
            found += part
        return found
    finally:
        os.close(descriptor)


def _mark(pid: int) -> Mark | None:
    """None when the process is gone."""
    try:
        at = _numbers(pid)
    except (OSError, ValueError):
        return None
    return (*at[_ALL_CPU], at[_THREADS], *_pages(at))


def _pages(at: Mark) -> Mark:
    return at[_MINOR_FAULTS], at[_MAJOR_FAULTS], at[_BORN], at[_RESIDENT]


def _numbers(pid: int) -> Mark:
    """The fields of `/proc/<pid>/stat` behind the name, in parentheses, which may hold anything;
    the first, a letter, as 0. Raises `OSError` and `ValueError`."""
    fields = _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    return (0, *map(int, fields[1:]))


def _process(pid: int, cpu: slice, privates: Privates) -> _Process | None:
    try:
        at = _numbers(pid)
        open_files = sum(1 for _ in os.scandir(f"/proc/{pid}/fd"))
    except (OSError, ValueError):
        return None
    return _Process(
        cpu_seconds=sum(at[cpu]) / _TICK,
        resident_bytes=at[_RESIDENT] * _PAGE,
        private_bytes=privates.of(pid, _pages(at)),
        threads=at[_THREADS],
        open_files=open_files,
        born_seconds=at[_BORN] / _TICK,
    )


def _private_bytes(folder: Path) -> int | None:
    try:
        lines = (folder / "smaps_rollup").read_bytes().splitlines()
    except OSError:
        return None
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith(b"Private_"))
