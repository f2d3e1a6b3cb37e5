"""Processes under measurement: where they may run, what they cost, how they end."""

import contextlib
import os
import platform
import resource
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

TICK = 1.0 / os.sysconf("SC_CLK_TCK")
STOP_SECONDS = 20.0
PAGE = os.sysconf("SC_PAGE_SIZE")
PRESENT, OF_FILE = 1 << 63, 1 << 61
"""Bits of an entry of `/proc/PID/pagemap`: in memory, and not copied from its file."""


class NotStarted(Exception):
    """A server that did not come up; the message says why."""


@contextlib.contextmanager
def pinned(cores: Sequence[int] | None) -> Iterator[None]:
    """What is started inside may run on `cores` only; None leaves it free."""
    before = os.sched_getaffinity(0)
    if cores is not None:
        os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@dataclass(frozen=True, slots=True)
class Started:
    """A server process, the leader of its own process group."""

    process: subprocess.Popen[bytes]
    log: Path
    began: float

    @property
    def pid(self) -> int:
        """The root of the tree."""
        return self.process.pid

    def said(self) -> str:
        """The end of what it wrote."""
        text = self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""
        return " | ".join(line.strip() for line in text.splitlines()[-6:] if line.strip())

    def wait_listening(self, port: int, seconds: float) -> None:
        """Return once `port` takes connections. Raises `NotStarted`."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise NotStarted(f"it ended with {self.process.returncode}: {self.said()}")
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
                return
            time.sleep(0.01)
        raise NotStarted(f"port {port} is closed after {seconds:g} s: {self.said()}")

    def stop(self) -> None:
        """End the tree: first asked, then made to."""
        everyone = list(tree(self.pid))
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(STOP_SECONDS)
        for pid in everyone:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()


def start(
    argv: Sequence[str],
    folder: Path,
    log: Path,
    environment: Mapping[str, str],
    cores: Sequence[int] | None,
) -> Started:
    """Start a server in `folder` with nothing but `environment` added to this one's."""
    many_files()
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output, pinned(cores):
        began = time.monotonic()
        process = subprocess.Popen(
            argv,
            cwd=folder,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    return Started(process, log, began)


def many_files() -> None:
    """Lift this process's limit of open files, and that of all it starts, as far as it goes."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def free_port() -> int:
    """A port of the loopback that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def tree(root: int) -> Iterator[int]:
    """A process and all that descend from it."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (stat := _stat(int(entry.name))):
            children.setdefault(int(stat[1]), []).append(int(entry.name))
    queue = [root]
    while queue:
        pid = queue.pop()
        yield pid
        queue += children.get(pid, [])


def _stat(pid: int) -> list[str]:
    """Fields of /proc/PID/stat from the state on; none when the process is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return text.rpartition(")")[2].split()


def command_line(pid: int) -> str:
    """The words of a process; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def processor_seconds(root: int) -> float:
    """Processor time of the living processes of a tree."""
    found = [stat for pid in tree(root) if (stat := _stat(pid))]
    return TICK * sum(int(stat[11]) + int(stat[12]) for stat in found)


def memory(pid: int, *fields: str) -> int:
    """Bytes of one process: the sum of these fields of `smaps_rollup`; 0 when it is gone."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0
    wanted = tuple(f"{field}:" for field in fields)
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith(wanted))


def private_memory(pid: int) -> int:
    """Bytes that are this process's alone, without pages of files: its next twin maps them too."""
    return memory(pid, "Private_Dirty")


def tree_memory(root: int) -> int:
    """Bytes that a tree occupies, see `occupied`."""
    return sum(occupied(list(tree(root))).values())


def occupied(pids: Sequence[int]) -> dict[int, int]:
    """Bytes of physical memory under these processes, each page counted once.

    Memory without a file is the proportional set size (PSS): only the processes' own relatives can
    share it. A page of a file is counted for the first process that has it. PSS would divide it by
    all processes of the machine that map it, those beside the tree included, such as this one.
    """
    seen: set[tuple[str, int]] = set()
    sizes = {}
    for pid in pids:
        before = len(seen)
        seen.update(_file_pages(pid))
        sizes[pid] = memory(pid, "Pss_Anon", "Pss_Shmem") + (len(seen) - before) * PAGE
    return sizes


def _file_pages(pid: int) -> Iterator[tuple[str, int]]:
    """Device and inode, and number within the file, of each of its pages that is in memory."""
    try:
        lines = Path(f"/proc/{pid}/maps").read_text(encoding="utf-8").splitlines()
        with Path(f"/proc/{pid}/pagemap").open("rb", buffering=0) as pagemap:
            for line in lines:
                span, _, offset, device, inode, *_ = line.split()
                if inode == "0":
                    continue
                start, end = (int(each, 16) // PAGE for each in span.split("-"))
                entries = os.pread(pagemap.fileno(), (end - start) * 8, start * 8)
                first = int(offset, 16) // PAGE
                for number, (entry,) in enumerate(struct.iter_unpack("<Q", entries)):
                    if entry & PRESENT and entry & OF_FILE:
                        yield f"{device} {inode}", first + number
    except OSError:
        return


def machine() -> str:
    """The machine in one line."""
    cpuinfo = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = [line.partition(":")[2].strip() for line in cpuinfo if line.startswith("model name")]
    gibibytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{os.cpu_count()} cores of {names[0] if names else platform.machine()}, "
        f"{gibibytes:.0f} GiB, Python {platform.python_version()}, Linux {platform.release()}"
    )
