"""Limits that the kernel enforces: control groups (version 2), where the agent may make its own.

A group of the system has either processes or limited groups below it. So the agent moves with what
it has started into a group of its own below the one that it was given, and each worker gets one
beside that, as does each process that yields: processors are shared out between groups first, and
how nice a process is counts inside of its group alone. Where other processes share the given group,
as in a login session, it is left alone.
"""

import contextlib
import os
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from trimtab.agent.process import Child
from trimtab.agent.usage import family
from trimtab.domain.processes import WorkerLimits

AGENT = "trimtab-agent"
PREFIX = "trimtab-process-"
CONTROLLERS = ("memory", "cpu", "pids")
PERIOD_MICROSECONDS = 100_000
WEIGHT = 100
"""What a group counts for that yields to none, whatever is in it."""
TASKS_PER_PROCESS = 16
"""The kernel counts threads too, so its limit of processes only ends what gets out of hand."""


class NotDelegated(Exception):
    """No control groups can be made; the message says why."""


@dataclass(frozen=True, slots=True)
class Groups:
    """Groups below `folder`, by process id."""

    folder: Path
    held: dict[int, WorkerLimits | None] = field(default_factory=dict)

    def share(self, processes: int) -> None:
        """The agent's own group counts for so many that are at work in it."""
        _write(self.folder / AGENT / "cpu.weight", str(WEIGHT * processes))

    def hold(self, pid: int, limits: WorkerLimits | None, niceness: int = 0) -> None:
        """Keep a process, and what it starts, to its limits, if it has any; they may change while
        it runs. Between groups it yields by `niceness`.

        One that is gone already, and what the kernel refuses, is left to the agent's watching."""
        if pid in self.held and self.held[pid] == limits:
            return
        group = self._group(pid)
        with contextlib.suppress(OSError):
            group.mkdir(exist_ok=True)
        for name, text in _settings(limits, niceness).items():
            _write(group / name, text)
        if pid not in self.held:
            _write(group / "cgroup.procs", str(pid))
        self.held[pid] = limits

    def set_apart(self, child: Child, niceness: int) -> None:
        """Let a process yield to others for as long as it lives."""
        self.hold(child.pid, None, niceness)
        child.when_ended(lambda: self.leave(child.pid))

    def leave(self, pid: int) -> bool:
        """A process has ended: end what it left, and whether the kernel ended it for its memory."""
        if pid not in self.held:
            return False
        del self.held[pid]
        group = self._group(pid)
        ended = _count(group / "memory.events", "oom_kill") > 0
        _write(group / "cgroup.kill", "1")
        # What is killed may take a moment, so that its group goes with one of the next.
        _tidy(self.folder, but={self._group(held) for held in self.held})
        return ended

    def _group(self, pid: int) -> Path:
        return self.folder / f"{PREFIX}{pid}"


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
    for left in set(folder.glob(f"{PREFIX}*")) - set(but):
        with contextlib.suppress(OSError):
            left.rmdir()


def _settings(limits: WorkerLimits | None, niceness: int) -> dict[str, str]:
    yielding = {"cpu.weight.nice": str(niceness)}
    if limits is None:
        return yielding
    memory, cpus = limits.memory_bytes, limits.cpus
    quota = "max" if cpus is None else str(round(cpus * PERIOD_MICROSECONDS))
    return {
        "memory.max": "max" if memory is None else str(memory),
        "memory.swap.max": "max" if memory is None else "0",
        "memory.oom.group": "1",
        "cpu.max": f"{quota} {PERIOD_MICROSECONDS}",
        "pids.max": str(limits.processes * TASKS_PER_PROCESS),
        **yielding,
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
