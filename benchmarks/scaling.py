"""Worker counts by trimtab's policy, by Ray Serve's default policy, and fixed, in simulation.

Run: scripts/bench scaling [--seed 20] [--trace NAME] [--write]

A discrete-event simulation of one release's queue and workers. A worker that frees takes what
waits, up to 64 calls, as the gateway does; the queue holds 1,024 calls and a call waits 10 s at
most. The policy is the code of the control loop (`trimtab.judge.scale`), told of each call a second
late, as through the request log. Everything is drawn from a seed, so the tables do not depend on
the machine. `--write` puts them into docs/benchmarks/scaling.md.

Ray Serve's policy is derived from its source, release 2.60.0 (`serve/autoscaling_policy.py`,
`serve/_private/autoscaling_state.py`), with its defaults: the mean of queued and running requests
over 30 s, noted every 6 s and reported every 10 s, divided by 2 and rounded up; more replicas once
that was asked for during 30 s, fewer once it was during 600 s.
"""

import argparse
import heapq
import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from trimtab.domain.deployment import Objective, ScalePlan
from trimtab.judge.scale.arrivals import Arrivals
from trimtab.judge.scale.cost import Cost
from trimtab.judge.scale.policy import Room, Situation, size
from trimtab.judge.scale.queue import latency
from trimtab.judge.scale.service import Batches, Ended, Service

Times = NDArray[np.float64]
BEGIN = 1_700_000_000.0
QUEUE, DEADLINE, BATCH = 1024, 10.0, 64
LAG = 1.0
CORES = 16
OBJECTIVE = Objective(0.99, 0.25)
PLAN = ScalePlan(min=1, max=CORES)
PAGE = Path("docs/benchmarks/scaling.md")


@dataclass(frozen=True, slots=True)
class Model:
    """Seconds of a batch of n calls: `batch + call · n`, times noise of that `spread`; and of a
    worker's start."""

    name: str
    call: float
    batch: float
    start: float = 3.0
    spread: float = 0.2


class Policy(Protocol):
    """Decides once a second."""

    def ended(self, done: "Done", now: float) -> None:
        """Calls that ended, as they become known."""
        ...

    def look(self, now: float, ongoing: int, ready: int) -> int:
        """Workers wanted from now on; `ongoing` calls wait or are served."""
        ...


@dataclass(frozen=True, slots=True)
class Done:
    """Batches that ended: when, calls and seconds each; and their calls: when, seconds in the
    queue and in total, NaN for what was lost."""

    batches: list[tuple[float, int, float]]
    calls: list[tuple[float, float, float]]


@dataclass(slots=True)
class Fixed:
    """As many workers as one likes, for ever."""

    workers: int

    def ended(self, done: Done, now: float) -> None:
        """Nothing is learned."""

    def look(self, now: float, ongoing: int, ready: int) -> int:
        """Always the same."""
        return self.workers


class Trimtab:
    """The policy of the control loop, as `trimtab.judge.scale.roles` asks it."""

    def __init__(self, lead: float) -> None:
        self._arrivals, self._service = Arrivals(BEGIN), Service()
        self._lead = lead
        self._workers, self._changed = PLAN.min, BEGIN

    def ended(self, done: Done, now: float) -> None:
        """Count."""
        at, queue, total = np.array(done.calls).reshape(-1, 3).T
        ends, calls, seconds = np.array(done.batches).reshape(-1, 3).T
        promised = OBJECTIVE.latency_seconds
        late = np.isnan(total) | ((total > promised) & (queue > promised / 4.0))
        self._arrivals.count(at - np.nan_to_num(total), ~np.isnan(total), now)
        ended = Ended(at, np.ones(len(at)), queue, total, late)
        self._service.count(ended, Batches(ends, calls, seconds), now)

    def look(self, now: float, ongoing: int, ready: int) -> int:
        """Decide."""
        patience, quantile = PLAN.patience_seconds, OBJECTIVE.latency_quantile
        situation = Situation(
            now=now,
            workers=self._workers,
            ready=ready,
            changed_at=self._changed,
            plan=PLAN,
            objective=OBJECTIVE,
            demand=self._arrivals.demand(now, self._lead, patience),
            work=self._service.work(now, quantile, patience),
            room=Room(cores=CORES),
        )
        decided = size(situation).workers
        if decided != self._workers:
            self._workers, self._changed = decided, now
        return decided


