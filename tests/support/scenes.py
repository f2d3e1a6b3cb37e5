"""A small system in memory for the faces: the judge's own verbs, a journal, and what is seen."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from trimtab import errors
from trimtab.backends.memory import MemoryJournal
from trimtab.domain import events as e
from trimtab.domain.deployment import DeploymentSpec
from trimtab.domain.names import Digest, ReleaseRef
from trimtab.domain.processes import HostStatus, NodeStatus, WorkerSlot, WorkerStatus
from trimtab.domain.profile import ReferenceProfile
from trimtab.domain.records import Comparison
from trimtab.domain.release import (
    DataManifest,
    EnvironmentLock,
    Golden,
    LockedPackage,
    Manifest,
    Release,
)
from trimtab.domain.rollout import Standing
from trimtab.domain.signature import Column, Datatype, Output, Signature
from trimtab.domain.state import DeploymentState, SystemState, evolve
from trimtab.domain.telling import Telling
from trimtab.domain.verdicts import (
    Cause,
    Concentration,
    Incident,
    RankedCause,
    RuledOut,
    Sample,
    Shown,
    Verdict,
)
from trimtab.judge import verbs
from trimtab.judge.decide import advance, end
from trimtab.judge.draft import Author, Decision, Draft, Observation
from trimtab.judge.reports import GuardReport
from trimtab.judge.scale.arrivals import Demand
from trimtab.judge.scale.cost import Cost
from trimtab.judge.scale.roles import Load
from trimtab.judge.scale.service import Work
from trimtab.views.seen import Rehearsal, Seen, TrafficCounts

NOW = 1_700_000_000.0
NAME = "flight-delay"
SPEC = DeploymentSpec(name=NAME, model=NAME)
PERSON = Author("ada")


def digest(number: int) -> Digest:
    """A digest that is easy to tell from others."""
    return Digest(f"sha256:{number:064x}")


def standing(number: int) -> Standing:
    """`flight-delay@number`."""
    return Standing(digest(number), f"{NAME}@{number}", number)


def release(number: int) -> Release:
    """A registered release."""
    manifest = Manifest(
        model=NAME,
        format="skops",
        model_path="model.skops",
        features="features:features",
        frame="pandas",
        tree=digest(900 + number),
        environment=EnvironmentLock(
            "3.11.7", "linux_x86_64", (LockedPackage("numpy", "2.4.0", ("ab",)),)
        ),
        data=DataManifest("history.parquet", digest(800), 1200, ("carrier", "distance")),
        signature=Signature(
            inputs=(
                Column("carrier", Datatype.BYTES, categories=("AA", "UA")),
                Column("distance", Datatype.FP64, minimum=10.0, maximum=4000.0),
            ),
            outputs=(Output("score", Datatype.FP64), Output("label", Datatype.BYTES)),
            task="binary",
            classes=("0", "1"),
        ),
        execution={"OMP_NUM_THREADS": "1"},
        profile=None,
        golden=Golden(digest(700), 64, 0.0, True),
        source="build",
    )
    return Release(digest(number), NAME, number, NOW - 1000 + number, manifest)


def verdict(signal: str = "error", **changes: object) -> Verdict:
    """An ordinary verdict."""
    values: dict[str, object] = {
        "signal": signal,
        "tier": "page",
        "verdict": "unknown",
        "reason": "not enough evidence either way",
        "release": f"{NAME}@2",
        "evidence_log10": 0.7,
        "threshold_log10": 3.1,
        "estimate": 0.012,
        "lower": 0.004,
        "upper": 0.031,
        "tolerance": 0.02,
        "n": 1834,
    }
    return Verdict(**{**values, **changes})  # type: ignore[arg-type]


SEEN = Shown(
    signal="input:temp",
    said="missing: 40.0% of the rows, 1.0% of the reference",
    column="temp",
    of=1200,
    share=0.39,
    samples=(Sample("req-<7>", 0, NOW - 60, "missing"), Sample("req-8", 3, NOW - 50, "missing")),
    cut=True,
)
PLACE = Concentration(
    column="origin",
    value="'JFK'",
    share=0.97,
    lower=0.9,
    upper=1.0,
    rows=0.33,
    before=0.01,
    since=0.9,
)
"""What an incident looks like in rows, and where most of the harm lies."""


def incident(number: int = 1, **changes: object) -> Incident:
    """An upstream break at one airport."""
    values: dict[str, object] = {
        "id": f"{NAME}-i{number}",
        "deployment": NAME,
        "release": f"{NAME}@1",
        "tier": "page",
        "opened_at": NOW - 3600,
        "first_evidence_at": NOW - 7200,
        "signals": ("input temp",),
        "severity": "temp at JFK has left its range",
        "causes": (
            RankedCause(Cause.UPSTREAM_BREAK, 1, ("values <never> seen & in other units",)),
        ),
        "ruled_out": (RuledOut(Cause.DATA_DRIFT, "the change is a jump at one origin"),),
        "action": "alert owner and hold",
        "undo": "",
    }
    return Incident(**{**values, **changes})  # type: ignore[arg-type]


@dataclass
class MemorySystem:
    """Control and source in one: orders go through the judge's verbs into a journal."""

    now: float = NOW
    state: SystemState = field(default_factory=SystemState)
    past: MemoryJournal = field(default_factory=MemoryJournal)
    catalog: dict[Digest, Release] = field(default_factory=dict)
    known: dict[Digest, Release] = field(default_factory=dict)
    guards: dict[str, GuardReport] = field(default_factory=dict)
    verdicts: dict[str, tuple[Verdict, ...]] = field(default_factory=dict)
    traffic: dict[str, TrafficCounts] = field(default_factory=dict)
    loads: dict[str, Load] = field(default_factory=dict)
    workers: dict[Digest, int] = field(default_factory=dict)
    failure: errors.TrimtabError | None = None
    told: list[Telling] = field(default_factory=list)

    def record(self, entries: Iterable[e.NewEntry]) -> None:
        """Append to the journal and fold."""
        for entry in self.past.commit(0, tuple(entries), ()):
            self.state = evolve(self.state, entry)

    @property
    def journal(self) -> tuple[e.Entry, ...]:
        """All that was recorded."""
        return self.past.entries()

    @property
    def names(self) -> dict[str, str]:
        """Names of releases by digest."""
        return self.seen().names()

    def tell(self, event: e.AnyEvent, release: str = "", reason: str = "") -> None:
        """Record what the control loop would."""
        new = e.NewEntry(
            at=self.now,
            actor="controller",
            event=event,
            deployment=NAME,
            release=release,
            reason=reason,
        )
        self.record([new])

    def draft(self) -> Draft:
        """A decision of the control loop about the deployment."""
        return Draft(self.deployment(NAME), self.observed(NAME), Author("controller"))

    def step(self) -> None:
        """Let the rollout advance by one step."""
        draft = self.draft()
        advance(draft, False)
        self._decide(draft.decision())

    def finish(self, outcome: str) -> None:
        """End the rollout as the guard would."""
        draft = self.draft()
        end(draft, outcome)  # type: ignore[arg-type]
        self._decide(draft.decision())

    def deployment(self, name: str) -> DeploymentState:
        """One deployment."""
        if name not in self.state.deployments:
            raise errors.NotFound(
                errors.NO_SUCH_DEPLOYMENT, "find", name, "there is none", hint="trimtab status"
            )
        return self.state.deployments[name]

    def observed(self, name: str) -> Observation:
        """What the judge is told."""
        return Observation(
            clock=self.now, now=self.now, guard=self.guards.get(name), ready=dict(self.workers)
        )

    def _decide(self, decision: Decision) -> None:
        self.record(decision.entries)

    def seen(self) -> Seen:
        """One look."""
        if self.failure is not None:
            raise self.failure
        slots = [
            WorkerStatus(WorkerSlot(release, index), "ready")
            for release, count in self.workers.items()
            for index in range(count)
        ]
        return Seen(
            state=self.state,
            now=self.now,
            observed_at=self.now,
            routed=True,
            releases=dict(self.catalog),
            node=NodeStatus(tuple(slots)),
            guards=dict(self.guards),
            verdicts=dict(self.verdicts),
            traffic=dict(self.traffic),
            clocks=dict.fromkeys(self.state.deployments, self.now),
            rehearsals={},
            loads=dict(self.loads),
        )

    def find(self, ref: ReleaseRef) -> Release:
        """A release by number or digest prefix."""
        for found in self.catalog.values():
            by_number = (ref.model, ref.number) == (found.model, found.number)
            by_digest = ref.digest_prefix and found.digest.startswith(ref.digest_prefix)
            if by_number or by_digest:
                return found
        raise errors.NotFound(
            errors.NO_SUCH_RELEASE, "find", str(ref), "no such release", hint="trimtab releases"
        )

    def profile(self, release: Release) -> ReferenceProfile | None:
        """No release of a scene has one."""
        return None

    async def register(self, digest: Digest, author: Author) -> Release:
        """Give a known manifest its number."""
        if digest not in self.known:
            raise errors.Integrity(errors.MISSING_BLOB, "register", digest, "no manifest")
        self.catalog[digest] = self.known[digest]
        return self.known[digest]

    async def deploy(
        self, name: str, release: str, author: Author, strategy: str | None = None
    ) -> None:
        """Begin a rollout."""
        found = self.find(ReleaseRef.parse(release))
        candidate = Standing(found.digest, found.name, found.number)
        state = self.deployment(name)
        self._decide(verbs.deploy(state, self.observed(name), author, candidate, strategy))

    async def promote(
        self, name: str, author: Author, *, full: bool = False, override: bool = False
    ) -> None:
        """Next step."""
        state, seen = self.deployment(name), self.observed(name)
        self._decide(verbs.promote(state, seen, author, full=full, override=override))

    async def pause(self, name: str, author: Author) -> None:
        """Stop advancing."""
        self._decide(verbs.pause(self.deployment(name), self.observed(name), author))

    async def resume(self, name: str, author: Author) -> None:
        """Go on."""
        self._decide(verbs.resume(self.deployment(name), self.observed(name), author))

    async def abort(self, name: str, author: Author) -> None:
        """Give up."""
        self._decide(verbs.abort(self.deployment(name), self.observed(name), author))

    async def rollback(self, name: str, author: Author, to: str | None = None) -> None:
        """Go back."""
        target = None
        if to is not None:
            found = self.find(ReleaseRef.parse(to))
            target = Standing(found.digest, found.name, found.number)
        state, seen = self.deployment(name), self.observed(name)
        self._decide(verbs.rollback(state, seen, author, target))

    async def retrain(self, name: str, author: Author) -> None:
        """Ask for a run."""
        self._decide(verbs.retrain(self.deployment(name), self.observed(name), author))

    async def compare(self, name: str, telling: Telling) -> Comparison:
        """Remember what was told; the first row names no answer."""
        self.deployment(name)
        self.told.append(telling)
        return Comparison(len(telling) - 1, 0, 1)


