"""How many workers a release should have now, and why. One pure function of what is known.

1. *Need.* The fewest workers that would answer the demand within the objective, by the fitted cost
   of a batch and the wait that follows from it. The demand is the present rate or, where it is
   higher, the forecast for the time a worker needs to start; calls that wait already are to be
   answered within seconds. A worker is asked for at most 80 % of what it can answer.
2. *Pressure.* Calls that are late because they waited ask for a quarter more workers at once,
   whatever the model says, and again when those have started and it was not enough.
3. *Patience.* Workers go when the highest demand within the patience would be answered by fewer
   with room to spare (60 %, and a wait as much longer than the model says as the measured one
   was), and no call came late in that time. The gap between 60 and 80 is wider than chance.
4. *Limits.* Between `scale.min` and `scale.max`; no more than the cores can feed; no more than the
   memory holds beside what other releases of the deployment may have to grow to.
5. *Idleness.* With `idle = "zero"`, no workers after `idle_after` without a call, until one comes.

What is not known holds: nothing goes before the patience was watched as a whole.
"""

import math
from dataclasses import dataclass

from trimtab.domain.deployment import Objective, ScalePlan
from trimtab.domain.durations import span
from trimtab.judge.scale.arrivals import Demand
from trimtab.judge.scale.queue import MOST, Goal, latency
from trimtab.judge.scale.service import Work

RISE_USED, RISE_SHARE = 0.8, 0.6
"""Workers come so that they are used at most this much, and calls wait at most this share of the
time that the objective leaves."""
FALL_USED, FALL_SHARE = 0.6, 0.4
"""The same for the workers that stay when others go."""
DRAIN_SECONDS = 2.0
"""What waits beyond the objective should be answered within so many seconds."""
SETTLE_SECONDS = 3.0
"""After workers came and are ready, how long their effect is awaited before pressure asks for
more."""
AWAKE_SECONDS = 15.0
"""No deployment falls asleep sooner after it was woken: until then the calls that woke it have
been answered, or missed their deadline, and are in the log."""
STEP = 0.25

Numbers = dict[str, float | str | None]


