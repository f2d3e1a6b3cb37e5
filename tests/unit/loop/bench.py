"""An observer over a real request log; its monitors and guard keep what they are given."""

import asyncio
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from trimtab import errors
from trimtab.backends.requestlog import FolderRequestLog
from trimtab.domain.deployment import DeploymentSpec, MonitorPlan, RolloutPlan
from trimtab.domain.names import Digest
from trimtab.domain.profile import ReferenceProfile
from trimtab.domain.records import Heard, Labelled, Paired, Rows
from trimtab.domain.release import EnvironmentLock, Golden, Manifest, Release
from trimtab.domain.rollout import Phase, Rollout, Standing
from trimtab.domain.signature import Column, Datatype, Output, Signature
from trimtab.domain.state import DeploymentState
from trimtab.domain.verdicts import Incident
from trimtab.judge.reports import GuardReport, MonitorReport, Surroundings
from trimtab.loop.drawings import Draw, Drawings
from trimtab.loop.evidence import Reports
from trimtab.loop.judges import Judges
from trimtab.loop.observer import Observer, Sources
from trimtab.loop.samples import Told

OLD = Standing(Digest("sha256:aa"), "m@1", 1)
NEW = Standing(Digest("sha256:bb"), "m@2", 2)
DAY = 86_400.0
START = 1_356_998_400.0
SPEC = DeploymentSpec(
    "flights", "m", clock="event", monitor=MonitorPlan(maturity_seconds=DAY, block_seconds=3600.0)
)
PROFILE = ReferenceProfile(rows=10, inputs=())


@dataclass
class Tape:
    """A double of monitors and of a guard: remembers what it was given, in order."""

    of: str
    rows: list[str] = field(default_factory=list)
    labels: list[tuple[str, str]] = field(default_factory=list)
    fates: list[str] = field(default_factory=list)
    columns: list[list[str]] = field(default_factory=list)
    seen: list[Any] = field(default_factory=list)
    reports: list[MonitorReport] = field(default_factory=list)

    def observe(self, rows: Rows) -> None:
        self.rows += rows.fixed["request_id"].tolist()

    def learn(self, labelled: Labelled) -> None:
        ids = labelled.rows.fixed["request_id"].tolist()
        self.columns.append(sorted(labelled.rows.inputs))
        self.labels += list(zip(ids, labelled.label.tolist(), strict=True))

    def dump(self) -> bytes:
        return json.dumps([self.of, self.rows, self.labels]).encode()


class TapeMonitors(Tape):
    notes: tuple[str, ...] = ()

    def hear(self, heard: Heard) -> None:
        self.fates += heard.fate.tolist()

    def compare(self, paired: Paired) -> None:
        ids, told = paired.rows.fixed["request_id"].tolist(), paired.told["x"].tolist()
        self.seen += list(zip(ids, paired.rows.inputs["x"].tolist(), told, strict=True))

    def assess(
        self, clock: float, open_incidents: tuple[Incident, ...], surroundings: Surroundings
    ) -> MonitorReport:
        self.seen.append((clock, [incident.id for incident in open_incidents], surroundings))
        return self.reports.pop(0) if self.reports else MonitorReport(())


class TapeGuard(Tape):
    says = GuardReport("ok", "unknown", ())

    def assess(self, phase: Phase, step: int, clock: float) -> GuardReport:
        self.seen.append((phase, step, clock))
        return self.says


class Tapes:
    """Starts and reads back doubles, and keeps the newest of each."""

    def __init__(self) -> None:
        self.profile: ReferenceProfile | None = PROFILE
        self.monitors = TapeMonitors("none")
        self.guard = TapeGuard("none")
        self.started: list[tuple[str, float]] = []

    def judges(self) -> Judges:
        return Judges(self.start_monitors, self.load_monitors, self.start_guard, self.load_guard)

    def start_monitors(
        self,
        spec: DeploymentSpec,
        signature: Signature,
        profile: ReferenceProfile | None,
        release: str,
        started: float,
    ) -> TapeMonitors:
        assert profile == self.profile
        self.started.append((release, started))
        self.monitors = TapeMonitors(release)
        return self.monitors

    def load_monitors(self, data: bytes) -> TapeMonitors:
        self.monitors = TapeMonitors(*_tape(data))
        return self.monitors

    def start_guard(
        self,
        plan: RolloutPlan,
        spec: DeploymentSpec,
        candidate: Standing,
        stable: Standing,
        told: tuple[Signature, ReferenceProfile | None],
    ) -> TapeGuard:
        assert told[1] == self.profile
        self.guard = TapeGuard(f"{candidate.name} against {stable.name}")
        return self.guard

    def load_guard(self, data: bytes) -> TapeGuard:
        self.guard = TapeGuard(*_tape(data))
        return self.guard


