"""One tick after another: look, decide, record, route, act, place.

Everything a tick does follows from the journal, the files on disk and the node's status, so a
controller that is killed anywhere goes on by simply starting again. All changes of state happen
between two awaits of one event loop; that is the lock.
"""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from hashlib import blake2b

from trimtab.domain.names import Digest
from trimtab.domain.processes import WantedWorkers, WorkerLimits, WorkerSlot
from trimtab.domain.state import DeploymentState
from trimtab.errors import Conflict, TrimtabError, Unavailable
from trimtab.judge.decide import decide
from trimtab.judge.draft import Author, Decision, FinishedRun, Observation
from trimtab.judge.placement import limits_of, routing, serving, workers_wanted
from trimtab.judge.reports import GuardReport
from trimtab.loop.audit import Audit
from trimtab.loop.capacity import Capacity
from trimtab.loop.effects import Outbox
from trimtab.loop.evidence import Evidence, Reports
from trimtab.loop.health import Health
from trimtab.loop.machine import Machine
from trimtab.loop.publisher import Publisher
from trimtab.loop.retirement import Retirement
from trimtab.loop.runs import Place, Runs, RunStatus
from trimtab.loop.store import Store, standing
from trimtab.loop.wakes import Wakes
from trimtab.ports.blobs import Blobs
from trimtab.ports.catalog import Catalog
from trimtab.ports.clock import Clock
from trimtab.ports.host import Host
from trimtab.ports.journal import Journal
from trimtab.ports.node import Node
from trimtab.ports.notifier import Notifier

log = logging.getLogger(__name__)

EVIDENCE = "evidence"
"""Key of the observer's snapshot."""
DUMPING = 0.02
"""Share of the time that may go into saving it."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The ports that a controller works with."""

    journal: Journal
    catalog: Catalog
    blobs: Blobs
    node: Node
    notifier: Notifier
    clock: Clock
    evidence: Evidence
    host: Host


@dataclass(frozen=True, slots=True)
class Tempo:
    """Seconds: between ticks while something is in progress, between looks for something new and
    between looks for it in the log otherwise, and between ticks while there is nothing new; between
    readings of a log in which nothing seems to be new; until a worker is stopped although a gateway
    did not acknowledge; and between dumps of the evidence."""

    busy: float = 0.1
    idle: float = 0.25
    look: float = 0.5
    calm: float = 1.0
    reread: float = 5.0
    patience: float = 5.0
    dump: float = 5.0