class RayServe:
    """Ray Serve 2.60.0 with its defaults but for the most replicas (see above)."""

    TARGET, LOOK_BACK, NOTED, REPORTED = 2.0, 30.0, 6.0, 10.0
    UP, DOWN = 30.0, 600.0

    def __init__(self) -> None:
        self._wanted = PLAN.min
        self._noted: list[tuple[float, float]] = []
        self._reported: list[tuple[float, float]] = []
        self._next_note = self._next_report = BEGIN
        self._since, self._way = BEGIN, 0

    def ended(self, done: Done, now: float) -> None:
        """Nothing is learned: requests are counted while they are there."""

    def look(self, now: float, ongoing: int, ready: int) -> int:
        """Note, report, decide."""
        if now >= self._next_note:
            self._noted.append((now, ongoing))
            self._next_note = now + self.NOTED
        if now >= self._next_report:
            self._noted = [point for point in self._noted if point[0] > now - self.LOOK_BACK]
            self._reported = list(self._noted)
            self._next_report = now + self.REPORTED
        self._decide(now, ready)
        return self._wanted

    def _decide(self, now: float, ready: int) -> None:
        asked = max(PLAN.min, min(PLAN.max, math.ceil(self._mean(now) / self.TARGET)))
        way = (asked > self._wanted) - (asked < self._wanted)
        if way != self._way or way == 0:
            self._since, self._way = now, way
        if way and now - self._since >= (self.UP if way > 0 else self.DOWN):
            self._wanted, self._way = asked, 0

    def _mean(self, now: float) -> float:
        """Over time, the last point holding until now."""
        if not self._reported:
            return 0.0
        times = [at for at, _ in self._reported] + [max(now, self._reported[-1][0] + 1e-3)]
        spans = np.diff(times)
        return float(spans @ [count for _, count in self._reported] / spans.sum())


@dataclass
class Result:
    """What came of a run. `seconds` are those of calls from arrival to answer."""

    seconds: Times
    lost: int
    worker_seconds: float
    changes: int
    most: int

    @property
    def missed(self) -> float:
        """Share of calls that were not answered within the objective."""
        late = int((self.seconds > OBJECTIVE.latency_seconds).sum())
        return (late + self.lost) / max(1, len(self.seconds) + self.lost)

    @property
    def p99(self) -> float:
        """Of the calls that were answered."""
        return float(np.quantile(self.seconds, 0.99))


