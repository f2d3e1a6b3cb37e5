"""How many workers there should be: limits, patience, and no change without a reason."""

import math
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.domain.deployment import Objective, ScalePlan
from trimtab.judge.scale.arrivals import Arrivals, Demand
from trimtab.judge.scale.cost import Cost
from trimtab.judge.scale.policy import Room, Situation, Sizing, size
from trimtab.judge.scale.service import Batches, Ended, Service, Work

NOW = 1_700_000_000.0
PLAIN = Cost(0.010, 0.0, spread=0.2)
PLAN = ScalePlan(min=1, max=8)
ZERO = ScalePlan(min=1, max=8, idle="zero", idle_after_seconds=60.0)


def situation(
    rate: float = 0.0,
    workers: int = 1,
    *,
    plan: ScalePlan = PLAN,
    demand: dict[str, Any] | None = None,
    work: dict[str, Any] | None = None,
    **changes: Any,
) -> Situation:
    """A release that was watched for an hour at a steady `rate`, with `workers` that are ready."""
    asked = {"level": rate, "coming": rate, "peak": rate, "known": 3600.0, "last": NOW}
    done = {"seconds": 0.010, "cost": PLAIN, "queue": 0.004, "longest": 0.0}
    base: dict[str, Any] = {
        "now": NOW,
        "workers": workers,
        "ready": workers,
        "changed_at": NOW - 3600.0,
        "plan": plan,
        "objective": Objective(),
        "demand": Demand(**{**asked, **(demand or {})}),
        "work": Work(**{**done, **(work or {})}),
        "room": Room(),
    }
    return Situation(**{**base, **changes})


def sized(*given: Any, **more: Any) -> Sizing:
    """The decision in that situation."""
    return size(situation(*given, **more))


def test_workers_follow_the_rate_and_the_decision_tells_its_numbers() -> None:
    told = sized(250.0)
    assert (told.workers, told.need, told.limit) == (4, 4, "")
    assert told.why == "250/s × 10 ms = 2.5 busy, p99 queue 4 ms"
    assert told.numbers["busy_workers"] == 2.5
    assert told.numbers["rate_per_second"] == 250.0


def test_a_forecast_brings_workers_before_the_load() -> None:
    told = sized(150.0, 2, demand={"coming": 250.0, "basis": "trend"})
    assert told.workers == 4
    assert told.why.endswith("250/s expected by the trend of the last minute")


def test_what_waits_counts_as_load() -> None:
    assert sized(250.0, 4, work={"waiting": 2.0}).workers == 7


def test_late_calls_bring_a_quarter_more_whatever_the_model_says() -> None:
    told = sized(10.0, 4, work={"pressed": True, "calm": 0.0})
    assert told.workers == 5
    assert "calls come late" in told.why
    assert sized(10.0, 1, work={"pressed": True, "calm": 0.0}).workers == 2


def test_pressure_waits_for_the_workers_that_are_on_their_way() -> None:
    assert sized(10.0, 4, work={"pressed": True, "calm": 0.0}, ready=3).workers == 4
    soon = NOW - 2.0
    assert sized(10.0, 4, work={"pressed": True, "calm": 0.0}, changed_at=soon).workers == 4


def test_a_need_beyond_the_pressure_is_not_cut_to_it() -> None:
    assert sized(500.0, 2, work={"pressed": True, "calm": 0.0}).workers == 7


@pytest.mark.parametrize(
    ("missing", "value"),
    [
        ("demand", {"known": 299.0}),
        ("demand", {"peak": 390.0}),
        ("demand", {"peak": 200.0}),
        ("work", {"calm": 299.0}),
        ("work", {"cost": None}),
        ("work", {"longest": 0.2}),
        ("changed_at", NOW - 299.0),
    ],
)
def test_workers_stay_until_all_of_the_patience_says_that_fewer_do(
    missing: str, value: Any
) -> None:
    assert sized(50.0, 8).workers == 1
    assert sized(50.0, 8, **{missing: value}).workers == 8