class Controller:
    """The reconciler. `lead` once, then `run`, or `tick` by hand."""

    def __init__(self, parts: Parts, place: Place, tempo: Tempo | None = None) -> None:
        self.store = Store(parts.journal, parts.catalog, parts.blobs, parts.clock)
        self.health = Health()
        self.runs = Runs(place)
        self.seen: dict[str, Observation] = {}
        """What the last decision about each deployment was made from, for the screens."""
        self.audit = Audit(parts.journal, 0)
        self.ticked_at: float | None = None
        """Host epoch seconds of the last completed tick."""
        self._parts = parts
        self._tempo = tempo or Tempo()
        self._machine = Machine(parts.host)
        self._capacity = Capacity(parts.evidence, self._machine, Wakes(place.home))
        self._publisher = Publisher(place.home)
        self._routed: tuple[int, Mapping[Digest, tuple[WorkerSlot, ...]]] | None = None
        self._retirement = Retirement(self._tempo.patience)
        self._limits: Mapping[Digest, WorkerLimits] = {}
        self._outbox = Outbox(parts.journal, parts.node, parts.notifier, self.runs)
        self._wake = asyncio.Event()
        self._stopping = False
        self._met = False
        self._reached = False
        self._blind = False
        self._dump_at = parts.clock.monotonic() + self._tempo.dump
        self._dumped: bytes | None = None
        self._looked_at = self._read_at = float("-inf")

    def lead(self, holder: str) -> None:
        """Take over from whoever led before. Raises `Permanent` TT-503."""
        self.store.lead(holder)
        self.audit = Audit(self._parts.journal, self.store.replayed_from)
        saved = self._parts.journal.load(EVIDENCE)
        if saved is not None:
            self._parts.evidence.restore(saved)
        self._follow()

    def wake(self) -> None:
        """Tick at once."""
        self._wake.set()

    def stop(self) -> None:
        """Let `run` return after its present tick. Workers and gateways go on."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Tick until stopped. Raises `Conflict` TT-502 when another controller leads."""
        heeding = asyncio.ensure_future(self._heed())
        try:
            while not self._stopping:
                busy = True
                try:
                    busy = await self.tick()
                except Conflict:
                    raise
                except Exception:
                    log.exception("a tick failed; the next one begins from what is recorded")
                await self._rest(busy)
        finally:
            heeding.cancel()
            await asyncio.gather(heeding, return_exceptions=True)

    async def _heed(self) -> None:
        """Tick at once when the agent says that something has become of a process."""
        while True:
            try:
                await self._parts.node.changed()
                self.wake()
            except TrimtabError:  # every tick asks it, and tells that it does not answer
                await self._parts.clock.sleep(self._tempo.calm)

    async def _rest(self, busy: bool) -> None:
        """Until it is time for a tick: soon while something is in progress, and otherwise once
        there is something new to decide about, or time may have made a difference."""
        if busy:
            await self._pause(self._tempo.busy)
            return
        until = self._parts.clock.monotonic() + self._tempo.calm
        piece = self._tempo.idle if self._capacity.sleeping else self._tempo.look
        while not await self._pause(piece):
            if self._parts.clock.monotonic() >= until or self._stirred():
                return

    def _stirred(self) -> bool:
        """Whether there is something new that nobody tells of: a request for workers that sleep, or
        in the log."""
        if self._capacity.asked():
            return True
        due = self._parts.clock.monotonic() - self._looked_at >= self._tempo.look
        return due and self._parts.evidence.stirred()

    async def _pause(self, seconds: float) -> bool:
        """Wait; returns at once, and True, when woken."""
        pause = asyncio.ensure_future(self._parts.clock.sleep(seconds))
        woken = asyncio.ensure_future(self._wake.wait())
        try:
            await asyncio.wait((pause, woken), return_when=asyncio.FIRST_COMPLETED)
            return self._wake.is_set()
        finally:
            pause.cancel()
            woken.cancel()
            self._wake.clear()

    async def tick(self) -> bool:
        """One step; returns whether anything is in progress."""
        await self._look()
        for name in sorted(self.store.deployments):
            await self._decide(name)
        self._follow()
        routed = self._publish()
        node = self.health.status if self._reached else None
        left = await self._outbox.carry_out(self.store.epoch, self.store.state, node)
        await self._place(routed)
        self._dump()
        self.ticked_at = self._parts.clock.now()
        return self._moving or left or not routed or self._retirement.waiting

    async def _look(self) -> None:
        """An agent that does not answer leaves its last status: workers outlive it."""
        try:
            self.health.see(await self._parts.node.status())
            self._met = self._reached = True
        except Unavailable as error:
            self._reached = False
            log.warning("the node agent does not answer: %s", error)
        now = self._parts.clock.monotonic()
        fresh = self._moving or now - self._looked_at >= self._tempo.look
        if fresh:
            self._looked_at = now
            await self._read(now)
        self._capacity.look(self.health.status, self.store.deployments, now, fresh=fresh)

    async def _read(self, now: float) -> None:
        """Read the log where there is something new, and now and then however that seems."""
        evidence = self._parts.evidence
        sure = now - self._read_at < self._tempo.reread and not self._blind
        if sure and not evidence.stirred():
            return
        try:
            self._blind, self._read_at = not await evidence.refresh(), now
        except (TrimtabError, OSError) as error:
            log.warning("no evidence can be read: %s", error)
            self._blind = True
        except Exception:
            log.exception("no evidence can be read")
            self._blind = True

    @property
    def _moving(self) -> bool:
        """Whether a rollout or a run is in progress."""
        return any(state.rollout or state.run for state in self.store.deployments.values())

    async def _decide(self, name: str) -> None:
        """Decide about one deployment; what cannot be recorded did not happen, and comes again.

        Where a person decided while reports were waited for, the next tick looks again."""
        state = self.store.deployments[name]
        try:
            told = Reports() if self._blind else await self._parts.evidence.report(name)
            if self.store.deployments[name] is not state:
                return
            finished = self._finished(state)
            load = None if self._blind else self._capacity.load(name)
            seen = replace(
                self._observed(name, told.guard),
                monitors=told.monitors,
                finished=finished,
                load=load,
            )
            self.seen[name] = seen
            decision = decide(state, seen)
            if decision.entries:
                self.store.commit(decision.entries, decision.effects)
            if not self._blind:
                self._parts.evidence.settled(name)
            self._capacity.settle(name, self.store.deployments[name])
        except Conflict:
            raise
        except TrimtabError as error:
            log.warning("%s stays as it is: %s", name, error)
        except Exception:  # whatever it is, other deployments and orders of people go on
            log.exception("%s stays as it is", name)

    def observe(self, name: str) -> Observation:
        """What a person's order is checked against. Without evidence everything is unknown."""
        try:
            guard = None if self._blind else self._parts.evidence.guard(name)
        except Exception:  # a person may decide all the same
            log.exception("the guard of %s cannot be asked", name)
            guard = None
        return self._observed(name, guard)

    def _observed(self, name: str, guard: GuardReport | None) -> Observation:
        return Observation(
            clock=self._parts.evidence.clock(name),
            now=self._parts.clock.now(),
            guard=guard,
            ready={each: len(serving(slots)) for each, slots in self.health.ready().items()},
            failed=self.health.failed(),
        )

    def record(self, name: str, decision: Decision) -> DeploymentState:
        """Commit what a person ordered and wake the loop. Raises as `Store.commit`."""
        if decision.entries:
            self.store.commit(decision.entries, decision.effects)
            self._follow()
            self.wake()
        return self.store.deployments[name]

    def _finished(self, state: DeploymentState) -> tuple[FinishedRun, ...]:
        if state.run is None:
            return ()
        result = self.runs.result(state.run, self.health.status)
        return () if result is None else (self._ended(state.run.id, result),)

    def _ended(self, run: str, result: RunStatus) -> FinishedRun:
        """The run's end, with its release registered; one that cannot be read is a failed run."""
        if result.state == "failed" or result.release is None:
            error = result.error or "the run made no release"
            return FinishedRun(run, None, result.seconds, error)
        try:
            release = self.store.register(Digest(result.release), Author(reason=f"made by {run}"))
        except TrimtabError as error:
            if error.retryable or error.code in ("TT-502", "TT-503"):
                raise
            return FinishedRun(run, None, result.seconds, str(error))
        return FinishedRun(run, standing(release), result.seconds)

    def _follow(self) -> None:
        """Let the observer know. It is told again in the next tick, so no fault ends this one."""
        states = self.store.deployments
        try:
            self._parts.evidence.follow(states, self.health.surroundings(states, self._machine))
        except Exception:
            log.exception("what is watched stays as it was")

    def _wanted(self) -> frozenset[WorkerSlot]:
        return frozenset().union(*map(workers_wanted, self.store.deployments.values()))

    @property
    def routed(self) -> bool:
        """Whether every gateway that runs routes by the present state."""
        if self._routed is None or self._routed[0] != self.store.state.seq:
            return False
        publisher = self._publisher
        return publisher.acknowledged(self.health.status.gateways) == publisher.version

    def _publish(self) -> bool:
        """Route by the present state; False when it could not be written.

        Before the agent has ever answered, the snapshot on disk knows more than this process."""
        if not self._met:
            return True
        wanted = self._wanted()
        ready = {
            release: tuple(slot for slot in slots if slot in wanted)
            for release, slots in self.health.ready().items()
        }
        store = self.store
        if self._routed == (store.state.seq, ready):
            return True
        try:
            make = partial(routing, store.deployments, store.releases, ready)
            self._publisher.publish(make, store.epoch)
            self._routed = store.state.seq, ready
        except OSError as error:
            log.warning("the routing snapshot cannot be written: %s", error)
            return False
        return True

    async def _place(self, routed: bool) -> None:
        """Ask for the workers; those that leave stay until no gateway names them."""
        wanted = self._wanted()
        present = {worker.slot for worker in self.health.status.workers}
        unwanted = frozenset(present - wanted)
        kept = unwanted
        if routed and (unwanted or self._retirement.waiting):
            kept = self._retirement.keep(
                unwanted,
                version=self._publisher.version,
                acknowledged=self._publisher.acknowledged(self.health.status.gateways),
                now=self._parts.clock.monotonic(),
            )
        slots = tuple(sorted(wanted | kept))
        leaving = {slot.release for slot in kept}
        before = {each: held for each, held in self._limits.items() if each in leaving}
        self._limits = limits = {**before, **limits_of(self.store.deployments.values())}
        try:
            order = WantedWorkers(self.store.epoch, slots, limits)
            status = await self._parts.node.apply(order)
            self.health.see(status)
            self._met = True
        except Unavailable as error:
            log.warning("the node agent does not answer: %s", error)

    def _dump(self) -> None:
        """Save the evidence. The longer that took, the longer until the next time: what is read
        again after a crash costs less than saving much all the time. What is saved already is left
        as it is."""
        began = self._parts.clock.monotonic()
        if began < self._dump_at:
            return
        try:
            dump = self._parts.evidence.dump()
            # A dump may be large, and is not held until the next one.
            digest = blake2b(dump, digest_size=16).digest()
            if digest != self._dumped:
                self._parts.journal.save(self.store.epoch, EVIDENCE, dump)
                self._dumped = digest
        except Conflict:
            raise
        except TrimtabError as error:
            log.warning("the evidence is not saved: %s", error)
        ended = self._parts.clock.monotonic()
        self._dump_at = began + max(self._tempo.dump, (ended - began) / DUMPING)
