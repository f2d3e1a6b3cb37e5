"""What a batch costs is learned from batches, whatever sizes come."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.gateway.cost import Cost, Line


def learned(base: float, slope: float, sizes: list[int], batches: int = 200, seed: int = 1) -> Line:
    """A line after noisy batches, every twentieth of which met a pause of the machine."""
    drawn = random.Random(seed)
    line = Line()
    for number in range(batches):
        rows = drawn.choice(sizes)
        seconds = (base + slope * rows) * drawn.lognormvariate(0, 0.1)
        line.learn(rows, seconds * (20 if number % 20 == 19 else 1))
    return line


@pytest.mark.parametrize(("base", "slope"), [(3e-4, 1e-6), (1e-4, 1e-4), (0.0, 1e-3), (2e-2, 0.0)])
def test_the_line_is_found_through_noise_and_pauses(base: float, slope: float) -> None:
    line = learned(base, slope, [1, 10, 100, 1000])
    largest = base + slope * 1000
    for rows in (1, 10, 100, 1000):
        assert line.at(rows) == pytest.approx(base + slope * rows, rel=0.25, abs=0.02 * largest)


def test_a_model_that_becomes_slower_is_followed() -> None:
    line = learned(1e-4, 1e-6, [1, 64])
    for number in range(120):
        line.learn(1 if number % 2 else 64, 1e-3 if number % 2 else 1.64e-3)
    assert line.at(1) == pytest.approx(1e-3, rel=0.2)
    assert line.at(64) == pytest.approx(1.64e-3, rel=0.2)


def test_what_is_known_of_large_batches_outlives_a_time_of_small_ones() -> None:
    line = learned(3e-4, 1e-5, [1, 100, 1000])
    before = line.at(1000)
    for _ in range(2000):
        line.learn(1, 3.1e-4)
    assert line.at(1000) == pytest.approx(before, rel=0.3)


@given(st.lists(st.tuples(st.integers(1, 10_000), st.floats(0, 100)), max_size=60))
def test_a_cost_is_finite_and_never_falls_with_the_rows(batches: list[tuple[int, float]]) -> None:
    cost = Cost()
    for rows, seconds in batches:
        cost.learn(rows, seconds, seconds * 1.5)
    times = [cost.seconds(rows) for rows in (1, 10, 100, 1000, 10_000)]
    assert all(0 <= each < 1e4 for each in times)
    assert times == sorted(times)
    assert cost.rows_within(0.005) >= 1


def test_nothing_is_claimed_before_some_batches_and_beyond_the_sizes_seen() -> None:
    cost = Cost()
    assert (cost.seconds(10), cost.rows_within(1.0)) == (0.0, 4)
    for _ in range(8):
        cost.learn(10, 0.001, 0.0012)
    assert cost.known
    assert cost.seconds(10) == pytest.approx(0.0012, rel=0.05)
    assert cost.seconds(10**6) == cost.seconds(40)
    assert cost.rows_within(60.0) == 40