def test_a_number_is_not_changed_for_a_little_less() -> None:
    assert sized(360.0, 7, demand={"peak": 360.0}).workers == 7
    assert sized(240.0, 7, demand={"peak": 240.0}).workers == 4


def test_without_a_call_ever_there_are_as_many_as_configured() -> None:
    idle = {"seconds": None, "cost": None, "queue": None, "longest": None}
    told = sized(0.0, 4, work=idle, demand={"last": 0.0})
    assert (told.workers, told.why) == (1, "no calls, quiet")
    assert sized(5.0, 1, work=idle).why == "5/s, cost not known yet"


@pytest.mark.parametrize(
    ("plan", "room", "workers", "limit"),
    [
        (PLAN, Room(), 8, "scale.max"),
        (PLAN, Room(cores=2.0), 2, "cores"),
        (PLAN, Room(cores=2.0, busy=0.4), 5, "cores"),
        (PLAN, Room(cores=0.5), 1, "cores"),
        (PLAN, Room(cores=4.0, memory=3), 3, "memory"),
        (ScalePlan(min=3, max=3), Room(cores=1.0), 3, "scale.max"),
        (ScalePlan(min=4, max=8), Room(cores=1.0), 4, "cores"),
    ],
)
def test_the_tightest_limit_holds_and_is_named(
    plan: ScalePlan, room: Room, workers: int, limit: str
) -> None:
    told = sized(2000.0, plan.min, plan=plan, room=room)
    assert (told.workers, told.limit) == (workers, limit)
    assert f"{limit} allows no more" in told.why
    assert sized(0.0, 4, plan=ScalePlan(min=4)).limit == "scale.min"


def test_cores_and_memory_take_no_worker_away() -> None:
    assert sized(500.0, 6, room=Room(cores=2.0, memory=1)).workers == 6


def test_a_load_that_no_machine_serves_is_said_to_be_one() -> None:
    assert "more would be needed" in sized(1e7).why


def test_a_call_that_takes_longer_than_promised_asks_for_workers_all_the_same() -> None:
    slow = Cost(0.5, 0.0)
    assert sized(4.0, work={"cost": slow, "seconds": 0.5}).workers == 8


def test_a_deployment_sleeps_after_its_time_and_wakes_for_a_call() -> None:
    quiet: dict[str, Any] = {"plan": ZERO, "demand": {"last": NOW - 60.0}, "may_sleep": True}
    told = sized(0.0, 2, **quiet)
    assert (told.workers, told.why) == (0, "no call for 60 s")
    asleep = {**quiet, "changed_at": NOW - 30.0}
    assert sized(0.0, 0, **asleep).why == "asleep until the next call"
    assert sized(0.0, 0, **asleep, woken=True).workers == 1
    assert sized(0.0, 0, **{**asleep, "changed_at": NOW - 90.0}).workers == 1


@pytest.mark.parametrize(
    "awake",
    [
        {"may_sleep": False},
        {"plan": PLAN},
        {"woken": True},
        {"demand": {"last": NOW - 59.0}},
        {"demand": {"last": NOW - 90.0, "known": 59.0}},
        {"changed_at": NOW - 59.0},
        {"ready": 0},
        {"plan": ScalePlan(idle="zero", idle_after_seconds=1.0), "changed_at": NOW - 14.0},
    ],
)
def test_a_deployment_stays_awake_while_anything_speaks_for_it(awake: dict[str, Any]) -> None:
    quiet: dict[str, Any] = {"plan": ZERO, "demand": {"last": NOW - 90.0}, "may_sleep": True}
    assert sized(0.0, 1, **{**quiet, **awake}).workers == 1


