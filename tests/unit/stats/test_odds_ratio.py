"""Tables of two groups given their margins, against brute force."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.stats.odds_ratio import Table

TABLES = st.tuples(
    st.integers(0, 5), st.integers(0, 5), st.floats(0.0, 1.0), st.floats(0.0, 1.0)
).map(lambda t: Table(t[0], round(t[0] * t[2]), t[1], round(t[1] * t[3])))


def by_hand(table: Table, ratio: float) -> float:
    """The weight of a table, as a share of all that have its margins."""

    def weight(hits: int) -> float:
        ways = math.comb(table.first, hits) * math.comb(table.second, whole - hits)
        return ways * ratio**hits

    whole = table.first_hits + table.second_hits
    every = [k for k in range(table.first + 1) if 0 <= whole - k <= table.second]
    return weight(table.first_hits) / sum(weight(k) for k in every)


@given(table=TABLES, ratio=st.floats(0.1, 50.0))
def test_the_chance_of_a_table_is_that_of_fishers_distribution(table: Table, ratio: float) -> None:
    found = table.log_likelihood(np.array([ratio, 1.0]))
    assert np.exp(found) == pytest.approx([by_hand(table, ratio), by_hand(table, 1.0)])


def test_rows_of_any_odds_in_common_follow_it() -> None:
    """Outcomes of independent rows, dealt by the shares of their groups whatever these are."""
    first, second = 0.6, 0.2
    ratio = first / (1.0 - first) / (second / (1.0 - second))
    chances: dict[int, float] = {}
    for outcome in itertools.product((0, 1), repeat=4):
        of_each = zip(outcome, (first, first, second, second), strict=True)
        chance = math.prod(p if hit else 1.0 - p for hit, p in of_each)
        if sum(outcome) == 2:
            hits = outcome[0] + outcome[1]
            chances[hits] = chances.get(hits, 0.0) + chance
    for hits, chance in chances.items():
        (found,) = np.exp(Table(2, hits, 2, 2 - hits).log_likelihood(np.array([ratio])))
        assert found == pytest.approx(chance / sum(chances.values()))


@pytest.mark.parametrize(
    "table", [Table(3, 0, 4, 0), Table(3, 3, 4, 4), Table(0, 0, 4, 2), Table(3, 1, 0, 0)]
)
def test_a_table_that_could_not_be_another_tells_nothing(table: Table) -> None:
    assert not table.tells
    assert table.log_likelihood(np.array([5.0])).tolist() == [0.0]


def test_any_other_table_tells_something() -> None:
    assert Table(3, 1, 4, 0).tells
    assert Table(3, 3, 4, 3).tells