def configured() -> MemorySystem:
    """One deployment, three releases, nothing served yet."""
    system = MemorySystem(catalog={digest(n): release(n) for n in (1, 2, 3)})
    system.known = {digest(4): release(4)}
    system.workers = {digest(n): 2 for n in (1, 2, 3)}
    for number in (1, 2, 3):
        system.tell(e.ReleaseRegistered(standing(number)), f"{NAME}@{number}")
    system.tell(e.SpecApplied(SPEC))
    return system


def serving() -> MemorySystem:
    """`@1` serves and is proven."""
    system = configured()
    system.tell(e.RolloutStarted("r1", standing(1), "now", system.now - 5000), f"{NAME}@1")
    system.tell(e.RolloutAdvanced("r1", "bake", 0, 10_000, system.now - 4990))
    system.tell(e.RolloutEnded("r1", standing(1), "promoted", system.now - 4000))
    system.tell(e.Proven(standing(1), system.now - 4000))
    system.traffic[NAME] = TrafficCounts(12_408, 0, 41.5, 0.0031, 0.0187)
    return system


def loaded(rate: float = 820.0, **changes: object) -> Load:
    """A load of `rate` calls a second that take 1.9 ms, on a machine of eight cores."""
    base: dict[str, object] = {
        "demand": Demand(rate, rate, rate, known=3600.0, last=NOW, busiest=rate),
        "work": {digest(1): Work(seconds=0.0019, cost=Cost(0.0019, 0.0), queue=0.004)},
        "host": HostStatus(8.0, 2**34, 2**33),
        "rss": {digest(1): 2**27},
        "busy": {digest(1): 1.0},
        "gateway_seconds": 4e-5,
    }
    return Load(**{**base, **changes})  # type: ignore[arg-type]


def in_canary() -> MemorySystem:
    """`@2` is in canary at its second step, and evidence is missing."""
    system = serving()
    system.tell(e.RolloutStarted("r2", standing(2), "canary", system.now - 900), f"{NAME}@2")
    system.tell(e.RolloutAdvanced("r2", "shadow", 0, 0, system.now - 880))
    system.tell(e.RolloutAdvanced("r2", "canary", 0, 100, system.now - 600))
    system.tell(e.RolloutAdvanced("r2", "canary", 1, 500, system.now - 300))
    waiting = "about 2 400 more requests on the candidate (14 min at this traffic)"
    told = (verdict("error"), verdict("latency", evidence_log10=-0.4, tier="ticket"))
    system.guards[NAME] = GuardReport("ok", "unknown", told, waiting)
    system.verdicts[NAME] = (
        verdict("quality", verdict="ok", release=f"{NAME}@1", reason="inside its zone"),
        verdict("input", scope={"column": "temp"}, release=f"{NAME}@1", tier="note"),
    )
    return system


def with_rehearsal(seen: Seen) -> Seen:
    """The look, after a rollback was rehearsed."""
    return replace(seen, rehearsals={NAME: Rehearsal(0.42, NOW - 60)})
