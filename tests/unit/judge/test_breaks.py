"""Which values of a column are strange for what it held before."""

from functools import reduce

import numpy as np
import pytest

from trimtab.domain.profile import ColumnProfile
from trimtab.domain.records import CodedTexts
from trimtab.judge.column_profile import column_profile
from trimtab.judge.signals.breaks import (
    CLUSTERS,
    JUMP,
    LARGEST_KNOWN,
    LEAPS,
    UNSEEN,
    BreakWatch,
    Recent,
    Seen,
    jumps,
    novelty,
)


def column(*values: float) -> ColumnProfile:
    """A rounded measurement that takes these values, rising."""
    return ColumnProfile(
        name="x",
        kind="continuous",
        n=1000,
        missing=0.0,
        values=values,
        minimum=values[0],
        maximum=values[-1],
    )


HALVES = column(*(1000.0 + 0.5 * i for i in range(41)))


@pytest.mark.parametrize(
    ("value", "strange"),
    [
        (1003.5, False),
        (1003.3, True),
        (1020.3, False),
        (996.7, False),
        (1040.0, True),
        (np.nan, False),
        (np.inf, True),
    ],
)
def test_between_neighbours_and_far_outside_a_number_is_strange(
    value: float, strange: bool
) -> None:
    found = Recent.of(HALVES).strange(HALVES, np.array([value]))
    assert found.tolist() == [strange]


def test_a_known_number_in_single_precision_is_no_other_one() -> None:
    tenths = column(*(21.02 + 0.9 * i for i in range(60)))
    single = np.array(tenths.values).astype(np.float32).astype(np.float64)
    assert (single != np.array(tenths.values)).any()
    assert not Recent.of(tenths).strange(tenths, single).any()


def test_one_rare_value_makes_none_on_the_way_to_it_strange() -> None:
    recent = Recent.of(HALVES)
    for value in (994.1, 1002.0, 1003.0, 1004.0):
        day = np.array([value])
        recent.close(0.0, recent.look(HALVES, day)[0])
    assert 994.1 in recent.known
    assert not recent.strange(HALVES, np.array([997.2, 998.4, 999.8])).any()
    assert recent.strange(HALVES, np.array([1003.3])).all()


def calm() -> Recent:
    """A recent past at the lower end of what the reference held."""
    return Recent(known=[], lows=[1000.0], highs=[1001.0])


def leapt(recent: Recent) -> float | None:
    """When the last block began, if it leapt."""
    return recent.leapt


def test_one_day_far_from_the_recent_past_is_not_strange_where_the_reference_knows_it() -> None:
    recent, day = calm(), np.full(20, 1015.0)
    seen, strange = recent.look(HALVES, day)
    assert not strange.any()
    assert (seen.leaps, seen.low, seen.high) == (20, None, None)
    recent.close(7.0, seen)
    assert (recent.leapt, recent.highs) == (7.0, [1001.0])


def test_the_second_such_day_in_a_row_is_strange_and_one_between_them_begins_anew() -> None:
    recent, day = calm(), np.full(20, 1015.0)
    recent.close(7.0, recent.look(HALVES, day)[0])
    assert recent.strange(HALVES, day).all()
    recent.quarantine(8.0, recent.look(HALVES, day)[0])
    assert leapt(recent) == 7.0
    assert recent.strange(HALVES, day).all()
    recent.close(9.0, recent.look(HALVES, np.full(20, 1000.5))[0])
    assert leapt(recent) is None
    assert not recent.strange(HALVES, day).any()


def test_what_the_reference_never_held_is_strange_at_once() -> None:
    day = np.array([1015.0, 1040.0, 990.0])
    assert calm().strange(HALVES, day).tolist() == [False, True, False]
    assert calm().strange(HALVES, np.array([960.0])).all()
    unknown = ColumnProfile(name="x", kind="continuous", n=0, missing=1.0)
    assert calm().strange(unknown, np.array([1015.0])).all()


def test_a_leap_while_another_column_is_broken_is_strange_on_the_next_day_as_well() -> None:
    recent, day = calm(), np.full(20, 1015.0)
    recent.quarantine(7.0, recent.look(HALVES, np.full(20, 1000.5))[0])
    assert leapt(recent) is None
    recent.quarantine(8.0, recent.look(HALVES, day)[0])
    assert leapt(recent) == 8.0
    assert recent.strange(HALVES, day).all()


@pytest.mark.parametrize("rows", [LEAPS - 1, LEAPS])
def test_a_few_rows_are_no_leap(rows: int) -> None:
    recent = calm()
    one = recent.look(HALVES, np.full(rows - 1, 1015.0))[0]
    other = recent.look(HALVES, np.array([1015.0, 1000.5]))[0]
    assert one.merge(other).leaps == rows
    recent.close(7.0, one.merge(other))
    assert (recent.leapt is None) == (rows < LEAPS)


