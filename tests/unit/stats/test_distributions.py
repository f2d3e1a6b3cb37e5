"""Bins and the distances that are read off them."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.stats.bins import above_values, below_values
from trimtab.stats.distributions import (
    BinCounts,
    bin_positions,
    jensen_shannon,
    psi_excess,
    quantile_cuts,
    wasserstein,
)

COUNTS = st.lists(st.integers(0, 1000), min_size=4, max_size=4)


@given(values=st.lists(st.integers(-5, 20), min_size=1, max_size=60), bins=st.integers(1, 8))
def test_cuts_are_the_smallest_values_that_reach_each_share(values: list[int], bins: int) -> None:
    """Against the definition of a quantile, with ties."""
    ordered = sorted(values)
    expected = sorted({ordered[math.ceil(len(values) * j / bins) - 1] for j in range(1, bins)})
    assert quantile_cuts(values, bins).tolist() == expected


@given(rows=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 4)), min_size=1, max_size=20))
def test_a_weight_counts_like_that_many_rows(rows: list[tuple[int, int]]) -> None:
    """Whole weights equal repetition."""
    values, weights = [row[0] for row in rows], [row[1] for row in rows]
    repeated = np.repeat(values, weights)
    assert quantile_cuts(values, 4, weights).tolist() == quantile_cuts(repeated, 4).tolist()


def test_values_without_a_place_give_no_cut() -> None:
    """NaN and infinity are left out; nothing left gives no cut."""
    assert quantile_cuts([math.nan, math.inf], 4).size == 0
    assert quantile_cuts([1.0, math.nan, 2.0, -math.inf], 2).tolist() == [1.0]


@pytest.mark.parametrize(("bins", "weights"), [(0, None), (4, [1.0]), (4, [-1.0, 1.0])])
def test_impossible_cuts_are_refused(bins: int, weights: list[float] | None) -> None:
    """At least one bin, and weights that fit."""
    with pytest.raises(ValueError, match="bins >= 1"):
        quantile_cuts([1.0, 2.0], bins, weights)


@given(values=st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=50))
def test_every_value_is_counted_once(values: list[float]) -> None:
    """In its bin, as missing, or as infinite; running counts are counts of x <= cut."""
    cuts = [-1.0, 0.0, 2.5]
    counts = BinCounts.of(values, cuts)
    assert counts.total == len(values)
    assert counts.missing == sum(math.isnan(x) for x in values)
    assert counts.infinite == sum(math.isinf(x) for x in values)
    finite = [x for x in values if math.isfinite(x)]
    expected = [sum(x <= cut for x in finite) for cut in cuts]
    assert counts.at_most == (*expected, len(finite))


@pytest.mark.parametrize("cuts", [[1.0, 1.0], [2.0, 1.0], [math.nan], [math.inf]])
def test_cuts_must_rise(cuts: list[float]) -> None:
    """Otherwise a value had no bin, or two."""
    with pytest.raises(ValueError, match="strictly rising"):
        BinCounts.of([1.0], cuts)


def test_without_cuts_there_is_one_bin() -> None:
    """A constant or empty reference still counts."""
    assert BinCounts.of([1.0, 2.0], []).counts == (2,)
    assert bin_positions([]).tolist() == [0.0]


@given(p=COUNTS, q=COUNTS)
def test_distances_are_symmetric_bounded_and_finite(p: list[int], q: list[int]) -> None:
    """Absent when a side is empty, zero from a thing to itself."""
    places = [0.0, 1.0, 5.0, 6.0]
    js, w1, psi = jensen_shannon(p, q), wasserstein(p, q, places), psi_excess(p, q)
    if sum(p) == 0 or sum(q) == 0:
        assert js is w1 is psi is None
        return
    assert js is not None
    assert w1 is not None
    assert psi is not None
    assert 0.0 <= js <= 1.0
    assert 0.0 <= w1 <= 6.0
    assert math.isfinite(psi)
    assert js == pytest.approx(jensen_shannon(q, p))
    assert w1 == pytest.approx(wasserstein(q, p, places))
    assert psi == pytest.approx(psi_excess(q, p))
    assert wasserstein(p, p, places) == 0.0
    assert jensen_shannon(p, p) == pytest.approx(0.0, abs=1e-7)


def test_jensen_shannon_meets_a_value_by_hand() -> None:
    """Half of one of two bins moved: H(3/4, 1/4) - (H(1/2) + H(1, 0)) / 2."""
    entropy = -(0.75 * math.log2(0.75) + 0.25 * math.log2(0.25))
    assert jensen_shannon([1, 1], [2, 0]) == pytest.approx(math.sqrt(entropy - 0.5))


@given(
    p=st.lists(st.integers(0, 9), min_size=1, max_size=20),
    q=st.lists(st.integers(0, 9), min_size=1, max_size=20),
)
def test_wasserstein_is_the_area_between_the_distribution_functions(
    p: list[int], q: list[int]
) -> None:
    """On integers, summed place by place."""
    places = list(range(10))
    found = wasserstein(np.bincount(p, minlength=10), np.bincount(q, minlength=10), places)
    area = sum(
        abs(sum(x <= at for x in p) / len(p) - sum(x <= at for x in q) / len(q)) for at in places
    )
    assert found == pytest.approx(area)


def test_psi_without_change_is_zero_on_average() -> None:
    """The expectation is taken off: 30 bins, 500 rows against 10,000."""
    generator = np.random.default_rng(11)
    bins = np.full(30, 1 / 30)
    found = [
        psi_excess(generator.multinomial(10_000, bins), generator.multinomial(500, bins))
        for _ in range(200)
    ]
    mean = float(np.mean([value for value in found if value is not None]))
    assert abs(mean) < 0.005


@pytest.mark.parametrize(("p", "q"), [([1, 2], [1]), ([], []), ([-1, 2], [1, 2]), ([[1]], [[1]])])
def test_counts_that_do_not_fit_are_refused(p: list[int], q: list[int]) -> None:
    """Same bins, nothing negative."""
    with pytest.raises(ValueError, match="counts >= 0"):
        psi_excess(p, q)
    with pytest.raises(ValueError, match="one position per bin"):
        wasserstein([1, 2], [2, 1], [0.0])


@given(
    drawn=st.lists(st.floats(-1e6, 1e6) | st.integers(0, 3).map(float), min_size=1, max_size=40),
    bins=st.integers(2, 10),
)
def test_a_cut_beside_its_value_parts_the_values_as_the_value_does(
    drawn: list[float], bins: int
) -> None:
    """Neither side of any value changes, cuts still rise, and none moves far."""
    rising = np.sort(np.array(drawn))
    cuts = quantile_cuts(rising, bins)
    far = 1e-6 * (rising[-1] - rising[0]) + np.spacing(np.abs(rising).max())
    above, below = above_values(cuts, rising), below_values(cuts, rising)
    kept = np.searchsorted(above, rising) == np.searchsorted(cuts, rising)
    held = np.searchsorted(below, rising, "right") == np.searchsorted(cuts, rising, "right")
    assert (kept & held).all()
    for moved in (above, below):
        assert (np.diff(moved) > 0.0).all()
        assert np.abs(moved - cuts).max() <= far


def test_without_cuts_none_is_moved() -> None:
    """Nothing to do for no cut; a constant has no span to move by."""
    assert above_values(np.empty(0), np.empty(0)).size == 0
    assert above_values(np.array([5.0]), np.array([5.0, 5.0])).tolist() == [5.0]
