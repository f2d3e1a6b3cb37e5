"""Exact tails and bounds agree with known values and with sums by hand."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.stats.confidence import (
    MeanSequence,
    RateSequence,
    clopper_pearson,
    dkw_half_width,
    rate_lower,
    rate_upper,
)
from trimtab.stats.exact import binomial_tail, incomplete_beta, log_binomial, poisson_tail
from trimtab.stats.sequences import LAMBDAS, PSI


@given(n=st.integers(0, 40), k=st.integers(-2, 42), p=st.floats(0, 1))
def test_the_binomial_tail_is_the_sum_of_its_terms(n: int, k: int, p: float) -> None:
    """Against exact rational arithmetic."""
    chance = Fraction(p)
    terms = (math.comb(n, i) * chance**i * (1 - chance) ** (n - i) for i in range(max(k, 0), n + 1))
    assert binomial_tail(k, n, p) == pytest.approx(float(sum(terms)), rel=1e-10, abs=1e-13)


@given(k=st.integers(-1, 60), mu=st.floats(0, 50))
def test_the_poisson_tail_is_one_minus_the_sum_below(k: int, mu: float) -> None:
    """Against the series summed by hand."""
    below = math.fsum(math.exp(-mu) * mu**i / math.factorial(i) for i in range(k))
    assert poisson_tail(k, mu) == pytest.approx(1.0 - below, abs=1e-12)


@pytest.mark.parametrize(("k", "mu"), [(2, 0.149), (3, 0.436), (5, 1.28), (10, 4.13)])
def test_the_poisson_tail_meets_the_known_one_percent_points(k: int, mu: float) -> None:
    """P(N >= k) is 1 % at these means."""
    assert poisson_tail(k, mu) == pytest.approx(0.01, rel=0.02)


def test_tails_of_large_counts_are_symmetric_where_they_must_be() -> None:
    """Half of a symmetric binomial, at a size where sums by hand are hopeless."""
    assert binomial_tail(500_001, 1_000_001, 0.5) == pytest.approx(0.5, abs=1e-8)
    assert poisson_tail(10**6, 1e6) == pytest.approx(0.5, abs=1e-3)
    assert poisson_tail(5000, 1e6) == 1.0
    assert poisson_tail(10**6, 5000.0) == 0.0


def test_the_beta_function_is_zero_and_one_at_its_ends() -> None:
    """And refuses nothing between."""
    assert incomplete_beta(2, 3, 0.0) == 0.0
    assert incomplete_beta(2, 3, 1.0) == 1.0
    assert incomplete_beta(1, 1, 0.25) == pytest.approx(0.25)
    assert log_binomial(50, 25) == pytest.approx(math.log(math.comb(50, 25)))


def test_impossible_tails_are_refused() -> None:
    """Counts are counts and chances are chances."""
    with pytest.raises(ValueError, match="k <= n"):
        log_binomial(3, 4)
    with pytest.raises(ValueError, match="p in"):
        binomial_tail(1, 3, 1.5)
    with pytest.raises(ValueError, match="n >= 0"):
        binomial_tail(1, -1, 0.5)
    with pytest.raises(ValueError, match="mu"):
        poisson_tail(1, math.inf)


@pytest.mark.parametrize(
    ("successes", "trials", "lower", "upper"),
    [
        (5, 100, 0.01643, 0.11284),
        (0, 10, 0.0, 0.30850),
        (10, 10, 0.69150, 1.0),
        (1, 2, 0.01258, 0.98742),
        (50, 1000, 0.03734, 0.06539),
        (0, 0, 0.0, 1.0),
    ],
)
def test_clopper_pearson_meets_published_values(
    successes: int, trials: int, lower: float, upper: float
) -> None:
    """Two-sided, 95 %."""
    found = clopper_pearson(successes, trials)
    assert found.lower == pytest.approx(lower, abs=1e-5)
    assert found.upper == pytest.approx(upper, abs=1e-5)


@given(trials=st.integers(1, 300), share=st.floats(0, 1), delta=st.floats(0.001, 0.4))
def test_the_tail_at_a_bound_is_its_error_level(trials: int, share: float, delta: float) -> None:
    """The definition: seeing so many (or so few) has chance delta at the bound."""
    successes = round(share * trials)
    if successes < trials:
        upper = rate_upper(successes, trials, delta)
        assert 1 - binomial_tail(successes + 1, trials, upper) == pytest.approx(delta, abs=1e-8)
    if successes > 0:
        lower = rate_lower(successes, trials, delta)
        assert binomial_tail(successes, trials, lower) == pytest.approx(delta, abs=1e-8)


def test_bounds_of_a_million_trials_are_those_of_the_normal_law() -> None:
    """The continued fraction converges where references are large."""
    upper = rate_upper(200_000, 1_000_000, 0.025)
    assert upper == pytest.approx(0.2 + 1.96 * math.sqrt(0.16 / 1e6), abs=2e-6)


@pytest.mark.parametrize(("successes", "trials", "delta"), [(3, 2, 0.1), (1, 2, 0.0), (1, 2, 1.0)])
def test_an_impossible_bound_is_refused(successes: int, trials: int, delta: float) -> None:
    """Counts and error level must make sense."""
    with pytest.raises(ValueError, match="delta"):
        rate_upper(successes, trials, delta)


def test_the_band_of_a_distribution_function_shrinks_with_the_root_of_rows() -> None:
    """Never wider than everything."""
    assert dkw_half_width(0, 0.05) == 1.0
    assert dkw_half_width(1, 0.05) == 1.0
    assert dkw_half_width(400, 0.05) == pytest.approx(dkw_half_width(100, 0.05) / 2)
    with pytest.raises(ValueError, match="delta"):
        dkw_half_width(10, 2.0)


@given(successes=st.integers(0, 200), misses=st.integers(0, 200), alpha=st.floats(0.001, 0.5))
def test_a_rate_sequence_holds_the_rates_its_mixture_does_not_reject(
    successes: int, misses: int, alpha: float
) -> None:
    """At each end of the interval the mixture's likelihood ratio is 1/alpha."""
    sequence = RateSequence(alpha, successes, successes + misses)
    lower, upper = sequence.interval
    log_mixture = sum(
        sign * math.lgamma(term)
        for sign, term in (
            (1, successes + 0.5),
            (1, misses + 0.5),
            (-1, successes + misses + 1.0),
            (-2, 0.5),
        )
    )
    for end in (lower, upper):
        if 0.0 < end < 1.0:
            log_likelihood = successes * math.log(end) + misses * math.log1p(-end)
            assert log_mixture - log_likelihood == pytest.approx(-math.log(alpha), abs=1e-6)
    assert sequence.estimate is None or lower <= sequence.estimate <= upper


