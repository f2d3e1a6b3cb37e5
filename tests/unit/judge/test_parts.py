"""Feeds in parts that nobody named: found where a part is small, and quiet where nothing is odd."""

from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest
from tests.support.traffic import BINARY, DAY, STABLE, reference, rows, spec

from trimtab.domain.profile import ReferenceProfile, Sameness
from trimtab.domain.records import Rows
from trimtab.domain.verdicts import Cause, Verdict
from trimtab.judge.monitors import Monitors
from trimtab.judge.profile import build_profile
from trimtab.judge.reports import Surroundings
from trimtab.judge.signals.parts import FEWEST_ROWS, Brought, Odd, Parts, Unnamed
from trimtab.judge.signals.upstream import Upstream

FIRST = 20
SMALL = 0.08
"""Share of the rows that have the place `z`."""


def placed(given: dict[str, Any], seed: int) -> dict[str, Any]:
    """The columns, and one more of texts: places, of which one is small."""
    n = len(given["side"])
    place = np.random.default_rng(seed).choice(["x", "y", "z"], n, p=[0.6, 1 - 0.6 - SMALL, SMALL])
    return {**given, "place": place.astype(object)}


KNOWN = build_profile(replace(reference(), segments=(), inputs=placed(dict(reference().inputs), 0)))
UNNAMED = Unnamed.of(KNOWN, ())


def began(**plan: Any) -> Monitors:
    given = spec(block_seconds=DAY, **{"segments": (), **plan})
    return Monitors.start(given, BINARY, KNOWN, STABLE.digest, FIRST * DAY)


def live(
    monitors: Monitors,
    days: range,
    place: str = "",
    factor: float = 1.0,
    missing: float = 0.0,
    last: float | None = None,
) -> dict[str, Verdict]:
    """Days in which the level comes in another unit, not at all, or as its last from one place."""
    said: dict[str, Verdict] = {}
    for day in days:
        given = rows(300, seed=day, start=(FIRST + day) * DAY)
        inputs = placed(dict(given.inputs), day)
        here = inputs["place"] == place
        level = np.where(here, inputs["level"] * factor, inputs["level"])
        level = np.where(here, last, level) if last is not None else level
        gone = here & (np.random.default_rng(day + 1_000).random(300) < missing)
        inputs["level"] = np.where(gone, np.nan, level)
        monitors.observe(Rows(given.fixed, inputs, given.outputs))
        clock = (FIRST + day + 1) * DAY + 3600.0
        report = monitors.assess(clock, (), Surroundings())
        said = {verdict.signal: verdict for verdict in report.verdicts}
        said |= {incident.id: incident for incident in report.opened}  # type: ignore[misc]
    return said


def parts_of(monitors: Monitors) -> Parts:
    (upstream,) = (each for each in monitors.families if isinstance(each, Upstream))
    return upstream.state.parts


def test_a_unit_that_changes_in_a_small_part_is_a_break_there_and_nowhere_else() -> None:
    monitors = began()
    assert live(monitors, range(8))["upstream"].verdict == "ok"
    assert parts_of(monitors).watches == {}
    said = live(monitors, range(8, 9), "z", factor=9.0)
    verdict = said["upstream:level"]
    assert verdict.verdict == "bad"
    assert verdict.scope == {"column": "level", "place": "z"}
    assert "where place is z" in verdict.reason
    assert verdict.since == (FIRST + 8) * DAY
    (incident,) = (each for name, each in said.items() if "-upstream-" in name)
    assert incident.causes[0].cause is Cause.UPSTREAM_BREAK  # type: ignore[attr-defined]
    assert "only place z is affected" in str(incident.causes[0])  # type: ignore[attr-defined]


def test_what_is_missing_in_a_part_is_a_break_and_ends_when_it_is_back() -> None:
    monitors = began()
    live(monitors, range(5))
    said = live(monitors, range(5, 8), "z", missing=0.9)
    assert "missing where place is z" in said["upstream:level"].reason
    said = live(monitors, range(8, 14))
    assert said["upstream"].verdict == "ok"
    assert parts_of(monitors).watches == {}


@pytest.mark.no_cover
def test_what_is_missing_in_a_part_from_the_beginning_is_usual_there() -> None:
    monitors = began()
    said = live(monitors, range(20), "z", missing=0.9)
    assert said["upstream"].verdict == "ok"
    assert set(parts_of(monitors).watches) == {"level\nplace=z\nmissing"}
    assert live(monitors, range(20, 40))["upstream"].verdict == "ok"
    assert parts_of(monitors).watches == {}