class Machine:
    """Queue and workers of one release in simulated time."""

    def __init__(self, model: Model, arrivals: Times, seed: int) -> None:
        self._model = model
        self._arrivals = arrivals.tolist()
        noise = np.random.default_rng(seed).normal(0.0, model.spread, 4096)
        self._noise = np.exp(noise - model.spread**2 / 2.0).tolist()
        self._batch = 0
        self._next = 0
        self._waiting: deque[float] = deque()
        self._workers = [(BEGIN, number) for number in range(PLAN.min)]
        self._leaving = 0
        self._busy: list[tuple[float, int]] = []
        self._batches: list[tuple[float, int, float]] = []
        self._calls: list[tuple[float, float, float]] = []
        self._seconds: list[float] = []
        self._lost = 0

    def run(self, policy: Policy, every: float = 1.0) -> Result:
        """Until the last call has been answered; the policy looks `every` so many seconds."""
        now, wanted = BEGIN, len(self._workers)
        spent, changes, most = 0.0, 0, wanted
        while self._next < len(self._arrivals) or self._waiting or self._busy:
            now += every
            self._serve(now)
            policy.ended(self._known(now - LAG), now)
            ready = sum(free <= now for free, _ in self._workers)
            decided = policy.look(now, self._ongoing(now), ready)
            changes += decided != wanted
            self._place(wanted, decided, now)
            wanted, most = decided, max(most, decided)
            spent += len(self._workers) * every
        return Result(np.array(self._seconds), self._lost, spent, changes, most)

    def _place(self, before: int, wanted: int, now: float) -> None:
        """New workers start; those that go finish what they have and take nothing more."""
        for number in range(wanted - before):
            heapq.heappush(self._workers, (now + self._model.start, number))
        for _ in range(before - wanted):
            self._workers.remove(max(self._workers))
            heapq.heapify(self._workers)

    def _ongoing(self, now: float) -> int:
        self._busy = [(end, calls) for end, calls in self._busy if end > now]
        return len(self._waiting) + sum(calls for _, calls in self._busy)

    def _known(self, until: float) -> Done:
        """What was logged of what ended by `until`, each call once."""
        done = Done(
            [batch for batch in self._batches if batch[0] <= until],
            [call for call in self._calls if call[0] <= until],
        )
        self._batches = [batch for batch in self._batches if batch[0] > until]
        self._calls = [call for call in self._calls if call[0] > until]
        return done

    def _serve(self, until: float) -> None:
        """Everything that begins by `until`."""
        workers, waiting = self._workers, self._waiting
        while workers:
            free, number = workers[0]
            self._arrive(free)
            if not waiting:
                if self._next == len(self._arrivals) or self._arrivals[self._next] > until:
                    break
                free = max(free, self._arrivals[self._next])
                self._arrive(free)
            if free > until:
                break
            batch = self._taken(free)
            if batch:
                heapq.heapreplace(workers, (self._answer(batch, free), number))
        self._arrive(until)

    def _arrive(self, until: float) -> None:
        arrivals, waiting, at = self._arrivals, self._waiting, self._next
        end = len(arrivals)
        while at < end and arrivals[at] <= until:
            if len(waiting) < QUEUE:
                waiting.append(arrivals[at])
            else:
                self._lose(arrivals[at], arrivals[at])
            at += 1
        self._next = at

    def _taken(self, now: float) -> list[float]:
        waiting = self._waiting
        batch: list[float] = []
        while waiting and len(batch) < BATCH:
            arrived = waiting.popleft()
            if now - arrived <= DEADLINE:
                batch.append(arrived)
            else:
                self._lose(arrived, arrived + DEADLINE)
        return batch

    def _lose(self, arrived: float, at: float) -> None:
        self._lost += 1
        self._calls.append((at, math.nan, math.nan))

    def _answer(self, batch: list[float], now: float) -> float:
        self._batch = (self._batch + 1) % len(self._noise)
        model = self._model
        took: float = (model.batch + model.call * len(batch)) * self._noise[self._batch]
        end = now + took
        self._busy.append((end, len(batch)))
        self._batches.append((end, len(batch), took))
        for arrived in batch:
            self._calls.append((end, now - arrived, end - arrived))
            self._seconds.append(end - arrived)
        return end


def drawn(rate: Callable[[Times], Times], seconds: float, seed: int) -> Times:
    """Poisson arrivals at `rate(t)` per second, t from 0 to `seconds`: by halves of a second."""
    chance = np.random.default_rng(seed)
    starts = np.arange(0.0, seconds, 0.5)
    counts = chance.poisson(np.maximum(rate(starts), 0.0) * 0.5)
    times = np.repeat(starts, counts) + chance.random(int(counts.sum())) * 0.5
    return BEGIN + np.sort(times)


def steady(load: float, seed: int, seconds: float = 1800.0) -> Times:
    """Half of `load`, for 30 minutes."""
    return drawn(lambda t: np.full(len(t), load / 2.0), seconds, seed)


def step(load: float, seed: int) -> Times:
    """A quarter of `load` for 10 minutes, all of it for 10, and back."""
    return drawn(lambda t: load * np.where((t > 600) & (t < 1200), 1.0, 0.25), 2400.0, seed)


def ramp(load: float, seed: int) -> Times:
    """From a tenth of `load` to all of it in five minutes, ten minutes there, and back."""
    return drawn(
        lambda t: load * np.interp(t, [300, 600, 1200, 1800], [0.1, 1, 1, 0.1]), 2400.0, seed
    )