@dataclass(frozen=True, slots=True)
class Room:
    """What limits a release. `cores` are those of the machine (None: not known), `busy` the share
    of its time a worker computes rather than waits, `memory` how many workers the free memory
    leaves room for in all (None: not known)."""

    cores: float | None = None
    busy: float = 1.0
    memory: int | None = None

    @property
    def fed(self) -> int | None:
        """Workers that the cores can feed."""
        if self.cores is None:
            return None
        return max(1, math.floor(self.cores / min(1.0, max(self.busy, 0.05)) + 1e-9))


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What is known of a release in one deployment at `now`, epoch seconds. `workers` is what was
    last decided, at `changed_at`, of which `ready` are there. `may_sleep` says whether nothing
    else speaks against having no worker, `woken` whether a call waits for one."""

    now: float
    workers: int
    ready: int
    changed_at: float
    plan: ScalePlan
    objective: Objective
    demand: Demand
    work: Work
    room: Room
    may_sleep: bool = False
    woken: bool = False


@dataclass(frozen=True, slots=True)
class Sizing:
    """The decision. `need` is what demand and patience ask for without limits, `limit` which holds
    it back ("" for none), `why` says it all in one line; `numbers` go into the journal. The last
    three are the present rate, the workers it keeps busy, and the wait in the queue."""

    workers: int
    need: int
    limit: str
    why: str
    numbers: Numbers
    rate: float
    busy: float | None
    queue: float | None


def size(seen: Situation) -> Sizing:
    """The number of workers from now on; the same arguments give the same answer."""
    asleep = _asleep(seen)
    if asleep:
        return _sizing(seen, 0, 0, "", asleep)
    if seen.workers == 0:
        return _held(seen, 1, "a call waits for a worker")
    need, reason = _rise(seen)
    if need >= seen.workers:
        return _held(seen, need, reason)
    staying = _staying(seen)
    reason = "quiet" if staying < seen.workers else ""
    return _held(seen, max(need, staying), reason)


def _asleep(seen: Situation) -> str:
    """Why there should be no worker; "" when there should be one."""
    if seen.plan.idle != "zero" or not seen.may_sleep or seen.woken:
        return ""
    after = seen.plan.idle_after_seconds
    if seen.workers == 0:
        return "asleep until the next call" if seen.demand.last <= seen.changed_at else ""
    quiet = min(seen.demand.known, seen.now - max(seen.demand.last, seen.changed_at))
    settled = seen.ready > 0 and seen.now - seen.changed_at >= AWAKE_SECONDS
    return f"no call for {span(after)}" if settled and quiet >= after else ""


def _rise(seen: Situation) -> tuple[int, str]:
    """What the demand asks for now, and what is behind it beyond the present rate."""
    demand, work, objective = seen.demand, seen.work, seen.objective
    need, reason = min(seen.workers, seen.plan.min), ""
    if work.cost is not None:
        quantile, promised = objective.latency_quantile, objective.latency_seconds
        goal = Goal(quantile, promised, RISE_USED, RISE_SHARE)
        waiting = demand.level * work.waiting
        need = goal.workers(demand.coming + waiting / DRAIN_SECONDS, work.cost)
        if demand.basis != "now" and need > seen.workers:
            reason = f"{_rate(demand.coming)} expected by {_BASIS[demand.basis]}"
    settled = seen.ready >= seen.workers and seen.now - seen.changed_at >= SETTLE_SECONDS
    if work.pressed and settled:
        pressed = seen.workers + step(seen.workers)
        need, reason = (pressed, "calls come late") if pressed > need else (need, reason)
    return need, reason


def _staying(seen: Situation) -> int:
    """How many workers stay when the others may go: all of them while it would be a few, or while
    the peak is about to leave the patience and soon more may go."""
    patience, work, demand = seen.plan.patience_seconds, seen.work, seen.demand
    watched = min(demand.known, seen.now - seen.changed_at, work.calm)
    if watched < patience or (work.cost is None and demand.peak > 0.0):
        return seen.workers
    if work.cost is None:
        return 1
    quantile, promised = seen.objective.latency_quantile, seen.objective.latency_seconds
    expected = latency(quantile, demand.peak, seen.workers, work.cost) - work.cost.slow(quantile)
    extra = max(0.0, (work.longest or 0.0) - expected)
    goal = Goal(quantile, promised, FALL_USED, FALL_SHARE, extra)
    staying = goal.workers(demand.peak, work.cost, seen.workers)
    passing = staying - goal.workers(demand.level, work.cost, staying) >= step(staying)
    few = passing or staying > seen.workers - step(seen.workers)
    return seen.workers if few else staying


def step(workers: int) -> int:
    """By how many workers a number changes at least, lest it change all the time."""
    return max(1, round(STEP * workers))


def _held(seen: Situation, need: int, reason: str) -> Sizing:
    """`need` within the limits. Cores and memory keep workers from coming; they take none away."""
    plan, room = seen.plan, seen.room
    limits = [(plan.max, "scale.max")]
    for bound, name in ((room.fed, "cores"), (room.memory, "memory")):
        if bound is not None:
            limits.append((max(bound, seen.workers), name))
    most, name = min(limits, key=lambda limit: limit[0])
    workers = max(plan.min, min(need, most))
    limit = name if need > workers else "scale.min" if need < workers else ""
    return _sizing(seen, workers, need, limit, _why(seen, need, limit, reason))


def _sizing(seen: Situation, workers: int, need: int, limit: str, why: str) -> Sizing:
    demand, work = seen.demand, seen.work
    busy = None if work.seconds is None else demand.level * work.seconds
    numbers: Numbers = {
        "need": float(need),
        "limit": limit,
        "rate_per_second": demand.level,
        "coming_per_second": demand.coming,
        "basis": demand.basis,
        "peak_per_second": demand.peak,
        "cost_seconds": work.seconds,
        "busy_workers": busy,
        "waiting_seconds": work.waiting,
        "queue_seconds": work.queue,
        "longest_queue_seconds": work.longest,
        "objective_seconds": seen.objective.latency_seconds,
    }
    return Sizing(workers, need, limit, why, numbers, demand.level, busy, work.queue)


_BASIS = {"trend": "the trend of the last minute", "yesterday": "the same time yesterday"}


def _why(seen: Situation, need: int, limit: str, reason: str) -> str:
    demand, work = seen.demand, seen.work
    if work.seconds is not None:
        busy = demand.level * work.seconds
        parts = [f"{_rate(demand.level)} × {span(work.seconds)} = {busy:.1f} busy"]
    else:
        parts = [
            "no calls" if demand.level == 0.0 else f"{_rate(demand.level)}, cost not known yet"
        ]
    if work.queue is not None:
        parts.append(f"p{100 * seen.objective.latency_quantile:g} queue {span(work.queue)}")
    parts += [reason] if reason else []
    if limit and limit != "scale.min":
        parts.append(f"{need if need <= MOST else 'more'} would be needed, {limit} allows no more")
    return ", ".join(parts)


def _rate(rate: float) -> str:
    return f"{rate:.3g}/s" if rate < 100.0 else f"{rate:,.0f}/s"
