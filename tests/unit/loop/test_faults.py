"""The controller is killed before and after everything it does outside, and started again."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy import Engine
from tests.support.control import (
    ANN,
    BAD,
    GOOD,
    UNKNOWN,
    ScriptedEvidence,
    incident,
    manifest_digest,
    release,
    spec,
)
from tests.unit.loop.world import PIPELINE, World

from trimtab import errors
from trimtab.backends.catalog import SqlCatalog
from trimtab.backends.database import open_database
from trimtab.backends.journal import SqlJournal
from trimtab.backends.memory import MemoryCatalog, MemoryJournal
from trimtab.backends.requestlog import FolderRequestLog
from trimtab.domain.deployment import ProjectConfig, RetrainPlan
from trimtab.domain.events import Effect, Entry, NewEntry
from trimtab.domain.names import Digest, ReleaseRef
from trimtab.domain.processes import NodeStatus, WantedWorkers
from trimtab.domain.release import Manifest, Release
from trimtab.domain.state import DeploymentState
from trimtab.domain.verdicts import Incident
from trimtab.judge.reports import GuardReport, MonitorReport, Surroundings
from trimtab.loop.controller import Controller, Tempo
from trimtab.loop.evidence import Reports
from trimtab.loop.runs import RunStatus
from trimtab.loop.service import Control
from trimtab.ports.catalog import Catalog
from trimtab.ports.journal import Journal
from trimtab.ports.node import Node
from trimtab.ports.notifier import Notifier

AUTO = spec(retrain=RetrainPlan(("quality",), "auto", cooldown_seconds=1e9))
CONFIG = ProjectConfig(deployments=(AUTO,), pipelines=(PIPELINE,))


class Killed(BaseException):
    """The process ends here; no handler of the product may see it."""


@dataclass
class Points:
    """Counts the places where a process may end, and ends it at number `at`."""

    at: int = 0
    passed: list[str] = field(default_factory=list)

    def __call__(self, name: str) -> None:
        self.passed.append(name)
        if len(self.passed) == self.at:
            raise Killed(name)


@dataclass
class FaultyJournal:
    """A journal with a point before and after every write."""

    inner: Journal
    point: Points

    def lead(self, holder: str, now: float) -> int:
        return self.inner.lead(holder, now)

    def commit(
        self, epoch: int, entries: Sequence[NewEntry], effects: Sequence[Effect]
    ) -> tuple[Entry, ...]:
        self.point("before commit")
        recorded = self.inner.commit(epoch, entries, effects)
        self.point("after commit")
        return recorded

    def entries(self, after: int = 0, limit: int | None = None) -> tuple[Entry, ...]:
        return self.inner.entries(after, limit)

    def pending(self) -> tuple[Effect, ...]:
        return self.inner.pending()

    def done(self, epoch: int, effect_id: str) -> None:
        self.point("before done")
        self.inner.done(epoch, effect_id)
        self.point("after done")

    def newest(
        self,
        limit: int | None,
        deployment: str | None = None,
        kinds: Sequence[str] = (),
        before: int | None = None,
    ) -> tuple[Entry, ...]:
        return self.inner.newest(limit, deployment, kinds, before)

    def about(self, subjects: Collection[str]) -> tuple[Entry, ...]:
        return self.inner.about(subjects)

    def verify(self, after: int = 0, limit: int | None = None) -> int:
        return self.inner.verify(after, limit)

    def save(self, epoch: int, key: str, value: bytes) -> None:
        self.point("before save")
        self.inner.save(epoch, key, value)
        self.point("after save")

    def load(self, key: str) -> bytes | None:
        return self.inner.load(key)


@dataclass
class FaultyCatalog:
    """A catalog with a point before and after every registration."""

    inner: Catalog
    point: Points

    def register(self, digest: Digest, manifest: Manifest, now: float) -> Release:
        self.point("before register")
        made = self.inner.register(digest, manifest, now)
        self.point("after register")
        return made

    def find(self, ref: ReleaseRef) -> Release:
        return self.inner.find(ref)

    def get(self, digest: Digest) -> Release:
        return self.inner.get(digest)

    def releases(self, model: str | None = None) -> tuple[Release, ...]:
        return self.inner.releases(model)


@dataclass
class FaultyNode:
    """A node with a point before and after every order."""

    inner: Node
    point: Points

    async def apply(self, wanted: WantedWorkers) -> NodeStatus:
        self.point("before apply")
        status = await self.inner.apply(wanted)
        self.point("after apply")
        return status

    async def status(self) -> NodeStatus:
        return await self.inner.status()

    async def changed(self) -> None:
        await self.inner.changed()

    async def start_job(
        self, job: str, argv: Sequence[str], environment: Mapping[str, str]
    ) -> None:
        self.point("before job")
        await self.inner.start_job(job, argv, environment)
        self.point("after job")

    async def relieve(self, worker: str) -> None:
        self.point("before relief")
        await self.inner.relieve(worker)
        self.point("after relief")


@dataclass
class FaultyNotifier:
    """A notifier with a point before and after every message."""

    inner: Notifier
    point: Points

    def notify(self, key: str, incident: Incident) -> None:
        self.point("before message")
        self.inner.notify(key, incident)
        self.point("after message")


Order = Callable[[Control, DeploymentState | None], Awaitable[object]]
Reached = Callable[[DeploymentState], bool]


async def nothing(control: Control, state: DeploymentState | None) -> None:
    """Nobody orders anything."""


async def first_release(control: Control, state: DeploymentState | None) -> None:
    """Configure, register and deploy, again and again until it is recorded."""
    await control.apply(CONFIG, ANN)
    for number in (1, 2):
        await control.register(manifest_digest(number), ANN)
    await control.deploy("d", "m@1", ANN)


async def second_release(control: Control, state: DeploymentState | None) -> None:
    """Deploy m@2."""
    await control.deploy("d", "m@2", ANN)


@dataclass
class Tale:
    """A bad release, drift, a retraining and its promotion, told through any number of deaths."""

    world: World
    controller: Controller | None = None
    deaths: list[str] = field(default_factory=list)
    hold_canary: bool = False

    async def tell(self) -> DeploymentState:
        """From an empty home to m@3 proven."""
        world = self.world
        await self.until(first_release, lambda s: s.stable == release(1))
        self.hold_canary = True
        await self.until(
            second_release, lambda s: s.rollout is not None and s.rollout.phase == "canary"
        )
        self.hold_canary = False
        world.evidence.guards["d"] = BAD
        await self.until(nothing, lambda s: s.rollout is None)
        world.evidence.guards.clear()
        world.evidence.reports["d"] = MonitorReport((), opened=(incident(),))
        await self.until(nothing, lambda s: s.run is not None and "d-run1" in world.node.jobs)
        world.report("d-run1", RunStatus("succeeded", release=manifest_digest(3), seconds=1.0))
        world.evidence.guards["d"] = GOOD
        await self.until(nothing, lambda s: s.proven == (release(1), release(3)))
        for _ in range(8):
            await self.until(nothing, lambda _: True)
        assert self.controller is not None
        return self.controller.store.deployments["d"]

    async def until(self, order: Order, reached: Reached) -> None:
        """Order and tick until the state is reached; a dead controller is started again."""
        for _ in range(40):
            try:
                if await self.once(order, reached):
                    return
            except Killed as death:
                self.deaths.append(str(death))
                self.controller = None
        pytest.fail("the loop got stuck")

    async def once(self, order: Order, reached: Reached) -> bool:
        """One order and one tick."""
        if self.controller is None:
            self.controller = self.world.start()
            self.world.check(self.controller)
        states = self.controller.store.deployments
        if "d" not in states or not reached(states["d"]):
            await order(
                Control(self.controller, FolderRequestLog(self.world.home)), states.get("d")
            )
        if self.hold_canary:
            rollout = states["d"].rollout
            early = rollout is None or rollout.phase in ("preparing", "shadow")
            self.world.evidence.guards["d"] = GOOD if early else UNKNOWN
        await self.world.tick(self.controller, 700.0)
        self.world.check(self.controller)
        return reached(self.controller.store.deployments["d"])


def told(home: Path, at: int, journal: Journal, catalog: Catalog) -> tuple[Tale, Points]:
    """A tale in which the controller dies at point `at`."""
    point = Points(at)
    world = World(
        home,
        Tempo(dump=1400.0),
        journal=FaultyJournal(journal, point),
        catalog=FaultyCatalog(catalog, point),
    )
    world.through = FaultyNode(world.node, point)
    world.telling = FaultyNotifier(world.notifier, point)
    tale = Tale(world)
    state = asyncio.run(tale.tell())
    assert state.stable == release(3)
    assert (state.rejected, state.rollouts, state.runs) == ((release(2).digest,), 3, 1)
    return tale, point


def events(journal: Journal) -> list[str]:
    """The recorded events in order."""
    return [type(entry.event).__name__ for entry in journal.entries()]


@pytest.mark.no_cover
def test_death_at_every_point_leads_to_the_same_history(tmp_path: Path) -> None:
    journal = MemoryJournal()
    calm, points = told(tmp_path / "calm", 0, journal, MemoryCatalog())
    history, messages = events(journal), list(calm.world.notifier.sent)
    assert len(points.passed) > 100
    assert {"before commit", "after job", "before done", "after register"} <= set(points.passed)
    for at, name in enumerate(points.passed, 1):
        journal = MemoryJournal()
        tale, _ = told(tmp_path / str(at), at, journal, MemoryCatalog())
        assert tale.deaths == [name]
        assert events(journal) == history, f"death {at}, {name}"
        assert list(tale.world.notifier.sent) == messages
        assert list(tale.world.node.jobs) == ["d-run1"]
        assert journal.pending() == ()


@pytest.mark.parametrize("at", [2, 9, 25, 50, 75, 100])
def test_death_with_the_database_on_disk_leads_to_the_same_state(tmp_path: Path, at: int) -> None:
    engine: Engine = open_database(tmp_path / "control.db")
    tale, _ = told(tmp_path, at, SqlJournal(engine), SqlCatalog(engine))
    assert len(tale.deaths) == 1
    engine.dispose()


def test_disk_that_is_full_leaves_state_and_routes_until_it_has_room(tmp_path: Path) -> None:
    async def work() -> None:
        engine = open_database(tmp_path / "control.db")
        world = World(tmp_path, journal=SqlJournal(engine), catalog=SqlCatalog(engine))
        controller, control = await world.serving()
        await control.deploy("d", "m@2", ANN)
        world.evidence.guards["d"] = GOOD
        await world.tick(controller, 700.0)
        before, routes = controller.store.state, world.routes()
        with engine.connect().execution_options(reading=True) as db:
            db.exec_driver_sql("PRAGMA query_only=1")
        world.evidence.reports["d"] = MonitorReport((), opened=(incident(),))
        await world.tick(controller, 700.0)
        assert (controller.store.state, world.routes()) == (before, routes)
        with pytest.raises(errors.Permanent) as caught:
            await control.pause("d", ANN)
        assert caught.value.code == errors.STORE_FAILED
        with engine.connect().execution_options(reading=True) as db:
            db.exec_driver_sql("PRAGMA query_only=0")
        state = await world.tick(controller, 700.0)
        assert state != before.deployments["d"]
        assert len(state.incidents) == 1, "the report was kept until it was recorded"
        world.check(controller)
        engine.dispose()

    asyncio.run(work())


class BrokenOutbox(MemoryJournal):
    """A journal whose outbox cannot be read while `broken`."""

    broken = False

    def pending(self) -> tuple[Effect, ...]:
        if self.broken:
            raise errors.Permanent(errors.STORE_FAILED, "read", "outbox", "input/output error")
        return super().pending()


def test_outbox_that_cannot_be_read_does_not_stop_the_loop(tmp_path: Path) -> None:
    async def work() -> None:
        journal = BrokenOutbox()
        world = World(tmp_path, journal=journal)
        controller, control = await world.serving()
        await control.retrain("d", ANN)
        journal.broken = True
        await world.tick(controller)
        assert world.node.jobs == {}
        journal.broken = False
        await world.tick(controller)
        assert list(world.node.jobs) == ["d-run1"]

    asyncio.run(work())


class CountingOutbox(MemoryJournal):
    """A journal that counts how often its outbox is read."""

    reads = 0

    def pending(self) -> tuple[Effect, ...]:
        self.reads += 1
        return super().pending()


def test_the_outbox_is_read_when_something_was_recorded_and_no_more(tmp_path: Path) -> None:
    async def work() -> None:
        journal = CountingOutbox()
        world = World(tmp_path, journal=journal)
        controller, control = await world.serving()
        await world.tick(controller)
        before = journal.reads
        for _ in range(3):
            await world.tick(controller)
        assert journal.reads == before
        await control.retrain("d", ANN)
        await world.tick(controller)
        assert journal.reads == before + 1
        assert list(world.node.jobs) == ["d-run1"]

    asyncio.run(work())


@dataclass
class DeafNode(FaultyNode):
    """A node whose answer to a start is lost, with or without the start."""

    lost: bool = True
    works: bool = True

    async def start_job(
        self, job: str, argv: Sequence[str], environment: Mapping[str, str]
    ) -> None:
        if self.works:
            await self.inner.start_job(job, argv, environment)
        if self.lost:
            raise errors.Unavailable(errors.AGENT_GONE, "start", job, "no answer")


@pytest.mark.parametrize("works", [True, False])
def test_start_whose_answer_was_lost_is_read_back(tmp_path: Path, works: bool) -> None:
    async def work() -> None:
        world = World(tmp_path)
        deaf = DeafNode(world.node, Points(), works=works)
        world.through = deaf
        controller, control = await world.serving()
        await control.retrain("d", ANN)
        await world.tick(controller)
        assert (world.journal.pending() == ()) == works
        deaf.lost, deaf.works = False, True
        await world.tick(controller)
        assert world.journal.pending() == ()
        assert list(world.node.jobs) == ["d-run1"]

    asyncio.run(work())


@dataclass
class FullNode(FaultyNode):
    """A node that can start no job for now."""

    full: bool = False

    async def start_job(
        self, job: str, argv: Sequence[str], environment: Mapping[str, str]
    ) -> None:
        if self.full:
            raise errors.Permanent(errors.SPAWN_FAILED, "start", job, "no more processes")
        await self.inner.start_job(job, argv, environment)


def test_a_run_that_cannot_be_started_again_keeps_no_worker_from_its_place(tmp_path: Path) -> None:
    async def work() -> None:
        world = World(tmp_path)
        world.through = full = FullNode(world.node, Points())
        controller, control = await world.serving()
        await control.retrain("d", ANN)
        await world.tick(controller)
        world.node.jobs.clear()
        full.full = True
        await control.deploy("d", "m@2", ANN)
        await world.tick(controller)
        assert release(2).digest in {slot.release for slot in world.node.workers}
        full.full = False
        await world.tick(controller)
        assert list(world.node.jobs) == ["d-run1"]

    asyncio.run(work())


def test_leader_that_is_replaced_during_an_effect_stops(tmp_path: Path) -> None:
    async def work() -> None:
        world = World(tmp_path)
        controller, control = await world.serving()
        await control.retrain("d", ANN)
        world.journal.lead("another", 0.0)
        with pytest.raises(errors.Conflict):
            await controller.tick()

    asyncio.run(work())


class Faulty(ScriptedEvidence):
    """An observer with a fault in one of its calls."""

    fault = ""

    async def refresh(self) -> bool:
        self._check("refresh")
        return await super().refresh()

    def guard(self, deployment: str) -> GuardReport | None:
        self._check("guard")
        return super().guard(deployment)

    async def report(self, deployment: str) -> Reports:
        self._check("report")
        return await super().report(deployment)

    def follow(
        self, states: Mapping[str, DeploymentState], surroundings: Mapping[str, Surroundings]
    ) -> None:
        self._check("follow")
        super().follow(states, surroundings)

    def _check(self, call: str) -> None:
        if call == self.fault:
            raise ValueError("a fault of the observer")


@pytest.mark.parametrize("fault", ["refresh", "guard", "report", "follow"])
def test_what_a_person_orders_is_done_whatever_is_wrong_with_the_evidence(
    tmp_path: Path, fault: str
) -> None:
    async def work() -> None:
        evidence = Faulty()
        world = World(tmp_path, evidence=evidence)
        controller, control = await world.serving()
        await control.deploy("d", "m@2", ANN, "steps")
        await world.tick(controller)
        await world.tick(controller)
        assert world.routes() == {"m@1": 9900, "m@2": 100}
        evidence.fault, evidence.fresh = fault, True
        await control.rollback("d", ANN)
        await world.tick(controller)
        assert world.routes() == {"m@1": 10_000}
        assert world.start().store.deployments["d"].rollout is None

    asyncio.run(work())
