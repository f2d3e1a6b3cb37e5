"""E-detectors follow the Shiryaev–Roberts recursion and average without losing the culprit."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.stats.edetector import EAverage, EDetector
from trimtab.stats.logspace import LN10

BLOCKS = st.lists(
    st.integers(0, 30).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), max_size=8
)


def by_hand(detector: EDetector, blocks: list[tuple[int, int]]) -> float:
    """Sum over starts of the product of all bets since: the definition, in plain floats."""
    total = 0.0
    counted = [block for block in blocks if block[1]]
    for stake in detector.grid.stakes.tolist():
        for start in range(len(counted)):
            product = 1.0
            for successes, trials in counted[start:]:
                product *= (1 + stake * (1 - detector.grid.m)) ** successes
                product *= (1 - stake * detector.grid.m) ** (trials - successes)
            total += product
    return total / detector.grid.k


@given(blocks=BLOCKS, m=st.floats(0.05, 0.95), above=st.booleans())
def test_evidence_is_the_sum_over_all_starts_of_the_products_of_bets(
    blocks: list[tuple[int, int]], m: float, above: bool
) -> None:
    """The recursion in logarithms equals its definition."""
    detector = EDetector.against(m, "above" if above else "below", k=4)
    for successes, trials in blocks:
        detector.update_counts(successes, trials)
    expected = by_hand(detector, blocks)
    if expected == 0.0:
        assert detector.log10_evidence == 0.0
    else:
        assert detector.log10_evidence == pytest.approx(math.log10(expected), abs=1e-6)
    assert detector.rows == sum(trials for _, trials in blocks)


@given(blocks=BLOCKS, trials=st.integers(1, 50), successes=st.integers(0, 49))
def test_one_more_failure_raises_evidence_that_failures_are_frequent(
    blocks: list[tuple[int, int]], trials: int, successes: int
) -> None:
    """Evidence rises with successes on the upper side and falls on the lower."""
    successes = min(successes, trials - 1)
    for side, sign in (("above", 1), ("below", -1)):
        fewer = EDetector.against(0.1, "above" if side == "above" else "below")
        more = EDetector.from_dict(fewer.to_dict())
        for block in blocks:
            fewer.update_counts(*block)
            more.update_counts(*block)
        fewer.update_counts(successes, trials)
        more.update_counts(successes + 1, trials)
        assert sign * (more.log_evidence - fewer.log_evidence) > 0


@given(before=BLOCKS, silence=st.integers(1, 5))
def test_silence_is_no_evidence(before: list[tuple[int, int]], silence: int) -> None:
    """Blocks without rows change nothing at all."""
    detector = EDetector.against(0.1, "above")
    for block in before:
        detector.update_counts(*block)
    state = detector.to_dict()
    for _ in range(silence):
        detector.update_counts(0, 0)
        detector.update_values([])
    assert detector.to_dict() == state


def test_a_vacuous_detector_never_alarms() -> None:
    """A mean above 1 is impossible, so no data is evidence of it."""
    detector = EDetector.against(1.02, "above")
    for _ in range(100):
        detector.update_counts(1000, 1000)
    assert detector.log10_evidence == 0.0
    assert not detector.alarm(-1.0)


@pytest.mark.parametrize("m", [0.0, 1e-9, 0.5, 1.0])
@pytest.mark.parametrize("successes", [0, 10**6])
def test_extreme_streams_stay_finite(m: float, successes: int) -> None:
    """Neither certainty nor a null at the edge leaks an infinity."""
    for side in ("above", "below"):
        detector = EDetector.against(m, "above" if side == "above" else "below")
        for _ in range(50):
            detector.update_counts(successes, 10**6)
            assert math.isfinite(detector.log10_evidence)


def test_an_alarm_is_reached_exactly_at_its_threshold() -> None:
    """At least c, not only beyond it."""
    detector = EDetector.against(0.1, "above")
    detector.update_counts(30, 40)
    reached = detector.log10_evidence
    assert detector.alarm(reached - 1e-9)
    assert not detector.alarm(reached + 1e-9)


def test_reset_forgets_everything() -> None:
    """Only an acknowledged new reference may do it."""
    detector = EDetector.against(0.1, "above")
    fresh = detector.to_dict()
    detector.update_values([1.0, 0.75])
    detector.reset()
    assert detector.to_dict() == fresh


@given(
    logs=st.lists(st.floats(-50, 50), min_size=1, max_size=6),
    weights=st.lists(st.floats(0.01, 10), min_size=6, max_size=6),
)
def test_an_average_is_the_weighted_mean_of_evidence(
    logs: list[float], weights: list[float]
) -> None:
    """And contributions are each part's share, summing to one."""
    used = np.array(weights[: len(logs)])
    average = EAverage.of_logs(np.array(logs) * LN10, used.tolist())
    expected = float((used / used.sum() * 10.0 ** np.array(logs)).sum())
    assert average.log10_evidence == pytest.approx(math.log10(expected), abs=1e-9)
    assert sum(average.contributions) == pytest.approx(1.0)
    assert average.alarm(math.log10(expected) - 1e-6)


def test_an_average_of_averages_is_an_average() -> None:
    """Levels nest: cut points, features, endpoint."""
    detectors = [EDetector.against(0.1, "above") for _ in range(4)]
    for failures, detector in enumerate(detectors):
        detector.update_counts(10 * failures, 50)
    halves = [EAverage.of(detectors[:2]), EAverage.of(detectors[2:])]
    assert EAverage.of(halves).log10_evidence == pytest.approx(
        EAverage.of(detectors).log10_evidence
    )


def test_silent_and_unweighted_parts_contribute_nothing() -> None:
    """A silent part is no evidence of 1; a weight of 0 mutes."""
    silent = EDetector.against(0.1, "above")
    quiet = EAverage.of([silent, silent])
    assert quiet.log10_evidence == 0.0
    assert quiet.contributions == (0.0, 0.0)
    assert not quiet.alarm(0.0)
    assert EAverage.of_logs([9.0, 1.0], [0.0, 2.0]).contributions == (0.0, 1.0)


@pytest.mark.parametrize("weights", [[1.0], [0.0, 0.0], [-1.0, 2.0], [math.nan, 1.0]])
def test_weights_must_fit_the_parts(weights: list[float]) -> None:
    """As many, nonnegative, not all zero."""
    with pytest.raises(ValueError, match="2 parts need"):
        EAverage.of_logs([0.0, 1.0], weights)


def test_there_is_no_average_of_nothing() -> None:
    """No part, no evidence."""
    with pytest.raises(ValueError, match="0 parts"):
        EAverage.of([])
