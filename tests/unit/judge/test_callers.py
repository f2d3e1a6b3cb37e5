"""One caller that brings what the others do not is named, and counts as evidence for nothing."""

from dataclasses import dataclass

import msgspec
import numpy as np
import pytest
from tests.support.followed import Followed
from tests.support.traffic import BINARY, DAY, STABLE, labelled, profile, rows, spec

from trimtab.domain.records import Rows
from trimtab.domain.verdicts import Cause
from trimtab.judge.monitors import Monitors
from trimtab.judge.signals.callers import Brought, Callers, Crowd
from trimtab.judge.signals.counts import Tally
from trimtab.judge.signals.family import Breaks, Target
from trimtab.judge.signals.prominent import Marked, Marks

FIRST = 20
KNOWN = profile()


@dataclass
class Town(Followed):
    """Days of some callers, of which the first may bring numbers that are out of this world."""

    callers: int = 4
    named: bool = True

    def __post_init__(self) -> None:
        self.monitors = Monitors.start(
            spec(block_seconds=DAY), BINARY, KNOWN, STABLE.digest, FIRST * DAY
        )

    def live(
        self, days: int, *, garbage: float = 0.0, fails: float = 0.0, guilty: int = 1
    ) -> "Town":
        """Days in which the `guilty` first callers bring garbage, or requests that fail."""
        for _ in range(days):
            given = rows(800, seed=self.day, start=self.day * DAY)
            rng = np.random.default_rng(self.day)
            caller = rng.integers(0, self.callers, 800)
            wild = (caller < guilty) & (rng.random(800) < garbage)
            failed = (caller < guilty) & (rng.random(800) < fails)
            level = np.where(wild, 1e6, given.inputs["level"])
            fixed = {
                **given.fixed,
                "unit": (caller + 1).astype(np.uint64),
                "outcome": np.where(failed, "failed", "ok").astype(object),
            }
            if not self.named:
                fixed["request_id"] = np.array([""] * 800, dtype=object)
            score = np.where(failed, np.nan, given.outputs["score"])
            told = Rows(fixed, {**given.inputs, "level": level}, {"score": score})
            self.monitors.observe(told)
            self.monitors.learn(labelled(told, seed=self.day).take(~failed))
            self.day += 1
            self.judge()
        return self

    def causes(self) -> set[Cause]:
        return {incident.causes[0].cause for incident in self.incidents.values()}


def test_callers_that_bring_what_they_always_did_stand_out_in_nothing() -> None:
    town = Town().live(10)
    assert town.verdicts["callers"].verdict == "ok"
    assert not town.incidents


@pytest.mark.parametrize("fault", ["garbage", "fails"])
def test_a_caller_that_brings_what_the_others_do_not_is_named_with_a_request(fault: str) -> None:
    town = Town(callers=8).live(5).live(4, **{fault: 0.9})  # type: ignore[arg-type]
    verdict = town.verdicts["callers:1"]
    assert "of the rows of one caller (such as request" in verdict.reason
    assert Cause.HOSTILE_CLIENT in town.causes()


def test_a_caller_whose_requests_have_no_id_is_found_too() -> None:
    town = Town(callers=8, named=False).live(5).live(4, fails=0.9)
    assert town.verdicts["callers:1"].verdict == "bad"
    marks = Marks()
    for day in range(12):
        came = {1: Marked(Tally(90 * (day > 6), 100)), 2: Marked(Tally(0, 100))}
        marks.take(day * DAY, came, 2.0)
    assert marks.samples == {1: ""}


def test_a_caller_of_few_requests_is_found_once_it_has_brought_enough() -> None:
    town = Town(callers=200).live(5).live(4, fails=1.0)
    assert town.verdicts["callers"].verdict == "ok"
    town.live(6, fails=1.0)
    assert "100% of the rows of one caller" in town.verdicts["callers:1"].reason
    assert town.verdicts["callers:1"].n >= 16


def test_what_a_caller_was_long_ago_does_not_hide_what_it_has_become() -> None:
    callers = Callers.of(Target(spec(block_seconds=DAY), BINARY, None, STABLE.digest, 0.0))
    for day, (n, bad) in enumerate([(10, 0), (16, 16), (10, 10), (10, 10)]):
        callers.take({day: Crowd({1: Brought(n, bad, "q"), 2: Brought(200, 0)})})
        callers.close((day + 2) * DAY, Breaks())
    watch = callers.state.watches[1]
    assert (watch.n, watch.share, watch.since) == (20, 1.0, DAY)


def test_what_an_accused_caller_brings_is_evidence_for_nothing_else() -> None:
    town = Town(callers=8).live(5).live(14, garbage=0.9, fails=0.5)
    assert town.causes() == {Cause.HOSTILE_CLIENT}
    assert town.verdicts["upstream"].verdict == "ok"
    assert town.verdicts["errors"].verdict == "ok"


def test_a_caller_that_mends_its_ways_is_heard_again() -> None:
    town = Town(callers=8).live(5).live(4, garbage=0.9).live(4)
    assert town.verdicts["callers"].verdict == "ok"
    assert not town.incidents


def test_when_all_callers_bring_it_no_caller_is_accused() -> None:
    town = Town().live(5).live(4, garbage=0.9, guilty=4)
    assert "callers" in town.verdicts
    assert Cause.HOSTILE_CLIENT not in town.causes()
    assert Cause.UPSTREAM_BREAK in town.causes()


def test_a_caller_that_is_most_of_the_service_cannot_be_told_from_it() -> None:
    town = Town(callers=1).live(3, garbage=0.9)
    assert town.verdicts["callers"].verdict == "unknown"
    assert "no two callers" in town.verdicts["callers"].reason


def test_a_block_of_accused_callers_alone_says_nothing_of_the_others() -> None:
    town = Town(callers=8).live(5).live(4, garbage=0.9)
    before = town.verdicts["callers:1"].reference
    given = rows(100, seed=1, start=town.day * DAY)
    unit = np.ones(100, dtype=np.uint64)
    town.monitors.observe(Rows({**given.fixed, "unit": unit}, given.inputs, given.outputs))
    town.day += 1
    town.judge()
    assert town.verdicts["callers:1"].reference == before


def test_rows_without_a_unit_belong_to_nobody() -> None:
    callers = Callers.of(Target(spec(), BINARY, None, STABLE.digest, 0.0))
    given = rows(6)
    none = np.zeros(6, dtype=np.uint64)
    bare = {name: each for name, each in given.fixed.items() if name != "unit"}
    for fixed in (bare, {**given.fixed, "unit": none}):
        told = Rows(fixed, given.inputs, given.outputs)
        assert callers.count(told) == {}
        assert not callers.accused(told).any()
    some = np.array([0, 0, 0, 7, 7, 263], dtype=np.uint64)
    counted = callers.count(Rows({**given.fixed, "unit": some}, given.inputs, given.outputs))
    assert sum(each.groups[7].n for each in counted.values()) == 3


def test_the_sample_of_a_group_is_the_first_bad_request() -> None:
    merged = Brought(2, 1, "b").merge(Brought(1, 0)).merge(Brought(3, 1, "a"))
    assert merged == Brought(6, 2, "a")
    assert msgspec.structs.asdict(Brought().merge(Brought())) == {"n": 0, "bad": 0, "sample": ""}
