"""The `Host` port on Linux: `/proc`, and the limits of the control group (version 2)."""

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from trimtab.domain.processes import HostStatus


class LinuxHost:
    """`ports.Host` of this machine; `root` is where `/proc` and `/sys` are found."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._proc = root / "proc"
        self._groups = root / "sys/fs/cgroup"
        self._tick = os.sysconf("SC_CLK_TCK")

    def look(self, pids: Iterable[int]) -> HostStatus | None:
        """See `ports.Host`."""
        memory = self._memory()
        if memory is None:
            return None
        total, free = memory
        looked = tuple(pids)
        used = {pid: seconds for pid in looked if (seconds := self._used(pid)) is not None}
        waited = {pid: seconds for pid in looked if (seconds := self._waited(pid)) is not None}
        load = _text(self._proc / "loadavg").split()
        return HostStatus(
            self._cores(),
            total,
            free,
            used,
            self._waiting(),
            float(load[0]) if load else 0.0,
            waited,
        )

    def _memory(self) -> tuple[int, int] | None:
        """Bytes in all and bytes free, the narrowest limit first."""
        told = dict(_lines(self._proc / "meminfo"))
        try:
            total, free = (int(told[name].split()[0]) * 1024 for name in _MEMORY)
        except (KeyError, ValueError, IndexError):
            return None
        for group in self._own_groups():
            limit, current = _number(group / "memory.max"), _number(group / "memory.current")
            if limit is not None and current is not None and limit < total:
                cache = int(dict(_lines(group / "memory.stat", " ")).get("inactive_file", "0"))
                total, free = limit, min(free, max(0, limit - current + cache))
        return total, free

    def _cores(self) -> float:
        cores = float(len(os.sched_getaffinity(0)))
        for group in self._own_groups():
            quota, _, period = _text(group / "cpu.max").partition(" ")
            if quota.isdigit() and period.strip().isdigit():
                cores = min(cores, int(quota) / int(period))
        return cores

    def _own_groups(self) -> Iterator[Path]:
        """The control group of this process and those above it."""
        own = _text(self._proc / "self/cgroup").partition("::")[2].strip().lstrip("/")
        group = self._groups / own
        yield from (group, *group.parents[: len(Path(own).parts)])

    def _used(self, pid: int) -> float | None:
        """User and system time, the 14th and 15th field; the second may hold blanks."""
        fields = _text(self._proc / str(pid) / "stat").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / self._tick if len(fields) > 12 else None

    def _waited(self, pid: int) -> float | None:
        """Seconds before a processor, the second field, in nanoseconds."""
        fields = _text(self._proc / str(pid) / "schedstat").split()
        return int(fields[1]) / 1e9 if len(fields) > 1 else None

    def _waiting(self) -> dict[str, float]:
        """Pressure of the machine, or of a control group around this process if that is higher."""
        groups = [group for group in self._own_groups() if group != self._groups]
        found = {}
        for name in _PRESSURES:
            files = [self._proc / "pressure" / name]
            files += [group / f"{name}.pressure" for group in groups]
            shares = [share for file in files if (share := _some(file)) is not None]
            if shares:
                found[name] = max(shares)
        return found


_PRESSURES = ("cpu", "memory", "io")
_MEMORY = ("MemTotal", "MemAvailable")


def _text(path: Path) -> str:
    with contextlib.suppress(OSError):
        return path.read_text(encoding="utf-8")
    return ""


def _some(path: Path) -> float | None:
    """The share of the last minute of a `some` line; None where the kernel does not tell."""
    fields = dict(part.partition("=")[::2] for part in _text(path).partition("\n")[0].split())
    try:
        return float(fields["avg60"]) / 100.0
    except (KeyError, ValueError):
        return None


def _number(path: Path) -> int | None:
    text = _text(path).strip()
    return int(text) if text.isdigit() else None


def _lines(path: Path, between: str = ":") -> Iterator[tuple[str, str]]:
    for line in _text(path).splitlines():
        name, _, value = line.partition(between)
        yield name, value.strip()
