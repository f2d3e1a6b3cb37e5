"""The shapes of `--json` and `/api`: a contract. Fields are added, never renamed or removed.

Times are RFC 3339 in UTC, durations end in `_seconds`, shares in `_ratio`. A field that may be
null says when.
"""

from datetime import datetime
from typing import Literal

import msgspec

from trimtab.domain.signature import Signature
from trimtab.domain.verdicts import Cause, Tier, Word
from trimtab.errors import Report
from trimtab.views.sample_shapes import ConcentrationView, SignalSamplesView

Health = Literal["healthy", "progressing", "paused", "degraded", "down"]
Trend = Literal["", "growing", "shrinking", "stopped"]
Fact = str | int | float | bool | None


class SpeedView(msgspec.Struct, frozen=True):
    """Median seconds of a request of `rows` rows at the build; `times_ratio` says how many times
    faster the engine was."""

    rows: int
    native_seconds: float
    engine_seconds: float
    times_ratio: float


class CompiledView(msgspec.Struct, frozen=True):
    """The engine that answers in the model's place: the largest difference from the model that was
    seen on `rows` rows, the largest that counts as the same, and how much faster it was."""

    difference: float
    tolerance: float
    rows: int
    speeds: tuple[SpeedView, ...]


class BuildView(msgspec.Struct, frozen=True, kw_only=True):
    """What `trimtab build` made. `compiled` is null when the model itself serves, `new` is false
    where there was the same release before."""

    release: str
    model: str
    number: int
    digest: str
    engine: str
    signature: Signature
    seconds: float
    compiled: CompiledView | None = None
    new: bool = True


class RolloutView(msgspec.Struct, frozen=True, kw_only=True):
    """A rollout. `outcome` is null while it goes on, `step` and `steps` count canary steps.

    `state` is the phase, also while `paused`. `waiting_for` says which evidence is missing.
    """

    id: str
    release: str
    strategy: str
    state: Literal["preparing", "shadow", "canary", "bake", "ended"]
    step: int
    outcome: Literal["promoted", "rolled_back", "aborted", "superseded"] | None = None
    paused: bool = False
    weight_ratio: float = 0.0
    steps: tuple[float, ...] = ()
    started_at: datetime | None = None
    since: datetime | None = None
    verdict: Word = "unknown"
    advance: Word = "unknown"
    waiting_for: str = ""


class DeployView(msgspec.Struct, frozen=True, kw_only=True):
    """What an order to a deployment led to. `changed` is false when it was so already."""

    deployment: str
    release: str | None
    rollout: RolloutView | None
    undo: str
    action: str = "deploy"
    changed: bool = True
    run: str | None = None
    seconds: float = 0.0


class ServingView(msgspec.Struct, frozen=True, kw_only=True):
    """A release in a deployment. `weight_ratio` is its set share of the traffic; `batch_workers`
    are those of the batch lane alone, which `workers` does not count."""

    release: str
    digest: str
    weight_ratio: float
    workers: int
    ready_workers: int
    batch_workers: int = 0
    ready_batch_workers: int = 0
    problem: str = ""


class RollbackView(msgspec.Struct, frozen=True, kw_only=True):
    """Whether one command goes back now. `seconds` and `rehearsed_at` are null before a drill."""

    ready: bool
    target: str | None
    seconds: float | None = None
    rehearsed_at: datetime | None = None


class VerdictView(msgspec.Struct, frozen=True, kw_only=True):
    """One signal's judgement; `estimate`, `lower`, `upper` are null without observations.

    `detectable` is the change that today's traffic would prove within `detectable_seconds`."""

    signal: str
    scope: dict[str, str]
    tier: Tier
    verdict: Word
    reason: str
    release: str
    evidence_log10: float
    threshold_log10: float
    estimate: float | None
    lower: float | None
    upper: float | None
    reference: float | None
    tolerance: float | None
    n: int
    since: datetime | None
    detectable: float | None = None
    detectable_seconds: float | None = None

    @property
    def label(self) -> str:
        """The signal with its scope, as a person reads it."""
        told = {name: value for name, value in self.scope.items() if value not in self.signal}
        scope = ", ".join(f"{name}={value}" for name, value in told.items())
        return f"{self.signal} {scope}" if scope else self.signal


