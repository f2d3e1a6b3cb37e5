"""One run: a deployment that lives for weeks of virtual time while one fault begins."""

import asyncio
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np

from catalogue.effects import Effect, Scene
from catalogue.faults import Fault
from catalogue.releases import MODEL, Build, Stored, fit, stored
from catalogue.storage import MemoryBlobs, MemoryLog, VirtualTime, at_once
from catalogue.tables import MONDAY, DataSet, Table, chosen
from catalogue.world import (
    CLIENTS,
    NOTHING,
    Answers,
    Attempt,
    Gateway,
    Requests,
    Share,
    SimulatedNode,
    VirtualHost,
    labels_of,
    logged,
    paired,
    truth_told,
)
from trimtab.backends.memory import MemoryCatalog, MemoryJournal, MemoryNotifier
from trimtab.domain import layout
from trimtab.domain.deployment import (
    DeploymentSpec,
    MonitorPlan,
    Objective,
    PipelineSpec,
    ProjectConfig,
    RetrainPlan,
    RolloutPlan,
    ScalePlan,
)
from trimtab.domain.events import Entry
from trimtab.domain.names import Digest
from trimtab.domain.routing import RoutingSnapshot
from trimtab.judge.draft import Author
from trimtab.judge.guard import Guard
from trimtab.judge.monitors import Monitors
from trimtab.loop.controller import Controller, Parts
from trimtab.loop.drawings import Drawings
from trimtab.loop.judges import Judges
from trimtab.loop.observer import Observer, Sources
from trimtab.loop.runs import Place
from trimtab.loop.service import Control

NAME = "d"
OPERATOR = Author("operator", "the catalogue begins")
WORKERS = 4
COMPARED = 0.2
"""Share of the rows that a job computes again as training does."""
LATE = 0.1
"""A tick looks this share of a step after its end, when its block can close."""


@dataclass(frozen=True)
class Stage:
    """A data set with the two releases that every run begins with, built once.

    `build` is the one that serves; `builds` are both, by their digest.
    """

    data: DataSet
    build: Build
    older: Stored
    serving: Stored
    builds: Mapping[Digest, Build]


