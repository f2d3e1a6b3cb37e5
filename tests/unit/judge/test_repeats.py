"""A caller that brings one row again and again is named, however possible the row is."""

from dataclasses import dataclass
from functools import reduce

import numpy as np
import pytest
from tests.support.followed import Followed
from tests.support.traffic import BINARY, DAY, STABLE, profile, rows, spec

from trimtab.domain.records import CodedTexts, Lazy, Rows
from trimtab.domain.verdicts import Cause
from trimtab.judge.monitors import Monitors
from trimtab.judge.signals.breaks import QUARANTINE
from trimtab.judge.signals.callers import Callers, Crowd
from trimtab.judge.signals.family import Target
from trimtab.judge.signals.repeats import PLACES, Alike, Repeats, alike

FIRST = 20
KNOWN = profile()
LIMIT = 3.0


def repeated(given: Rows, hit: np.ndarray[tuple[int], np.dtype[np.bool_]], unit: int) -> Rows:
    """The rows with the first one in the place of those that are hit, all of one caller."""
    inputs = {name: np.where(hit, column[0], column) for name, column in given.inputs.items()}
    score = np.where(hit, given.outputs["score"][0], given.outputs["score"])
    units = np.where(hit, unit, given.fixed["unit"]).astype(np.uint64)
    return Rows({**given.fixed, "unit": units}, inputs, {**given.outputs, "score": score})


@dataclass
class Town(Followed):
    """Days of forty callers, of which one may be stuck."""

    def __post_init__(self) -> None:
        plan = spec(block_seconds=DAY)
        self.monitors = Monitors.start(plan, BINARY, KNOWN, STABLE.digest, FIRST * DAY)

    def live(self, days: int, share: float = 0.0, callers: int = 1) -> "Town":
        """Days on which a share of the rows is one row, sent by so many callers."""
        for _ in range(days):
            given = rows(800, seed=self.day, start=self.day * DAY)
            rng = np.random.default_rng(self.day)
            unit = rng.integers(100, 140, 800).astype(np.uint64)
            given = Rows({**given.fixed, "unit": unit}, given.inputs, given.outputs)
            sender = 7 + int(rng.integers(callers)) if callers > 1 else 7
            hit = rng.random(800) < share
            told = repeated(given, hit, sender)
            if callers > 1:
                spread = np.where(hit, 7 + rng.integers(0, callers, 800), unit).astype(np.uint64)
                told = Rows({**told.fixed, "unit": spread}, told.inputs, told.outputs)
            self.monitors.observe(told)
            self.day += 1
            self.judge()
        return self


@pytest.mark.parametrize("share", [0.3, 0.4])
def test_a_caller_that_is_stuck_is_named_with_its_row_and_nothing_else_is_blamed(
    share: float,
) -> None:
    town = Town().live(6).live(2, share)
    told = town.verdicts["callers:7"]
    assert "of the rows of one caller are alike (such as request" in told.reason
    assert (told.estimate or 0.0) > 0.9
    assert [each.causes[0].cause for each in town.opened] == [Cause.HOSTILE_CLIENT]
    town.live(12, share)
    assert {each.causes[0].cause for each in town.opened} == {Cause.HOSTILE_CLIENT}


def test_a_caller_that_goes_on_is_heard_again() -> None:
    town = Town().live(6).live(4, 0.4).live(18)
    assert town.verdicts["callers"].verdict == "ok"
    assert not town.incidents


@pytest.mark.parametrize(("share", "callers"), [(0.02, 1), (0.97, 1), (0.6, 4)])
def test_who_brings_little_or_nearly_all_or_is_not_alone_is_not_accused(
    share: float, callers: int
) -> None:
    town = Town().live(6).live(4, share, callers)
    assert Cause.HOSTILE_CLIENT not in {each.causes[0].cause for each in town.opened}


def test_a_caller_that_was_like_that_from_the_first_is_not_accused() -> None:
    assert not any("callers" in each.id for each in Town().live(10, 0.4).opened)


