"""What a batch costs, and how long calls wait for it."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.judge.scale.cost import Cost, fit
from trimtab.judge.scale.queue import MOST, Goal, latency, wait

COSTS = st.builds(
    Cost,
    row=st.floats(1e-5, 0.2),
    batch=st.floats(0.0, 0.2),
    rows=st.sampled_from([1.0, 3.5, 100.0]),
    largest=st.floats(1.0, 64.0),
    spread=st.floats(0.0, 2.0),
)
RATES = st.floats(0.0, 5_000.0)
GOALS = st.builds(
    Goal,
    quantile=st.sampled_from([0.5, 0.9, 0.99]),
    seconds=st.floats(0.001, 2.0),
    used=st.floats(0.3, 0.9),
    share=st.floats(0.2, 1.0),
    extra=st.floats(0.0, 0.2),
)


def measured(
    row: float, batch: float, n: int = 400, noise: float = 0.1
) -> tuple[np.ndarray, np.ndarray]:
    """Sizes and seconds of batches of 1 to 32 rows."""
    rng = np.random.default_rng(3)
    sizes = rng.integers(1, 33, n).astype(np.float64)
    return sizes, (batch + row * sizes) * rng.lognormal(0.0, noise, n)


def test_the_parts_of_a_batch_and_of_its_rows_are_told_apart() -> None:
    cost = fit(*measured(0.002, 0.010), 1.0)
    assert cost is not None
    assert cost.row == pytest.approx(0.002, rel=0.1)
    assert cost.batch == pytest.approx(0.010, rel=0.25)
    assert cost.spread == pytest.approx(0.1, abs=0.03)
    assert cost.largest == 64.0


def test_the_rows_of_a_call_count_together() -> None:
    cost = fit(*measured(0.001, 0.0), 4.0)
    assert cost is not None
    assert cost.call == pytest.approx(4.0 * cost.row)
    assert cost.alone == pytest.approx(cost.call + cost.batch)
    assert cost.largest == 16.0


def test_batches_of_one_size_say_nothing_about_sharing() -> None:
    cost = fit(np.ones(20), np.full(20, 0.004), rows=1.0)
    assert cost is not None
    assert cost.row == pytest.approx(0.004)
    assert (cost.batch, cost.largest, cost.spread) == (0.0, 2.0, 0.0)
    alike = fit(np.tile([8.0, 9.0], 10), np.tile([0.08, 0.09], 10), rows=1.0)
    assert alike is not None
    assert alike.row == pytest.approx(0.01)
    assert alike.batch == 0.0


def test_a_few_stalls_do_not_change_the_cost() -> None:
    sizes, seconds = measured(0.002, 0.010)
    stalled = seconds.copy()
    stalled[::50] = 3.0
    clean, dirty = fit(sizes, seconds, 1.0), fit(sizes, stalled, 1.0)
    assert clean is not None
    assert dirty is not None
    assert dirty.least < 1.5 * clean.least


def test_larger_batches_that_take_less_cost_nothing_by_the_row() -> None:
    cost = fit(np.repeat([1.0, 16.0], 10), np.repeat([0.02, 0.01], 10), 1.0)
    assert cost is not None
    assert cost.row == 0.0


def test_too_few_batches_tell_nothing() -> None:
    assert fit(np.ones(7), np.ones(7), 1.0) is None


def test_a_queue_that_is_asked_for_more_than_it_can_do_grows_without_end() -> None:
    assert wait(0.99, 10.0, 1, 0.1, 0.0) == math.inf
    assert latency(0.99, 200.0, 1, Cost(0.005, 0.0)) == math.inf
    assert wait(0.5, 1.0, 4, 0.01, 0.0) == 0.0


def test_one_worker_with_random_service_waits_as_the_books_say() -> None:
    """M/M/1: P(wait > t) = u exp(-(1 - u) t / s)."""
    used, seconds = 0.8, 0.01
    expected = seconds / (1 - used) * math.log(used / 0.01)
    assert wait(0.99, used / seconds, 1, seconds, 1.0) == pytest.approx(expected, rel=1e-6)


def test_batches_bound_the_wait_where_they_share_their_cost() -> None:
    """At 90 % of a worker's single calls, batches of two keep it at ease."""
    shared, alone = Cost(0.001, 0.009, largest=64.0), Cost(0.010, 0.0)
    assert latency(0.99, 90.0, 1, shared) < 0.025
    assert latency(0.99, 90.0, 1, alone) > 0.1


@given(COSTS, RATES, RATES, st.integers(1, 64), st.sampled_from([0.9, 0.99]))
def test_more_load_never_waits_less(
    cost: Cost, one: float, other: float, workers: int, quantile: float
) -> None:
    low, high = sorted((one, other))
    assert latency(quantile, low, workers, cost) <= latency(quantile, high, workers, cost) + 1e-12


@given(COSTS, RATES, st.integers(1, 64), st.sampled_from([0.9, 0.99]))
def test_more_workers_never_wait_longer(
    cost: Cost, rate: float, workers: int, quantile: float
) -> None:
    fewer, more = (latency(quantile, rate, n, cost) for n in (workers, workers + 1))
    assert more <= fewer + 1e-12


@given(GOALS, COSTS, RATES, RATES)
def test_a_goal_asks_for_the_fewest_workers_and_for_more_under_more_load(
    goal: Goal, cost: Cost, one: float, other: float
) -> None:
    low, high = sorted((one, other))
    workers = goal.workers(low, cost)
    assert workers <= goal.workers(high, cost)
    assert workers > MOST or goal.met(low, workers, cost)
    assert workers == 1 or not goal.met(low, workers - 1, cost)