def test_a_column_that_took_a_single_value_has_no_neighbours() -> None:
    one = column(3.0)
    assert Recent.of(one).strange(one, np.array([3.0, 7.0])).tolist() == [False, True]


@pytest.mark.parametrize("known", [[], [998.0], [998.0, 998.5, 1000.0]])
@pytest.mark.parametrize(
    "values",
    [
        [],
        [np.nan],
        [998.0, 998.0],
        [998.0, np.nan, 998.5],
        [998.0, 998.2, 998.5],
        [998.5, 1e6, np.nan],
        [998.0, -np.inf],
    ],
)
def test_what_is_ordinary_at_a_glance_is_what_each_value_tells(
    known: list[float], values: list[float]
) -> None:
    recent = Recent(known=known, lows=[997.0], highs=[1000.0])
    given = np.array(values, dtype=np.float64)
    seen, strange = recent.look(HALVES, given)
    each = [recent.look(HALVES, given[i : i + 1])[0] for i in range(given.size)]
    assert strange.tolist() == [
        bool(recent.strange(HALVES, given[i : i + 1])[0]) for i in range(given.size)
    ]
    assert seen == reduce(Seen.merge, each, Seen())


def test_texts_that_the_reference_knows_stay_known_however_many_new_ones_come() -> None:
    values = np.array(["user"] * 900 + [f"once {i}" for i in range(100)], dtype=object)
    profile = column_profile("who", values, None)
    recent = Recent.of(profile)
    for day in range(8):
        names = [f"guest {day} {i:04d}" for i in range(2 * LARGEST_KNOWN)]
        seen, _ = recent.look(profile, np.array(["user", *names], dtype=object))
        recent.close(day * 86_400.0, seen)
    assert len(recent.names) == LARGEST_KNOWN
    assert not recent.strange(profile, np.array(["user"], dtype=object)).any()
    assert recent.strange(profile, np.array(["guest 9 0000"], dtype=object)).all()


def test_texts_are_strange_by_their_names_and_the_same_ones_coded_or_not() -> None:
    words = column_profile("w", np.array(["a", "b", "b"], dtype=object), None)
    recent = Recent.of(words)
    values = np.array(["a", "new", None, "", "new"], dtype=object)
    for given in (values, CodedTexts.of(values), CodedTexts(("gone", "new"), np.array([1, -1]))):
        seen, strange = recent.look(words, given)
        assert seen.names == {"new": int(strange.sum())}
    assert recent.strange(words, values).tolist() == [False, True, False, False, True]
    assert recent.look(words, CodedTexts.missing(2))[0] == Seen()


def words(*counts: int, missing: int = 0) -> ColumnProfile:
    """A column of texts, each of which comes as often as it is told to."""
    values = np.repeat(np.array([f"w{each}" for each in range(len(counts))], object), counts)
    return column_profile("w", np.append(values, [None] * missing), None)


@pytest.mark.parametrize(
    ("column", "expected", "closed"),
    [
        (words(500, 500), 1 / 1000, True),
        (words(500, 500, missing=1000), 1 / 1000, True),
        (words(500, 491, *[1] * 9), 10 / 1000, True),
        (words(500, 490, *[1] * 10), 11 / 1000, False),
        (words(20, 20), 1 / 40, False),
        (words(*[20] * 100), 36 / 100 + 1 / 2000, False),
        (words(0, missing=10), 1.0, False),
    ],
)
def test_where_the_reference_knows_all_texts_fewer_unseen_ones_are_a_break(
    column: ColumnProfile, expected: float, closed: bool
) -> None:
    assert novelty(column) == pytest.approx(expected)
    assert jumps(column) == {
        "missing": JUMP,
        "strange": UNSEEN if closed else JUMP,
        "stuck": JUMP,
    }


def test_numbers_that_were_never_seen_may_be_many() -> None:
    assert jumps(HALVES)["strange"] == JUMP


@pytest.mark.parametrize(("jump", "broken"), [(JUMP, False), (UNSEEN, True)])
def test_a_share_breaks_where_it_rose_by_more_than_it_may(jump: float, broken: bool) -> None:
    watch = BreakWatch("w", "strange", "", 0.0)
    for block in range(20):
        watch.take(float(block), 0.2, CLUSTERS, 2.0, jump)
    assert watch.broken is broken


def test_what_parts_of_a_block_saw_is_what_all_of_it_held() -> None:
    left = Seen(1.0, 4.0, [2.5], {"new": 2, "odd": 1})
    right = Seen(0.5, 3.0, [2.5, 1.5], {"new": 3})
    both = Seen(0.5, 4.0, [1.5, 2.5], {"new": 5, "odd": 1})
    assert left.merge(right) == right.merge(left) == both
    assert left.merge(Seen()) == Seen().merge(left) == left
