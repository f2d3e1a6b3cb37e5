"""Gaps between two rates: evidence that keeps its promise whatever the base rate, and intervals."""

from itertools import product
from math import comb

import numpy as np
import pytest

from trimtab.stats.gaps import (
    STAKES,
    Centre,
    Growth,
    Sample,
    Samples,
    Signs,
    Term,
    growth,
    growths,
    mean_gap,
    settle,
    settle_pairs,
    variance,
    variance_between,
)

RATES = (0.0, 0.02, 0.3, 0.5, 0.9, 1.0)


def chances(rates: list[float]) -> list[float]:
    """The law of the sum of independent 0/1 rows of these rates."""
    law = np.ones(1)
    for rate in rates:
        law = np.convolve(law, [1.0 - rate, rate])
    return [float(chance) for chance in law]


def expected(group: list[float], others: list[float], centre: Centre) -> tuple[float, float]:
    """The largest mean of both e-variables over the stakes, rows having these chances."""
    gap = float(np.mean(group) - np.mean(others))
    above, below = np.zeros(STAKES.size), np.zeros(STAKES.size)
    pairs = product(enumerate(chances(group)), enumerate(chances(others)))
    for (s, own), (t, other) in pairs:
        made = growth(Sample(s, len(group)), Sample(t, len(others)), centre)
        above += own * other * np.exp(made.above - STAKES * made.weight * gap)
        below += own * other * np.exp(made.below + STAKES * made.weight * gap)
    return float(above.max()), float(below.max())


@pytest.mark.parametrize("centre", [Centre(0.5, 0.5), Centre(0.1, 0.4), Centre(0.0, 1.0)])
@pytest.mark.parametrize("p", RATES)
@pytest.mark.parametrize("q", RATES)
def test_the_evidence_is_fair_at_every_pair_of_rates(p: float, q: float, centre: Centre) -> None:
    above, below = expected([p] * 3, [q] * 7, centre)
    assert above <= 1.0 + 1e-9
    assert below <= 1.0 + 1e-9


def test_the_evidence_is_fair_where_every_row_has_a_chance_of_its_own() -> None:
    above, below = expected([0.0, 0.3, 0.9], [0.1, 0.9, 0.2, 0.7], Centre(0.3, 0.6))
    assert max(above, below) <= 1.0 + 1e-9


def test_values_between_zero_and_one_gain_no_more_than_their_mean() -> None:
    values = np.array([0.2, 0.9, 0.4])
    made = growth(Sample(float(values.sum()), 3), Sample(1.0, 4), Centre(0.4, 0.4))
    stakes = STAKES * made.weight / 3
    real = np.log1p(np.outer(values - 0.4, stakes)).sum(axis=0)
    ones = values.sum() * np.log1p(stakes * 0.6) + (3 - values.sum()) * np.log1p(-stakes * 0.4)
    assert (ones <= real + 1e-12).all()


def test_a_part_that_is_known_beforehand_moves_the_interval_by_just_as_much() -> None:
    made = growth(Sample(600, 1000), Sample(400, 1000), Centre(0.5, 0.5))
    plain, moved = mean_gap(*made), mean_gap(*made.shifted(0.1))
    assert [a - b for a, b in zip(plain, moved, strict=True)] == pytest.approx([0.1, 0.1])


def test_a_block_that_counts_half_says_what_fewer_rows_would() -> None:
    made = growth(Sample(600, 1000), Sample(400, 1000), Centre(0.5, 0.5))
    whole, half = mean_gap(*made), mean_gap(*made.worth(0.5))
    assert half.lower < whole.lower < 0.2 < whole.upper < half.upper


def test_the_order_of_blocks_does_not_matter_to_an_interval() -> None:
    blocks = [growth(Sample(s, 10), Sample(4, 20), Centre(0.3, 0.2)) for s in (1, 5, 9)]

    def total(made: list[Growth]) -> tuple[float, float]:
        return mean_gap(
            sum((each.above for each in made), np.zeros(STAKES.size)),
            sum((each.below for each in made), np.zeros(STAKES.size)),
            sum(each.weight for each in made),
        )

    assert total(blocks) == pytest.approx(total(blocks[::-1]))