def bursts(load: float, seed: int) -> Times:
    """A fifth of `load`, and all of it in bursts of 10 to 60 s, three minutes apart or so."""
    chance = np.random.default_rng(seed + 1)
    starts = np.cumsum(chance.exponential(180.0, 20))
    ends = starts + chance.uniform(10.0, 60.0, 20)

    def rate(t: Times) -> Times:
        inside = ((t[:, None] >= starts) & (t[:, None] < ends)).any(axis=1)
        return load * np.where(inside, 1.0, 0.2)

    return drawn(rate, 3600.0, seed)


def crowd(load: float, seed: int) -> Times:
    """A tenth of `load`; then all of it within 5 s, halving every minute."""

    def rate(t: Times) -> Times:
        since = t - 600.0
        return load * np.where(
            since < 0, 0.1, np.maximum(0.1, np.minimum(since / 5.0, 0.5 ** (since / 60.0)))
        )

    return drawn(rate, 1800.0, seed)


def day(load: float, seed: int) -> Times:
    """Two days: a wave from a tenth of `load` to most of it, and by day a rush each full hour."""

    def rate(t: Times) -> Times:
        hour = t / 3600.0 % 24.0
        wave = 0.1 + 0.5 * np.maximum(0.0, np.sin((hour - 7.0) / 12.0 * np.pi)) ** 2
        rush = np.where((hour > 7.0) & (hour < 19.0) & (hour % 1.0 < 0.1), 1.6, 1.0)
        return load * wave * rush

    return drawn(rate, 2 * 86_400.0, seed)


def waves(load: float, seed: int) -> Times:
    """Between a tenth of `load` and all of it, up and down in eight minutes."""
    period = 480.0 / (2.0 * np.pi)
    return drawn(lambda t: load * (0.55 - 0.45 * np.cos(t / period)), 3600.0, seed)


PLAIN = Model("8 ms a call", 0.008, 0.0)
SHARED = Model("6 ms a batch and 2 ms a call", 0.002, 0.006)
SLOW = Model("8 ms a call, workers start in 12 s", 0.008, 0.0, start=12.0)
HEAVY = Model("120 ms a call", 0.120, 0.0)
Trace = Callable[[float, int], Times]
CASES: tuple[tuple[Model, float, tuple[Trace, ...]], ...] = (
    (PLAIN, 1000.0, (steady, step, ramp, waves, bursts, crowd)),
    (SHARED, 4000.0, (step, bursts, crowd)),
    (SLOW, 1000.0, (step, ramp, crowd)),
    (HEAVY, 80.0, (day,)),
)
ALLOWED = 0.01
"""What an objective of 99 % allows."""


@dataclass(frozen=True, slots=True)
class Case:
    """One row of the table: what each policy made of one trace."""

    model: Model
    trace: Trace
    calls: int
    results: dict[str, Result]
    seconds: float


def compared(model: Model, trace: Trace, load: float, seed: int) -> Case:
    """Both policies; as many fixed workers as trimtab used on average; and the fewest that do."""
    began = time.perf_counter()
    arrivals = trace(load, seed)
    every = 5.0 if trace is day else 1.0

    def run(policy: Policy) -> Result:
        return Machine(model, arrivals, seed).run(policy, every)

    results = {"trimtab": run(Trimtab(10.0 + model.start)), "Ray Serve": run(RayServe())}
    seconds = float(arrivals[-1]) - BEGIN
    mean = max(1, round(results["trimtab"].worker_seconds / seconds))
    results[f"fixed {mean}"] = run(Fixed(mean))
    low, high = 0, CORES
    while high - low > 1:
        middle = (low + high) // 2
        name = f"fixed {middle}"
        found = results[name] = results.get(name) or run(Fixed(middle))
        low, high = (low, middle) if found.missed <= ALLOWED else (middle, high)
    results.setdefault(f"fixed {high}", run(Fixed(high)))
    kept = ("trimtab", "Ray Serve", f"fixed {mean}", f"fixed {high}")
    chosen = {name: results[name] for name in dict.fromkeys(kept)}
    return Case(model, trace, len(arrivals), chosen, time.perf_counter() - began)


