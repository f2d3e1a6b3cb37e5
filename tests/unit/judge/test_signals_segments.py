"""Quality in segments that nobody named: alarm, words, causes, and what cannot be said."""

from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import numpy as np
import pytest
from tests.support.traffic import BINARY, DAY, STABLE, labelled, reference, rows, spec

from trimtab.domain.profile import Coarse, ReferenceProfile
from trimtab.domain.records import Labelled, Rows
from trimtab.domain.signature import Signature
from trimtab.domain.verdicts import Cause, Incident, Verdict
from trimtab.judge.monitors import Monitors
from trimtab.judge.profile import build_profile
from trimtab.judge.reports import Surroundings
from trimtab.judge.segment_watch import Harmed
from trimtab.judge.signals.family import Breaks, Target
from trimtab.judge.signals.segments import Segments, value_of

FIRST = 20
KNOWN = build_profile(replace(reference(), segments=()))


@dataclass
class Days:
    """Days of a deployment without named segments, in one of which labels may turn around."""

    known: ReferenceProfile = KNOWN
    plan: dict[str, Any] = field(default_factory=dict)
    day: int = FIRST
    incidents: dict[str, Incident] = field(default_factory=dict)
    verdicts: dict[str, Verdict] = field(default_factory=dict)

    def __post_init__(self) -> None:
        plan = spec(segments=(), block_seconds=DAY, maturity_seconds=0.0, **self.plan)
        self.monitors = Monitors.start(plan, BINARY, self.known, STABLE.digest, FIRST * DAY)

    def live(self, days: int, side: str = "", flip: float = 0.0, score: float = 0.0) -> "Days":
        """Days in which labels on one side are turned around, or scores there are another."""
        for _ in range(days):
            given = rows(400, seed=self.day, start=self.day * DAY)
            here = given.inputs["side"] == side
            if score:
                given = scored(given, here, score)
            truth = labelled(given, seed=self.day)
            turned = here & (np.random.default_rng(self.day).random(400) < flip)
            label = np.where(turned, np.where(truth.label == "1", "0", "1"), truth.label)
            self.monitors.observe(given)
            self.monitors.learn(Labelled(given, label.astype(object), truth.labelled_at))
            self.day += 1
            self.judge()
        return self

    def judge(self) -> None:
        open_now = tuple(self.incidents.values())
        clock = self.day * DAY + 3600.0
        report = self.monitors.assess(clock, open_now, Surroundings())
        self.verdicts = {verdict.signal: verdict for verdict in report.verdicts}
        for incident in (*report.opened, *report.updated):
            self.incidents[incident.id] = incident
        for closed in report.closed:
            del self.incidents[closed]

    @property
    def said(self) -> Verdict:
        """The verdict of the segments."""
        return self.verdicts["segments"]


def scored(given: Rows, here: np.ndarray, score: float) -> Rows:
    """The rows with one score in some of them."""
    return Rows(given.fixed, given.inputs, {"score": np.where(here, score, given.outputs["score"])})


def begun(known: ReferenceProfile, **plan: Any) -> Segments:
    """The family."""
    family = Segments.of(Target(spec(**plan), BINARY, known, STABLE.digest, 0.0))
    assert family is not None
    return family


@pytest.mark.no_cover
def test_while_every_segment_does_as_well_as_before_none_is_told() -> None:
    days = Days().live(30)
    assert days.said.verdict == "ok"
    assert days.said.reason.startswith("none of 6 segments loses more")
    assert days.said.n == 30 * 400
    assert days.said.detectable == pytest.approx(0.2, abs=0.1)
    assert days.said.detectable_seconds == 7 * DAY


def test_a_segment_that_comes_true_otherwise_is_named_and_is_concept_drift() -> None:
    days = Days(plan={"tolerances": {"quality:brier": 0.5}}).live(5).live(6, "left", 0.5)
    said = days.said
    assert (said.verdict, said.tier, said.scope) == ("bad", "ticket", {"side": "left"})
    assert said.since == (FIRST + 5) * DAY
    assert "error is 0.4638" in said.reason
    assert "where side is left since 1970-01-26" in said.reason
    assert said.lower is not None
    assert said.upper is not None
    assert 0.15 < said.lower < 0.214 < said.upper < 0.26
    (incident,) = days.incidents.values()
    assert incident.signals[0] == "segments"
    assert incident.causes[0].cause is Cause.CONCEPT_DRIFT
    assert "error where side left was" in " ".join(incident.causes[0].evidence)


def test_a_segment_whose_rows_became_harder_is_data_drift() -> None:
    days = Days(plan={"tolerances": {"quality:brier": 0.5}}).live(5).live(12, "left", score=0.49)
    assert days.said.verdict == "bad"
    found = next(each for each in days.incidents.values() if "segments" in each.signals)
    assert found.causes[0].cause is Cause.DATA_DRIFT


@pytest.mark.no_cover
def test_it_ends_when_the_segment_is_as_before() -> None:
    days = Days().live(3).live(6, "left", 0.5)
    assert days.said.verdict == "bad"
    assert days.live(20).said.verdict == "ok"


