"""One stream of errors: how soon each detector sees more of them, at how many false alarms.

The pool is the errors of a real model on real rows. Null streams are the pool without its order, so
nothing ever changes and the true rate is known; faults turn a share of the labels around.
"""

import bisect
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from judgement.alarms import Delays, Rate, delay
from judgement.peers import Job, river
from trimtab.domain.deployment import DeploymentSpec, MonitorPlan
from trimtab.domain.profile import QualityProfile, ReferenceProfile
from trimtab.domain.signature import Column, Datatype, Output, Signature
from trimtab.judge.budget import YEAR, share
from trimtab.judge.signals.family import Breaks, Target
from trimtab.judge.signals.quality import Cohort, Quality
from trimtab.stats.confidence import clopper_pearson
from trimtab.stats.fixed_point import MICRO

Bits = NDArray[np.bool_]

BLOCK = 100
"""Rows of an hour, which is a block of the default settings."""

YEARLY = round(YEAR / 3600.0) * BLOCK
PROMISED = 12.0 * share("quality")
"""False pages a year that the default budget grants to `quality`."""

DOSE = 0.03
"""Of faults of which there is only one dose."""

WARM = (20_000, 60_000)
PATIENCE = 200_000
NEVER, ORACLE = "never", "oracle CUSUM"


@dataclass(frozen=True)
class Plan:
    """How much is run: rows of each half of the null, faults of each dose."""

    null_rows: int = 6 * YEARLY
    faults: int = 40
    doses: tuple[float, ...] = (0.01, 0.02, 0.03, 0.05)


@dataclass(frozen=True)
class Fault:
    """Errors of a stream whose rate has risen by `dose` from row `since` on."""

    dose: float
    since: int
    errors: Bits


def lost(rows: pd.DataFrame) -> Bits:
    """Where a model was wrong."""
    return np.asarray(rows["y_true"] != rows["y_pred"])


def drawn(pool: Bits, rows: int, generator: np.random.Generator) -> Bits:
    """Rows of the pool in random order, over and over."""
    passes = math.ceil(rows / pool.size)
    return np.concatenate([generator.permutation(pool) for _ in range(passes)])[:rows]


def faults(pool: Bits, plan: Plan, seed: int) -> Iterator[Fault]:
    """Each dose at random times, the same times and rows for each dose."""
    wrong = float(pool.mean())
    for dose in plan.doses:
        generator = np.random.default_rng(seed)
        for _ in range(plan.faults):
            since = int(generator.integers(*WARM))
            errors = drawn(pool, since + PATIENCE, generator)
            # A flip of a share f adds f (1 - 2 wrong) to the error.
            flip = generator.random(errors.size) < dose / (1.0 - 2.0 * wrong)
            flip[:since] = False
            yield Fault(dose, since, errors ^ flip)


def target(value: float, n: int, plan: MonitorPlan) -> Target:
    """A deployment whose reference had this error on `n` rows, and nothing else to watch."""
    interval = clopper_pearson(round(value * n), n, 0.99)
    known = QualityProfile(
        metric="error", value=value, lower=interval.lower, upper=interval.upper, n=n
    )
    signature = Signature(
        (Column("x", Datatype.FP64),),
        (Output("score", Datatype.FP64), Output("label", Datatype.BYTES)),
        "binary",
        ("0", "1"),
    )
    profile = ReferenceProfile(rows=n, inputs=(), quality=(known,))
    return Target(DeploymentSpec(name="d", model="m", monitor=plan), signature, profile, "r", 0.0)


