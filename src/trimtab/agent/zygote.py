"""The agent's side of one zygote: the line to it, what it forked, and its next life when it dies.

The other side is `trimtab.worker.zygote`. A zygote is the parent of its workers and tells how they
end; when it dies before them, they become the agent's own. A worker is here whatever was forked.
"""

import asyncio
import contextlib
import os
import signal
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import msgspec

from trimtab import errors
from trimtab.agent.backoff import Backoff
from trimtab.agent.logfile import last_word
from trimtab.agent.options import AgentEvent, Kind, Patience, Report
from trimtab.agent.process import Child, Forked, Launch, Nursery, Outlet

LONGEST_MESSAGE = 65_536
YOUNG_DEATHS = 3
"""Lives in a row that may end before an order was carried out; then workers are started cold."""
LOST = -9
"""Exit code of a worker whose end was seen by a zygote that died before it told."""


class Order(msgspec.Struct, frozen=True):
    """Import `imports`, and unless `arguments` is None fork a worker with these, which knows the
    files that come along by `numbers`."""

    id: int
    environment: str
    imports: tuple[str, ...]
    arguments: tuple[str, ...] | None
    numbers: tuple[int, ...] = ()


class Told(msgspec.Struct, frozen=True):
    """The answer to order `id` (with a process id, a problem, or neither), or a worker's end."""

    id: int | None = None
    pid: int | None = None
    problem: str = ""
    ended: int | None = None
    code: int = 0


@dataclass(frozen=True, slots=True)
class Breed:
    """What a zygote is: `environment` names it, `launch` makes its command line from the number of
    the file that is its end of the line. Its first life is `forked`, if that is not None."""

    environment: str
    launch: Callable[[int], Launch]
    forked: Forked | None = None


@dataclass(frozen=True, slots=True)
class Birth:
    """An order on its way, and where its worker will write."""

    child: "asyncio.Future[Child | None]"
    outlet: Outlet | None


@dataclass(eq=False, slots=True)
class Life:
    """One process of a zygote. `proven` once it has carried out an order."""

    process: Child
    line: socket.socket
    births: dict[int, Birth] = field(default_factory=dict)
    proven: bool = False


