"""Keeping one worker alive: prepare its release, start it, see it ready, start it again."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from trimtab import errors
from trimtab.agent.backoff import Backoff
from trimtab.agent.hands import PreparedRelease
from trimtab.agent.options import AgentEvent, Kind, Patience, Report
from trimtab.agent.process import Child, resident_bytes
from trimtab.agent.readiness import Hello, greeted
from trimtab.agent.zygotes import Zygotes
from trimtab.domain import layout
from trimtab.domain.names import Digest
from trimtab.domain.processes import WorkerSlot, WorkerState, WorkerStatus

TRIES = 3
"""Starts that may fail before the worker counts as failed; it is still tried again after."""
Result = TypeVar("Result")
REFUSALS = (10, 11, 12)
FINAL = (errors.GOLDEN_FAILED, errors.TAMPERED)
"""Failures that the next start would repeat: one is enough."""


class Refusal(msgspec.Struct, frozen=True):
    """Why a worker must not serve: the last line it wrote before exit code 10, 11 or 12."""

    error: str
    code: str
    golden_difference: float | None = None


@dataclass(frozen=True, slots=True)
class Equipment:
    """What every worker's keeper shares. `prepare` waits off the event loop; workers end when
    the other end of the pipe `lifeline` closes."""

    prepare: Callable[[Digest], Coroutine[Any, Any, PreparedRelease]]
    zygotes: Zygotes
    lifeline: int
    patience: Patience
    report: Report


class WorkerKeeper:
    """One slot. `run` ends only after `stop`."""

    def __init__(self, slot: WorkerSlot, equipment: Equipment) -> None:
        self.slot = slot
        self._with = equipment
        self._state: WorkerState = "preparing"
        self._refusal: Refusal | None = None
        self._hello: Hello | None = None
        self._child: Child | None = None
        self._ends = 0
        self._failed_starts = 0
        self._started_seconds = 0.0
        self._backoff = Backoff(equipment.patience)
        self._stopping = asyncio.Event()

    @property
    def status(self) -> WorkerStatus:
        """The worker as it is now."""
        child = self._child if self._child is not None and self._child.running else None
        refusal, hello = self._refusal, self._hello
        difference = hello.golden_difference if hello else None
        return WorkerStatus(
            slot=self.slot,
            state="starting" if self._state == "ready" and child is None else self._state,
            pid=child.pid if child else None,
            restarts=self._ends,
            error=refusal.error if refusal else "",
            code=refusal.code if refusal else "",
            rss_bytes=resident_bytes(child.pid) if child else 0,
            started_seconds=self._started_seconds,
            golden_difference=refusal.golden_difference if refusal else difference,
        )

    async def run(self) -> None:
        """Keep the worker alive until it is stopped."""
        while not self._stopping.is_set():
            pause = await self._live_once()
            self._child, self._hello = None, None
            if pause > 0 and not self._stopping.is_set():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._stopping.wait(), pause)
        self._with.zygotes.leave(self.slot)

    async def _live_once(self) -> float:
        """One life of the worker; returns the pause before the next, in seconds."""
        self._move("preparing")
        try:
            prepared = await self._unless_stopped(self._with.prepare(self.slot.release))
            if prepared is None:
                return 0.0
            born = time.monotonic()
            child = await self._unless_stopped(self._start(prepared))
            if child is None:
                return 0.0
        except errors.TrimtabError as error:
            return self._failed(Refusal(str(error), error.code))
        except Exception as error:  # whatever it is, this slot must go on being tried
            return self._failed(Refusal(f"{type(error).__name__}: {error}", errors.SPAWN_FAILED))
        return await self._watch(child, born)

    async def _unless_stopped(self, work: Coroutine[Any, Any, Result]) -> Result | None:
        """The result of `work`; None when the worker was stopped first, which cancels it."""
        working = asyncio.ensure_future(work)
        stopped = asyncio.ensure_future(self._stopping.wait())
        await asyncio.wait({working, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if working.done():
            return await working
        working.cancel()
        return None

    async def _watch(self, child: Child, born: float) -> float:
        """From the start of the process to its end."""
        problem = await self._until_ready(child)
        if self._hello is not None:
            self._became_ready(child, time.monotonic() - born)
        # One that was born while it was being stopped has not been told so.
        if self._stopping.is_set():
            await child.stop(self._with.patience.drain)
        code = await child.wait()
        self._socket.unlink(missing_ok=True)
        if self._stopping.is_set():
            return 0.0
        if self._hello is None:
            return self._failed(problem or _refusal(child, code))
        self._ends += 1
        self._tell("ended", f"ended with {code} and is started again", child.pid)
        return self._backoff.pause(time.monotonic() - born)

    def _move(self, state: WorkerState) -> None:
        """Take a new state; one that failed stays so until it is ready."""
        if state == "ready" or self._state not in ("failed", "stopping"):
            self._state = state

    @property
    def _socket(self) -> Path:
        return Path(layout.worker_socket(self.slot.id))

    async def _start(self, prepared: PreparedRelease) -> Child:
        self._socket.unlink(missing_ok=True)
        arguments = (
            *("--config", str(prepared.config)),
            *("--socket", str(self._socket)),
            *("--parent-fd", str(self._with.lifeline)),
        )
        self._move("starting")
        child = await self._with.zygotes.start(self.slot, prepared, arguments)
        self._child = child
        self._tell("started", "started", child.pid)
        return child

    async def _until_ready(self, child: Child) -> Refusal | None:
        """Wait for the greeting or the end; returns why a living worker had to be ended."""
        greeting = asyncio.ensure_future(greeted(self._socket, self.slot, child.pid))
        ended = asyncio.ensure_future(child.wait())
        stopped = asyncio.ensure_future(self._stopping.wait())
        tasks = {greeting, ended, stopped}
        await asyncio.wait(
            tasks, timeout=self._with.patience.start, return_when=asyncio.FIRST_COMPLETED
        )
        for task in tasks:
            task.cancel()
        try:
            self._hello = await greeting
        except asyncio.CancelledError:
            if not child.running or self._stopping.is_set():
                return None
            await child.stop(0.0)
            seconds = self._with.patience.start
            return Refusal(f"it was not ready after {seconds:g} s", errors.WORKER_FAILED)
        except errors.TrimtabError as error:
            await child.stop(0.0)
            return Refusal(error.message, error.code)
        return None

    def _became_ready(self, child: Child, seconds: float) -> None:
        if self._stopping.is_set():
            return
        self._move("ready")
        self._refusal = None
        self._failed_starts = 0
        self._started_seconds = seconds
        self._tell("ready", f"verified and ready after {seconds:.1f} s", child.pid)

    def _failed(self, why: Refusal) -> float:
        self._ends += 1
        self._failed_starts += 1
        self._refusal = why
        if self._failed_starts >= TRIES or why.code in FINAL:
            self._state = "failed"
        self._tell("failed", f"{why.code}: {why.error}", None)
        pauses = self._with.patience.refused
        return pauses[min(self._failed_starts, len(pauses)) - 1]

    async def stop(self) -> None:
        """Drain the worker and end `run`."""
        self._state = "stopping"
        self._stopping.set()
        if self._child is not None:
            await self._child.stop(self._with.patience.drain)

    def _tell(self, kind: Kind, text: str, pid: int | None) -> None:
        self._with.report(AgentEvent(kind, self.slot.id, text, pid))


def _refusal(child: Child, code: int) -> Refusal:
    """Why a worker ended before it was ready, as it says itself where it can."""
    lines = child.last_lines
    if code in REFUSALS:
        for line in reversed(lines):
            with contextlib.suppress(msgspec.DecodeError):
                return msgspec.json.decode(line, type=Refusal)
    said = f": {lines[-1]}" if lines else ""
    return Refusal(f"it ended with {code} before it was ready{said}", errors.WORKER_FAILED)