def test_an_interval_without_rows_or_with_one_says_nothing() -> None:
    nothing = np.zeros(STAKES.size)
    assert mean_gap(nothing, nothing, 0.0) == (-1.0, 1.0)
    assert mean_gap(*growth(Sample(1, 1), Sample(0, 1), Centre(0.5, 0.5))) == (-1.0, 1.0)


def test_the_variance_of_a_gap_is_that_of_two_binomials() -> None:
    law = [comb(4, k) * 0.3**k * 0.7 ** (4 - k) for k in range(5)]
    mean = sum(k / 4 * chance for k, chance in enumerate(law))
    own = sum((k / 4 - mean) ** 2 * chance for k, chance in enumerate(law))
    assert variance(Centre(0.3, 0.3), 4, 4) == pytest.approx(2 * own)


def test_days_that_differ_by_chance_alone_have_no_variance_of_their_own() -> None:
    assert variance_between([0.1], [0.01]) == 0.0
    assert variance_between([0.1, 0.12, 0.09], [0.01, 0.02, 0.01]) == 0.0
    assert variance_between([-0.5, 0.5], [0.01, 0.01]) == pytest.approx(0.49)


@pytest.mark.parametrize("sample", [Sample(1, 0), Sample(-1, 5), Sample(6, 5), Sample(np.nan, 5)])
def test_samples_that_cannot_be_are_refused(sample: Sample) -> None:
    with pytest.raises(ValueError, match="total"):
        growth(sample, Sample(1, 2), Centre(0.5, 0.5))


@pytest.mark.parametrize("alpha", [0.0, 1.0, np.nan])
def test_an_impossible_alpha_is_refused(alpha: float) -> None:
    with pytest.raises(ValueError, match="alpha"):
        mean_gap(np.zeros(STAKES.size), np.zeros(STAKES.size), 1.0, alpha)


@pytest.mark.parametrize("wrong", [Signs(0, 0, 0), Signs(3, 2, 4), Signs(-1, 0, 4)])
def test_signs_that_cannot_be_are_refused(wrong: Signs) -> None:
    fine = Signs(1, 1, 9)
    for group, others in ((wrong, fine), (fine, wrong)):
        with pytest.raises(ValueError, match="need plus"):
            settle_pairs(group, others, Centre(0.1, 0.1))


def test_pairs_are_bet_on_within_the_law_of_the_mean_difference() -> None:
    """The expected evidence of a block at its own difference is at most one, whatever the odds."""
    n, chance = 4, np.array([0.2, 0.7, 0.1])
    total = np.zeros(STAKES.size)
    for outcome in product((1, 0, -1), repeat=n):
        own, rest = outcome[:2], outcome[2:]
        group, others = (Signs(each.count(1), each.count(-1), len(each)) for each in (own, rest))
        grown = settle_pairs(group, others, Centre(0.3, 0.3))
        weight = np.prod([chance[1 - each] for each in outcome])
        total += weight * np.exp(grown.above)
    assert (total <= 1.0 + 1e-12).all()


def test_four_samples_make_the_difference_of_two_gaps() -> None:
    quarters = [Sample(6.0, 10), Sample(4.0, 10), Sample(5.0, 10), Sample(5.0, 10)]
    signs = (1.0, -1.0, -1.0, 1.0)
    grown = settle([Term(each, 0.5, sign) for each, sign in zip(quarters, signs, strict=True)])
    turned = settle([Term(each, 0.5, -sign) for each, sign in zip(quarters, signs, strict=True)])
    assert grown.above == pytest.approx(turned.below)
    assert grown.weight == pytest.approx(10.0)


def test_many_gaps_at_once_are_settled_as_each_is_alone() -> None:
    rng = np.random.default_rng(0)
    n, m = rng.integers(1, 900, (2, 60))
    rate, other = rng.uniform(0.0, 1.0, (2, 60))
    total, others_total = rng.binomial(n, rate), rng.binomial(m, other)
    groups = Samples(total.astype(float), n.astype(float), rate)
    others = Samples(others_total.astype(float), m.astype(float), other)
    above, weight = growths(groups, others)
    below, _ = growths(others, groups)
    for i in range(60):
        own, rest = Sample(float(total[i]), int(n[i])), Sample(float(others_total[i]), int(m[i]))
        alone = growth(own, rest, Centre(float(rate[i]), float(other[i])))
        assert above[i] == pytest.approx(alone.above)
        assert below[i] == pytest.approx(alone.below)
        assert weight[i] == pytest.approx(alone.weight)
