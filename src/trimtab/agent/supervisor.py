"""The node agent: holds the sockets, keeps gateways, workers and the controller alive."""

import asyncio
import contextlib
import os
import shlex
import signal
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from trimtab import errors
from trimtab.agent.control import Changes, Control
from trimtab.agent.groups import Groups, NotDelegated, delegated
from trimtab.agent.hands import Hands
from trimtab.agent.jobs import Jobs
from trimtab.agent.keeper import Keeper
from trimtab.agent.listeners import Listener, open_admin, open_listener
from trimtab.agent.lock import hold_home
from trimtab.agent.logfile import forget_old
from trimtab.agent.measures import Measures
from trimtab.agent.niceness import CONTROLLER
from trimtab.agent.options import AgentEvent, AgentOptions, Report, silent
from trimtab.agent.orphans import adopt_orphans
from trimtab.agent.process import Child, Launch, Nursery
from trimtab.agent.stopped import Stopped
from trimtab.agent.unended import Unended
from trimtab.agent.warm import Warm
from trimtab.agent.workforce import Workforce
from trimtab.domain import layout


class AgentFacts(msgspec.Struct, frozen=True):
    """`run/agent.json`: where a running agent is reached. `started_at` is epoch seconds.

    `grpc` is host and port, None when there is no such listener; `limits` says in a few words who
    holds workers to their limits.
    """

    pid: int
    inference: str
    admin: str
    started_at: float
    grpc: str | None = None
    limits: str = ""


async def serve(options: AgentOptions, hands: Hands, report: Report = silent) -> None:
    """Run until SIGTERM, SIGINT or SIGHUP, then drain and return.

    Changes the working directory to the state folder for the time it runs. Raises `Unavailable`
    TT-105 (no room), TT-107 (folder in use), TT-108 (port taken) and TT-701 (a gateway or the
    controller cannot start), `Refused` TT-110 (admin listener beyond loopback); nothing is then
    left running.
    """
    with contextlib.ExitStack() as stack:
        home = options.home.absolute()
        stack.enter_context(hold_home(home))
        stack.enter_context(contextlib.chdir(home))
        _make_folders()
        listeners = stack.enter_context(_listeners(options))
        nursery = Nursery(home, adopt_orphans())
        stack.callback(nursery.close)
        await _Agent(options, hands, report, nursery, listeners).run()


@dataclass(frozen=True, slots=True)
class _Listeners:
    inference: Listener
    admin: Listener
    grpc: Listener | None

    @property
    def gateways(self) -> dict[str, int]:
        """The gateways' options that name a socket, with its number."""
        numbers = {"--fd": self.inference.socket.fileno()}
        return numbers if self.grpc is None else {**numbers, "--grpc-fd": self.grpc.socket.fileno()}

    def close_gateways(self) -> None:
        """Accept no more calls."""
        self.inference.socket.close()
        if self.grpc is not None:
            self.grpc.socket.close()


def _make_folders() -> None:
    for name in (layout.WORKER_SOCKETS, layout.PROCESS_LOGS, layout.RUNS):
        Path(name).mkdir(parents=True, exist_ok=True, mode=0o700)
    for stale in Path(layout.WORKER_SOCKETS).iterdir():
        stale.unlink()
    forget_old(Path(layout.PROCESS_LOGS), time.time())


@contextlib.contextmanager
def _listeners(options: AgentOptions) -> Iterator[_Listeners]:
    """The sockets. Facts left behind mean a killed agent, whose gateways are about to end."""
    wait = options.patience.leftover if Path(layout.AGENT_FACTS).exists() else 0.0
    with contextlib.ExitStack() as stack:
        admin = open_admin(options.admin, wait)
        stack.enter_context(admin.socket)
        inference = open_listener(options.inference, "inference", wait)
        stack.enter_context(inference.socket)
        grpc = open_listener(options.grpc, "grpc", wait) if options.grpc else None
        if grpc is not None:
            stack.enter_context(grpc.socket)
        yield _Listeners(inference, admin, grpc)


