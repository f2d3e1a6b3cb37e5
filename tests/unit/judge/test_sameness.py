"""How alike numbers are in each part of the reference."""

from collections import Counter
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.domain.profile import Sameness
from trimtab.judge import sameness
from trimtab.judge.column_profile import column_profile
from trimtab.judge.sameness import (
    FEWEST_OF_DAY,
    FEWEST_ROWS,
    LARGEST_TABLE,
    Placed,
    Ranked,
    build_sameness,
    modes,
)

N = 1_200
RNG = np.random.default_rng(0)
PLACE = np.repeat(np.array(["x", "y", "z"], dtype=object), [600, 520, 80])
DAY = np.tile(np.arange(10), N // 10)


def built(level: np.ndarray, place: np.ndarray = PLACE, day: np.ndarray | None = None) -> Sameness:
    values = {"level": level, "place": place}
    profiles = [column_profile(name, column, None) for name, column in values.items()]
    return build_sameness(profiles, values, day)


def shares(found: Sameness) -> dict[str, float]:
    (row,) = found.shares
    return dict(zip(found.parts, row, strict=True))


def test_the_commonest_number_of_each_part_is_counted_among_rows_that_hold_any() -> None:
    level = RNG.normal(size=N)
    level[600:860], level[860:900] = 7.0, np.nan
    found = built(level)
    assert found.numbers == ("level",)
    told = shares(found)
    assert told["place=x"] < 0.01
    assert told["place=y"] == round(260 / 480, 3)


def test_a_number_known_to_come_once_need_not_be_sorted() -> None:
    level = RNG.normal(size=N)
    level[::9] = np.nan
    values = {"level": level, "place": PLACE}
    profiles = [column_profile(name, column, None) for name, column in values.items()]
    known = build_sameness(profiles, values, DAY, {"level"})
    assert known == build_sameness(profiles, values, DAY)


def test_a_part_with_few_rows_is_taken_to_be_alike() -> None:
    assert (PLACE == "z").sum() < FEWEST_ROWS
    assert shares(built(RNG.normal(size=N)))["place=z"] == 1.0


def test_a_number_that_is_the_same_all_day_is_alike_though_days_differ() -> None:
    assert (PLACE == "y").sum() / 10 >= FEWEST_OF_DAY
    level = RNG.normal(size=N)
    level[PLACE == "y"] = DAY[PLACE == "y"]
    assert shares(built(level))["place=y"] < 0.2
    told = shares(built(level, day=DAY))
    assert told["place=y"] == 1.0
    assert told["place=x"] < 0.1


def test_without_numbers_that_move_or_parts_nothing_is_told() -> None:
    assert built(np.ones(N)) == Sameness()
    assert built(RNG.normal(size=N), np.full(N, "x", dtype=object)) == Sameness()


@pytest.mark.parametrize("largest", [1, LARGEST_TABLE])
@given(
    drawn=st.lists(
        st.tuples(
            st.integers(0, 1),
            st.integers(0, 2),
            st.sampled_from([0.0, -0.0, 1.5, 2.5, np.nan, np.inf]),
        ),
        max_size=30,
    )
)
def test_modes_are_those_of_a_count_of_each_number(
    drawn: list[tuple[int, int, float]], largest: int
) -> None:
    rows = [*drawn, (1, 0, np.nan)]
    day, place = (np.array([row[at] for row in rows], dtype=np.int64) for at in range(2))
    ranked = Ranked.of(np.array([value for _, _, value in rows], dtype=np.float64))
    with mock.patch.object(sameness, "LARGEST_TABLE", largest):
        mode, n = modes(ranked, Placed.of(day, place, 3))
    for row, days in enumerate(({0}, {1}, {0, 1})):
        for bin_ in range(3):
            mine = [value for on, at, value in drawn if on in days and at == bin_]
            held = Counter(value for value in mine if np.isfinite(value))
            assert (mode[row, bin_], n[row, bin_]) == (max(held.values(), default=0), held.total())


@pytest.mark.parametrize(
    ("values", "again", "rank"),
    [
        ([3.0, 1.0, 3.0, 2.0, 1.0], [0, 1, 2, 4], [1, 0, 1, 0]),
        ([0.5, 1e9, 0.5, 7.25, 1e9], [0, 1, 2, 4], [0, 1, 0, 1]),
        ([0.5, 1e9, np.nan, 7.25], [], []),
        ([np.nan, np.inf], [], []),
    ],
    ids=["wholes", "fractions", "none comes again", "no number"],
)
def test_only_numbers_that_come_again_have_a_rank(
    values: list[float], again: list[int], rank: list[int]
) -> None:
    ranked = Ranked.of(np.array(values))
    assert (ranked.again.tolist(), ranked.rank.tolist()) == (again, rank)
    assert ranked.size == len(set(rank))