def staged(data: DataSet) -> Stage:
    """Fit and profile. The older release has seen the first half of what the serving one has."""
    half = data.train.take(np.arange(len(data.train) // 2))
    older, build = Build(fit(half)), Build(fit(data.train))
    first, second = stored(data, older, 1), stored(data, build, 2)
    return Stage(data, build, first, second, {first.digest: older, second.digest: build})


@dataclass(frozen=True)
class Harm:
    """Share of wrong decisions and of requests that failed or took too long."""

    rows: int = 0
    wrong: int = 0
    unserved: int = 0

    def plus(self, other: "Harm") -> "Harm":
        """Both."""
        return Harm(
            self.rows + other.rows, self.wrong + other.wrong, self.unserved + other.unserved
        )


@dataclass(frozen=True)
class Lived:
    """A run that is over: its journal, when the fault began and ended, and the harm beside it."""

    fault: str
    data: str
    seed: int
    dose: float
    began: float
    ended: float
    journal: tuple[Entry, ...]
    before: Harm
    during: Harm


def spec_of(data: DataSet, groups: bool = False) -> DeploymentSpec:
    """Two retraining causes, four workers, and a canary as fast as the traffic allows; with
    `groups`, bias is watched."""
    pace = data.pace
    return DeploymentSpec(
        NAME,
        MODEL,
        objective=Objective(latency_seconds=0.05),
        rollout=RolloutPlan(
            shadow_rows=200,
            shadow_seconds=pace.step,
            steps=(1000, 5000),
            step_seconds=pace.step,
            bake_seconds=pace.after / 4.0,
            max_hold_seconds=pace.after,
        ),
        scale=ScalePlan(min=WORKERS, max=WORKERS),
        monitor=MonitorPlan(
            block_seconds=pace.step,
            maturity_seconds=pace.maturity,
            segments=(data.roles.segment,),
            groups=(data.roles.group,) if groups else (),
        ),
        retrain=RetrainPlan(when=("quality", "drift")),
    )


class Life:
    """Runs one fault once. Everything random follows from the seed."""

    def __init__(self, stage: Stage, fault: Fault, seed: int, home: Path) -> None:
        self._stage, self._fault, self._home = stage, fault, home
        self._seed = seed
        key = [seed, *stage.data.name.encode(), *fault.name.encode()]
        self._draw = np.random.default_rng(key)
        pace = stage.data.pace
        self._dose = fault.dose(self._draw)
        self._begins = int(self._draw.uniform(*pace.before) / pace.step)
        self._steps = self._begins + round(pace.after / pace.step)
        self._effect: Effect = fault.effect()
        self._quiet = Effect()
        self._coming = NOTHING
        self._harm = [Harm(), Harm()]
        self._equip()

    def _equip(self) -> None:
        stage = self._stage
        self._time = VirtualTime(MONDAY)
        self._log, self._blobs = MemoryLog(), MemoryBlobs()
        self._node, self._host = SimulatedNode(), VirtualHost()
        self._journal, catalog = MemoryJournal(), MemoryCatalog()
        self._blobs.add({**stage.older.blobs, **stage.serving.blobs})
        observer = Observer(
            Sources(self._log, catalog, self._blobs, self._time),
            Judges(Monitors.start, Monitors.load, Guard.start, Guard.load),
            Drawings(self._time, at_once),
        )
        parts = Parts(
            self._journal,
            catalog,
            self._blobs,
            self._node,
            MemoryNotifier(),
            self._time,
            observer,
            self._host,
        )
        self._controller = Controller(parts, Place(self._home, self._home))
        self._control = Control(self._controller, self._log)
        self._gateway = Gateway(stage.builds, self._node, self._draw)
        self._scene = Scene(
            stage.data,
            stage.build,
            stage.serving.digest,
            self._node,
            self._host,
            self._draw,
            self._dose,
        )

    async def live(self) -> Lived:
        """From the first request to the end of the horizon."""
        await self._begin()
        pace = self._stage.data.pace
        steps = self._stage.data.live.steps(self._draw, pace)
        for number, rows in zip(range(self._steps), steps, strict=False):
            if number == self._begins:
                await self._deploy()
            self._step(number, rows)
            self._time.true = MONDAY + (number + 1 + LATE) * pace.step
            await self._look()
        return Lived(
            self._fault.name,
            self._stage.data.name,
            self._seed,
            self._dose,
            MONDAY + self._begins * pace.step,
            self._time.true,
            self._journal.entries(),
            *self._harm,
        )

    async def _begin(self) -> None:
        """The older release is proven and resident; the newer one has just taken over."""
        control, spec = self._control, spec_of(self._stage.data, self._effect.groups)
        self._controller.lead("catalogue")
        pipeline = PipelineSpec(MODEL, "pipeline.py", ("fit",), "requirements.txt")
        await control.apply(ProjectConfig(deployments=(spec,), pipelines=(pipeline,)), OPERATOR)
        for release in (self._stage.older, self._stage.serving):
            await control.register(release.digest, OPERATOR)
        await control.deploy(NAME, f"{MODEL}@1", OPERATOR)
        for _ in range(4):
            await self._controller.tick()
        await control.deploy(NAME, f"{MODEL}@2", OPERATOR, "now")
        for _ in range(4):
            await self._controller.tick()
        await control.promote(NAME, OPERATOR, override=True)
        await self._controller.tick()

    async def _look(self) -> None:
        """Tick; and again where something was decided, as the loop does four times a second."""
        known = len(self._journal.stored)
        await self._controller.tick()
        if len(self._journal.stored) > known:
            self._time.true += 1.0
            await self._controller.tick()

    async def _deploy(self) -> None:
        """Deploy the release that the fault is about, if it is about one."""
        build = self._effect.release(self._scene)
        if build is None:
            return
        made = stored(self._stage.data, build, 3)
        self._blobs.add(made.blobs)
        self._gateway.builds = {**self._gateway.builds, made.digest: build}
        await self._control.register(made.digest, OPERATOR)
        await self._control.deploy(NAME, f"{MODEL}@3", OPERATOR, self._effect.strategy)
        await self._controller.tick()

    def _step(self, number: int, rows: Table) -> None:
        """What happens in one step, up to what the log and the host hold of it."""
        self._scene.age = number - self._begins
        effect = self._effect if number >= self._begins else self._quiet
        effect.machine(self._scene)
        self._time.off = effect.clock(self._scene)
        pace = self._stage.data.pace
        weights = effect.weights(self._scene, rows) if len(rows) else None
        came = chosen(rows, pace.share, self._draw, weights)
        if len(came):
            requests = effect.feed(
                self._scene, effect.world(self._scene, self._asked(number, came))
            )
            self._serve(effect, requests)
        self._tell(MONDAY + (number + 1) * pace.step)

    def _asked(self, number: int, rows: Table) -> Requests:
        step = self._stage.data.pace.step
        at = MONDAY + number * step + rows.seconds % step
        unit = self._draw.integers(1000, 1000 + CLIENTS, len(rows)).astype(np.uint64)
        return Requests(rows, rows.inputs, at, unit)

    def _serve(self, effect: Effect, requests: Requests) -> None:
        snapshot = self._snapshot()
        ids = self._gateway.ids(len(requests))
        for share in self._gateway.shares(snapshot, len(requests)):
            if len(share.places):
                self._attempt(effect, requests, ids, share, snapshot)
        delays = self._draw.exponential(self._stage.data.pace.delay, len(requests))
        told = effect.told(self._scene, truth_told(ids, requests, delays))
        self._coming = self._coming.and_these(told)

    def _snapshot(self) -> RoutingSnapshot:
        data = (self._home / layout.ROUTING).read_bytes()
        return msgspec.json.decode(data, type=RoutingSnapshot)

    def _attempt(
        self,
        effect: Effect,
        requests: Requests,
        ids: "np.ndarray[tuple[int], np.dtype[np.object_]]",
        share: Share,
        snapshot: RoutingSnapshot,
    ) -> None:
        """Ask a release; what a candidate fails is asked once of stable."""
        route, shadow = snapshot.deployments[0], share.mode == "shadow"
        weight = sum(each.weight for each in route.routes if each.mode == "canary")
        attempt = Attempt(share.release, share.mode, 0, not shadow, route, weight, self._time.off)
        mine, names = requests.take(share.places), ids[share.places]
        answers = self._answers(effect, attempt, mine)
        rows = logged(names, answers, attempt)
        self._log.write(NAME, rows)
        if share.mode == "stable":
            self._log.write(NAME, paired(rows, mine, self._draw.random(len(mine)) < COMPARED))
        again = np.flatnonzero(answers.failed & (share.mode == "canary"))
        if len(again):
            stable = next(each.release for each in route.routes if each.mode == "stable")
            second = replace(attempt, release=stable, mode="stable", number=1)
            retried = self._answers(effect, second, mine.take(again))
            self._log.write(NAME, logged(names[again], retried, second))
        if not shadow:
            self._count(answers)

    def _answers(self, effect: Effect, attempt: Attempt, requests: Requests) -> Answers:
        answers = self._gateway.ask(attempt.release, requests)
        effect.serve(self._scene, answers)
        return answers

    def _count(self, answers: Answers) -> None:
        wrong = (answers.scores >= 0.5) != answers.requests.rows.truth
        slow = answers.queue + answers.model > 0.05
        harm = Harm(
            len(wrong), int(wrong[~answers.failed].sum()), int((slow | answers.failed).sum())
        )
        during = self._scene.age >= 0
        self._harm[during] = self._harm[during].plus(harm)

    def _tell(self, until: float) -> None:
        """Log the labels that came in this step, in the order in which they came."""
        due = self._coming.at <= until
        came = self._coming.take(due)
        self._coming = self._coming.take(~due)
        if len(came.at):
            self._log.write(NAME, labels_of(came.take(np.argsort(came.at, kind="stable"))))


def lived(stage: Stage, fault: Fault, seed: int) -> Lived:
    """Run one fault once, in a state folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(Life(stage, fault, seed, Path(folder)).live())
