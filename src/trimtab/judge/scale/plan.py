"""What the measured costs say about other loads: workers needed, waits, and what ends first."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from trimtab.domain.names import Digest
from trimtab.domain.rollout import Standing
from trimtab.domain.state import DeploymentState, workers_of
from trimtab.judge.scale.cost import Cost
from trimtab.judge.scale.policy import RISE_SHARE, RISE_USED
from trimtab.judge.scale.queue import MOST, Goal, latency
from trimtab.judge.scale.roles import Load, fitting, work_of

FACTORS = (1.0, 10.0, 100.0)
GATEWAY_USED = 0.8
"""A gateway process is counted on for this much of a core."""
LOWEST, HIGHEST = 1e-6, 1e9


@dataclass(frozen=True, slots=True)
class Outlook:
    """A load and what it asks for. `workers` of None is more than any machine holds; `wait` is
    the objective's quantile of the time in the queue, seconds; `beyond` are the resources that
    end before this load."""

    factor: float
    rate: float
    workers: int | None
    wait: float | None
    beyond: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class End:
    """A resource and the rate, in calls per second, up to which it lasts."""

    resource: str
    rate: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """The whole answer. `rate` is that of the busiest minute of the last day, or the present one
    before there was any; without it or without a `cost` there are no `outlooks`. `batch_workers`
    are those of the batch lane alone, which no load changes. `ends` come in the order in which load
    meets them; `unknown` says in sentences what could not be told."""

    rate: float | None
    cost: Cost | None
    workers: int
    batch_workers: int = 0
    outlooks: tuple[Outlook, ...] = ()
    ends: tuple[End, ...] = ()
    unknown: tuple[str, ...] = ()


def plan(state: DeploymentState, release: Standing, load: Load) -> Capacity:
    """What `release`, which serves, would need at 1, 10 and 100 times today's load."""
    rate = load.demand.busiest or load.demand.level or None
    cost = work_of(state, release, load).cost
    workers = workers_of(state, release)
    batch = state.spec.scale.batch if workers else 0
    unknown = _unknown(rate, cost, load, release.digest)
    if cost is None:
        return Capacity(rate=rate, cost=None, workers=workers, batch_workers=batch, unknown=unknown)
    objective = state.spec.objective
    goal = Goal(objective.latency_quantile, objective.latency_seconds, RISE_USED, RISE_SHARE)
    ends = _ends(state, release, load, goal, cost)
    outlooks = tuple(_outlook(rate, factor, goal, cost, ends) for factor in FACTORS) if rate else ()
    return Capacity(
        rate=rate,
        cost=cost,
        workers=workers,
        batch_workers=batch,
        outlooks=outlooks,
        ends=ends,
        unknown=unknown,
    )


def _unknown(rate: float | None, cost: Cost | None, load: Load, release: Digest) -> tuple[str, ...]:
    told = (
        (rate is None, "no request came yet, so today's load is not known"),
        (cost is None, "too few batches were measured to know what a request costs"),
        (load.host is None, "cores and memory of the machine cannot be read"),
        (not load.rss.get(release), "the memory of a worker is not known"),
        (release not in load.busy, "whether workers compute or wait: they are taken to compute"),
        (load.gateway_seconds is None, "what a request costs the gateway is not measured yet"),
        (cost is not None and cost.batch == 0.0, "what batches save: only one size was seen"),
    )
    return tuple(sentence for missing, sentence in told if missing)


def _outlook(today: float, factor: float, goal: Goal, cost: Cost, ends: tuple[End, ...]) -> Outlook:
    rate = today * factor
    beyond = tuple(end.resource for end in ends if end.rate < rate)
    workers = goal.workers(rate, cost)
    if workers > MOST:
        return Outlook(factor, rate, None, None, beyond)
    wait = max(0.0, latency(goal.quantile, rate, workers, cost) - cost.slow(goal.quantile))
    return Outlook(factor, rate, workers, wait, beyond)


def _ends(
    state: DeploymentState, release: Standing, load: Load, goal: Goal, cost: Cost
) -> tuple[End, ...]:
    """Each resource that can be told, the first to end first."""

    def enough(workers: int) -> Callable[[float], bool]:
        return lambda rate: goal.met(rate, workers, cost)

    holds = {"scale.max": enough(state.spec.scale.max), **_machine(load, release, goal, cost)}
    memory = fitting(state, release, load, MOST)
    if memory is not None:
        holds["memory"] = enough(memory)
    ends = (End(resource, _highest(held)) for resource, held in holds.items())
    return tuple(sorted(ends, key=lambda end: (end.rate, end.resource)))


def _machine(
    load: Load, release: Standing, goal: Goal, cost: Cost
) -> Mapping[str, Callable[[float], bool]]:
    """Cores, which workers and gateways share, and the gateways themselves."""
    gateway, host = load.gateway_seconds, load.host
    holds: dict[str, Callable[[float], bool]] = {}
    if gateway is not None:
        holds["gateway"] = lambda rate: rate * gateway <= GATEWAY_USED * load.gateways
    if host is not None:
        busy = max(0.05, load.busy.get(release.digest, 1.0))

        def cores(rate: float) -> bool:
            left = (host.cores - rate * (gateway or 0.0)) / busy
            return left >= 1.0 and goal.met(rate, int(left + 1e-9), cost)

        holds["cores"] = cores
    return holds


def _highest(held: Callable[[float], bool]) -> float:
    """The highest rate that is held, to a thousandth; 0.0 when none is."""
    low, high = LOWEST, HIGHEST
    if held(high):
        return high
    if not held(low):
        return 0.0
    while high > 1.001 * low:
        middle = (low * high) ** 0.5
        low, high = (middle, high) if held(middle) else (low, middle)
    return low
