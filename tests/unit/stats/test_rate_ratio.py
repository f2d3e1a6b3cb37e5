"""The canary kernel: conditional likelihoods by hand, directions, pairs and intervals."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.stats.rate_ratio import (
    BadEvents,
    Direction,
    RateRatio,
    RatioInterval,
    RatioSequence,
    ratio_grid,
    ratio_interval,
)

BATCHES = st.lists(
    st.tuples(
        st.sampled_from([0.01, 0.05, 0.25, 0.5, 0.9]), st.integers(0, 15), st.integers(0, 15)
    ),
    max_size=6,
)


def theta(weight: float, ratio: float) -> float:
    """Return the chance that a bad event is the candidate's."""
    return weight * ratio / (weight * ratio + 1 - weight)


@given(batches=BATCHES, null=st.floats(0.5, 3.0), worse=st.booleans())
def test_evidence_is_the_mean_of_conditional_likelihood_ratios(
    batches: list[tuple[float, int, int]], null: float, worse: bool
) -> None:
    """Against brute force products of the formula."""
    guard = RateRatio.against(null, "worse" if worse else "not_worse", size=6)
    for batch in batches:
        guard.update(*batch)
    products = []
    for ratio in guard.grid:
        product = 1.0
        for weight, candidate, stable in batches:
            product *= (theta(weight, ratio) / theta(weight, null)) ** candidate
            product *= ((1 - theta(weight, ratio)) / (1 - theta(weight, null))) ** stable
        products.append(product)
    assert guard.log10_evidence == pytest.approx(math.log10(sum(products) / 6), abs=1e-7)


@given(batches=BATCHES, weight=st.sampled_from([0.01, 0.3]), worse=st.booleans())
def test_one_more_bad_candidate_event_is_evidence_for_worse(
    batches: list[tuple[float, int, int]], weight: float, worse: bool
) -> None:
    """And against "not worse"; a bad stable event does the opposite."""
    direction: Direction = "worse" if worse else "not_worse"
    sign = 1 if worse else -1
    guard = RateRatio.against(1.5, direction)
    for batch in batches:
        guard.update(*batch)
    more, less = (RateRatio.from_dict(guard.to_dict()) for _ in range(2))
    more.update(weight, 1, 0)
    less.update(weight, 0, 1)
    assert sign * (more.log_evidence - guard.log_evidence) > 0
    assert sign * (guard.log_evidence - less.log_evidence) > 0
    assert more.log10_max >= guard.log10_max


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_without_a_concurrent_control_there_is_no_evidence(weight: float) -> None:
    """Weight 0 or 1 drops the events instead of judging by them."""
    guard = RateRatio.against(1.0, "worse")
    guard.update(weight, 50, 3)
    assert guard == RateRatio.against(1.0, "worse")
    assert guard.log10_evidence == 0.0
    assert guard.p_value == 1.0


def test_discordant_pairs_are_judged_at_one_half() -> None:
    """The shadow comparison is the same kernel."""
    pairs, guard = RateRatio.against(1.0, "worse"), RateRatio.against(1.0, "worse")
    pairs.update_pairs(candidate_worse=9, stable_worse=1)
    guard.update(0.5, 9, 1)
    assert pairs == guard
    assert pairs.p_value < 0.5


def test_an_outage_of_the_canary_is_proven_by_three_failures_at_one_percent() -> None:
    """alpha = 0.01 needs evidence 100."""
    guard = RateRatio.against(1.0, "worse")
    for _ in range(3):
        guard.update(0.01, 1, 0)
    assert guard.log10_max > 2


def test_tiny_weights_and_many_events_stay_finite() -> None:
    """Logarithms carry what floats cannot."""
    guard = RateRatio.against(1.0, "worse")
    guard.update(1e-9, 10**6, 10**6)
    assert math.isfinite(guard.log10_evidence)
    assert guard.p_value == 0.0