def test_several_segments_are_named_the_surest_first() -> None:
    days = Days(plan={"tolerances": {"segments": 0.01}}).live(2)
    family = next(f for f in days.monitors.families if isinstance(f, Segments))
    names = [" is ".join(family.named(place)) for place in range(len(family.segments))]
    for _ in range(8):
        given = rows(400, seed=days.day, start=days.day * DAY)
        truth = labelled(given, seed=days.day)
        low = given.inputs["level"] < 8.5
        label = np.where(low, np.where(truth.label == "1", "0", "1"), truth.label).astype(object)
        days.monitors.observe(given)
        days.monitors.learn(Labelled(given, label, truth.labelled_at))
        days.day += 1
        days.judge()
    assert days.said.scope == {}
    assert "where level is up to" in days.said.reason
    assert any(name.startswith("level is") for name in names)


def test_a_tolerance_of_ones_own_widens_the_zone() -> None:
    wide = Days(plan={"tolerances": {"segments": 0.6}}).live(3).live(8, "left", 0.5)
    assert wide.said.verdict == "ok"


def test_more_segments_than_are_named_are_counted() -> None:
    known = KNOWN.segment_losses
    assert known is not None
    family = begun(KNOWN)
    days = Days(plan={"tolerances": {"segments": 0.001}})
    days.live(3)
    state = next(f for f in days.monitors.families if isinstance(f, Segments)).state
    family.state = state
    n = np.full(len(known.segments), 100.0)
    state.watch.harmed = {
        place: Harmed(0.0, 3.0, 0.1, [0.0] * 10) for place in range(len(known.segments))
    }
    assert n.size == len(state.watch.harmed)
    (verdict,) = family.verdicts()
    assert "; also where " in verdict.reason
    assert verdict.reason.endswith(f" and {n.size - 4} more")


def test_a_release_from_before_has_no_losses_and_says_how_to_get_them() -> None:
    old = msgspec.structs.replace(KNOWN, segment_losses=None)
    days = Days(old).live(3)
    assert days.said.verdict == "unknown"
    assert "build it anew" in days.said.reason


def test_a_reference_that_has_no_segment_says_so() -> None:
    alone = replace(reference(), inputs={"level": np.full(8000, 3.0)}, segments=())
    days = Days(build_profile(alone)).live(2)
    assert "no column of the reference" in days.said.reason


def test_labels_that_come_late_or_while_a_feed_is_broken_are_no_evidence() -> None:
    days = Days().live(3)
    family = next(f for f in days.monitors.families if isinstance(f, Segments))
    before = msgspec.msgpack.encode(family.state)
    given = rows(400, seed=1, start=FIRST * DAY)
    family.take(family.learn(labelled(given, flip=1.0)))
    assert family.verdicts() == (days.said,)
    assert msgspec.msgpack.encode(family.state) == before


def test_until_labels_mature_nothing_is_judged() -> None:
    family = begun(KNOWN, block_seconds=DAY, maturity_seconds=5 * DAY)
    given = rows(400, start=FIRST * DAY)
    family.take(family.count(given))
    family.close((FIRST + 2) * DAY, Breaks())
    assert family.verdicts()[0].verdict == "unknown"
    family.close((FIRST + 7) * DAY, Breaks())
    assert family.verdicts()[0].reason == "no cohort of predictions has its labels yet"


def test_without_quality_or_a_task_segments_are_not_watched() -> None:
    assert Segments.of(Target(spec(quality="none"), BINARY, KNOWN, "", 0.0)) is None
    assert Segments.of(Target(spec(), BINARY, None, "", 0.0)) is None
    assert Segments.of(Target(spec(), Signature((), ()), KNOWN, "", 0.0)) is None


def test_nothing_is_explained_where_nothing_was_expected() -> None:
    bare = build_profile(replace(reference(), segments=()))
    losses = bare.segment_losses
    assert losses is not None
    blank = tuple(
        msgspec.structs.replace(each, gap=msgspec.structs.replace(each.gap, promised=0))
        for each in losses.segments
    )
    known = msgspec.structs.replace(
        bare, estimate=None, segment_losses=msgspec.structs.replace(losses, segments=blank)
    )
    days = Days(known, {"tolerances": {"quality:brier": 0.5}}).live(3).live(6, "left", 0.5)
    assert days.said.verdict == "bad"
    found = next(each for each in days.incidents.values() if "segments" in each.signals)
    assert found.causes[0].cause is Cause.CONCEPT_DRIFT


@pytest.mark.parametrize(
    ("column", "place", "words"),
    [
        (Coarse(name="x", categories=("a", "b")), 1, "b"),
        (Coarse(name="x", categories=("a", "b")), 2, "anything else"),
        (Coarse(name="x", categories=("a", "b")), 3, "missing"),
        (Coarse(name="x", cuts=(1.0, 2.5)), 0, "up to 1"),
        (Coarse(name="x", cuts=(1.0, 2.5)), 1, "above 1 up to 2.5"),
        (Coarse(name="x", cuts=(1.0, 2.5)), 2, "above 2.5"),
        (Coarse(name="x", cuts=(1.0, 2.5)), 3, "missing"),
        (Coarse(name="x"), 0, "not missing"),
    ],
)
def test_a_segment_is_called_by_its_values(column: Coarse, place: int, words: str) -> None:
    assert value_of(column, place) == words
