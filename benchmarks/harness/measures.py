"""What is done to a running server to get its figures. Seconds, bytes and requests per second."""

import asyncio
import contextlib
import os
import signal
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from harness import processes
from harness.generator import generate
from harness.load import Load, Result
from harness.models import Trained
from harness.ours import Trimtab, unrecorded
from harness.servers import Running, Server, load, once
from trimtab.agent.options import Patience
from trimtab.backends.node_client import NodeClient
from trimtab.domain.processes import WorkerStatus

Figures = dict[str, float]

APPS = Path(__file__).resolve().parent / "apps"
RESTARTS = 5
RESTART_SECONDS = 60.0
IDLE_SECONDS = 4.0
SETTLED_SECONDS = Patience().settled + 0.5


@dataclass(frozen=True, slots=True)
class Session:
    """A server that runs and has answered. `first` is the time that took from its start; `cores`
    are the server's (None: all); loads last `seconds` after `warmup`."""

    server: Server
    model: Trained
    running: Running
    first: float
    cores: tuple[int, ...] | None
    seconds: float
    warmup: float
    round: int

    def run(self, kind: str, rows: int, **more: object) -> Result:
        """One load; the client has the other core to itself where the server has one."""
        asked = load(
            self.running,
            self.model,
            kind,
            rows,
            seconds=self.seconds,
            warmup=self.warmup,
            cores=None if self.cores is None else [0],
            seed=self.round,
            **more,
        )
        (result,) = generate(asked)
        if not result.answered:
            raise RuntimeError(f"no right answer: {result.outcomes} {'; '.join(result.problems)}")
        return result


Measure = Callable[[Session], Figures]


def closed(connections: int, rows: int = 1, kind: str = "json") -> Measure:
    """A closed loop. A server that has no `binary` is asked in JSON instead."""

    def measure(session: Session) -> Figures:
        offered = session.running.endpoints
        used = "json" if kind == "binary" and kind not in offered else kind
        if used not in offered:
            raise RuntimeError(f"it does not listen for {used}")
        return _figures(session.run(used, rows, connections=connections))

    return measure


def opened(rate: float, connections: int) -> Measure:
    """An open loop with Poisson arrivals."""

    def measure(session: Session) -> Figures:
        return _figures(session.run("json", 1, connections=connections, rate=rate))

    return measure


def _figures(result: Result) -> Figures:
    return {
        "rate": result.rate,
        "p50": result.p50,
        "p99": result.p99,
        "p999": result.p999,
        "errors": float(result.errors),
        "server_cpu": result.server_cpu,
        "client_busy": result.client_busy,
        "client_delay_p99": result.delay_p99,
    }


def added(session: Session) -> Figures:
    """One connection; `added` is its p50 less that of the model called bare in the same
    environment on the same core."""
    found = _figures(session.run("json", 1, connections=1))
    argv = [str(session.server.python(session.model)), str(APPS / "bare_model.py")]
    argv += [str(session.model.joblib), "1500"]
    with processes.pinned(session.cores):
        done = subprocess.run(argv, check=True, capture_output=True, text=True)
    bare = float(done.stdout)
    return {**found, "bare": bare, "added": found["p50"] - bare}


def start(session: Session) -> Figures:
    """From the start of the first process to the first right answer."""
    return {"seconds": session.first}


def idle_memory(session: Session) -> Figures:
    """Some seconds after the first answers, each page of the tree counted once."""
    time.sleep(IDLE_SECONDS)
    return {"memory": float(processes.tree_memory(session.running.pid))}


def further_worker(session: Session) -> Figures:
    """From the death of the only worker to the next answer, which a further one gives; and what
    that worker holds for itself alone.

    Each has lived long enough to be no start that failed: those are repeated after a pause."""
    assert isinstance(session.server, Trimtab)
    home = session.server.home(session.model.folder, session.model)
    asked = load(session.running, session.model, "json", 1)
    seconds, private = [], []
    for _ in range(RESTARTS):
        time.sleep(SETTLED_SECONDS)
        pid = _only_worker(home)
        os.kill(pid, signal.SIGKILL)
        begun = time.monotonic()
        _answered(asked)
        seconds.append(time.monotonic() - begun)
        time.sleep(1.0)
        private.append(float(processes.private_memory(_only_worker(home, unlike=pid))))
    return {"seconds": statistics.median(seconds), "private_memory": statistics.median(private)}


def _answered(asked: Load) -> None:
    end = time.monotonic() + RESTART_SECONDS
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            status, _ = once(asked, RESTART_SECONDS)
            if status == "200":
                return
        time.sleep(0.002)
    raise TimeoutError(f"no answer within {RESTART_SECONDS:g} s of the worker's end")


def _only_worker(home: Path, unlike: int = 0) -> int:
    end = time.monotonic() + RESTART_SECONDS
    while time.monotonic() < end:
        ready = [worker.pid for worker in workers(home) if worker.state == "ready" and worker.pid]
        if len(ready) == 1 and ready[0] != unlike:
            return ready[0]
        time.sleep(0.02)
    raise TimeoutError("there is not one ready worker")


def workers(home: Path) -> tuple[WorkerStatus, ...]:
    """What the node agent says of its workers."""

    async def ask() -> tuple[WorkerStatus, ...]:
        node = NodeClient(home)
        try:
            return (await node.status()).workers
        finally:
            await node.close()

    return asyncio.run(ask())


def recorder_cost(session: Session) -> Figures:
    """The same workers through the gateway, and through one that records nothing while the
    controller, which judges the records, stands still: with, without, with."""
    assert isinstance(session.server, Trimtab)
    on = session.run("json", 1, connections=64)
    with (
        unrecorded(session.server, session.model, session.running) as bare,
        _stopped(session.running.pid, "trimtab.web"),
    ):
        without = Session(
            session.server,
            session.model,
            bare,
            session.first,
            session.cores,
            session.seconds,
            session.warmup,
            session.round,
        )
        off = without.run("json", 1, connections=64)
    again = session.run("json", 1, connections=64)
    rate, p99 = (on.rate + again.rate) / 2, (on.p99 + again.p99) / 2
    return {
        **_figures(on),
        "rate": rate,
        "p99": p99,
        "errors": float(on.errors + again.errors + off.errors),
        "rate_without": off.rate,
        "p99_without": off.p99,
        "rate_lost": 1.0 - rate / off.rate,
        "p99_added": p99 / off.p99 - 1.0,
    }


@contextlib.contextmanager
def _stopped(root: int, mark: str) -> Iterator[None]:
    """The process of a tree whose command line holds `mark`, halted, and its root, which would put
    another in its place."""
    found = [pid for pid in processes.tree(root) if mark in processes.command_line(pid)]
    if not found:
        raise RuntimeError(f"no process {mark}")
    for pid in (root, *found):
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in (*found, root):
            os.kill(pid, signal.SIGCONT)
