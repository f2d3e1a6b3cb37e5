"""What the schedule does under load, in simulated time: goodput, fairness, bounded parts."""

from copy import deepcopy
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.gateway.simulation import Arrival, Simulation, line, merged, poisson, waiting

from trimtab.gateway.call import Call
from trimtab.gateway.schedule import Limits, Schedule

SECONDS = 6.0


def goodput(capacity: float, load: float, **model: float) -> float:
    """Answers within the deadline per second, as a share of the capacity."""
    workers, timeout = int(model.get("workers", 1)), model["timeout"]
    it = Simulation(workers, line(model["base"], model["slope"]))
    rows = int(model.get("rows", 1))
    it.run(poisson(capacity * load, SECONDS, rows=rows, timeout=timeout), SECONDS)
    return len(it.seen["realtime"].answered) / SECONDS / capacity


@pytest.mark.parametrize(
    "model",
    [
        {"base": 0.005, "slope": 0.001, "timeout": 0.2},
        {"base": 0.005, "slope": 0.001, "timeout": 0.2, "workers": 2},
        {"base": 0.02, "slope": 0.0, "timeout": 0.05},
        {"base": 0.0003, "slope": 5e-5, "timeout": 1.0, "rows": 100},
        {"base": 0.001, "slope": 0.01, "timeout": 1.0, "workers": 2},
    ],
)
def test_goodput_at_three_times_the_load_stays_at_nine_tenths_of_the_peak(
    model: dict[str, float],
) -> None:
    rows, limits = model.get("rows", 1), Limits()
    in_time = (model["timeout"] / 3 - model["base"]) / max(model["slope"], 1e-9) / rows
    full = max(min(limits.batch_requests, limits.batch_rows / rows, in_time), 1.0)
    if model["slope"] == 0.0:
        full = float(limits.batch_requests)
    seconds = model["base"] + model["slope"] * rows * full
    capacity = model.get("workers", 1) * full / seconds
    peak = max(goodput(capacity, load, **model) for load in (0.8, 1.0))
    assert goodput(capacity, 3.0, **model) >= 0.9 * peak


@pytest.mark.parametrize("workers", [1, 2, 4])
@pytest.mark.parametrize(("base", "slope"), [(2.5e-4, 2e-6), (5e-4, 5e-6), (2e-4, 5e-5)])
def test_a_saturated_batch_lane_hardly_touches_realtime_and_keeps_its_work(
    workers: int, base: float, slope: float
) -> None:
    realtime = 0.1 * workers / base
    batch = 1.5 * workers / (slope * 10_000)

    def played(*, realtime_rate: float, batch_rate: float) -> Simulation:
        it = Simulation(workers, line(base, slope))
        streams = []
        if realtime_rate:
            streams.append(poisson(realtime_rate, SECONDS, timeout=5.0))
        if batch_rate:
            large = {"lane": "batch", "rows": 10_000, "timeout": 3.0}
            streams.append(poisson(batch_rate, SECONDS, seed=5, **large))
        it.run(merged(*streams), SECONDS)
        return it

    idle = played(realtime_rate=realtime, batch_rate=0).seen["realtime"].p99
    alone = played(realtime_rate=0, batch_rate=batch).seen["batch"].rows
    both = played(realtime_rate=realtime, batch_rate=batch)
    assert both.seen["realtime"].p99 <= max(1.5 * idle, idle + 0.002)
    assert both.seen["batch"].rows >= 0.7 * alone


def test_a_part_takes_about_the_time_that_is_allowed() -> None:
    it = Simulation(1, line(2e-4, 2e-5))
    it.run(poisson(3.0, SECONDS, lane="batch", rows=10_000, timeout=5.0), SECONDS)
    assert it.seen["batch"].rows > 10_000
    assert 0.004 < it.longest_part < 0.008


@pytest.mark.parametrize(("slope", "answered"), [(5e-5, True), (1e-2, False)])
def test_lone_rows_before_it_do_not_make_batch_work_go_row_by_row(
    slope: float, answered: bool
) -> None:
    """What a second row adds is not known of lone ones. Where that is next to nothing, a table is
    done in a second or so; where it is all there is, parts stay as short as they were."""
    it = Simulation(1, line(0.012, slope))
    alone = (Arrival(at=0.1 * number) for number in range(600))
    it.run(merged(alone, [Arrival(at=60.0, lane="batch", rows=6_000, timeout=5.0)]), 70.0)
    assert it.seen["realtime"].late == 0
    assert bool(it.seen["batch"].answered) == answered
    assert answered or it.longest_part < 3 * (0.012 + slope)


