"""One-off decisions: evidence equals the plain product of bets, and remembers its peak."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.stats.eprocess import EProcess


@given(
    values=st.lists(st.floats(0, 1), max_size=40),
    m=st.floats(0.05, 0.95),
    above=st.booleans(),
)
def test_evidence_is_the_mean_of_the_products_of_bets(
    values: list[float], m: float, above: bool
) -> None:
    """Against brute force in plain floats."""
    process = EProcess.against(m, "above" if above else "below", k=5)
    process.update_values(values)
    products = [
        math.prod(1 + bet * (x - m) for x in values) for bet in process.grid.stakes.tolist()
    ]
    assert process.log10_evidence == pytest.approx(math.log10(sum(products) / 5), abs=1e-6)
    assert process.rows == len(values)


def test_counts_and_values_of_one_stream_add_up() -> None:
    """A stream may come in both forms."""
    mixed, counted = EProcess.against(0.2, "above"), EProcess.against(0.2, "above")
    mixed.update_counts(3, 5)
    mixed.update_values([1.0, 0.0])
    counted.update_counts(4, 7)
    assert mixed.log10_evidence == pytest.approx(counted.log10_evidence, abs=1e-8)


@given(blocks=st.lists(st.tuples(st.integers(0, 20), st.integers(0, 50)), max_size=10))
def test_the_peak_never_falls_and_bounds_the_p_value(blocks: list[tuple[int, int]]) -> None:
    """The p-value shown is the inverse of the peak, at most 1."""
    process = EProcess.against(0.3, "above")
    peaks = [process.log10_max]
    for successes, failures in blocks:
        process.update_counts(successes, successes + failures)
        peaks.append(process.log10_max)
        assert process.log10_evidence <= process.log10_max
    assert peaks == sorted(peaks)
    assert process.p_value == pytest.approx(10.0 ** -peaks[-1])
    assert process.p_value <= 1.0


def test_no_rows_are_no_evidence() -> None:
    """Evidence is 1 until something was seen, and always for a vacuous null."""
    process = EProcess.against(0.3, "above")
    process.update_counts(0, 0)
    process.update_values([])
    assert process.log10_evidence == 0.0
    vacuous = EProcess.against(0.0, "below")
    vacuous.update_counts(0, 10**6)
    assert vacuous.log10_evidence == 0.0


def test_reset_asks_the_question_anew() -> None:
    """Nothing of the old answer stays."""
    process = EProcess.against(0.3, "below")
    process.update_counts(0, 100)
    process.update_values([0.1])
    process.reset()
    assert process == EProcess.against(0.3, "below")


def test_good_news_closes_and_bad_news_does_not() -> None:
    """Positive evidence that a rate is below x needs a rate below x."""
    good, bad = EProcess.against(0.10, "below"), EProcess.against(0.10, "below")
    for _ in range(20):
        good.update_counts(5, 100)
        bad.update_counts(11, 100)
    assert good.log10_max > 3
    assert bad.log10_max < 1