class _Agent:
    def __init__(
        self,
        options: AgentOptions,
        hands: Hands,
        report: Report,
        nursery: Nursery,
        listeners: _Listeners,
    ) -> None:
        self._options = options
        self._tell = report
        self._changes = Changes()
        self._unended = Unended(self._report)
        report = self._report
        self._nursery = nursery
        self._listeners = listeners
        patience = options.patience
        shared = options.programs.shared
        self._warm = Warm(nursery, patience, report, shared, options.warm)
        self._groups, self._limits = _groups(options.gateways)
        self._workforce = Workforce(hands, nursery, patience, report, self._groups)
        self._jobs = Jobs(nursery.home, nursery, report, self._groups)
        self._gateways = [
            Keeper(partial(self._gateway, index), self._warm.start, patience, report)
            for index in range(options.gateways)
        ]
        self._stopped, self._stopped_at = Stopped(patience.stopped), 0.0
        self._controller = Keeper(self._controller_launch, self._start_apart, patience, report)
        self._control = Control(self._workforce, self._jobs, self._gateway_pids, self._changes)

    def _report(self, event: AgentEvent) -> None:
        """Tell the operator, and the controller that there is something to look at."""
        self._tell(event)
        self._changes.tell()

    def _gateway_pids(self) -> tuple[int, ...]:
        children = (keeper.child for keeper in self._gateways)
        return tuple(child.pid for child in children if child is not None and child.running)

    def _gateway(self, index: int) -> Launch:
        sockets = self._listeners.gateways
        argv = (
            *self._options.programs.gateway,
            *("--index", str(index)),
            *("--home", str(self._nursery.home)),
            *(text for option, fd in sockets.items() for text in (option, str(fd))),
            *("--parent-fd", str(self._nursery.lifeline)),
            *("--flush-seconds", f"{self._options.flush_seconds:g}"),
        )
        return Launch(f"gateway-{index}", argv, os.environ, tuple(sockets.values()))

    def _controller_launch(self) -> Launch:
        fd = self._listeners.admin.socket.fileno()
        argv = (
            *self._options.programs.controller,
            *("--home", str(self._nursery.home)),
            *("--project", str(self._options.project.absolute())),
            *("--fd", str(fd)),
            *("--parent-fd", str(self._nursery.lifeline)),
        )
        return Launch("controller", argv, os.environ, (fd,))

    async def _start_apart(self, launch: Launch) -> Child:
        child = await self._warm.start(launch)
        if self._groups is not None:
            self._groups.set_apart(child, CONTROLLER)
        return child

    async def run(self) -> None:
        """Everything up, until a signal or a start-up failure; then everything down."""
        await self._control.listen()
        self._write_export()
        self._workforce.resume()
        looking = [asyncio.ensure_future(look()) for look in self._looks()]
        self._watch()
        keepers = [asyncio.ensure_future(k.run()) for k in (*self._gateways, self._controller)]
        stop = asyncio.Event()
        facts = Path(layout.AGENT_FACTS)
        try:
            with stopping_signals(stop, self._nursery.end_strangers):
                await asyncio.sleep(0)  # processes come up while the rest is written and told
                try:
                    self._write_facts(facts)
                    asked = asyncio.ensure_future(stop.wait())
                    await asyncio.wait([asked, *keepers], return_when=asyncio.FIRST_COMPLETED)
                    asked.cancel()
                finally:
                    self._report(AgentEvent("stopping", "agent", "draining"))
                    await self._stop()
        finally:
            facts.unlink(missing_ok=True)
            self._watching.cancel()
            for look in looking:
                look.cancel()
            for name in (layout.AGENT_COUNT, layout.CONTROLLER_COUNT, layout.GATEWAY_EXPORT):
                Path(name).unlink(missing_ok=True)
        ends = await asyncio.gather(*keepers, return_exceptions=True)
        for end in ends:
            if isinstance(end, BaseException):
                raise end
        self._report(AgentEvent("stopped", "agent", "everything has ended"))

    def _write_export(self) -> None:
        path = Path(layout.GATEWAY_EXPORT)
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.encode(self._options.export))

    def _looks(self) -> list[Callable[[], Coroutine[Any, Any, None]]]:
        replays = [self._check_golden] if self._options.patience.replay > 0.0 else []
        return [self._measure, *replays]

    async def _check_golden(self) -> None:
        """Workers replay by themselves; asked more often, they tell sooner."""
        while True:
            await asyncio.sleep(self._options.patience.replay / 4.0)
            with self._unended.tried("golden sets are not compared"):
                await self._workforce.check_golden()

    def _watch(self) -> None:
        """Look at processes now and again, by one timer for all: each would wake this one."""
        patience, now, soon = self._options.patience, time.monotonic(), True
        with self._unended.tried("workers are not held to their limits"):
            soon = self._workforce.watch()
        if now >= self._stopped_at + patience.stopped:
            self._stopped_at = now
            with self._unended.tried("processes that were stopped are not looked for"):
                self._end_stopped(now)
        pause = patience.watch if soon else min(patience.quiet, patience.stopped)
        self._watching = asyncio.get_running_loop().call_later(pause, self._watch)

    def _end_stopped(self, now: float) -> None:
        """Whoever stopped one of these for good has ended what it does: another shall do it."""
        workers = {each.slot.id: each.pid for each in self._workforce.status if each.pid}
        names = {pid: name for name, pid in (workers | self._processes()).items()}
        for pid in self._stopped.still(names, now):
            text = "a signal has stopped it, and it is ended"
            self._report(AgentEvent("failed", names[pid], text, pid))
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)

    async def _measure(self) -> None:
        """In a thread, since the kernel takes its time to say what is private of large memory."""
        every = self._options.patience.measure
        measures: Measures | None = None
        while True:
            with self._unended.tried("what processes use is not measured"):
                if measures is None:
                    measures = await asyncio.to_thread(Measures, every)
                workers, processes = self._workforce.status, self._processes()
                await asyncio.to_thread(measures.leave, workers, processes)
            await asyncio.sleep(every)

    def _processes(self) -> dict[str, int]:
        """Process ids of everything but workers, by name."""
        kept = {f"gateway-{index}": keeper for index, keeper in enumerate(self._gateways)}
        kept["controller"] = self._controller
        living = {
            name: keeper.child.pid
            for name, keeper in kept.items()
            if keeper.child is not None and keeper.child.running
        }
        zygotes = self._warm.processes | self._workforce.zygotes
        return {"agent": os.getpid(), **living, **zygotes}

    def _write_facts(self, path: Path) -> None:
        inference, admin = self._listeners.inference.url, self._listeners.admin.url
        calls = self._listeners.grpc
        grpc = None if calls is None else calls.target
        facts = AgentFacts(os.getpid(), inference, admin, time.time(), grpc, self._limits)
        unfinished = path.with_suffix(".tmp")
        try:
            unfinished.write_bytes(msgspec.json.encode(facts))
            unfinished.rename(path)
        except OSError as cause:
            raise errors.Unavailable(
                errors.HOME_NOT_WRITABLE,
                "write",
                str(path),
                f"nobody could be told where to reach the system: {cause.strerror}",
                unchanged="everything that had been started was stopped again",
                hint=f"df -h {shlex.quote(str(self._nursery.home))}",
            ) from cause
        places = f"{inference} and {admin}" + (f", gRPC on {grpc}" if grpc else "")
        self._report(AgentEvent("listening", "agent", places, os.getpid()))

    async def _stop(self) -> None:
        """Gateways first, for they answer what is in flight; the controller sees the rest go."""
        self._listeners.close_gateways()
        jobs = self._jobs.stop(self._options.patience.drain)
        await asyncio.gather(jobs, *(keeper.stop() for keeper in self._gateways))
        await self._workforce.stop()
        await self._controller.stop()
        await self._warm.stop()
        await self._control.close()


def _groups(gateways: int) -> tuple[Groups | None, str]:
    """Control groups if there can be any, and in words what holds workers instead.

    In the agent's own group it is the gateways that work: each counts as much as a worker."""
    try:
        groups = delegated()
    except NotDelegated as why:
        return None, f"watched by the agent: {why}"
    groups.share(gateways)
    return groups, "enforced by control groups"


@contextlib.contextmanager
def stopping_signals(stop: asyncio.Event, child_ended: Callable[[], None]) -> Iterator[None]:
    """Meanwhile signals set `stop`, and `child_ended` is called when a child did."""
    loop = asyncio.get_running_loop()
    handlers = {
        signal.SIGTERM: stop.set,
        signal.SIGINT: stop.set,
        signal.SIGCHLD: child_ended,
    }
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup wants it
        handlers[signal.SIGHUP] = stop.set
    for number, handler in handlers.items():
        loop.add_signal_handler(number, handler)
    try:
        yield
    finally:
        for number in handlers:
            loop.remove_signal_handler(number)