def test_batch_work_that_realtime_leaves_no_time_for_is_told_so() -> None:
    it = Simulation(1, line(0.01, 0.0), Limits(batch_requests=1))
    full = poisson(300.0, SECONDS, timeout=0.5)
    large = poisson(5.0, SECONDS, seed=5, lane="batch", rows=500, timeout=1.0)
    it.run(merged(full, large), SECONDS)
    seen = it.seen["batch"]
    assert seen.refused + seen.dropped > 10
    assert len(it.schedule.lanes["batch"]) <= 5


def test_an_estimate_that_is_too_high_corrects_itself() -> None:
    slow = [True]
    it = Simulation(1, lambda _: 1.0 if slow[0] else 0.001)
    it.run(poisson(20.0, 12.0, timeout=30.0), 12.0)
    assert it.schedule.crew.cost.seconds(1) > 0.5
    slow[0] = False
    it.run((each for each in poisson(20.0, 60.0, timeout=0.2) if each.at > 40.0), 60.0)
    assert it.schedule.crew.cost.seconds(1) < 0.05


def test_work_is_gathered_only_while_the_gateway_keeps_answers_waiting() -> None:
    it = Simulation(1, line(0.001, 1e-5))
    it.run(poisson(200.0, SECONDS), SECONDS)
    schedule, fixed = it.schedule, it.schedule.crew.cost.fixed
    schedule.answered(2 * fixed)
    assert not schedule.gathers(0.0), "nothing waits"
    schedule.add(waiting(), "realtime", SECONDS)
    assert schedule.gathers(0.0)
    assert not schedule.gathers(2 * fixed), "it was gathered for long enough"
    schedule.answered(fixed / 60)
    assert not schedule.gathers(0.0)


def test_a_full_batch_is_not_kept_to_gather_more() -> None:
    it = Simulation(1, line(0.001, 1e-5), Limits(batch_requests=2))
    it.run(poisson(200.0, SECONDS), SECONDS)
    it.schedule.answered(1.0)
    it.schedule.add(waiting(), "realtime", SECONDS)
    assert it.schedule.gathers(0.0)
    it.schedule.add(waiting(), "realtime", SECONDS)
    assert not it.schedule.gathers(0.0)


ROOM = Limits(queue=6, queue_rows=40, queue_bytes=400, batch_requests=4)


@cache
def learned() -> Schedule:
    """A schedule with one worker, whose batches were seen to take 10 ms and 1 ms a row."""
    it = Simulation(1, line(0.01, 0.001), ROOM)
    it.run(poisson(20.0, SECONDS), SECONDS)
    return it.schedule


def coming(facts: list[tuple[int, int, float]]) -> list[Call]:
    """Calls of so many rows and bytes that expire after so many seconds."""
    calls = []
    for rows, size, left in facts:
        call = waiting(rows)
        call.size, call.due = size, SECONDS + left
        calls.append(call)
    return calls


@pytest.mark.parametrize("lane", ["realtime", "batch"])
@given(
    facts=st.lists(
        st.tuples(st.integers(1, 20), st.integers(0, 200), st.floats(0.0, 0.2)),
        min_size=1,
        max_size=10,
    )
)
def test_calls_that_come_together_are_admitted_as_if_each_came_alone(
    lane: str, facts: list[tuple[int, int, float]]
) -> None:
    together, alone = deepcopy(learned()), deepcopy(learned())
    calls = coming(facts)
    refused = together.admit(calls, lane, SECONDS)
    others = coming(facts)
    told = [alone.admit([call], lane, SECONDS) for call in others]
    assert [(calls.index(call), refusal) for call, refusal in refused] == [
        (number, each[0][1]) for number, each in enumerate(told) if each
    ]
    places = [[calls.index(call) for call in together.lanes[lane]]]
    places.append([others.index(call) for call in alone.lanes[lane]])
    assert places[0] == places[1]
    for each in (together.lanes[lane], alone.lanes[lane]):
        assert each.rows == sum(call.rows for call in each)
        assert each.size == sum(call.size for call in each)
        assert all(call.queue is each for call in each)
