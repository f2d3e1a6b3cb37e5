"""The desired state of a deployment: objectives, rollout plan, scaling, monitors, retraining."""

from typing import Literal

import msgspec

from trimtab.domain.otel import Export
from trimtab.domain.processes import WorkerLimits
from trimtab.domain.profile import Metric
from trimtab.domain.release import EngineChoice, Format

ClockKind = Literal["wall", "event"]


class Objective(msgspec.Struct, frozen=True):
    """What callers were promised. `latency_seconds` holds at `latency_quantile`; whoever waits for
    `deadline_seconds` is told that it took too long, unless it asked for less."""

    latency_quantile: float = 0.99
    latency_seconds: float = 0.25
    availability: float = 0.999
    deadline_seconds: float = 10.0


class RolloutPlan(msgspec.Struct, frozen=True):
    """How a candidate earns traffic. `steps` are parts per 10,000, rising; times in seconds.

    `canary` is shadow, then the steps, then bake; `steps` leaves the shadow out, `shadow` the
    steps, and `now` both.

    `alpha` bounds the chance of rolling back a candidate that is no worse, `beta` the chance of
    promoting past a step one that is worse than the step's margin.
    """

    strategy: Literal["canary", "steps", "shadow", "now"] = "canary"
    shadow_rows: int = 1000
    shadow_seconds: float = 600.0
    steps: tuple[int, ...] = (100, 500, 2500, 5000)
    step_seconds: float = 60.0
    bake_seconds: float = 3600.0
    max_hold_seconds: float = 86_400.0
    alpha: float = 0.01
    beta: float = 0.05
    quality_margin: float = 0.01
    """How much worse (in mean Brier or squared loss, range 0–1) a candidate may at most be."""


class ScalePlan(msgspec.Struct, frozen=True):
    """How many workers a release gets, by demand on the host's clock.

    Workers come at once and go when fewer would have done for `patience_seconds`. With `idle`
    `zero` the last ones go after `idle_after_seconds` without a request, until the next. Beside
    these come `batch` workers for the batch lane alone, whatever the demand."""

    min: int = 1
    max: int = 4
    batch: int = 0
    idle: Literal["keep", "zero"] = "keep"
    idle_after_seconds: float = 900.0
    patience_seconds: float = 300.0


class MonitorPlan(msgspec.Struct, frozen=True):
    """What is watched, and how often a monitor may be wrong.

    `false_alarms_per_year` is the budget of the page tier for the deployment; `block_seconds` is
    the length of an evidence block on the deployment's clock; `maturity_seconds` is how long
    labels of a block are awaited after its end.
    """

    false_alarms_per_year: float = 12.0
    block_seconds: float = 3600.0
    maturity_seconds: float = 86_400.0
    segments: tuple[str, ...] = ()
    quality: Literal["auto", "none"] | Metric | tuple[Metric, ...] = "auto"
    """The metrics that are promised, the one that stands for all first. `auto` is the first of the
    release, or `cost` where there are `costs`, or `loss` where there is one."""
    costs: dict[str, dict[str, float]] = {}
    """What a decision costs by the truth, `costs[decision][truth]`, 0 where nothing is said."""
    loss: str | None = None
    """A formula for the loss of a row, for the metric `loss`; the release must have been built with
    it. Losses are clipped to 0 up to `loss_bound`."""
    loss_bound: float = 1.0
    quality_tolerance: float | None = None
    """Harm-free zone of the quality signal; None takes the one learned into the profile."""
    input_tolerance: float = 0.05
    tolerances: dict[str, float] = {}
    """Harm-free zones of single signals, such as `errors` or `input:temp`, in the place of those
    that hold for all or are learned."""
    key: str | None = None
    groups: tuple[str, ...] = ()
    """Protected columns; they must have been profiled at build."""
    bias: dict[str, float] = {}
    """Gaps between groups that are harmless, by measure, whatever they were on the reference."""
    audit: float | None = None
    """Share of predictions, chosen by a hash, whose labels are asked for; None asks for none."""


def unfounded(plan: MonitorPlan) -> str:
    """Why costs or a loss of the plan's own cannot be watched as it asks for, empty if they can."""
    asked = (plan.quality,) if isinstance(plan.quality, str) else plan.quality
    if "cost" in asked and not plan.costs:
        return "cost is asked for, and nothing says what a decision costs"
    if "loss" in asked and not plan.loss:
        return "loss is asked for, and nothing says how it is calculated"
    if plan.quality == "auto":
        return "costs and a loss are set: which stands for all?" if plan.costs and plan.loss else ""
    if plan.costs and "cost" not in asked:
        return "costs are set, and cost is not among the metrics"
    if plan.loss and "loss" not in asked:
        return "a loss is set, and loss is not among the metrics"
    return ""


def misread(loss: str | None) -> str:
    """Why a loss is no formula, empty if it is one, or there is none."""
    if not loss:
        return ""
    # It brings numpy, which the agent does without.
    from trimtab.domain.formula import Unreadable, formula

    try:
        formula(loss)
    except Unreadable as error:
        return str(error)
    return ""


RetrainCause = Literal["quality", "drift"]


class RetrainPlan(msgspec.Struct, frozen=True):
    """When and how the release is made again; durations in seconds on the deployment's clock."""

    when: tuple[RetrainCause, ...] = ()
    approve: Literal["auto", "human"] = "human"
    cooldown_seconds: float = 86_400.0
    schedule: str | None = None


class DeploymentSpec(msgspec.Struct, frozen=True):
    """One `[deployment.NAME]` table."""

    name: str
    model: str
    clock: ClockKind = "wall"
    """`wall`: rollouts and monitors run on the host's clock. `event`: on the event time that
    requests carry, so that a replay at high speed is judged as the real thing would be."""
    objective: Objective = Objective()
    rollout: RolloutPlan = RolloutPlan()
    scale: ScalePlan = ScalePlan()
    limits: WorkerLimits = WorkerLimits()
    monitor: MonitorPlan = MonitorPlan()
    retrain: RetrainPlan = RetrainPlan()


class PipelineSpec(msgspec.Struct, frozen=True):
    """One `[model.NAME]` table: how the model is made, for `trimtab retrain`.

    `module` is a Python file of the project; `steps` are its functions in order. The last step's
    output folder holds the model and `reference.parquet`.
    """

    model: str
    module: str
    steps: tuple[str, ...]
    requirements: str
    source: str | None = None
    features: str | None = None
    format: Format = "skops"
    model_file: str = "model.skops"
    target: str = "label"
    positive: str | None = None
    time: str | None = None
    key: str | None = None
    segments: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    loss: str | None = None
    loss_bound: float = 1.0
    trust: Literal["none", "code"] = "none"
    engine: EngineChoice = "auto"
    params: dict[str, str] = {}
    config: dict[str, str] = {}


class ServerSpec(msgspec.Struct, frozen=True):
    """The `[server]` table: listeners and processes of one machine. `grpc` is None when off."""

    inference: str = "127.0.0.1:8080"
    grpc: str | None = "127.0.0.1:8081"
    admin: str = "127.0.0.1:8090"
    gateways: int = 1
    flush_seconds: float = 0.25
    retention_days: int = 30


class ProjectConfig(msgspec.Struct, frozen=True):
    """A whole `trimtab.toml`, checked; `telemetry` with what the environment says of it."""

    server: ServerSpec = ServerSpec()
    telemetry: Export = Export()
    deployments: tuple[DeploymentSpec, ...] = ()
    pipelines: tuple[PipelineSpec, ...] = ()