def trimtab(errors: Bits, watched: Target, since: int | None = None) -> list[int]:
    """Rows at which the family `quality` alarmed; re-armed at once, as if nobody did anything."""
    family = Quality(watched)
    (watch,) = family.state.watches.values()
    seconds = watched.block_seconds
    lost = errors[: errors.size // BLOCK * BLOCK].reshape(-1, BLOCK).sum(axis=1).tolist()
    found = []
    for number, wrong in enumerate(lost):
        family.take({number: Cohort(BLOCK, BLOCK, losses={"error": wrong * int(MICRO)})})
        family.close((number + 2) * seconds, Breaks())
        if watch.frozen is not None:
            found.append((number + 1) * BLOCK - 1)
            if since is not None and found[-1] >= since:
                break
            watch.rearm()
    return found


def cusum(errors: Bits, before: float, after: float, limit: float) -> list[int]:
    """Alarms of Page's test, which knows the rate before and after; the best there can be.

    Source: Page, Biometrika 1954; optimal by Moustakides, Annals of Statistics 1986."""
    steps = np.where(errors, math.log(after / before), math.log((1.0 - after) / (1.0 - before)))
    found, first = [], 0
    while first < steps.size:
        hit, size = None, 50_000
        low, level = 0.0, 0.0
        for start in range(first, steps.size, size):
            walk = level + np.cumsum(steps[start : start + size])
            floor = np.minimum.accumulate(np.minimum(walk, low))
            over = np.flatnonzero(walk - floor >= limit)
            if over.size:
                hit = start + int(over[0])
                break
            low, level = float(floor[-1]), float(walk[-1])
        if hit is None:
            break
        found.append(hit)
        first = hit + 1
    return found


def static(errors: Bits, value: float, margin: float = 0.02) -> list[int]:
    """Alarms of a threshold on the error of a day."""
    day = 24 * BLOCK
    daily = errors[: errors.size // day * day].reshape(-1, day).mean(axis=1)
    return [int((number + 1) * day - 1) for number in np.flatnonzero(daily > value + margin)]


def regular(errors: Bits) -> list[int]:
    """An alarm each time that the budget grants one."""
    step = round(YEARLY / PROMISED)
    return list(range(step - 1, errors.size, step))


def oracle_limit(null: Bits, before: float, after: float, most: float) -> float:
    """The lowest threshold, to .05, at which the null has at most so many alarms."""
    low, high = 0.0, 16.0
    while high - low > 0.05:
        middle = (low + high) / 2.0
        few = len(cusum(null, before, after, middle)) <= most
        low, high = (low, middle) if few else (middle, high)
    return high


GRIDS: dict[str, tuple[dict[str, Any], ...]] = {
    "ADWIN": tuple({"delta": x} for x in (0.9, 0.7, 0.5, 0.3, 0.2, 0.1, 0.05, 0.02, 0.002)),
    "PageHinkley": tuple(
        {"mode": "up", "threshold": x} for x in (20, 30, 40, 50, 75, 100, 150, 200, 300, 500, 800)
    ),
}
"""Settings of river's detectors, from the quickest to the quietest. DDM is quiet by default, and
HDDM_W, at 3 µs a row, is too slow to try several."""

DEFAULTS: dict[str, dict[str, Any]] = {
    "ADWIN": {},
    "PageHinkley": {"mode": "up"},
    "HDDM_W": {},
    "DDM": {},
    "KSWIN": {"seed": 1},
}

KSWIN_ROWS = 40_000
"""It takes 280 µs a row."""


@dataclass(frozen=True)
class Line:
    """A detector: its false alarms on a null that it was not tuned on, and its delays by dose."""

    name: str
    setting: str
    false: Rate
    delays: Mapping[float, Delays] = field(default_factory=dict)


class Race:
    """All detectors over the nulls and the faults of one pool."""

    def __init__(self, pool: Bits, plan: Plan, seed: int) -> None:
        generator = np.random.default_rng([seed, 1])
        self.pool, self.plan, self.value = pool, plan, float(pool.mean())
        self.first = drawn(pool, plan.null_rows, generator)
        self.second = drawn(pool, plan.null_rows, generator)
        self.faults = list(faults(pool, plan, seed))
        self.years = plan.null_rows / YEARLY
        self.granted = PROMISED * self.years

    def delays(self, alarms: Sequence[Sequence[int]]) -> dict[float, Delays]:
        """By dose, from the alarms of each fault."""
        both = list(zip(self.faults, alarms, strict=True))
        return {
            dose: Delays(tuple(delay(rows, f.since) for f, rows in both if f.dose == dose))
            for dose in self.plan.doses
        }

    def run(self, name: str, setting: str, detect: Callable[[Bits, int | None], list[int]]) -> Line:
        """A detector of this process."""
        false = Rate(len(detect(self.second, None)), self.years)
        found = [detect(fault.errors, fault.since) for fault in self.faults]
        return Line(name, setting, false, self.delays(found))

    def at(self, budget: float) -> Target:
        """A deployment with so many false pages a year, and no tolerance."""
        plan = MonitorPlan(false_alarms_per_year=budget, quality="error", quality_tolerance=0.0)
        return target(self.value, self.pool.size, plan)

    def ours(self) -> Iterator[Line]:
        """trimtab at tolerance zero, by its default budget and by that which spends its share."""
        budgets = [12.0 * 1.5**step for step in range(10)]
        # More budget is never fewer alarms: the first that is too much is found by halves.
        many = bisect.bisect(
            budgets, self.granted, key=lambda budget: len(trimtab(self.first, self.at(budget)))
        )
        tuned = budgets[max(many - 1, 0)]
        yield self.run("trimtab", "defaults", lambda e, since: trimtab(e, self.at(12.0), since))
        setting = f"tuned: {tuned / 12.0:.3g} times the budget"
        yield self.run("trimtab", setting, lambda e, since: trimtab(e, self.at(tuned), since))

    def oracle(self, most: float, setting: str) -> Line:
        """Page's test for each dose, each at no more than so many alarms on both nulls."""
        null, value = np.concatenate([self.first, self.second]), self.value
        limits = {dose: oracle_limit(null, value, value + dose, most) for dose in self.plan.doses}
        found = [cusum(f.errors, value, value + f.dose, limits[f.dose]) for f in self.faults]
        counts = [len(cusum(null, value, value + dose, limits[dose])) for dose in limits]
        false = Rate(max(counts), 2.0 * self.years)
        return Line(ORACLE, setting, false, self.delays(found))

    def dummies(self) -> Iterator[Line]:
        """What needs no statistics."""
        yield self.run(NEVER, "", lambda errors, since: [])
        yield self.run("every N rows", "as many as granted", lambda errors, since: regular(errors))
        limit = self.value
        yield self.run("error of a day 2 points up", "", lambda e, since: static(e, limit))

    def peers(self) -> Iterator[Line]:
        """river's, by default and tuned on the first null."""
        for name, options in DEFAULTS.items():
            yield self._peer(name, "defaults", options)
        for name, grid in GRIDS.items():
            found = river([Job(name, "first", each) for each in grid], {"first": self.first})
            fit = [
                each for each, rows in zip(grid, found, strict=True) if len(rows) <= self.granted
            ]
            chosen = (fit or grid[-1:])[0]
            said = ", ".join(f"{key} {value:g}" for key, value in chosen.items() if key != "mode")
            yield self._peer(name, f"tuned: {said}{'' if fit else ', not quiet enough'}", chosen)

    def _peer(self, name: str, setting: str, options: Mapping[str, Any]) -> Line:
        slow = name == "KSWIN"
        null = self.second[:KSWIN_ROWS] if slow else self.second
        streams = {"null": null}
        jobs = [Job(name, "null", options)]
        for place, fault in enumerate([] if slow else self.faults):
            streams[f"fault {place}"] = fault.errors
            jobs.append(Job(name, f"fault {place}", options, fault.since))
        found = river(jobs, streams)
        false = Rate(len(found[0]), null.size / YEARLY)
        return Line(name, setting, false, {} if slow else self.delays(found[1:]))

    def lines(self) -> Iterator[Line]:
        """All of them."""
        ours = list(self.ours())
        yield from ours
        raised = len(trimtab(self.first, self.at(12.0))) + ours[0].false.alarms
        yield self.oracle(raised, "at as many as trimtab's defaults")
        yield self.oracle(2.0 * self.granted, "at as many as granted")
        yield from self.peers()
        yield from self.dummies()


QUICK = Plan(null_rows=YEARLY, faults=10, doses=(DOSE,))