@pytest.mark.parametrize("segments", [(), ("place",)])
def test_a_number_that_stands_still_in_a_part_is_a_break_there_and_ends_when_it_moves(
    segments: tuple[str, ...],
) -> None:
    monitors = began(segments=segments)
    live(monitors, range(5))
    assert live(monitors, range(5, 6), "z", last=10.0)["upstream"].verdict == "ok"
    said = live(monitors, range(6, 7), "z", last=10.0)
    verdict = said["upstream:level"]
    assert verdict.since == (FIRST + 5) * DAY
    assert verdict.scope == {"column": "level", "place": "z"}
    assert "100% one and the same number where place is z" in verdict.reason
    (incident,) = (each for name, each in said.items() if "-upstream-" in name)
    assert incident.causes[0].cause is Cause.UPSTREAM_BREAK  # type: ignore[attr-defined]
    assert live(monitors, range(7, 13))["upstream"].verdict == "ok"
    assert parts_of(monitors).watches == {}


def test_copies_of_a_row_that_fill_a_part_for_a_block_are_no_number_that_stands_still() -> None:
    monitors = began()
    live(monitors, range(5))
    for day in range(5, 15):
        assert live(monitors, range(day, day + 1), "z", last=float(day))["upstream"].verdict == "ok"


def test_a_number_that_stands_still_in_a_part_by_nature_is_none() -> None:
    inputs = placed(dict(reference().inputs), 0)
    inputs["level"] = np.where(inputs["place"] == "z", 10.0, inputs["level"])
    known = build_profile(replace(reference(), segments=(), inputs=inputs))
    given = spec(segments=(), block_seconds=DAY)
    monitors = Monitors.start(given, BINARY, known, STABLE.digest, FIRST * DAY)
    live(monitors, range(5))
    assert live(monitors, range(5, 12), "z", last=10.0)["upstream"].verdict == "ok"
    assert parts_of(monitors).watches == {}


def test_a_release_that_does_not_know_what_stands_still_by_nature_says_so() -> None:
    def said(known: ReferenceProfile) -> dict[str, Verdict]:
        monitors = Monitors.start(spec(block_seconds=DAY), BINARY, known, STABLE.digest, 0.0)
        return {each.signal: each for each in monitors.assess(DAY, (), Surroundings()).verdicts}

    before = msgspec.structs.replace(KNOWN, sameness=Sameness())
    assert said(before)["upstream:still"].verdict == "unknown"
    assert said(before)["upstream:still"].scope == {}
    assert said(before)["upstream:still"].reason.endswith("build it anew")
    assert "upstream:still" not in said(KNOWN)
    texts = msgspec.structs.replace(before, inputs=KNOWN.inputs[1:])
    numbers = msgspec.structs.replace(before, inputs=KNOWN.inputs[:1])
    assert "upstream:still" not in {**said(texts), **said(numbers)}


def test_a_break_of_a_whole_column_is_told_of_all_rows() -> None:
    monitors = began()
    live(monitors, range(5))
    given = rows(300, seed=5, start=(FIRST + 5) * DAY)
    inputs = placed(dict(given.inputs), 5)
    inputs["level"] = np.full(300, np.nan)
    monitors.observe(Rows(given.fixed, inputs, given.outputs))
    report = monitors.assess((FIRST + 6) * DAY + 3600.0, (), Surroundings())
    (verdict,) = (each for each in report.verdicts if each.signal.startswith("upstream"))
    assert verdict.scope == {"column": "level"}


def test_the_evidence_of_a_part_is_one_of_many_that_make_a_mean() -> None:
    monitors = began()
    live(monitors, range(5))
    said = live(monitors, range(5, 6), "z", missing=0.5)
    watch = next(iter(parts_of(monitors).watches.values()))
    assert watch.evidence > 0.0
    assert said["upstream"].evidence_log10 < watch.evidence
    assert UNNAMED.streams == 3 * 4 + 2 * 4 + 5


def test_a_part_with_few_rows_in_a_block_is_not_judged_in_it() -> None:
    parts = Parts()
    few = Brought({"place=z": FEWEST_ROWS - 1}, {"level\nplace=z": Odd(FEWEST_ROWS - 1, 0)})
    for day in range(9):
        parts.take(day * DAY, UNNAMED, few, 3.0)
    assert (parts.known, parts.watches) == ({}, {})


def test_counts_of_parts_add_up() -> None:
    one = Brought({"place=z": 3}, {"level\nplace=z": Odd(1, 2)})
    other = Brought({"place=z": 2, "place=x": 1}, {"level\nplace=z": Odd(1, 0)})
    both = Brought({"place=z": 5, "place=x": 1}, {"level\nplace=z": Odd(2, 2)})
    assert one.merge(other) == both


def test_in_named_columns_only_what_stands_still_is_watched_and_one_value_makes_no_part() -> None:
    assert UNNAMED.names == [f"side={v}" for v in KNOWN.inputs[1].categories] + [
        f"place={v}" for v in KNOWN.inputs[2].categories
    ]
    named = Unnamed.of(KNOWN, ("side", "place"))
    assert named.kinds("level", "place=z") == {"stuck": named.moving.share("level", "place=z")}
    assert named.streams == 5
    before = msgspec.structs.replace(KNOWN, sameness=Sameness())
    assert Unnamed.of(before, ("side", "place")).streams == 1
    alone = msgspec.structs.replace(KNOWN, inputs=KNOWN.inputs[:1])
    assert Unnamed.of(alone, ()).names == []
