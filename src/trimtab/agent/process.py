"""One child process: its own process group, its stderr in a log, its end awaited and complete."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from trimtab import errors
from trimtab.agent import nanny
from trimtab.agent.logfile import LogFile
from trimtab.agent.orphans import end_strangers
from trimtab.domain import layout


@dataclass(frozen=True, slots=True)
class Launch:
    """What to start. `name` is also the name of its log."""

    name: str
    argv: Sequence[str]
    environment: Mapping[str, str]
    fds: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Forked:
    """A process that was forked from this one: our end of a line to it, and the pipe that it writes
    to, reading end first."""

    pid: int
    line: socket.socket
    pipe: tuple[int, int]


class Outlet:
    """Where a process writes: a pipe that ends in its log. The writing end is the process's.

    `pipe` has the ends for reading and writing of one that is there already."""

    def __init__(self, home: Path, name: str, pipe: tuple[int, int] | None = None) -> None:
        self.reader, self.writer = os.pipe() if pipe is None else pipe
        try:
            self.log = LogFile(home / layout.PROCESS_LOGS / f"{name}.log")
        except OSError:
            os.close(self.reader)
            os.close(self.writer)
            raise

    def handed_over(self) -> None:
        """The process has its own copy of the writing end."""
        os.close(self.writer)

    def discard(self) -> None:
        """There is no process after all."""
        os.close(self.reader)
        self.log.close()


class Nursery:
    """Starts children so that none outlives the agent, even one that is killed.

    Children hold the read end of `lifeline`, a pipe whose write end only the agent has; and the
    nanny, a small process, kills the groups of those that do not watch it. `adopts` tells whether
    the orphans of its descendants become its own, on which forked workers depend.
    """

    def __init__(self, home: Path, adopts: bool = False) -> None:
        self.home = home
        self.adopts = adopts
        self.lifeline, self._life = os.pipe()
        self._nanny = subprocess.Popen(
            [sys.executable, "-I", "-S", nanny.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._known = {self._nanny.pid}

    def spawn(self, launch: Launch) -> "Child":
        """Start a process in the state folder. Raises `Permanent` TT-701."""
        try:
            outlet = Outlet(self.home, launch.name)
        except OSError as cause:
            raise _not_started(launch, cause) from cause
        try:
            process = subprocess.Popen(
                launch.argv,
                stdin=subprocess.DEVNULL,
                stdout=outlet.writer,
                stderr=outlet.writer,
                cwd=self.home,
                env=dict(launch.environment),
                pass_fds=(self.lifeline, *launch.fds),
                start_new_session=True,
            )
        except OSError as cause:
            outlet.discard()
            raise _not_started(launch, cause) from cause
        finally:
            outlet.handed_over()
        child = self.adopt(process.pid, outlet)
        child.watch(process.wait)
        return child

    def adopt(self, pid: int, outlet: Outlet) -> "Child":
        """A process that somebody else has started, the leader of its own session."""
        self._known.add(pid)
        self._tell(f"+{pid}\n")
        return Child(pid, outlet, self)

    def forget(self, pid: int) -> None:
        """A child has ended and is no longer anybody's to clean up."""
        self._known.discard(pid)
        self._tell(f"-{pid}\n")

    def end_strangers(self) -> None:
        """End what processes that have ended left behind."""
        if self.adopts:
            end_strangers(self._known)

    def _tell(self, line: str) -> None:
        pipe = self._nanny.stdin
        with contextlib.suppress(OSError):
            if pipe is not None:
                pipe.write(line.encode())
                pipe.flush()

    def close(self) -> None:
        """End the lifeline and wait for the nanny, which kills what is left."""
        for handle in (self.lifeline, self._life):
            os.close(handle)
        with contextlib.suppress(OSError):
            if self._nanny.stdin is not None:
                self._nanny.stdin.close()
        self._nanny.wait()


class Child:
    """A running process. `wait` may be called any number of times.

    Its end is either watched for, or told by who sees it.
    """

    def __init__(self, pid: int, outlet: Outlet, nursery: Nursery) -> None:
        self.pid = pid
        self._log = outlet.log
        self._nursery = nursery
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[int] = self._loop.create_future()
        self._reader: int | None = outlet.reader
        os.set_blocking(outlet.reader, False)
        self._loop.add_reader(outlet.reader, self._read)

    def watch(self, reap: Callable[[], int]) -> None:
        """Watch a child of this very process; `reap` blocks for its exit code."""
        if not hasattr(os, "pidfd_open"):
            threading.Thread(target=self._watch_blocking, args=(reap,), daemon=True).start()
            return
        handle = os.pidfd_open(self.pid)
        self._loop.add_reader(handle, self._reap, handle, reap)

    def _watch_blocking(self, reap: Callable[[], int]) -> None:
        self._loop.call_soon_threadsafe(self.ended, reap())

    def _reap(self, handle: int, reap: Callable[[], int]) -> None:
        self._loop.remove_reader(handle)
        os.close(handle)
        self.ended(reap())

    def ended(self, code: int) -> None:
        """It has ended; what is left of its group is killed."""
        self.signal(signal.SIGKILL)
        self._nursery.forget(self.pid)
        while self._read():
            pass
        self._close_reader()
        self._log.close()
        if not self._ended.done():
            self._ended.set_result(code)

    def _read(self) -> bool:
        """Take what the process wrote; False when there is nothing (more) now."""
        if self._reader is None:
            return False
        try:
            data = os.read(self._reader, 65536)
        except BlockingIOError:
            return False
        if data:
            self._log.write(data)
        else:
            self._close_reader()
        return bool(data)

    def _close_reader(self) -> None:
        if self._reader is not None:
            self._loop.remove_reader(self._reader)
            os.close(self._reader)
            self._reader = None

    @property
    def last_lines(self) -> tuple[str, ...]:
        """The end of what it wrote."""
        return self._log.last_lines

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return not self._ended.done()

    @property
    def exit_code(self) -> int | None:
        """How it ended, as `wait` says; None while it runs."""
        return self._ended.result() if self._ended.done() else None

    def signal(self, number: int) -> None:
        """Signal the whole process group; nothing happens when it is gone."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def when_ended(self, tell: Callable[[], object]) -> None:
        """Call `tell` once it has ended."""
        self._ended.add_done_callback(lambda _: tell())

    async def wait(self) -> int:
        """The exit code, negative for a signal; everything it wrote is in the log by then."""
        return await asyncio.shield(self._ended)

    async def stop(self, drain: float) -> int:
        """SIGTERM, and SIGKILL to the group after `drain` seconds; returns the exit code."""
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                return await asyncio.wait_for(self.wait(), drain)
            self.signal(signal.SIGKILL)
        return await self.wait()


def _not_started(launch: Launch, cause: OSError) -> errors.Permanent:
    return errors.Permanent(errors.SPAWN_FAILED, "start", launch.name, str(cause))
