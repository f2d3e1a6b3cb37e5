"""Counting demand and work, and what the counts say."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab.judge.scale.arrivals import Arrivals, Demand, SavedArrivals
from trimtab.judge.scale.ring import Ring
from trimtab.judge.scale.service import Batches, Ended, Service

BEGIN = 1_700_000_000.0


def evenly(rate: float, start: float, seconds: float) -> np.ndarray:
    """Arrivals `rate` a second, from `start` on."""
    return BEGIN + start + np.arange(int(rate * seconds)) / rate


def counted(*pieces: np.ndarray, now: float, since: float = 0.0) -> Arrivals:
    """Arrivals of which all were answered, told second by second."""
    times = np.concatenate(pieces)
    arrivals = Arrivals(BEGIN + since)
    for second in range(int(now)):
        end = BEGIN + second + 1
        mine = times[(times >= end - 1) & (times < end)]
        arrivals.count(mine, np.ones(len(mine), np.bool_), end)
    return arrivals


def demand(arrivals: Arrivals, now: float, patience: float = 300.0) -> Demand:
    """At `now` seconds, with a forecast for 10 s later."""
    return arrivals.demand(BEGIN + now, 10.0, patience)


def ended(
    at: float, n: int = 100, queue: float = 0.001, total: float = 0.01, late: int = 0
) -> tuple[Ended, Batches]:
    """Calls of one row that were answered alone, the first `late` of them too late."""
    times = np.full(n, BEGIN + at)
    calls = Ended(times, np.ones(n), np.full(n, queue), np.full(n, total), np.arange(n) < late)
    return calls, Batches(times, np.ones(n), np.full(n, total - queue))


def test_a_ring_forgets_what_is_too_old_and_refuses_what_always_was() -> None:
    ring = Ring(1.0, 8)
    ring.turn(10.0)
    ring.add(np.array([9.0, 10.5, 1.0]))
    assert ring.before(10.0, 3.0).tolist() == [0.0, 1.0, 1.0]
    ring.turn(11.0)
    assert ring.before(11.0, 100.0).sum() == 2.0
    ring.turn(100.0)
    assert ring.before(100.0, 100.0).sum() == 0.0


def test_a_ring_counts_in_places_of_a_slot_and_leaves_what_is_too_old_out() -> None:
    ring = Ring(1.0, 4, (3,))
    ring.turn(10.0)
    times = np.array([10.0, 2.0, 9.5, 10.5])
    ring.add(times, 2.0, np.array([[0], [0], [2], [0]]))
    ring.add(times, np.arange(12.0).reshape(4, 3), np.arange(3))
    assert ring.before(10.0, 2.0).tolist() == [[6.0, 7.0, 10.0], [13.0, 11.0, 13.0]]


def test_a_ring_begins_anew_when_the_clock_goes_back_beyond_it() -> None:
    ring = Ring(1.0, 4)
    ring.turn(1000.0)
    ring.add(np.array([1000.0]))
    ring.turn(999.0)
    assert ring.before(1000.0, 1.0).tolist() == [1.0]
    assert ring.before(10.0, 4.0).tolist() == [0.0]
    ring.turn(10.0)
    ring.add(np.array([10.0]))
    assert ring.before(10.0, 4.0).tolist() == [0.0, 1.0]


def test_a_ring_goes_on_from_its_dump() -> None:
    ring, other = Ring(1.0, 4), Ring(1.0, 4)
    ring.turn(10.0)
    ring.add(np.array([10.0, 10.2]))
    other.load(*ring.dump())
    assert other.before(10.0, 1.0).tolist() == [2.0]


def test_the_level_is_the_rate_less_what_may_be_chance() -> None:
    told = demand(counted(evenly(100.0, 0.0, 120.0), now=120.0), 120.0)
    assert 95.0 < told.level <= 100.0
    assert told.peak == pytest.approx(100.0, rel=0.05)
    assert (told.coming, told.basis) == (told.level, "now")
    assert told.known == 120.0


def test_a_jump_of_the_rate_is_seen_within_two_seconds() -> None:
    arrivals = counted(evenly(100.0, 0.0, 120.0), evenly(900.0, 120.0, 3.0), now=122.0)
    assert demand(arrivals, 122.0).level > 700.0


def test_a_rise_in_a_line_is_carried_on_and_not_beyond_half_as_much_again() -> None:
    rising = np.concatenate([evenly(50.0 + 4.0 * t, t, 1.0) for t in range(120)])
    told = demand(counted(rising, now=120.0), 120.0)
    assert told.basis == "trend"
    assert 1.05 * told.level < told.coming <= 1.5 * told.level


def test_the_same_minutes_of_yesterday_foretell_a_rush() -> None:
    day, early = 86_400.0, 6 * 60.0
    minutes = [evenly(10.0, m * 60.0, 60.0) for m in range(7)]
    minutes += [evenly(25.0, m * 60.0, 60.0) for m in range(7, 12)]
    arrivals = Arrivals(BEGIN)
    for times in (*minutes, *(evenly(10.0, day + m * 60.0, 60.0) for m in range(7))):
        arrivals.count(times, np.ones(len(times), np.bool_), float(times[-1]) + 0.5)
    told = demand(arrivals, day + early + 30.0)
    assert told.basis == "yesterday"
    assert told.coming == pytest.approx(2.5 * told.level, rel=0.05)
    assert told.busiest == 25.0


def test_calls_that_were_turned_away_do_not_hide_those_that_wait() -> None:
    """Of 900 a second only those that came in the first second were answered yet; the queue is
    full, so later ones are known at once, and some of them only."""
    arrivals = counted(evenly(100.0, 0.0, 60.0), now=60.0)
    answered, shed = evenly(900.0, 60.0, 1.0), evenly(300.0, 61.0, 1.0)
    times = np.concatenate((answered, shed))
    arrivals.count(times, np.arange(len(times)) < len(answered), BEGIN + 62.0)
    assert demand(arrivals, 62.0).level > 600.0


def test_demand_ceases_when_calls_do() -> None:
    told = demand(counted(evenly(50.0, 0.0, 60.0), now=200.0), 200.0)
    assert told.level == 0.0
    assert told.peak == pytest.approx(50.0, rel=0.05)
    assert told.last == BEGIN + 60.0


def test_before_any_call_nothing_is_asked_and_nothing_known() -> None:
    told = Arrivals(BEGIN).demand(BEGIN, 10.0, 300.0)
    assert (told.level, told.peak, told.last, told.busiest) == (0.0, 0.0, 0.0, None)


def test_a_log_that_nobody_read_for_hours_has_no_peak() -> None:
    told = demand(counted(evenly(10.0, 0.0, 60.0), now=30_000.0), 30_000.0)
    assert (told.level, told.peak) == (0.0, 0.0)


@pytest.mark.no_cover
def test_after_the_clock_went_back_demand_is_that_of_now() -> None:
    arrivals = counted(evenly(10.0, 90_000.0, 60.0), now=90_060.0)
    later = evenly(30.0, 0.0, 120.0)
    arrivals.count(later, np.ones(len(later), np.bool_), BEGIN + 120.0)
    told = demand(arrivals, 120.0)
    assert told.level == pytest.approx(30.0, rel=0.2)


def test_times_of_the_future_and_of_long_ago_are_left_out() -> None:
    arrivals = counted(evenly(10.0, 0.0, 60.0), now=60.0)
    arrivals.count(BEGIN + np.array([9e5, -9e6]), np.ones(2, np.bool_), BEGIN + 60.0)
    assert demand(arrivals, 60.0).level <= 10.0


def test_minutes_outlive_a_restart_and_knowledge_begins_anew() -> None:
    arrivals = counted(evenly(20.0, 0.0, 180.0), now=180.0)
    again = Arrivals.load(arrivals.dump(), BEGIN + 181.0)
    told = demand(again, 182.0)
    assert (told.known, told.level, told.busiest) == (1.0, 0.0, 20.0)
    assert demand(Arrivals.load(SavedArrivals(), BEGIN), 1.0).busiest is None


def test_deployments_that_share_workers_ask_together() -> None:
    one = Demand(level=1.0, coming=3.0, peak=4.0, known=5.0, last=6.0, busiest=7.0, basis="trend")
    two = Demand(level=10.0, coming=20.0, peak=30.0, known=2.0, last=9.0)
    both = Demand(level=11.0, coming=23.0, peak=34.0, known=2.0, last=9.0, busiest=7.0)
    assert one.plus(two) == both
    assert two.plus(one).basis == "now"
    assert two.plus(two).busiest is None


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 40), min_size=65, max_size=90), st.integers(2, 5))
def test_demand_rises_with_every_call(perhaps: list[int], times: int) -> None:
    """When in each second as many more calls come, nothing that is said of demand falls."""

    def told(factor: int) -> Demand:
        pieces = [evenly(n * factor, s, 1.0) for s, n in enumerate(perhaps) if n]
        return demand(counted(np.empty(0), *pieces, now=len(perhaps)), len(perhaps))

    few, many = told(1), told(times)
    assert few.level <= many.level
    assert few.coming <= many.coming + 1e-9
    assert few.peak <= many.peak + 1e-9


def test_work_tells_cost_waits_and_quiet() -> None:
    service = Service()
    service.count(*ended(1.0), BEGIN + 1.0)
    told = service.work(BEGIN + 1.5, 0.99, 300.0)
    assert told.seconds == pytest.approx(0.009)
    assert told.cost is not None
    assert told.cost.row == pytest.approx(0.009)
    assert told.waiting == pytest.approx(0.001)
    assert told.queue == told.longest == pytest.approx(0.001, rel=0.3)
    assert (told.pressed, told.calm, told.calls) == (False, math.inf, 100.0)
    assert told.worked == pytest.approx(0.9)


def test_late_calls_press_until_four_seconds_are_over() -> None:
    service = Service()
    service.count(*ended(1.0, late=3), BEGIN + 1.0)
    assert service.work(BEGIN + 2.0, 0.99, 300.0).pressed
    told = service.work(BEGIN + 10.0, 0.99, 300.0)
    assert (told.pressed, told.calm) == (False, 9.0)


@pytest.mark.parametrize(("calls", "late"), [(100, 2), (1000, 15)])
def test_as_many_late_calls_as_were_promised_do_not_press(calls: int, late: int) -> None:
    service = Service()
    service.count(*ended(1.0, n=calls, late=late), BEGIN + 1.0)
    assert not service.work(BEGIN + 1.5, 0.99, 300.0).pressed


def test_a_service_without_calls_knows_nothing() -> None:
    told = Service().work(BEGIN, 0.99, 300.0)
    assert (told.seconds, told.cost, told.queue, told.waiting) == (None, None, None, 0.0)


def test_costs_outlive_a_restart_and_ten_minutes_not_more() -> None:
    service = Service()
    service.count(*ended(1.0), BEGIN + 1.0)
    again = Service(service.dump())
    assert again.work(BEGIN + 2.0, 0.99, 300.0).cost is not None
    again.count(*ended(700.0, n=0), BEGIN + 700.0)
    assert again.work(BEGIN + 700.0, 0.99, 300.0).cost is None
    assert Service(Service().dump()).work(BEGIN, 0.99, 300.0).cost is None


def test_what_waited_in_the_log_before_counting_began_is_no_present_demand() -> None:
    """A system that stood still for half an hour finds its last requests in the log."""
    arrivals = Arrivals(BEGIN + 2_000.0)
    left = evenly(100.0, 0.0, 60.0)
    arrivals.count(left, np.ones(len(left), np.bool_), BEGIN + 2_001.0)
    told = demand(arrivals, 2_002.0)
    assert (told.level, told.peak, told.last) == (0.0, 0.0, BEGIN + 2_001.0)
    assert told.busiest is not None


def test_counting_goes_on_when_the_clock_goes_back_to_before_it_began() -> None:
    arrivals = Arrivals(BEGIN + 2_000.0)
    for second in range(20):
        calls = evenly(50.0, float(second), 1.0)
        arrivals.count(calls, np.ones(len(calls), np.bool_), BEGIN + second + 1.0)
    assert demand(arrivals, 20.0).level == pytest.approx(50.0, rel=0.1)
