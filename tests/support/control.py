"""Releases, reports and a scripted observer for tests of the control loop."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import rfc8785

from trimtab import errors
from trimtab.domain.deployment import DeploymentSpec, RetrainPlan, RolloutPlan, ScalePlan
from trimtab.domain.names import Digest
from trimtab.domain.release import EnvironmentLock, Golden, Manifest, Tree
from trimtab.domain.rollout import Standing
from trimtab.domain.signature import Column, Datatype, Output, Signature
from trimtab.domain.state import DeploymentState, apply
from trimtab.domain.verdicts import Cause, Incident, RankedCause, Sample, Shown, Tier, Verdict
from trimtab.judge.decide import decide
from trimtab.judge.draft import Author, Decision, Observation, WorkerFailure
from trimtab.judge.reports import GuardReport, MonitorReport, Surroundings
from trimtab.judge.scale.arrivals import Demand
from trimtab.judge.scale.service import Work
from trimtab.loop.evidence import Reports

ANN = Author("ann", "because")
PLAN = RolloutPlan(shadow_seconds=600.0, steps=(100, 2500), step_seconds=60.0, bake_seconds=3600.0)


def digest(text: str) -> Digest:
    """A digest that is the same for the same text."""
    return Digest("sha256:" + hashlib.sha256(text.encode()).hexdigest())


def manifest(number: int, model: str = "m") -> Manifest:
    """A manifest that differs by `number`."""
    return Manifest(
        model=model,
        format="skops",
        model_path="model.skops",
        features=None,
        frame="pandas",
        tree=digest(f"tree {model} {number}"),
        environment=EnvironmentLock("3.11.7", "linux", ()),
        data=None,
        signature=Signature(
            (Column("x", Datatype.FP64),), (Output("prediction", Datatype.FP64),), "regression"
        ),
        execution={},
        profile=None,
        golden=Golden(digest("golden"), 1, 0.0, True),
        config={"number": str(number)},
    )


def stored(entry: Manifest) -> bytes:
    """The manifest as canonical JSON."""
    return rfc8785.dumps(msgspec.json.decode(msgspec.json.encode(entry)))


def manifest_digest(number: int, model: str = "m") -> Digest:
    """The digest of `manifest(number)`."""
    return digest(stored(manifest(number, model)).decode())


def release(number: int, model: str = "m") -> Standing:
    """The standing of `manifest(number)` when it was registered as that number."""
    return Standing(manifest_digest(number, model), f"{model}@{number}", number)


def spec(
    rollout: RolloutPlan = PLAN, retrain: RetrainPlan | None = None, workers: int = 1
) -> DeploymentSpec:
    """The desired state of deployment `d` of model `m`."""
    return DeploymentSpec(
        "d", "m", rollout=rollout, retrain=retrain or RetrainPlan(), scale=ScalePlan(min=workers)
    )


def verdict(word: str = "bad", **changes: object) -> Verdict:
    """A verdict of the guard about errors."""
    base = {
        "signal": "errors",
        "tier": "page",
        "verdict": word,
        "reason": f"errors are {word}",
        "release": "m@2",
        "evidence_log10": 3.0,
        "threshold_log10": 2.0,
    }
    return msgspec.convert({**base, **changes}, Verdict)


GOOD = GuardReport("ok", "ok", (verdict("ok"),))
SEEN = Shown(
    signal="errors", said="failed", of=9, share=0.5, samples=(Sample("q", 0, 4.0, "boom"),)
)
BAD = GuardReport("bad", "unknown", (verdict("bad", since=5.0), verdict("ok")), shown=(SEEN,))
HARMLESS = GuardReport("ok", "unknown", (), "1,000 more rows")
UNKNOWN = GuardReport("unknown", "unknown", ())


def incident(
    key: str = "i1", cause: Cause = Cause.CONCEPT_DRIFT, tier: Tier = "page", about: str = "m@1"
) -> Incident:
    """An incident as the monitors report it: without an action."""
    return Incident(
        id=key,
        deployment="d",
        release=about,
        tier=tier,
        opened_at=1.0,
        first_evidence_at=0.5,
        signals=("quality",),
        severity="AUC fell to .6",
        causes=(RankedCause(cause, 1, ("seen",)),),
    )


def settle(state: DeploymentState, decision: Decision) -> DeploymentState:
    """The state after a decision was recorded."""
    for entry in decision.entries:
        state = apply(state, entry.event)
    return state


def kinds(decision: Decision) -> list[str]:
    """The names of the events, in order."""
    return [type(entry.event).__name__ for entry in decision.entries]


@dataclass
class Story:
    """A deployment that is led through decisions; every release is ready unless said otherwise."""

    state: DeploymentState = field(default_factory=lambda: DeploymentState(spec=spec()))
    clock: float = 1000.0
    ready: dict[Digest, int] = field(
        default_factory=lambda: {release(n).digest: 1 for n in range(1, 9)}
    )
    failed: dict[Digest, WorkerFailure] = field(default_factory=dict)
    last: Decision = field(default_factory=Decision)

    def seen(self, **what: object) -> Observation:
        """What is observed now."""
        base: dict[str, object] = {"ready": self.ready, "failed": self.failed, **what}
        return Observation(clock=self.clock, now=self.clock + 1e9, **base)  # type: ignore[arg-type]

    def take(self, decision: Decision) -> "Story":
        """Record a decision."""
        self.last = decision
        self.state = settle(self.state, decision)
        return self

    def tick(self, seconds: float = 1.0, **what: object) -> "Story":
        """Let time pass and decide."""
        self.clock += seconds
        return self.take(decide(self.state, self.seen(**what)))

    @property
    def phase(self) -> str:
        """Phase and step of the rollout, or "idle"."""
        rollout = self.state.rollout
        return f"{rollout.phase}{rollout.step}" if rollout else "idle"


@dataclass
class ScriptedEvidence:
    """An observer that says what the test tells it, and reports incidents until settled."""

    clocks: dict[str, float] = field(default_factory=dict)
    guards: dict[str, GuardReport] = field(default_factory=dict)
    reports: dict[str, MonitorReport] = field(default_factory=dict)
    states: dict[str, DeploymentState] = field(default_factory=dict)
    surroundings: dict[str, Surroundings] = field(default_factory=dict)
    demands: dict[str, Demand] = field(default_factory=dict)
    works: dict[Digest, Work] = field(default_factory=dict)
    broken: bool = False
    recalling: bool = False
    fresh: bool = True
    saved: bytes = b"dump"
    restored: list[bytes] = field(default_factory=list)

    async def refresh(self) -> bool:
        """See `Evidence`."""
        if self.broken:
            raise errors.Unavailable(errors.LOG_FAILED, "read", "log", "disk")
        self.fresh = False
        return not self.recalling

    def stirred(self) -> bool:
        """See `Evidence`."""
        return self.fresh

    def clock(self, deployment: str) -> float:
        """See `Evidence`."""
        return self.clocks.get(deployment, 0.0)

    def guard(self, deployment: str) -> GuardReport | None:
        """See `Evidence`."""
        return self.guards.get(deployment)

    async def report(self, deployment: str) -> Reports:
        """See `Evidence`."""
        return Reports(self.guard(deployment), self.reports.get(deployment))

    def demand(self, deployments: tuple[str, ...], lead: float, patience: float) -> Demand:
        """See `Evidence`."""
        return self.demands.get(deployments[0], Demand())

    def work(self, release: Digest, quantile: float, patience: float) -> Work:
        """See `Evidence`."""
        return self.works.get(release, Work())

    def settled(self, deployment: str) -> None:
        """See `Evidence`."""
        self.reports.pop(deployment, None)

    def follow(
        self, states: Mapping[str, DeploymentState], surroundings: Mapping[str, Surroundings]
    ) -> None:
        """See `Evidence`."""
        self.states = dict(states)
        self.surroundings = dict(surroundings)

    def dump(self) -> bytes:
        """See `Evidence`."""
        return self.saved

    def restore(self, data: bytes) -> None:
        """See `Evidence`."""
        self.restored.append(data)


class ManifestBlobs:
    """Blobs that hold the manifests of releases 1 to 8 of model `m`."""

    def __init__(self) -> None:
        self._data = {manifest_digest(n): stored(manifest(n)) for n in range(1, 9)}

    def put(self, data: bytes) -> Digest:
        """See `ports.Blobs`."""
        key = Digest("sha256:" + hashlib.sha256(data).hexdigest())
        self._data[key] = data
        return key

    def get(self, digest: Digest) -> bytes:
        """See `ports.Blobs`."""
        if digest in self._data:
            return self._data[digest]
        raise errors.Integrity(errors.MISSING_BLOB, "read", digest, "it is not there")

    def check(self, digest: Digest) -> None:
        """See `ports.Blobs`."""
        self.get(digest)

    def has(self, digest: Digest) -> bool:
        """See `ports.Blobs`."""
        return digest in self._data

    def put_folder(self, folder: Path) -> Digest:
        """Not needed by the control loop."""
        raise NotImplementedError

    def tree(self, digest: Digest) -> Tree:
        """Not needed by the control loop."""
        raise NotImplementedError

    def checkout(self, digest: Digest, folder: Path) -> None:
        """Not needed by the control loop."""
        raise NotImplementedError
