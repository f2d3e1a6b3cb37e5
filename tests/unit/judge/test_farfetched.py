"""A caller whose values hardly come beside each other is named, however possible each is."""

from dataclasses import dataclass
from functools import reduce

import numpy as np
import pytest
from tests.support.followed import Followed
from tests.support.traffic import (
    BINARY,
    DAY,
    STABLE,
    profile,
    related,
    related_profile,
    rows,
    spec,
)

from trimtab.domain.records import Rows
from trimtab.domain.verdicts import Cause
from trimtab.judge.monitors import Monitors
from trimtab.judge.signals.callers import Callers, Crowd
from trimtab.judge.signals.counts import Tally
from trimtab.judge.signals.family import Target
from trimtab.judge.signals.farfetched import Lifted
from trimtab.judge.signals.prominent import Marked, Marks

FIRST = 20
LIFT = 6.0
KNOWN = related_profile(lift=LIFT)
LIMIT = 3.0


def sent(day: int, share: float, apart: float = 1.0) -> Rows:
    """A day of forty callers; one more sends a share of all, of which `apart` is mixed up."""
    given = related(rows(800, seed=day, start=day * DAY), LIFT)
    rng = np.random.default_rng(day)
    mine = rng.random(800) < share
    mixed = mine & (rng.random(800) < apart)
    turned = np.where(given.inputs["side"] == "left", "right", "left").astype(object)
    side = np.where(mixed, turned, given.inputs["side"]).astype(object)
    units = np.where(mine, 7, rng.integers(100, 140, 800)).astype(np.uint64)
    return Rows({**given.fixed, "unit": units}, {**given.inputs, "side": side}, given.outputs)


@dataclass
class Town(Followed):
    """Days of callers."""

    def __post_init__(self) -> None:
        plan = spec(block_seconds=DAY)
        self.monitors = Monitors.start(plan, BINARY, KNOWN, STABLE.digest, FIRST * DAY)

    def live(self, days: int, share: float = 0.0, apart: float = 1.0) -> "Town":
        for _ in range(days):
            self.monitors.observe(sent(self.day, share, apart))
            self.day += 1
            self.judge()
        return self


def test_a_caller_that_makes_its_rows_up_is_named_and_heard_again_when_it_does_not() -> None:
    town = Town().live(6).live(3, 0.3)
    told = town.verdicts["callers:7"]
    assert "of the rows of one caller hold values that come beside each other" in told.reason
    assert "more rarely than by chance (such as request" in told.reason
    assert (told.estimate or 0.0) > 0.8
    assert {each.causes[0].cause for each in town.opened} == {Cause.HOSTILE_CLIENT}
    town.live(12)
    assert town.verdicts["callers"].verdict == "ok"


@pytest.mark.parametrize(("share", "apart"), [(0.02, 1.0), (0.97, 1.0), (0.3, 0.1), (0.3, 0.0)])
def test_who_brings_little_or_nearly_all_or_what_others_bring_is_not_accused(
    share: float, apart: float
) -> None:
    town = Town().live(6).live(4, share, apart)
    assert Cause.HOSTILE_CLIENT not in {each.causes[0].cause for each in town.opened}


def test_parts_of_a_block_count_what_the_block_does() -> None:
    callers = Callers.of(Target(spec(), BINARY, KNOWN, STABLE.digest, 0.0))
    callers.state.sizes = [400]
    given = sent(0, 0.3)
    ((number, whole),) = callers.count(given.take(np.arange(33))).items()
    assert sum(each.rows.n for each in whole.fetched.values()) == 33
    parts = [callers.count(given.take(np.arange(first, 33, 8)))[number] for first in range(8)]
    for order in (parts, parts[::-1]):
        assert reduce(Crowd.merge, order, Crowd()) == whole


def test_where_no_columns_go_together_nothing_is_far_fetched() -> None:
    groups = np.zeros(800, dtype=np.int64)
    for known in (None, profile()):
        assert Lifted(known).count(sent(0, 0.3), groups) == {}


def test_who_is_gone_has_mended_and_its_request_is_kept_until_then() -> None:
    told, others = Marks(), Marked(Tally(5, 100), "q1")
    for day in range(4):
        told.take(float(day), {1: Marked(Tally(0, 50)), 2: others}, LIMIT)
    told.take(4.0, {1: Marked(Tally(50, 50), "q9"), 2: others}, LIMIT)
    assert (told.broken, told.samples) == ([1], {1: "q9"})
    told.take(5.0, {}, LIMIT)
    told.take(6.0, {1: Marked(Tally(0, 4)), 2: Marked(Tally(0, 6))}, LIMIT)
    assert (told.broken, told.samples) == ([1], {1: "q9"})
    told.take(7.0, {2: others}, LIMIT)
    assert (told.broken, told.samples) == ([], {})