SITUATIONS = st.builds(
    situation,
    rate=st.floats(0.0, 3000.0),
    workers=st.integers(0, 12),
    plan=st.builds(
        ScalePlan,
        min=st.integers(1, 6),
        max=st.integers(1, 12),
        idle=st.sampled_from(["keep", "zero"]),
    ),
    demand=st.fixed_dictionaries(
        {"known": st.sampled_from([1.0, 3600.0]), "last": st.sampled_from([0.0, NOW - 1e4, NOW])}
    ),
    work=st.fixed_dictionaries(
        {
            "cost": st.sampled_from([None, PLAIN, Cost(0.001, 0.006, largest=32.0)]),
            "waiting": st.floats(0.0, 10.0),
            "pressed": st.booleans(),
            "calm": st.sampled_from([0.0, math.inf]),
            "longest": st.sampled_from([None, 0.0, 1.0]),
        }
    ),
    room=st.builds(
        Room,
        cores=st.sampled_from([None, 0.5, 2.0, 16.0]),
        busy=st.floats(0.0, 1.0),
        memory=st.sampled_from([None, 1, 20]),
    ),
    ready=st.integers(0, 12),
    may_sleep=st.booleans(),
    woken=st.booleans(),
)


@given(SITUATIONS)
def test_the_number_is_always_within_what_is_configured(seen: Situation) -> None:
    told = size(seen)
    low, high = seen.plan.min, max(seen.plan.min, seen.plan.max)
    asleep = told.workers == 0 and seen.plan.idle == "zero" and seen.may_sleep
    assert low <= told.workers <= high or asleep
    assert told.why
    assert told == size(seen)


@given(SITUATIONS, st.floats(1.0, 4.0))
def test_more_load_never_means_fewer_workers(seen: Situation, factor: float) -> None:
    demand = seen.demand
    more = Demand(
        level=demand.level * factor,
        coming=demand.coming * factor,
        peak=demand.peak * factor,
        known=demand.known,
        last=demand.last,
    )
    assert size(replace(seen, demand=more)).workers >= size(seen).workers


class Served:
    """A service of which every call is answered by itself, second after second."""

    def __init__(self, cost: float = 0.010) -> None:
        self.now = NOW
        self.workers = 1
        self.changed_at = NOW
        self.history: list[int] = []
        self._cost = cost
        self._arrivals, self._service = Arrivals(NOW), Service()
        self._rng = np.random.default_rng(11)

    def go(self, rate: float, seconds: int) -> "Served":
        """Random arrivals at `rate`, each known half a second after its end."""
        for _ in range(seconds):
            self.now += 1.0
            times = np.sort(self.now - 1.5 + self._rng.random(self._rng.poisson(rate)))
            n = len(times)
            self._arrivals.count(times, np.ones(n, np.bool_), self.now)
            took = np.full(n, self._cost)
            calls = Ended(times + took, np.ones(n), took * 0.1, took * 1.1, np.zeros(n, np.bool_))
            self._service.count(calls, Batches(times + took, np.ones(n), took), self.now)
            self._decide()
        return self

    def _decide(self) -> None:
        told = size(
            Situation(
                now=self.now,
                workers=self.workers,
                ready=self.workers,
                changed_at=self.changed_at,
                plan=ScalePlan(max=32),
                objective=Objective(),
                demand=self._arrivals.demand(self.now, 10.0, 300.0),
                work=self._service.work(self.now, 0.99, 300.0),
                room=Room(),
            )
        )
        if told.workers != self.workers:
            self.workers, self.changed_at = told.workers, self.now
        self.history.append(self.workers)


@pytest.mark.no_cover
@pytest.mark.parametrize("rate", [3.0, 60.0, 170.0])
def test_the_number_does_not_swing_under_constant_load(rate: float) -> None:
    """Once the first minutes are over it falls once at most, and does not rise again."""
    history = Served().go(rate, 1500).history[330:]
    changes = [b - a for a, b in pairwise(history) if a != b]
    assert len(changes) <= 1, history


def test_a_jump_of_the_load_is_answered_within_three_seconds() -> None:
    served = Served().go(80.0, 120)
    before = served.workers
    served.go(800.0, 3)
    assert before <= 2
    assert served.workers >= 10


def test_workers_go_one_patience_after_the_load() -> None:
    served = Served().go(400.0, 400)
    busy = served.workers
    served.go(40.0, 299)
    assert served.workers == busy
    served.go(40.0, 60)
    assert served.workers == 1
