"""A gateway process: from the inherited socket to the last answer."""

import asyncio
import contextlib
import gc
import os
import resource
import signal
import socket
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import uvloop

from trimtab.domain import layout, telemetry
from trimtab.domain.otel import Export
from trimtab.gateway.backlog import Backlog
from trimtab.gateway.directory import Directory
from trimtab.gateway.disk import Disk
from trimtab.gateway.dispatch import Dispatcher
from trimtab.gateway.export import Exports
from trimtab.gateway.front import Front, register_gauges
from trimtab.gateway.grpc_front import GrpcFront
from trimtab.gateway.holding import Holding
from trimtab.gateway.http2_server import Http2Server
from trimtab.gateway.http11 import HttpServer
from trimtab.gateway.intake import Intake
from trimtab.gateway.logs import Log
from trimtab.gateway.metrics import Meter
from trimtab.gateway.peers import Peers
from trimtab.gateway.pool import Pools
from trimtab.gateway.record import Recorder
from trimtab.gateway.schedule import Limits
from trimtab.gateway.series import begin_deployments
from trimtab.gateway.table import POLL_SECONDS, Table, View
from trimtab.gateway.wake import Waker
from trimtab.ports.logsink import LogSink

WAITING_CONNECTIONS = 4096
"""Connections that may wait to be accepted, where the kernel's `somaxconn` is no less. One that
finds no room is not refused: the client's kernel asks again after a second."""
CALM_SECONDS = 5.0
CALM_POLL_SECONDS = 0.25
"""Between looks for another routing once nothing has come for `CALM_SECONDS`."""
TICK_SECONDS = 0.5
COUNT_SECONDS = 1.0
COLLECT_EVERY = (20_000, 20, 50)
"""Allocations and generations between two runs of the collector. Requests that wait are in no
cycle; looking through thousands of them by the default was a tenth of the work."""
PREPARE_SECONDS = 1.0
"""How long a new snapshot waits for the workers of its routes before it is used anyway."""


@dataclass(frozen=True, slots=True)
class GatewayOptions:
    """How a gateway runs. `listener` and `grpc` are the numbers of inherited listening sockets; the
    process drains when the other end of the pipe `parent` closes."""

    home: Path
    index: int
    listener: int
    grpc: int | None = None
    flush_seconds: float = 0.5
    parent: int | None = None
    drain_seconds: float = 30.0
    limits: Limits = field(default_factory=Limits)
    export: Export = field(default_factory=Export)


OpenLog = Callable[[Path, str], LogSink]
"""Opens the request log of a writer in a state folder."""


def serve(options: GatewayOptions, open_log: OpenLog) -> int:
    """Run until told to stop; returns the exit code. Changes directory to the state folder."""
    os.chdir(options.home)
    _allow_connections()
    return uvloop.run(_serve(options, open_log))