@pytest.mark.parametrize("batch", [(-0.1, 1, 1), (1.1, 1, 1), (math.nan, 1, 1), (0.5, -1, 0)])
def test_impossible_events_are_refused(batch: tuple[float, int, int]) -> None:
    """Weights are shares, counts are counts."""
    with pytest.raises(ValueError, match="weight in"):
        RateRatio.against(1.0, "worse").update(*batch)


@pytest.mark.parametrize(
    ("null", "direction", "size"),
    [(0.0, "worse", 4), (math.inf, "worse", 4), (1.0, "better", 4), (1.0, "worse", 0)],
)
def test_an_impossible_question_is_refused(null: float, direction: Direction, size: int) -> None:
    """A ratio is positive, a direction known, a grid not empty."""
    with pytest.raises(ValueError, match="positive ratio"):
        ratio_grid(null, direction, size)


@given(batches=BATCHES, alpha=st.floats(0.001, 0.5))
def test_the_interval_holds_exactly_the_ratios_that_are_not_rejected(
    batches: list[tuple[float, int, int]], alpha: float
) -> None:
    """Checked on a scan of ratios against the mixture by hand."""
    events = BadEvents()
    for batch in batches:
        events = events.add(*batch)
    found = ratio_interval(events, alpha)
    prior = np.exp(np.linspace(-math.log(200), math.log(200), 513))
    mixture = np.exp(events.log_likelihood(np.log(prior))).mean()
    for ratio in np.geomspace(0.006, 190, 41):
        kept = np.exp(events.log_likelihood(np.log(np.array([ratio]))))[0] > alpha * mixture
        inside = found.lower * 0.999999 <= ratio
        inside = inside and (found.upper is None or ratio <= found.upper * 1.000001)
        assert inside or not kept
        if found.lower * 1.0001 < ratio and (found.upper is None or ratio < found.upper * 0.9999):
            assert kept


def test_the_interval_closes_around_the_most_likely_ratio() -> None:
    """One weight: the estimate is the odds of the counts over the odds of the weight."""
    found = ratio_interval(BadEvents().add(0.2, 400, 800), 0.05)
    assert found.estimate == pytest.approx((400 / 800) / (0.2 / 0.8))
    assert found.upper is not None
    assert 1.5 < found.lower < 2.0 < found.upper < 2.6


def test_an_end_without_data_stays_open() -> None:
    """No events, or events of one arm only."""
    assert ratio_interval(BadEvents()) == RatioInterval(0.0, None, None)
    none_bad = ratio_interval(BadEvents().add(0.1, 0, 60))
    assert (none_bad.lower, none_bad.estimate) == (0.0, 0.0)
    all_bad = ratio_interval(BadEvents().add(0.1, 9, 0))
    assert (all_bad.upper, all_bad.estimate) == (None, None)
    assert all_bad.lower > 5


@pytest.mark.parametrize("alpha", [0.0, 1.0, math.nan])
def test_an_interval_needs_a_level(alpha: float) -> None:
    """Strictly between 0 and 1."""
    with pytest.raises(ValueError, match="alpha"):
        ratio_interval(BadEvents(), alpha)


@given(batches=BATCHES)
def test_the_running_interval_only_narrows_while_the_ratio_stays(
    batches: list[tuple[float, int, int]],
) -> None:
    """Each update intersects, unless nothing is left."""
    sequence = RatioSequence(0.05)
    for batch in batches:
        before, restarts = sequence.interval, sequence.restarts
        sequence.update(*batch)
        after = sequence.interval
        if sequence.restarts == restarts:
            assert after.lower >= before.lower
            assert before.upper is None or (after.upper is not None and after.upper <= before.upper)
        assert after.upper is None or after.lower <= after.upper


def test_a_ratio_that_changes_restarts_the_running_interval() -> None:
    """An empty intersection is a fact about the world, not an interval."""
    sequence = RatioSequence(0.05)
    sequence.update(0.5, 10, 200)
    sequence.update(0.5, 4000, 200)
    assert sequence.restarts == 1
    assert sequence.interval.lower > 8