def rows(case: Case) -> Iterator[str]:
    """Lines of the table."""
    for name, found in case.results.items():
        hours = found.worker_seconds / 3600.0
        yield (
            f"| {case.model.name} | {case.trace.__name__} | {name} | {100 * found.missed:.2f} % "
            f"| {1000 * found.p99:,.0f} ms | {hours:,.1f} | {found.most} | {found.changes} |"
        )


def waits(seed: int) -> Iterator[str]:
    """The model of the wait against the simulation: p99 from arrival to answer."""
    for model in (PLAIN, SHARED):
        cost = Cost(model.call, model.batch, largest=BATCH, spread=model.spread)
        for workers in (1, 4):
            for used in (0.5, 0.7, 0.8):
                rate = used * workers / cost.least
                arrivals = steady(2.0 * rate, seed, 300.0)
                found = Machine(model, arrivals, seed).run(Fixed(workers))
                came = float(np.quantile(found.seconds[len(found.seconds) // 5 :], 0.99))
                told = latency(0.99, rate, workers, cost)
                yield (
                    f"| {model.name} | {workers} | {100 * used:.0f} % | {rate:,.0f}/s "
                    f"| {1000 * told:.0f} ms | {1000 * came:.0f} ms |"
                )


INTRO = """# Scaling: policies on simulated traffic

<!-- Written by `scripts/bench scaling --write`. -->

What the policy of the control loop (`trimtab.judge.scale`) makes of traffic, beside Ray Serve's
default policy and fixed numbers of workers. It is a simulation, drawn from seed {seed}: the same
command gives the same table on every machine. The policy was tuned on seed 1 and without `waves`;
its model of the wait was corrected after a first run on seed 20, which changed the figures of
`ramp`, `waves` and `day`.

    scripts/bench scaling --write

One release on {cores} cores, 1 to {cores} workers, objective p99 within 250 ms. A worker that frees
takes what waits, at most 64 calls; the queue holds 1,024 calls, a call waits 10 s at most; a worker
starts in 3 s unless said; the policy decides once a second (`day`: every five) and hears of a call
a second after its end. `Missed` are calls that were answered later than 250 ms or not at all.

Ray Serve is its `replica_queue_length_autoscaling_policy` as of {ray}, on the same simulated
workers, with its defaults (2 ongoing requests, 30 s up, 600 s down, look-back 30 s, noted every
6 s, reported every 10 s) but for `max_replicas`. Of the fixed numbers the first costs about what
trimtab cost, the second is the fewest that miss at most 1 %, for somebody who knew the traffic
before. All begin with one worker, and a worker counts from its order on.
"""

TRACE_NOTES = "\n".join(
    f"- `{trace.__name__}`: {' '.join((trace.__doc__ or '').split())}"
    for trace in (steady, step, ramp, waves, bursts, crowd, day)
)
TABLE = (
    "| Model | Trace | Policy | Missed | p99 | Worker hours | Most | Changes |\n"
    "|---|---|---|--:|--:|--:|--:|--:|"
)
WAITS = (
    "## The wait that the policy expects\n\n"
    "p99 from arrival to answer at steady load, as the policy expects it and as it came after the\n"
    "first minute.\n\n"
    "| Model | Workers | Of their limit | Rate | Expected | Simulated |\n|---|--:|--:|--:|--:|--:|"
)


def main(arguments: list[str] | None = None) -> None:
    """Print the tables, and with `--write` put them into the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--trace", action="append", help="only this one; may be repeated")
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args(arguments)
    lines: list[str] = []
    for model, load, traces in CASES:
        for trace in traces:
            if given.trace and trace.__name__ not in given.trace:
                continue
            case = compared(model, trace, load, given.seed)
            lines += rows(case)
            print("\n".join(rows(case)), f"{case.calls:,} calls, {case.seconds:.0f} s", flush=True)
    expected = list(waits(given.seed))
    print("\n".join(expected))
    if given.write:
        intro = INTRO.format(seed=given.seed, cores=CORES, ray="release 2.60.0")
        parts = (intro, TRACE_NOTES, "", TABLE, *lines, "", WAITS, *expected, "")
        PAGE.write_text("\n".join(parts), encoding="utf-8")


if __name__ == "__main__":
    main()