def _tape(data: bytes) -> tuple[str, list[str], list[tuple[str, str]]]:
    of, rows, labels = json.loads(data)
    return of, rows, [(request, label) for request, label in labels]


class Releases:
    """A catalog that holds one manifest for every digest, and its profile, if any, as a blob."""

    def __init__(self, profile: ReferenceProfile | None) -> None:
        self._profile = profile

    def get(self, digest: Digest) -> Any:
        if digest == "sha256:profile" and self._profile is None:
            raise errors.Integrity(errors.MISSING_BLOB, "read", digest, "it is not there")
        if digest == "sha256:profile":
            return msgspec.json.encode(self._profile)
        return Release(digest, "m", 1, 0.0, MANIFEST)


class StoppedClock:
    """The host's clock, standing still. `leapt` is by how much it was set since it began."""

    def __init__(self, now: float) -> None:
        self.value = now
        self.leapt = 0.0

    def now(self) -> float:
        return self.value + self.leapt

    def monotonic(self) -> float:
        return self.value

    async def sleep(self, seconds: float) -> None:
        self.value += seconds


MANIFEST = Manifest(
    model="m",
    format="skops",
    model_path="model.skops",
    features=None,
    frame="pandas",
    tree=Digest("sha256:tree"),
    environment=EnvironmentLock("3.11.7", "linux", ()),
    data=None,
    signature=Signature((Column("x", Datatype.FP64),), (Output("score", Datatype.FP64),)),
    execution={},
    profile=Digest("sha256:profile"),
    golden=Golden(Digest("sha256:golden"), 1, 0.0, True),
)


async def at_once(draw: Draw) -> Told:
    """Draw without a thread."""
    return draw()


def told(observer: Observer) -> Reports:
    """What the observer reports of the deployment in a tick."""
    return asyncio.run(observer.report("flights"))


@dataclass
class Bench:
    """An observer over a folder of segments, with doubles for what it feeds."""

    home: Path
    tapes: Tapes = field(default_factory=Tapes)
    clock: StoppedClock = field(default_factory=lambda: StoppedClock(1_700_000_100.0))

    def observer(self, saved: bytes | None = None) -> Observer:
        releases: Any = Releases(self.tapes.profile)
        log = FolderRequestLog(self.home, settle_seconds=0.0)
        sources = Sources(log, releases, releases, self.clock)
        observer = Observer(sources, self.tapes.judges(), Drawings(self.clock, at_once))
        if saved is not None:
            observer.restore(saved)
            assert asyncio.run(observer.refresh())
        return observer


def stable(spec: DeploymentSpec = SPEC, **changes: Any) -> dict[str, DeploymentState]:
    return {"flights": DeploymentState(spec=spec, stable=OLD, **changes)}


def canary(phase: Phase = "canary") -> dict[str, DeploymentState]:
    rollout = Rollout(
        id="ro-1",
        candidate=NEW,
        previous=OLD,
        strategy="canary",
        phase=phase,
        step=1,
        weight=500,
        paused=False,
        started_clock=START,
        phase_clock=START,
    )
    return stable(rollout=rollout)


def at(request: str, seconds: float = 0.0, **changes: Any) -> dict[str, Any]:
    """A row; a keyword `in_x` is the input column `in.x`."""
    named = {name.replace("in_", "in."): value for name, value in changes.items()}
    return {"request_id": request, "event_time": START + seconds, **named}