class RequestsView(msgspec.Struct, frozen=True, kw_only=True):
    """Requests since the log began; `failed` got no answer and the caller is not to blame.

    `behind_seconds` is how long ago the newest that the control loop has read was answered then, 0
    once nothing is left to read; `behind_trend` whether that is `growing` or `shrinking`, `stopped`
    while what came before the control loop began is read, and empty where it stays as it is or is
    not known yet. `unreadable_segments`
    are those of the request log that could not be read, and are judged by nobody; `damaged_files`
    are those of it that were set aside, and are missing in what is asked of the log."""

    total: int
    failed: int
    rate_per_second: float
    behind_seconds: float = 0.0
    behind_trend: Trend = ""
    unreadable_segments: int = 0
    damaged_files: int = 0


class LatencyView(msgspec.Struct, frozen=True, kw_only=True):
    """Latency of the last minute, null without a request in it."""

    p50_seconds: float | None
    p99_seconds: float | None


class ScaleView(msgspec.Struct, frozen=True, kw_only=True):
    """How many workers the serving release should have, and why. `limit` names what holds it back,
    "" for nothing; `busy_workers` and `queue_seconds` are null before there was traffic."""

    workers: int
    ready_workers: int
    min: int
    max: int
    asleep: bool
    need: int
    limit: str
    why: str
    rate_per_second: float
    busy_workers: float | None
    queue_seconds: float | None


class BlocksView(msgspec.Struct, frozen=True):
    """How long a block is, when the next one that may be evidence of inputs, predictions and
    quality closes by the deployment's clock, and why it is as long as that."""

    seconds: float
    closes_at: datetime
    reason: str = ""


class DeploymentView(msgspec.Struct, frozen=True, kw_only=True):
    """One deployment. `at` is its clock: event time when `clock` is `event`, null before any.

    `scale` is null before a release serves, and before the control loop has looked; `blocks` is
    null before a release serves, and before the clock has begun."""

    name: str
    state: Health
    model: str
    clock: str
    at: datetime | None
    reason: str
    stable: ServingView | None
    candidate: ServingView | None
    rollout: RolloutView | None
    last_rollout: RolloutView | None
    rollback: RollbackView
    verdicts: tuple[VerdictView, ...]
    requests: RequestsView
    latency: LatencyView
    incidents: tuple[str, ...]
    run: str | None = None
    offered: str | None = None
    serving_since: datetime | None = None
    scale: ScaleView | None = None
    blocks: BlocksView | None = None


class StatusView(msgspec.Struct, frozen=True, kw_only=True):
    """All deployments. `observed_at` is when the control loop last looked, null before it did;
    `routed` says whether every gateway answers by what is decided, which takes moments;
    `journal_broken` why the recorded history is not what was recorded, where it is not, and
    `disk_left_mib` how much room the state folder has, null while there is enough."""

    deployments: tuple[DeploymentView, ...]
    seq: int = 0
    at: datetime | None = None
    observed_at: datetime | None = None
    routed: bool = False
    journal_broken: str = ""
    disk_left_mib: int | None = None


class CauseView(msgspec.Struct, frozen=True):
    """A cause with its rank, 1 being the likeliest, and what speaks for it."""

    cause: Cause
    rank: int
    evidence: tuple[str, ...]


class RuledOutView(msgspec.Struct, frozen=True):
    """A cause that cannot be, and why."""

    cause: Cause
    by: str


class IncidentView(msgspec.Struct, frozen=True, kw_only=True):
    """An incident. `closed_at` is null while it is open. `shown` are its loudest signals in rows of
    the log, `concentration` is null where the harm is not known to lie in one segment."""

    id: str
    deployment: str
    release: str
    opened_at: datetime
    first_evidence_at: datetime
    closed_at: datetime | None
    tier: Tier
    signals: tuple[str, ...]
    severity: str
    causes: tuple[CauseView, ...]
    ruled_out: tuple[RuledOutView, ...]
    action: str
    undo: str
    bound: str = ""
    verdicts: tuple[VerdictView, ...] = ()
    shown: tuple[SignalSamplesView, ...] = ()
    concentration: ConcentrationView | None = None