def test_parts_of_a_block_count_what_the_block_does() -> None:
    callers = Callers.of(Target(spec(), BINARY, KNOWN, STABLE.digest, 0.0))
    callers.state.sizes = [400]
    given = rows(400, seconds=3600.0)
    unit = np.arange(400).astype(np.uint64) % np.uint64(9) + np.uint64(1)
    given = Rows({**given.fixed, "unit": unit}, given.inputs, given.outputs)
    ((number, whole),) = callers.count(given).items()
    assert sum(each.n for each in whole.places.values()) == 400
    parts = [callers.count(given.take(np.arange(first, 400, 8)))[number] for first in range(8)]
    for order in (parts, parts[::-1]):
        assert reduce(Crowd.merge, order, Crowd()) == whole


def test_a_row_has_its_place_by_what_it_holds_however_it_is_held() -> None:
    given = rows(50)
    groups = np.zeros(50, dtype=np.int64)
    held = alike(KNOWN.inputs, given, groups)
    names = sorted(set(given.inputs["side"].tolist()), reverse=True)
    places = np.array([names.index(each) for each in given.inputs["side"].tolist()])
    side = CodedTexts(tuple(names), places)
    coded = Lazy({"side": lambda: side, "level": lambda: given.inputs["level"]}, 50)
    assert alike(KNOWN.inputs, Rows(given.fixed, coded, given.outputs), groups) == held
    zeros = np.where(np.arange(50) % 2 == 0, 0.0, -0.0)
    none = np.full(50, None, dtype=object)
    same = Rows(given.fixed, {**given.inputs, "level": zeros, "side": none}, given.outputs)
    ((_, one),) = alike(KNOWN.inputs, same, groups).items()
    assert (one.n, one.sample) == (50, min(given.fixed["request_id"].tolist()))
    assert alike((), given, groups) == {}


def crowd(**groups: list[int]) -> dict[int, Alike]:
    """Rows of groups, called g1, g2, .., by place."""
    return {
        int(name[1:]) * PLACES + place: Alike(n, f"q{place}")
        for name, counts in groups.items()
        for place, n in enumerate(counts)
        if n
    }


ORDINARY = [10] * 10


def test_who_is_gone_has_mended_and_its_request_is_kept_until_then() -> None:
    repeats = Repeats()
    for day in range(QUARANTINE + 1):
        repeats.take(day * DAY, crowd(g1=ORDINARY, g2=ORDINARY), LIMIT)
    assert repeats.broken == []
    repeats.take(5 * DAY, crowd(g1=[0, 0, 100], g2=ORDINARY), LIMIT)
    assert (repeats.broken, repeats.samples) == ([1], {1: "q2"})
    repeats.take(6 * DAY, {}, LIMIT)
    # A night: few come, and of these half are its.
    repeats.take(7 * DAY, crowd(g1=[0, 0, 0, 5], g2=[5]), LIMIT)
    repeats.take(8 * DAY, crowd(g2=[5]), LIMIT)
    assert (repeats.broken, repeats.samples) == ([1], {1: "q3"})
    repeats.take(9 * DAY, crowd(g1=[0, 0, 0, 3], g2=ORDINARY), LIMIT)
    assert (repeats.broken, repeats.samples) == ([], {})


def test_who_has_become_nearly_all_is_neither_gone_nor_judged() -> None:
    repeats = Repeats()
    for day in range(QUARANTINE + 1):
        repeats.take(day * DAY, crowd(g1=ORDINARY, g2=ORDINARY), LIMIT)
    repeats.take(5 * DAY, crowd(g1=[0, 100], g2=ORDINARY), LIMIT)
    watch = met(repeats)
    repeats.take(6 * DAY, crowd(g1=[0, 100_000], g2=ORDINARY), LIMIT)
    assert met(repeats) == watch


def met(repeats: Repeats) -> tuple[float, int]:
    """What the watch of the first group met last."""
    watch = repeats.watches[1]
    return watch.share, watch.n
