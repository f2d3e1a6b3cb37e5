"""Limits that the kernel enforces: control groups (version 2), where the agent may make its own.

A group of the system has either processes or limited groups below it. So the agent moves with what
it has started into a group of its own below the one that it was given, and each worker gets one
beside that. Where other processes share the given group, as in a login session, it is left alone.
"""

import contextlib
import os
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from trimtab.agent.usage import family
from trimtab.domain.processes import WorkerLimits

AGENT = "trimtab-agent"
CONTROLLERS = ("memory", "cpu", "pids")
PERIOD_MICROSECONDS = 100_000
TASKS_PER_PROCESS = 16
"""The kernel counts threads too, so its limit of processes only ends what gets out of hand."""


class NotDelegated(Exception):
    """No control groups can be made; the message says why."""


@dataclass(frozen=True, slots=True)
class Groups:
    """Groups of workers below `folder`, by process id."""

    folder: Path
    held: dict[int, WorkerLimits] = field(default_factory=dict)

    def hold(self, pid: int, limits: WorkerLimits, niceness: int = 0) -> None:
        """Keep a process, and what it starts, to its limits; they may change while it runs.
        Between groups it yields by `niceness`: that of processes counts inside a group alone.

        One that is gone already, and what the kernel refuses, is left to the agent's watching."""
        if self.held.get(pid) == limits:
            return
        group = self._group(pid)
        with contextlib.suppress(OSError):
            group.mkdir(exist_ok=True)
        for name, text in _settings(limits, niceness).items():
            _write(group / name, text)
        if pid not in self.held:
            _write(group / "cgroup.procs", str(pid))
        self.held[pid] = limits

    def leave(self, pid: int) -> bool:
        """A process has ended: end what it left, and whether the kernel ended it for its memory."""
        group = self._group(pid)
        if self.held.pop(pid, None) is None:
            return False
        ended = _count(group / "memory.events", "oom_kill") > 0
        _write(group / "cgroup.kill", "1")
        # What is killed may take a moment, so that its group goes with one of the next.
        _tidy(self.folder, but={self._group(held) for held in self.held})
        return ended

    def _group(self, pid: int) -> Path:
        return self.folder / f"trimtab-worker-{pid}"


def delegated(root: Path = Path("/")) -> Groups:
    """Make room for groups; `root` is where `/proc` and `/sys` are found. Raises `NotDelegated`."""
    folder = _own(root)
    missing = set(CONTROLLERS) - set(_text(folder / "cgroup.controllers").split())
    if missing:
        raise NotDelegated(f"the agent's control group has no {' and no '.join(sorted(missing))}")
    if not os.access(folder, os.W_OK) or not os.access(folder / "cgroup.procs", os.W_OK):
        raise NotDelegated("the agent may not write to its control group")
    members = [int(each) for each in _text(folder / "cgroup.procs").split()]
    if strangers := set(members) - set(family(os.getpid())):
        raise NotDelegated(f"{len(strangers)} other processes are in the agent's control group")
    _tidy(folder)
    try:
        _move(members, folder / AGENT)
        wanted = " ".join(f"+{each}" for each in CONTROLLERS)
        (folder / "cgroup.subtree_control").write_text(wanted, encoding="ascii")
    except OSError as problem:
        raise NotDelegated(f"the kernel refuses: {problem.strerror}") from problem
    return Groups(folder)


def _own(root: Path) -> Path:
    """The folder of the agent's own group. Raises `NotDelegated`."""
    mounts = (root / "sys/fs/cgroup", root / "sys/fs/cgroup/unified")
    for mount in mounts:
        if (mount / "cgroup.controllers").exists():
            lines = _text(root / "proc/self/cgroup").splitlines()
            own = next((line[3:] for line in lines if line.startswith("0::")), "/")
            return mount / own.strip("/")
    raise NotDelegated("the system has no control groups of version 2")


def _move(members: Collection[int], group: Path) -> None:
    group.mkdir(exist_ok=True)
    for pid in members:
        with contextlib.suppress(ProcessLookupError):
            (group / "cgroup.procs").write_text(str(pid), encoding="ascii")


def _tidy(folder: Path, but: Collection[Path] = ()) -> None:
    """Remove groups that are left over; those that still hold a process stay."""
    for left in set(folder.glob("trimtab-worker-*")) - set(but):
        with contextlib.suppress(OSError):
            left.rmdir()


def _settings(limits: WorkerLimits, niceness: int) -> dict[str, str]:
    memory, cpus = limits.memory_bytes, limits.cpus
    quota = "max" if cpus is None else str(round(cpus * PERIOD_MICROSECONDS))
    return {
        "memory.max": "max" if memory is None else str(memory),
        "memory.oom.group": "1",
        "cpu.max": f"{quota} {PERIOD_MICROSECONDS}",
        "cpu.weight.nice": str(niceness),
        "pids.max": str(limits.processes * TASKS_PER_PROCESS),
    }


def _write(path: Path, text: str) -> None:
    with contextlib.suppress(OSError):
        path.write_text(text, encoding="ascii")


def _count(path: Path, name: str) -> int:
    for line in _text(path).splitlines():
        key, _, value = line.partition(" ")
        if key == name and value.isdigit():
            return int(value)
    return 0


def _text(path: Path) -> str:
    with contextlib.suppress(OSError):
        return path.read_text(encoding="ascii")
    return ""