class EventView(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the journal. `kind` is the event's name, `clock_at` the deployment's clock."""

    seq: int
    at: datetime
    kind: str
    actor: str
    deployment: str
    release: str
    reason: str
    evidence: dict[str, float | str | None]
    hash: str
    clock_at: datetime | None = None
    summary: str = ""


class WhyView(msgspec.Struct, frozen=True):
    """Incidents, newest first, and the last changes of worker counts, newest first. `earlier` is
    what to ask `before` with for older incidents, null where there are none."""

    incidents: tuple[IncidentView, ...]
    scaling: tuple[EventView, ...] = ()
    earlier: int | None = None


class HistoryView(msgspec.Struct, frozen=True):
    """Entries of the journal, oldest first; `earlier` as in WhyView."""

    events: tuple[EventView, ...]
    earlier: int | None = None


class ReleaseView(msgspec.Struct, frozen=True, kw_only=True):
    """A registered release. `roles` are what it is to deployments, e.g. `flight-delay: stable`."""

    release: str
    model: str
    number: int
    digest: str
    format: str
    engine: str
    created_at: datetime
    source: str | None
    roles: tuple[str, ...]


class ReleasesView(msgspec.Struct, frozen=True):
    """Releases, newest first."""

    releases: tuple[ReleaseView, ...]


class EnvironmentView(msgspec.Struct, frozen=True):
    """The locked environment of a release."""

    python: str
    platform: str
    packages: dict[str, str]


class DataView(msgspec.Struct, frozen=True):
    """The reference data of a release."""

    name: str
    digest: str | None
    rows: int
    since: str | None
    until: str | None


class GoldenView(msgspec.Struct, frozen=True):
    """The golden set of a release."""

    rows: int
    tolerance: float
    bit_stable: bool


class ToleranceView(msgspec.Struct, frozen=True):
    """How far a signal may be from the reference without harm, and what that was learned from.

    `reference` is null for a distribution, `tolerance` where the reference cannot judge."""

    signal: str
    reference: float | None
    tolerance: float | None
    basis: str


class ShowView(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about one release. `compiled` is null when the model itself serves."""

    release: str
    model: str
    number: int
    digest: str
    format: str
    engine: str
    created_at: datetime
    source: str | None
    roles: tuple[str, ...]
    signature: Signature
    features: str | None
    environment: EnvironmentView
    data: DataView | None
    golden: GoldenView
    execution: dict[str, str]
    config: dict[str, str]
    compiled: CompiledView | None = None
    tolerances: tuple[ToleranceView, ...] = ()


class RunView(msgspec.Struct, frozen=True, kw_only=True):
    """A pipeline run. `release` is null unless it succeeded, `seconds` while it runs."""

    id: str
    deployment: str
    model: str
    cause: str
    state: Literal["running", "succeeded", "failed"]
    requested_at: datetime
    seconds: float | None = None
    release: str | None = None
    error: str = ""
    incident: str | None = None


class RunsView(msgspec.Struct, frozen=True):
    """Pipeline runs, newest first; `earlier` as in WhyView."""

    runs: tuple[RunView, ...]
    earlier: int | None = None


class ReplayView(msgspec.Struct, frozen=True):
    """The golden set replayed by one engine of the release."""

    engine: str
    behaviour: Literal["bit_identical", "within_tolerance", "divergent"]
    max_difference: float | None
    tolerance: float


class CostView(msgspec.Struct, frozen=True):
    """What a batch costs a worker: `batch_seconds + row_seconds · rows`. `rows_per_request` is the
    mean, `spread_ratio` the coefficient of variation, `largest_batch` (requests) is counted on."""

    row_seconds: float
    batch_seconds: float
    rows_per_request: float
    spread_ratio: float
    largest_batch: float


class OutlookView(msgspec.Struct, frozen=True):
    """A load, the workers it asks for and how long requests then wait; null when no number of
    workers is enough. `beyond` are the resources that end before it."""

    factor: float
    rate_per_second: float
    workers: int | None
    wait_seconds: float | None
    beyond: tuple[str, ...]


class EndView(msgspec.Struct, frozen=True):
    """Up to which rate a resource lasts, and how many times today's load that is; null when
    today's load is not known."""

    resource: str
    rate_per_second: float
    factor: float | None


class PlanView(msgspec.Struct, frozen=True, kw_only=True):
    """What the measured costs say about other loads. Today's load is the busiest minute of the
    last day. Null is what is not known, and `unknown` says it in sentences; `ends` come in the
    order in which load meets them."""

    deployment: str
    release: str | None
    quantile: float
    objective_seconds: float
    rate_per_second: float | None
    workers: int
    batch_workers: int
    cost: CostView | None
    outlooks: tuple[OutlookView, ...]
    ends: tuple[EndView, ...]
    unknown: tuple[str, ...]
    cores: float | None = None
    free_bytes: int | None = None
    worker_bytes: int | None = None
    gateway_seconds: float | None = None


class ReproduceView(msgspec.Struct, frozen=True, kw_only=True):
    """What came of making a release again; null is what was not reached.

    `retrain` is null when only the release was replayed; `problems` says what differed. `behaviour`
    is the worst of all `engines`, the differences are those of the engine that serves.
    """

    release: str
    integrity: Literal["ok", "tampered", "missing"]
    environment: Literal["identical", "equivalent", "drifted", "unbuildable"] | None
    behaviour: Literal["bit_identical", "within_tolerance", "divergent", "not_run"]
    max_difference: float | None
    tolerance: float | None
    retrain: str | None = None
    ok: bool = False
    problems: tuple[str, ...] = ()
    seconds: float = 0.0
    engines: tuple[ReplayView, ...] = ()


class InitView(msgspec.Struct, frozen=True):
    """A new project: its folder, its files, and what to do next."""

    folder: str
    files: tuple[str, ...]
    next: tuple[str, ...]


class UpView(msgspec.Struct, frozen=True):
    """Where a running system listens. `grpc` is host and port, null when it is off; `limits` says
    who holds workers to their limits: the kernel by control groups, or the agent."""

    inference: str
    admin: str
    pid: int
    home: str
    grpc: str | None = None
    limits: str = ""


class ProblemView(msgspec.Struct, frozen=True):
    """Something `trimtab check` found."""

    code: str
    subject: str
    message: str
    hint: str


class CheckView(msgspec.Struct, frozen=True):
    """What `trimtab check` read, and what is wrong with it."""

    ok: bool
    folder: str
    deployments: tuple[str, ...]
    models: tuple[str, ...]
    problems: tuple[ProblemView, ...]


class ErrorView(msgspec.Struct, frozen=True):
    """An error as `--json` and `/api` say it."""

    error: Report


class EvidencePoint(msgspec.Struct, frozen=True):
    """Evidence of one signal at a moment of the deployment's clock."""

    at: datetime
    evidence_log10: float
    threshold_log10: float


class EvidenceSeries(msgspec.Struct, frozen=True):
    """The recent evidence of one signal of one release."""

    signal: str
    release: str
    tier: Tier
    points: tuple[EvidencePoint, ...]


class EvidenceView(msgspec.Struct, frozen=True):
    """The recent evidence of a deployment's signals."""

    deployment: str
    series: tuple[EvidenceSeries, ...]


class SharePoint(msgspec.Struct, frozen=True):
    """From `at` on, each release's set share of the traffic."""

    at: datetime
    shares: dict[str, float]
    note: str = ""


class TrafficView(msgspec.Struct, frozen=True):
    """Which release got which share, and when. `until` is the deployment's clock now."""

    deployment: str
    points: tuple[SharePoint, ...]
    until: datetime | None