class Zygote:
    """The zygote of one environment: kept alive until `stop`, or until it is found unfit.

    An order that takes longer than `patience.start` makes it so.
    """

    def __init__(self, breed: Breed, nursery: Nursery, patience: Patience, report: Report) -> None:
        self.name = f"zygote-{breed.environment}"
        self.unfit = ""
        """Why nothing can be forked from it; empty while something can."""
        self._breed = breed
        self._nursery = nursery
        self._patience = patience
        self._report = report
        self._imports: tuple[str, ...] = ()
        self._workers: dict[int, Child] = {}
        self._orders = 0
        self._stopping = asyncio.Event()
        self._life: Life | None = (
            self._begin() if breed.forked is None else self._join(breed.forked)
        )
        self._task = asyncio.ensure_future(self._live(self._life))

    def warm_up(self, imports: Sequence[str]) -> None:
        """Let it import these now, before anything is to be forked."""
        self._imports = tuple(dict.fromkeys((*self._imports, *imports)))
        if self._life is not None:
            self._order(self._life, None, None)

    async def fork(
        self,
        name: str,
        arguments: Sequence[str],
        imports: Sequence[str],
        handles: Sequence[int] = (),
    ) -> Child | None:
        """A worker with the log `name`; None when it has to be started cold.

        It knows the files `handles` by the same numbers. When this is cancelled, the worker is
        killed as soon as it is born."""
        self._imports = tuple(dict.fromkeys((*self._imports, *imports)))
        life = self._life
        if life is None or self.unfit:
            return None
        outlet = Outlet(self._nursery.home, name)
        born = self._order(life, tuple(arguments), outlet, handles)
        try:
            return await asyncio.wait_for(born, self._patience.start)
        except asyncio.CancelledError:
            _abandon(born)
            raise
        except TimeoutError:
            self._give_up(f"it did not answer for {self._patience.start:g} s")
            return None

    @property
    def pid(self) -> int | None:
        """Its process, while it has one."""
        return self._life.process.pid if self._life is not None else None

    async def stop(self) -> None:
        """End it; its workers, if any are left, go on."""
        self._stopping.set()
        if self._life is not None:
            await self._life.process.stop(0.0)
        await self._task

    def _begin(self) -> Life:
        """Start the process. Raises `Permanent` TT-701."""
        mine, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with its:
                process = self._nursery.spawn(self._breed.launch(its.fileno()))
        except errors.TrimtabError:
            mine.close()
            raise
        return self._joined(process, mine)

    def _join(self, forked: Forked) -> Life:
        """Take over a process that is there already."""
        outlet = Outlet(self._nursery.home, self.name, forked.pipe)
        outlet.handed_over()
        process = self._nursery.adopt(forked.pid, outlet)
        process.watch(partial(_reap, forked.pid))
        return self._joined(process, forked.line)

    def _joined(self, process: Child, mine: socket.socket) -> Life:
        mine.setblocking(False)
        life = Life(process, mine)
        asyncio.get_running_loop().add_reader(mine, self._read, life)
        self._tell("started", "started", process.pid)
        return life

    async def _live(self, life: Life) -> None:
        """One life after another."""
        backoff, young_deaths = Backoff(self._patience), 0
        while True:
            born = time.monotonic()
            code = await life.process.wait()
            self._life = None
            self._bury(life)
            if self._stopping.is_set() or self.unfit:
                return
            young_deaths = 0 if life.proven else young_deaths + 1
            if young_deaths == YOUNG_DEATHS:
                self._give_up(_last_words(life.process, code))
                return
            self._tell("ended", f"ended with {code} and is started again", life.process.pid)
            with contextlib.suppress(TimeoutError):
                pause = backoff.pause(time.monotonic() - born)
                await asyncio.wait_for(self._stopping.wait(), pause or 0.001)
            if self._stopping.is_set():
                return
            try:
                life = self._life = self._begin()
            except (errors.TrimtabError, OSError) as error:
                self._give_up(str(error))
                return
            self._order(life, None, None)

    def _order(
        self,
        life: Life,
        arguments: tuple[str, ...] | None,
        outlet: Outlet | None,
        handles: Sequence[int] = (),
    ) -> "asyncio.Future[Child | None]":
        """Send an order; the result is its worker, or None."""
        self._orders += 1
        birth = Birth(asyncio.get_running_loop().create_future(), outlet)
        life.births[self._orders] = birth
        environment, numbers = self._breed.environment, tuple(handles)
        order = Order(self._orders, environment, self._imports, arguments, numbers)
        sent = [] if outlet is None else [outlet.writer, *handles]
        try:
            socket.send_fds(life.line, [msgspec.json.encode(order)], sent)
        except OSError:
            self._settle(life, self._orders, None)
        finally:
            if outlet is not None:
                outlet.handed_over()
        return birth.child

    def _read(self, life: Life) -> bool:
        """Hear one message; False when there is none (any more)."""
        try:
            message = life.line.recv(LONGEST_MESSAGE)
        except BlockingIOError:
            return False
        except OSError:
            message = b""
        if not message:
            asyncio.get_running_loop().remove_reader(life.line)
            return False
        try:
            self._hear(life, msgspec.json.decode(message, type=Told))
        except msgspec.DecodeError as error:
            self._give_up(f"it does not speak as a zygote does: {error}")
        return True

    def _hear(self, life: Life, told: Told) -> None:
        if told.ended is not None:
            worker = self._workers.pop(told.ended, None)
            if worker is not None:
                worker.ended(told.code)
        elif told.id is not None:
            life.proven = True
            self._settle(life, told.id, told.pid)
            if told.problem:
                self._give_up(told.problem)

    def _settle(self, life: Life, order: int, pid: int | None) -> None:
        """Give the one who waits for an order the worker, or nothing."""
        birth = life.births.pop(order)
        child = None
        if birth.outlet is not None and pid is not None:
            child = self._workers[pid] = self._nursery.adopt(pid, birth.outlet)
        elif birth.outlet is not None:
            birth.outlet.discard()
        if not birth.child.done():
            birth.child.set_result(child)
        elif child is not None:
            child.signal(signal.SIGKILL)

    def _give_up(self, why: str) -> None:
        if self.unfit:
            return
        self.unfit = why
        text = f"processes of this environment are started cold: {why}"
        self._tell("failed", text, None)
        if self._life is not None:
            self._life.process.signal(signal.SIGKILL)

    def _bury(self, life: Life) -> None:
        """Hear its last words, answer who still waits, and take over its workers."""
        while self._read(life):
            pass
        asyncio.get_running_loop().remove_reader(life.line)
        life.line.close()
        for order in list(life.births):
            self._settle(life, order, None)
        for pid, worker in self._workers.items():
            if _is_child(pid):
                worker.watch(partial(_reap, pid))
            else:
                worker.ended(LOST)
        self._workers.clear()

    def _tell(self, kind: Kind, text: str, pid: int | None) -> None:
        self._report(AgentEvent(kind, self.name, text, pid))


def _abandon(born: "asyncio.Future[Child | None]") -> None:
    """Kill the worker that was born in the very moment in which nobody wanted it any more."""
    if not born.cancelled() and born.done():
        child = born.result()
        if child is not None:
            child.signal(signal.SIGKILL)


def _is_child(pid: int) -> bool:
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _reap(pid: int) -> int:
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


def _last_words(process: Child, code: int) -> str:
    lines = process.last_lines
    return f"the zygote ended with {code} again and again" + (
        f": {last_word(lines)}" if lines else ""
    )
