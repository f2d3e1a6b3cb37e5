"""Which numbers stand still in which parts: counted from few rows, as all of them tell."""

from functools import reduce

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.domain.profile import Coarse, Sameness
from trimtab.domain.records import Ints
from trimtab.judge.signals.still import MOST_ALIKE, NEAR, SEVERAL, Moving, Placed, Spots, Still

PLACES = (Coarse(name="place", categories=("x", "y")), Coarse(name="side", categories=("l",)))
PARTS = ("place=x", "place=y", "side=l")
MOVING = Moving.of(Sameness(numbers=("a",), parts=PARTS, shares=((0.1, 0.2, 0.3),)), PLACES)

Row = tuple[int, int, float]
ROWS = st.lists(
    st.tuples(
        st.integers(0, 3), st.integers(0, 2), st.sampled_from([0.0, -0.0, 1.0, np.nan, np.inf])
    ),
    min_size=1,
    max_size=12,
)


def counted(rows: list[Row]) -> Still:
    places = [np.array([row[at] for row in rows], dtype=np.int64) for at in range(2)]
    return MOVING.count(spots(places), [np.array([row[2] for row in rows])])


def spots(places: list[Ints]) -> Spots:
    return Spots.of(PLACES, [Placed.of(*each) for each in zip(PLACES, places, strict=True)])


def plainly(rows: list[Row]) -> set[str]:
    found = set()
    for name, at, place in zip(PARTS, (0, 0, 1), (0, 1, 0), strict=True):
        values = {row[2] for row in rows if row[at] == place and np.isfinite(row[2])}
        found |= {f"a\n{name}"} if len(values) == 1 else set()
    return found


@given(ROWS)
def test_a_number_stands_still_where_all_rows_hold_the_same(rows: list[Row]) -> None:
    assert set(MOVING.stuck(counted(rows))) == plainly(rows)


@given(ROWS)
def test_counts_of_each_row_merge_to_those_of_all_to_the_bit(rows: list[Row]) -> None:
    each = [counted([row]) for row in rows]
    assert reduce(Still.merge, each, Still()) == counted(rows)
    assert reduce(Still.merge, reversed(each), Still()) == counted(rows)


@pytest.mark.parametrize(
    ("values", "still"),
    [
        ([2.0, 2.0, 2.0, 2.0, 2.0], True),
        ([2.0, 2.0, np.nan, 2.0, 2.0], True),
        ([2.0, 2.0, 2.0, 3.0, 2.0], False),
        ([np.nan, np.nan, 2.0, np.nan, np.nan], True),
        ([np.nan] * 5, False),
        ([1.0, 2.0, 3.0, 4.0, 5.0], False),
        ([1.0], True),
        ([], False),
    ],
)
def test_what_few_rows_do_not_tell_all_rows_do(values: list[float], still: bool) -> None:
    rows = [(0, 1, value) for value in values] + [(1, 1, 9.0)]
    assert ("a\nplace=x" in set(MOVING.stuck(counted(rows)))) is still


def test_what_is_alike_by_nature_or_not_known_is_not_watched() -> None:
    shares = ((0.1, MOST_ALIKE + 0.1), (1.0, 0.9))
    known = Sameness(numbers=("a", "b"), parts=PARTS[:2], shares=shares)
    moving = Moving.of(known, PLACES)
    assert moving.numbers == ("a",)
    assert moving.streams == 1
    assert moving.share("a", "place=x") == 0.1
    assert moving.share("a", "place=y") == moving.share("a", "side=l") == 1.0
    assert moving.share("b", "place=x") == moving.share("a", "other=x") == 1.0
    places = [np.array([0, 1]), np.array([0, 0])]
    found = moving.count(spots(places), [np.array([1.0, 1.0])])
    assert set(moving.stuck(found)) == {"a\nplace=x"}


def test_where_nothing_moves_nothing_is_counted() -> None:
    moving = Moving.of(Sameness(), PLACES)
    assert moving.streams == 0
    assert moving.count(spots([np.array([0]), np.array([0])]), []) == Still()
    assert set(moving.stuck(Still())) == set()


def held(*numbers: float) -> Still:
    return Still(np.array(numbers).tobytes())


def test_what_lasts_is_the_same_number_in_both_blocks() -> None:
    last, now = held(1.0, 1.0, SEVERAL, np.nan), held(1.0, 2.0, SEVERAL, np.nan)
    assert now.lasting(last) == held(1.0, SEVERAL, SEVERAL, SEVERAL)
    assert now.lasting(Still()) == Still().lasting(now) == Still()


def test_a_part_without_rows_holds_what_it_held_before() -> None:
    assert held(np.nan, 2.0, SEVERAL).after(held(1.0, 3.0, 4.0)) == held(1.0, 2.0, SEVERAL)
    assert held(1.0).after(Still()) == Still().after(held(1.0)) == held(1.0)


@pytest.mark.parametrize("middle", [False, True])
def test_a_part_in_the_middle_of_many_rows_is_found_as_one_at_their_ends(middle: bool) -> None:
    rows: list[Row] = [(0, 0, float(number)) for number in range(3 * NEAR)]
    at = NEAR if middle else 0
    rows[at + 3], rows[at + 9], rows[-5 - at] = (1, 0, 4.0), (1, 0, 4.0), (1, 0, 4.0)
    assert set(MOVING.stuck(counted(rows))) == {"a\nplace=y"}
    rows[at + 9] = (1, 0, 5.0)
    assert set(MOVING.stuck(counted(rows))) == set()
