"""The set of workers: what is wanted against what exists."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from functools import partial

import msgspec

from trimtab import errors
from trimtab.agent.groups import Groups
from trimtab.agent.hands import Hands, PreparedRelease
from trimtab.agent.options import Patience, Report
from trimtab.agent.process import Nursery
from trimtab.agent.wanted import keep, kept
from trimtab.agent.worker import Equipment, WorkerKeeper
from trimtab.agent.zygotes import Zygotes
from trimtab.domain.names import Digest
from trimtab.domain.processes import WantedWorkers, WorkerLimits, WorkerSlot, WorkerStatus


class Workforce:
    """Starts and stops the difference. A slot wanted again while it stops is started after."""

    def __init__(
        self,
        hands: Hands,
        nursery: Nursery,
        patience: Patience,
        report: Report,
        groups: Groups | None = None,
    ) -> None:
        self._hands = hands
        self._zygotes = zygotes = Zygotes(nursery, patience, report)
        self._equipment = Equipment(
            self._prepare, self._limits, zygotes, nursery.lifeline, patience, report, groups
        )
        self._keepers: dict[WorkerSlot, WorkerKeeper] = {}
        self._tasks: dict[WorkerSlot, asyncio.Task[None]] = {}
        self._stops: set[asyncio.Task[None]] = set()
        self._wanted: frozenset[WorkerSlot] = frozenset()
        self._order = WantedWorkers(0, ())
        self._epoch = 0
        self._ending = False
        self._preparing: dict[Digest, asyncio.Lock] = {}

    def apply(self, wanted: WantedWorkers) -> None:
        """Make the set so. Raises `Conflict` TT-502 for an older epoch than the newest seen."""
        if wanted.epoch < self._epoch:
            raise errors.Conflict(
                errors.STALE_EPOCH,
                "apply",
                f"epoch {wanted.epoch}",
                f"a controller of epoch {self._epoch} has taken over",
                unchanged="no worker was started or stopped",
            )
        self._epoch = wanted.epoch
        if self._ending:
            return
        changed = wanted != msgspec.structs.replace(self._order, epoch=wanted.epoch)
        if changed:
            keep(wanted)
        self._take(wanted)
        if changed:
            self.watch()

    def resume(self) -> None:
        """Start what was last wanted, before a controller says what is wanted now."""
        self._take(kept())

    def _take(self, order: WantedWorkers) -> None:
        self._order = order
        self._wanted = frozenset(order.slots)
        self._reconcile()

    def _limits(self, release: Digest) -> WorkerLimits:
        return self._order.limits.get(release, WorkerLimits())

    def watch(self) -> bool:
        """Hold every worker to its limits; to be called again and again, and soon where it returns
        that one may get beyond them."""
        looked = [keeper.check_limits() for keeper in self._keepers.values()]
        return any(looked)

    async def check_golden(self) -> None:
        """Ask every worker whether it still reproduces its golden set."""
        await asyncio.gather(*(keeper.check_golden() for keeper in self._keepers.values()))

    def relieve(self, worker: str) -> None:
        """Let another process take the place of a worker, by the id of its slot; one that is not
        there needs no relief."""
        for slot, keeper in self._keepers.items():
            if slot.id == worker:
                keeper.relieve()

    def _reconcile(self) -> None:
        for slot in sorted(self._wanted - self._keepers.keys()):
            keeper = self._keepers[slot] = WorkerKeeper(slot, self._equipment)
            task = asyncio.ensure_future(keeper.run())
            self._tasks[slot] = task
            task.add_done_callback(partial(self._ended, slot))
        for slot in self._keepers.keys() - self._wanted:
            keeper = self._keepers[slot]
            if keeper.status.state != "stopping":
                stop = asyncio.ensure_future(keeper.stop())
                self._stops.add(stop)
                stop.add_done_callback(self._stops.discard)

    def _ended(self, slot: WorkerSlot, _: asyncio.Task[None]) -> None:
        del self._keepers[slot], self._tasks[slot]
        self._reconcile()

    async def _prepare(self, release: Digest) -> PreparedRelease:
        """Off the event loop, and once at a time for a release, since its slots share the work."""
        async with self._preparing.setdefault(release, asyncio.Lock()):
            return await _in_thread(partial(self._hands.prepare, release))

    @property
    def status(self) -> tuple[WorkerStatus, ...]:
        """All workers, those that are ending included."""
        return tuple(self._keepers[slot].status for slot in sorted(self._keepers))

    @property
    def zygotes(self) -> dict[str, int]:
        """Process ids of the zygotes by their names."""
        return self._zygotes.processes

    async def stop(self) -> None:
        """Drain all workers at once; none is started any more, whoever asks for it."""
        self._ending = True
        self._wanted = frozenset()
        self._reconcile()
        while self._tasks:
            await asyncio.wait([*self._tasks.values(), *self._stops])
        await self._zygotes.stop()


async def _in_thread(work: Callable[[], PreparedRelease]) -> PreparedRelease:
    """The result of blocking work, in a thread that nobody waits for when the agent ends."""
    loop = asyncio.get_running_loop()
    result: asyncio.Future[PreparedRelease] = loop.create_future()

    def run() -> None:
        try:
            done = partial(_settle, result, work(), None)
        except Exception as error:
            done = partial(_settle, result, None, error)
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(done)

    threading.Thread(target=run, daemon=True).start()
    return await result


def _settle(
    result: asyncio.Future[PreparedRelease],
    value: PreparedRelease | None,
    error: Exception | None,
) -> None:
    if result.done():
        return
    if value is not None:
        result.set_result(value)
    elif error is not None:
        result.set_exception(error)
