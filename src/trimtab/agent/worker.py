"""Keeping one worker alive: prepare its release, start it, see it ready, start it again."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from trimtab import errors
from trimtab.agent.backoff import Backoff
from trimtab.agent.devices import missing
from trimtab.agent.groups import Groups
from trimtab.agent.hands import PreparedRelease
from trimtab.agent.limits import Growth, Place, placed, standing, told
from trimtab.agent.logfile import last_word
from trimtab.agent.niceness import BATCH
from trimtab.agent.options import AgentEvent, Kind, Patience, Report
from trimtab.agent.process import Child
from trimtab.agent.readiness import Hello, asked_again, greeted
from trimtab.agent.usage import Steady, usage
from trimtab.agent.zygotes import Zygotes
from trimtab.domain import layout
from trimtab.domain.names import Digest
from trimtab.domain.processes import WorkerLimits, WorkerSlot, WorkerState, WorkerStatus

TRIES = 3
"""Starts that may fail before the worker counts as failed; it is still tried again after."""
Result = TypeVar("Result")
REFUSALS = (10, 11, 12)
FINAL = (errors.GOLDEN_FAILED, errors.TAMPERED, errors.NO_SUCH_GPU)
"""Failures that the next start would repeat: one is enough."""

DOUBTFUL = (errors.MODEL_FAILED, errors.FEATURES_FAILED, errors.WORKER_FAILED, errors.GOLDEN_FAILED)
"""Failures of which a damaged environment may be the reason."""


class Refusal(msgspec.Struct, frozen=True):
    """Why a worker must not serve: the last line it wrote before exit code 10, 11 or 12."""

    error: str
    code: str
    golden_difference: float | None = None


@dataclass(frozen=True, slots=True)
class Equipment:
    """What every worker's keeper shares. `prepare` waits off the event loop; workers end when
    the other end of the pipe `lifeline` closes. Without `groups` their limits are only watched."""

    prepare: Callable[[Digest], Coroutine[Any, Any, PreparedRelease]]
    limits: Callable[[Digest], WorkerLimits]
    zygotes: Zygotes
    lifeline: int
    patience: Patience
    report: Report
    groups: Groups | None = None


class WorkerKeeper:
    """One slot. `run` ends only after `stop`."""

    def __init__(self, slot: WorkerSlot, equipment: Equipment) -> None:
        self.slot = slot
        self._with = equipment
        self._state: WorkerState = "preparing"
        self._refusal: Refusal | None = None
        self._hello: Hello | None = None
        self._child: Child | None = None
        self._prepared: PreparedRelease | None = None
        self._steady: Steady | None = None
        self._ends = 0
        self._failed_starts = 0
        self._born = 0.0
        self._started_seconds = 0.0
        self._fresh_bytes = 0
        self._resident_bytes = 0
        self._growth = Growth()
        self._placed = Place()
        self._overran = ""
        self._worn = asyncio.Event()
        self._patient_until = 0.0
        self._relieved: set[asyncio.Task[int]] = set()
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
            rss_bytes=self._resident_bytes if child else 0,
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
        if self._relieved:
            await asyncio.wait(self._relieved)
        self._with.zygotes.leave(self.slot)

    async def _live_once(self) -> float:
        """One life of the worker; returns the pause before the next, in seconds."""
        self._move("preparing")
        try:
            child = self._child = await self._started()
            if child is None:
                return 0.0
        except errors.TrimtabError as error:
            return self._failed(Refusal(str(error), error.code))
        except Exception as error:  # whatever it is, this slot must go on being tried
            return self._failed(_unexpected(error))
        try:
            return await self._watch(child)
        except Exception as error:
            await (self._child or child).stop(self._with.patience.drain)
            return self._failed(_unexpected(error))

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

    async def _watch(self, child: Child) -> float:
        """From the start of the process to its end."""
        greeting = await self._until_ready(child)
        if isinstance(greeting, Hello):
            self._became_ready(child, greeting)
            while (successor := await self._successor(child)) is not None:
                child = successor
        # One that was born while it was being stopped has not been told so.
        if self._stopping.is_set():
            await child.stop(self._with.patience.drain)
        code = await child.wait()
        self._socket.unlink(missing_ok=True)
        if self._stopping.is_set():
            return 0.0
        if not isinstance(greeting, Hello):
            return self._failed(await self._examined(greeting or self._refusal_of(child)))
        self._ends += 1
        self._tell("ended", f"ended with {code} and is started again", child.pid)
        return self._backoff.pause(time.monotonic() - self._born)

    def _move(self, state: WorkerState) -> None:
        """Take a new state; one that failed stays so until it is ready."""
        if state == "ready" or self._state not in ("failed", "stopping"):
            self._state = state

    @property
    def _niceness(self) -> int:
        return BATCH if self.slot.lane == "batch" else 0

    @property
    def _socket(self) -> Path:
        return Path(layout.worker_socket(self.slot.id))

    async def _started(self, before: Child | None = None) -> Child | None:
        """A process for the slot, beside `before` if there is one; None when it was stopped."""
        prepared = await self._unless_stopped(self._with.prepare(self.slot.release))
        if prepared is None:
            return None
        self._prepared = prepared
        if before is None:
            self._socket.unlink(missing_ok=True)
            self._move("starting")
        return await self._unless_stopped(self._start(prepared))

    async def _start(self, prepared: PreparedRelease) -> Child:
        self._born = time.monotonic()
        self._overran = ""
        arguments = [
            *("--config", str(prepared.config)),
            *("--socket", str(self._socket)),
            *("--parent-fd", str(self._with.lifeline)),
            *("--replay", str(self._with.patience.replay)),
        ]
        limits = self._with.limits(self.slot.release)
        place = self._place(limits)
        if place.processors is not None:
            arguments += ["--processors", ",".join(map(str, place.processors))]
        if place.gpu is not None:
            self._check_gpu(place.gpu)
            arguments += ["--gpu", place.gpu]
        if (niceness := self._niceness) != 0:
            arguments += ["--niceness", str(niceness)]
        child = await self._with.zygotes.start(self.slot, prepared, arguments)
        self._placed = place
        self._tell("started", "started", child.pid)
        if (groups := self._with.groups) is not None:
            groups.hold(child.pid, limits, self._niceness)
            child.when_ended(partial(self._leave, groups, child.pid))
        return child

    def _place(self, limits: WorkerLimits) -> Place:
        return placed(limits, self.slot.turn, sorted(os.sched_getaffinity(0)))

    def _check_gpu(self, device: str) -> None:
        """A library that finds no GPU may calculate without one, at a tenth of the speed."""
        why = missing(device)
        if why:
            raise errors.Refused(
                errors.NO_SUCH_GPU,
                "start",
                f"worker {self.slot.id}",
                f"limits.gpus gives it the GPU {device!r}, and {why}; without limits.gpus it runs "
                "on the CPU",
                unchanged="no process was started",
                hint="nvidia-smi -L",
            )

    def _leave(self, groups: Groups, pid: int) -> None:
        if groups.leave(pid):
            self._overran = "the kernel ended it at the limit of its memory"
            self._tell("failed", self._overran, pid)

    async def _until_ready(
        self, child: Child, before: Child | None = None
    ) -> Hello | Refusal | None:
        """Wait for the greeting; a refusal says why a living worker had to be ended, and None that
        it ended by itself or is to be stopped. `before` is the worker whose place it takes."""
        old = before.pid if before is not None else None
        greeting = asyncio.ensure_future(greeted(self._socket, self.slot, child.pid, old))
        ended = asyncio.ensure_future(child.wait())
        stopped = asyncio.ensure_future(self._stopping.wait())
        tasks = {greeting, ended, stopped}
        await asyncio.wait(
            tasks, timeout=self._with.patience.start, return_when=asyncio.FIRST_COMPLETED
        )
        for task in tasks:
            task.cancel()
        try:
            return await self._unless_too_large(child, await greeting)
        except asyncio.CancelledError:
            if not child.running or self._stopping.is_set():
                return None
            await child.stop(0.0)
            seconds = self._with.patience.start
            return Refusal(f"it was not ready after {seconds:g} s", errors.WORKER_FAILED)
        except errors.TrimtabError as error:
            await child.stop(0.0)
            return Refusal(error.message, error.code)

    async def _unless_too_large(self, child: Child, hello: Hello) -> Hello | Refusal:
        """A worker that does not fit into its limits before it is asked anything never will."""
        limits, used = self._with.limits(self.slot.release), usage(child.pid)
        if standing(limits, used, 0) != "over":
            return hello
        await child.stop(0.0)
        why = f"it {told(limits, used)} before it was asked anything: raise its limits"
        return Refusal(why, errors.WORKER_FAILED)

    def _refusal_of(self, child: Child | None) -> Refusal:
        """Why a worker ended before it was ready, as its limits or it itself say."""
        if self._overran:
            return Refusal(f"{self._overran}, before it was ready", errors.WORKER_FAILED)
        return _refusal(child)

    async def _examined(self, why: Refusal) -> Refusal:
        """The reason behind a failed start, where it is its environment that is damaged: what is
        missing in it shows as an error of the model, or as the end of the process."""
        examine = None if self._prepared is None else self._prepared.examine
        if examine is None or why.code not in DOUBTFUL:
            return why
        try:
            await self._unless_stopped(asyncio.to_thread(examine))
        except errors.Integrity as damage:
            return Refusal(f"{damage} ({why.error})", damage.code)
        return why

    def check_limits(self) -> bool:
        """Relieve a worker that comes near its limits, and end one that is beyond them; returns
        whether it may soon be."""
        child = self._child
        if child is None or not child.running or self._stopping.is_set():
            return False
        limits = self._with.limits(self.slot.release)
        if self._steady is None or self._steady.pid != child.pid:
            self._steady = Steady(child.pid)
        used = self._steady.look()
        if self._with.groups is not None:
            self._with.groups.hold(child.pid, limits, self._niceness)
        self._resident_bytes = used.resident_bytes
        self._growth.saw(used.resident_bytes)
        found = standing(limits, used, self._fresh_bytes, self._growth.foreseen_bytes)
        if found == "over":
            self._overran = f"it {told(limits, used)}"
            self._tell("failed", f"{told(limits, used)}, and is ended", child.pid)
            child.signal(signal.SIGKILL)
        elif found == "worn":
            self._relieve(child, told(limits, used))
        elif self._place(limits) != self._placed:
            self._relieve(child, "its limits name other processors or another GPU")
        return self._steady.moved or limits.memory_bytes is not None

    async def check_golden(self) -> None:
        """Relieve a worker that no longer reproduces its golden set; where no other can take its
        place, it goes on and its status says so."""
        child = self._child
        if child is None or self._hello is None:
            return
        hello = await asked_again(self._socket, self.slot, child.pid)
        if hello is None or child is not self._child:
            return
        self._refusal = None
        if hello.golden_failure:
            why, difference = hello.golden_failure, hello.golden_difference
            self._refusal = Refusal(why, errors.GOLDEN_FAILED, difference)
            self._relieve(child, why)

    def relieve(self) -> None:
        """Let another worker take the place of this one."""
        if self._child is not None:
            self._relieve(self._child, "it differs from the other workers")

    def _relieve(self, child: Child, why: str) -> None:
        ready = self._hello is not None and not self._stopping.is_set()
        if ready and time.monotonic() >= self._patient_until:
            if not self._worn.is_set():
                self._tell("stopping", f"{why}, and is relieved", child.pid)
            self._worn.set()

    async def _successor(self, child: Child) -> Child | None:
        """The worker that relieves this one in time; None once this one has ended."""
        while True:
            worn = asyncio.ensure_future(self._worn.wait())
            ended = asyncio.ensure_future(child.wait())
            await asyncio.wait({worn, ended}, return_when=asyncio.FIRST_COMPLETED)
            over = ended.done()
            worn.cancel()
            ended.cancel()
            if over or self._stopping.is_set():
                return None
            if (successor := await self._relief(child)) is not None:
                return successor

    async def _relief(self, old: Child) -> Child | None:
        """Start another at the same place, and only when it is ready let the old one drain."""
        child, greeting = await self._beside(old)
        self._worn.clear()
        if child is not None and isinstance(greeting, Hello) and not self._stopping.is_set():
            self._child = child
            self._became_ready(child, greeting)
            self._drain(old)
            return child
        if child is not None:
            await child.stop(0.0)
        if not self._stopping.is_set():
            self._patient_until = time.monotonic() + self._with.patience.relieved
            why = greeting if isinstance(greeting, Refusal) else self._refusal_of(child)
            self._tell("failed", f"no other worker took its place: {why.error}", old.pid)
        return None

    async def _beside(self, old: Child) -> tuple[Child | None, Hello | Refusal | None]:
        """Another worker for the slot, and its greeting or why it must not serve."""
        child = None
        try:
            child = await self._started(old)
            return child, await self._until_ready(child, old) if child is not None else None
        except Exception as error:  # the old one serves; what went wrong is told
            if child is not None:
                await child.stop(0.0)
            return None, Refusal(str(error), getattr(error, "code", errors.SPAWN_FAILED))

    def _drain(self, old: Child) -> None:
        """Let a relieved worker answer what it has."""
        task = asyncio.ensure_future(old.stop(self._with.patience.drain))
        self._relieved.add(task)
        task.add_done_callback(self._relieved.discard)

    def _became_ready(self, child: Child, hello: Hello) -> None:
        if self._stopping.is_set():
            return
        self._move("ready")
        self._hello = hello
        self._refusal = None
        self._failed_starts = 0
        self._fresh_bytes = self._resident_bytes = usage(child.pid).resident_bytes
        self._growth = Growth()
        self._worn.clear()
        self._started_seconds = seconds = time.monotonic() - self._born
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


def _unexpected(error: Exception) -> Refusal:
    return Refusal(f"{type(error).__name__}: {error}", errors.SPAWN_FAILED)


def _refusal(child: Child | None) -> Refusal:
    """Why a worker ended before it was ready, as it says itself where it can."""
    if child is None:
        return Refusal("it was not started", errors.WORKER_FAILED)
    lines, code = child.last_lines, child.exit_code
    if code in REFUSALS:
        for line in reversed(lines):
            with contextlib.suppress(msgspec.DecodeError):
                return msgspec.json.decode(line, type=Refusal)
    said = f": {last_word(lines)}" if lines else ""
    return Refusal(f"it ended with {code} before it was ready{said}", errors.WORKER_FAILED)
