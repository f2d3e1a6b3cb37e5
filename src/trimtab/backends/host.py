"""The `Host` port on Linux: `/proc`, and the limits of the control group (version 2)."""

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from trimtab.domain.processes import HostStatus


class LinuxHost:
    """`ports.Host` of this machine; `root` is where `/proc` and `/sys` are found."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._proc = str(root / "proc")
        self._groups = str(root / "sys/fs/cgroup")
        self._tick = os.sysconf("SC_CLK_TCK")

    def look(self, pids: Iterable[int]) -> HostStatus | None:
        """See `ports.Host`."""
        groups = self._own_groups()
        memory = self._memory(groups)
        if memory is None:
            return None
        total, free = memory
        looked = tuple(pids)
        used = {pid: seconds for pid in looked if (seconds := self._used(pid)) is not None}
        waited = {pid: seconds for pid in looked if (seconds := self._waited(pid)) is not None}
        load = _text(f"{self._proc}/loadavg").split()
        return HostStatus(
            self._cores(groups),
            total,
            free,
            used,
            self._waiting(groups),
            float(load[0]) if load else 0.0,
            waited,
        )

    def _memory(self, groups: Iterable[str]) -> tuple[int, int] | None:
        """Bytes in all and bytes free, the narrowest limit first."""
        told = dict(_lines(f"{self._proc}/meminfo"))
        try:
            total, free = (int(told[name].split()[0]) * 1024 for name in _MEMORY)
        except (KeyError, ValueError, IndexError):
            return None
        for group in groups:
            limit = _number(f"{group}/memory.max")
            current = None if limit is None else _number(f"{group}/memory.current")
            if limit is not None and current is not None and limit < total:
                cache = int(dict(_lines(f"{group}/memory.stat", " ")).get("inactive_file", "0"))
                total, free = limit, min(free, max(0, limit - current + cache))
        return total, free

    def _cores(self, groups: Iterable[str]) -> float:
        cores = float(len(os.sched_getaffinity(0)))
        for group in groups:
            quota, _, period = _text(f"{group}/cpu.max").partition(" ")
            if quota.isdigit() and period.strip().isdigit():
                cores = min(cores, int(quota) / int(period))
        return cores

    def _own_groups(self) -> list[str]:
        """The control group of this process and those above it."""
        own = _text(f"{self._proc}/self/cgroup").partition("::")[2].strip().strip("/")
        parts = own.split("/") if own else []
        return ["/".join((self._groups, *parts[:end])) for end in range(len(parts), -1, -1)]

    def _used(self, pid: int) -> float | None:
        """User and system time, the 14th and 15th field; the second may hold blanks."""
        fields = _text(f"{self._proc}/{pid}/stat").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / self._tick if len(fields) > 12 else None

    def _waited(self, pid: int) -> float | None:
        """Seconds before a processor, the second field, in nanoseconds."""
        fields = _text(f"{self._proc}/{pid}/schedstat").split()
        return int(fields[1]) / 1e9 if len(fields) > 1 else None

    def _waiting(self, groups: Iterable[str]) -> dict[str, float]:
        """Pressure of the machine, or of a control group around this process if that is higher."""
        found = {}
        for name in _PRESSURES:
            files = [f"{self._proc}/pressure/{name}"]
            files += [f"{group}/{name}.pressure" for group in groups if group != self._groups]
            shares = [share for file in files if (share := _some(file)) is not None]
            if shares:
                found[name] = max(shares)
        return found


_PRESSURES = ("cpu", "memory", "io")
_MEMORY = ("MemTotal", "MemAvailable")
_PAGE = 8192
"""Bytes that are read at once."""


def _text(path: str) -> str:
    """A short file, read as cheaply as can be: it is one of dozens, and that every second."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    found = b""
    try:
        with contextlib.suppress(OSError):
            while part := os.read(descriptor, _PAGE):
                found += part
    finally:
        os.close(descriptor)
    return found.decode("utf-8", "replace")


def _some(path: str) -> float | None:
    """The share of the last minute of a `some` line; None where the kernel does not tell."""
    fields = dict(part.partition("=")[::2] for part in _text(path).partition("\n")[0].split())
    try:
        return float(fields["avg60"]) / 100.0
    except (KeyError, ValueError):
        return None


def _number(path: str) -> int | None:
    text = _text(path).strip()
    return int(text) if text.isdigit() else None


def _lines(path: str, between: str = ":") -> Iterator[tuple[str, str]]:
    for line in _text(path).splitlines():
        name, _, value = line.partition(between)
        yield name, value.strip()
