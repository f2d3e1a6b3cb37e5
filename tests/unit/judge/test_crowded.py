"""Numbers of which one value is suddenly in many rows."""

from functools import reduce

import numpy as np
import pytest
from tests.support.traffic import BINARY, DAY, STABLE, profile, rows, spec

from trimtab.domain.profile import ReferenceProfile
from trimtab.domain.records import Rows
from trimtab.domain.verdicts import Verdict
from trimtab.judge.signals.crowded import DRAWN, Crowd, Crowded
from trimtab.judge.signals.family import Breaks, Target

PROFILE = profile()
FIRST = 20
DEFAULT = 7.25
CALM, FILLED = 0.0, 0.6


def target(known: ReferenceProfile | None = PROFILE) -> Target:
    return Target(spec(), BINARY, known, STABLE.digest, 0.0)


def day(number: int, filled: float = CALM, n: int = 200) -> Rows:
    """A day in which a share of the rows holds the default."""
    made = rows(n, seed=number, start=number * DAY)
    hit = np.random.default_rng(number).random(n) < filled
    level = np.where(hit, DEFAULT, made.inputs["level"])
    return Rows(made.fixed, {**made.inputs, "level": level}, made.outputs)


class Life:
    """A family that lives through days, and what it told of broken feeds on the last one."""

    def __init__(self) -> None:
        self.family = Crowded(target(), PROFILE)
        self.number = FIRST
        self.breaks = Breaks()

    def lives(self, shares: list[float], elsewhere: frozenset[str] = frozenset()) -> "Life":
        for share in shares:
            self.take(day(self.number, share), elsewhere)
        return self

    def take(self, came: Rows, elsewhere: frozenset[str] = frozenset()) -> None:
        self.family.take(self.family.count(came))
        self.breaks = Breaks(columns={self.number * DAY: elsewhere})
        self.family.close((self.number + 1.2) * DAY, self.breaks)
        self.number += 1

    @property
    def verdict(self) -> Verdict:
        (told,) = self.family.verdicts()
        return told


def test_nothing_is_told_of_days_that_are_alike() -> None:
    assert Life().verdict.verdict == "unknown"
    assert not Life().lives([CALM] * 20).family.verdicts()


def test_a_default_in_most_rows_is_told_with_its_value_and_day_until_it_is_gone() -> None:
    life = Life().lives([CALM] * 8 + [FILLED] * 6)
    told = life.verdict
    assert (told.signal, told.verdict, told.tier) == ("upstream:crowded:level", "bad", "page")
    assert told.scope == {"column": "level"}
    assert "level is 7.25 in" in told.reason
    # On the first day nobody looked for the value yet.
    assert told.since == (FIRST + 9) * DAY
    assert told.estimate == pytest.approx(FILLED, abs=0.15)
    assert life.breaks.at((life.number - 1) * DAY) == {"level"}
    assert life.breaks.overlap((FIRST + 10) * DAY, (FIRST + 11) * DAY)
    life.lives([CALM] * 4)
    assert not life.family.verdicts()
    assert not life.breaks.at((life.number - 1) * DAY)
    assert not life.breaks.overlap((life.number - 1) * DAY, life.number * DAY)


def test_a_value_that_always_was_in_many_rows_is_none_that_crowds() -> None:
    assert not Life().lives([FILLED] * 20).family.verdicts()


def test_what_is_suspected_is_looked_for_on() -> None:
    life = Life().lives([CALM] * 8 + [FILLED] * 2)
    assert life.family.state.watches["level"].suspected
    life.take(day(life.number, FILLED))
    assert life.family.state.sought["level"] == DEFAULT


def test_a_column_that_is_broken_otherwise_is_not_judged() -> None:
    life = Life().lives([CALM] * 8).lives([FILLED] * 6, frozenset({"level"}))
    assert not life.family.verdicts()
    assert life.breaks.at((life.number - 1) * DAY) == {"level"}


def test_rows_without_numbers_leave_what_is_looked_for_as_it_was() -> None:
    life = Life().lives([CALM] * 5)
    sought = dict(life.family.state.sought)
    gone = day(life.number)
    life.take(Rows(gone.fixed, {**gone.inputs, "level": np.full(200, np.nan)}, gone.outputs))
    assert life.family.state.sought == sought
    assert not life.family.verdicts()


@pytest.mark.parametrize("same_time", [False, True])
def test_parts_of_any_size_merge_to_what_is_counted_at_once(same_time: bool) -> None:
    family, whole = Life().lives([CALM] * 2).family, day(FIRST + 2, 0.3)
    if same_time:
        time = np.full(len(whole), (FIRST + 2) * DAY)
        whole = Rows({**whole.fixed, "received_at": time}, whole.inputs, whole.outputs)
    cuts = [slice(0, 1), slice(1, 30), slice(30, 199), slice(199, 200)]
    parts = [family.crowd(whole.take(np.arange(200)[cut])) for cut in cuts]
    at_once = family.crowd(whole)
    assert len(at_once.drawn) == DRAWN
    assert reduce(Crowd.merge, parts) == at_once
    assert reduce(Crowd.merge, reversed(parts)) == at_once


def test_only_numbers_that_take_many_values_are_watched() -> None:
    assert Crowded.of(target(None)) is None
    assert Crowded.of(target(ReferenceProfile(rows=100, inputs=PROFILE.inputs[1:]))) is None
    assert Crowded.of(target()) is not None