def test_a_rate_sequence_keeps_the_ends_that_were_never_contradicted() -> None:
    """No failure at all leaves 0 possible; no trial leaves everything possible."""
    assert RateSequence(0.05).interval == (0.0, 1.0)
    assert RateSequence(0.05).estimate is None
    assert RateSequence(0.05, 0, 100).interval.lower == 0.0
    assert RateSequence(0.05, 100, 100).interval.upper == 1.0
    assert RateSequence(0.05, 0, 100).interval.upper < 0.08


def test_a_sequence_needs_a_level_counts_and_a_centre() -> None:
    """Anything impossible is refused, and leaves the state alone."""
    with pytest.raises(ValueError, match="alpha"):
        RateSequence(0.0)
    with pytest.raises(ValueError, match="successes"):
        RateSequence(0.05, 3, 2)
    with pytest.raises(ValueError, match="centre"):
        MeanSequence(0.05, 1.5)
    sequence = RateSequence(0.05)
    with pytest.raises(ValueError, match="successes"):
        sequence.update(5, 4)
    assert sequence == RateSequence(0.05)


@given(values=st.lists(st.floats(0, 1), min_size=1, max_size=50), centre=st.floats(0, 1))
def test_a_mean_sequence_contains_its_estimate_in_the_unit_interval(
    values: list[float], centre: float
) -> None:
    """Whatever the centre was."""
    sequence = MeanSequence(0.05, centre)
    sequence.update_values(values)
    lower, upper = sequence.interval
    assert sequence.estimate is not None
    assert sequence.estimate == pytest.approx(sum(values) / len(values), abs=1e-6)
    assert 0.0 <= lower <= sequence.estimate <= upper <= 1.0


def test_a_mean_sequence_rejects_exactly_where_its_supermartingale_reaches_the_level() -> None:
    """The border by hand, from the mixture of exponentials."""
    sequence = MeanSequence(0.05, 0.5)
    sequence.update_values([0.2, 0.4, 0.9, 0.1] * 100)
    rows, deviation = 400, sequence.interval.upper - 0.4 - 2.0**-21
    spread = 100 * sum((x - 0.5) ** 2 for x in (0.2, 0.4, 0.9, 0.1))
    terms = [
        math.exp(bet * deviation * rows - psi * spread)
        for bet, psi in zip(LAMBDAS.tolist(), PSI.tolist(), strict=True)
    ]
    assert sum(terms) / len(terms) == pytest.approx(40.0, rel=1e-3)


def test_a_mean_that_varies_little_is_known_sooner() -> None:
    """The interval adapts to the variance."""
    calm, wild = MeanSequence(0.05, 0.5), MeanSequence(0.05, 0.5)
    calm.update_values([0.49, 0.51] * 500)
    wild.update_values([0.0, 1.0] * 500)
    assert calm.interval.upper - calm.interval.lower < 0.02
    assert wild.interval.upper - wild.interval.lower > 0.08
    assert MeanSequence().interval == (0.0, 1.0)
    assert MeanSequence().estimate is None