def _allow_connections() -> None:
    """As many as the system lets this process have; the usual soft limit of 1,024 is for select."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):  # macOS says infinity and means less
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def _serve(options: GatewayOptions, open_log: OpenLog) -> int:
    log = Log()
    writer = f"g{options.index}-{int(time.time() * 1000)}"
    gateway = Gateway(options, open_log(Path(), writer), log)
    await gateway.start()
    log.info("gateway.started", writer=writer, pid=os.getpid())
    await gateway.told_to_stop()
    await gateway.stop()
    log.info("gateway.stopped", writer=writer)
    return 0


class Gateway:
    """All parts of one process, wired. `start`, `told_to_stop`, `stop`, once each."""

    def __init__(self, options: GatewayOptions, sink: LogSink, log: Log) -> None:
        self._options = options
        self._log = log
        self._stop = asyncio.Event()
        self._meter = meter = Meter()
        self._disk = disk = Disk(log)
        self.recorder = Recorder(sink, disk, meter, log)
        self.backlog = Backlog()
        dispatcher = Dispatcher(self.recorder, self.backlog, meter, log)
        self.pools = dispatcher.pools = Pools(options.limits, dispatcher, log, self.backlog)
        self.table = Table(Path(), options.index, self._prepare, self._swapped, disk, log)
        self._peers = Peers(options.index, meter, disk, log, self._names)
        self._exports = Exports(
            *(options.export, meter, self._peers.look, log),
            index=options.index,
            instance=socket.gethostname(),
        )
        waker = Waker(Path(), asyncio.get_running_loop().time, disk)
        intake = Intake(dispatcher, waker, self._exports.tracer, self.backlog)
        directory = Directory(self.table, intake, meter)
        self._front = Front(directory, intake, self.recorder, meter, self._peers.look, log)
        holding = Holding()
        self.http = HttpServer(partial(self.backlog.give, self._front.begin), holding)
        self._grpc_front = GrpcFront(directory, intake, self.backlog, log)
        self.http2 = Http2Server(self._grpc_front.begin, holding)
        self._servers: list[asyncio.Server] = []
        self._tasks: list[asyncio.Task[None]] = []
        register_gauges(meter, self.table, self.pools)
        meter.gauge(telemetry.LOG_BEHIND, lambda: [((), self.recorder.arrears.age)])
        meter.gauge(
            telemetry.RESTING, lambda: [((pool.plan.name,), pool.resting) for pool in self.pools]
        )

    async def start(self) -> None:
        """Route by what is on disk, then accept."""
        loop = asyncio.get_running_loop()
        Path(layout.gateway_facts(0)).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        if self._options.parent is not None:
            loop.add_reader(self._options.parent, self._parent_event)
        self.http.tick(loop.time())
        await self._peers.go_on()
        await self.recorder.flush()
        try:
            await self.table.refresh()
        except OSError as error:
            self._log.error("routing.failed", error=str(error))
        await self._listen(self._options.listener, self.http.connection)
        if self._options.grpc is not None:
            await self._listen(self._options.grpc, self.http2.connection)
        gc.collect()
        gc.freeze()
        gc.set_threshold(*COLLECT_EVERY)
        steps = (
            (self.table.refresh, self._poll_seconds),
            (self._tick, lambda: TICK_SECONDS),
            (self.recorder.flush, lambda: self._options.flush_seconds),
            (self._count, lambda: COUNT_SECONDS),
        )
        self._tasks += [loop.create_task(self._forever(*each)) for each in steps]
        self._exports.start()

    async def told_to_stop(self) -> None:
        """Return on SIGTERM, SIGINT, or when the parent is gone."""
        await self._stop.wait()

    async def stop(self) -> None:
        """Accept no more, answer what was accepted, make the log whole."""
        for server in self._servers:
            server.close()
        self.drain()
        try:
            async with asyncio.timeout(self._options.drain_seconds):
                await self._drained()
        except TimeoutError:
            self._log.error("gateway.drain_timed_out")
        for task in self._tasks:
            task.cancel()
        await self._disk.do(self.table.forget)
        self.pools.abort()
        await self.recorder.close()
        await self._peers.leave()
        await self._exports.finish()
        self._disk.close()

    def drain(self) -> None:
        """Answer what clients have sent, and let them know that it is the last."""
        self._grpc_front.health.drain()
        self.http.drain()
        self.http2.drain()

    async def _listen(self, number: int, protocol: Callable[[], asyncio.Protocol]) -> None:
        """Accept on an inherited socket."""
        loop = asyncio.get_running_loop()
        listener = socket.socket(fileno=number)
        self._servers.append(
            await loop.create_server(protocol, sock=listener, backlog=WAITING_CONNECTIONS)
        )

    async def _drained(self) -> None:
        while self.http.busy or self.http2.busy:  # noqa: ASYNC110 - only the kernel knows when a buffer is sent
            await asyncio.sleep(0.01)
        await self._front.finish()

    def _parent_event(self) -> None:
        assert self._options.parent is not None
        try:
            gone = not os.read(self._options.parent, 4096)
        except BlockingIOError:  # several processes watch the same pipe
            return
        if gone:
            asyncio.get_running_loop().remove_reader(self._options.parent)
            self._stop.set()

    async def _prepare(self, view: View) -> None:
        """Connect before routing, so that a swap meets no unready worker.

        Releases of the old snapshot stay connected until the new one is in use.
        """
        old = self.table.view
        plans = (old.plans if old else {}) | view.plans
        self.pools.apply(plans, (old.targets if old else {}) | view.targets)
        new = _routed(view) - (_routed(old) if old else set())
        pools = [self.pools.get(release) for release in new if view.targets[release].workers]
        waits = [pool.wait_connected() for pool in pools if pool is not None]
        if waits:
            try:
                async with asyncio.timeout(PREPARE_SECONDS):
                    await asyncio.gather(*waits)
            except TimeoutError:
                self._log.error("routing.workers_missing", version=view.snapshot.version)

    def _names(self) -> dict[str, str]:
        """The names of the releases that are routed to, by digest."""
        view = self.table.view
        return {plan.release: plan.name for plan in view.plans.values()} if view else {}

    def _swapped(self, view: View) -> None:
        begin_deployments(self._meter, view.deployments)
        self.pools.apply(view.plans, view.targets)

    async def _tick(self) -> None:
        now = asyncio.get_running_loop().time()
        self.http.tick(now)
        self.http2.tick(now)
        self._grpc_front.health.tick()

    async def _count(self) -> None:
        """Sorting a second's values at once would hold up whoever is answered meanwhile."""
        for histogram in self._meter.histograms():
            if histogram.sort():
                await asyncio.sleep(0)
        await self._peers.leave()

    def _poll_seconds(self) -> float:
        """Whom nobody asks anything need not know at once where to send it."""
        calm = time.monotonic() - self.backlog.opened > CALM_SECONDS
        return CALM_POLL_SECONDS if calm else POLL_SECONDS

    async def _forever(
        self, step: Callable[[], Coroutine[None, None, None]], pause: Callable[[], float]
    ) -> None:
        """A step that fails is logged and tried again: background work never just ends."""
        while True:
            await asyncio.sleep(pause())
            try:
                await step()
            except Exception as error:
                self._log.error("background.failed", step=step.__name__, error=repr(error))


def _routed(view: View) -> set[str]:
    """Releases that should have workers now."""
    awake = (route for route in view.deployments.values() if not route.asleep)
    return {plan.release for route in awake for plan in route.routed()}
