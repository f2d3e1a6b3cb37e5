"""Quality without labels by segment, as a deployment sees it."""

from collections.abc import Callable
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from tests.support.traffic import (
    BINARY,
    DAY,
    STABLE,
    columns,
    labelled,
    profile,
    reference,
    rows,
    spec,
)

from trimtab.domain.profile import ReferenceProfile
from trimtab.domain.records import Labelled, Rows
from trimtab.domain.signature import Column, Datatype, Output, Signature
from trimtab.domain.verdicts import Verdict
from trimtab.judge import budget, segment_profile
from trimtab.judge.monitors import Monitors
from trimtab.judge.profile import Reference, build_profile
from trimtab.judge.reports import Surroundings
from trimtab.judge.signals.counts import merged
from trimtab.judge.signals.estimate import PATIENCE, Estimated
from trimtab.judge.signals.estimate_counts import Counted
from trimtab.judge.signals.family import Breaks, Target

FIRST = 20
UNTIMED = profile(timed=False)
Change = Callable[[Rows], Rows]


def family(known: ReferenceProfile = UNTIMED, **plan: object) -> Estimated:
    """The family of a release that begins to serve on the first day."""
    target = Target(
        spec(**{"block_seconds": DAY, **plan}), BINARY, known, STABLE.digest, FIRST * DAY
    )
    made = Estimated.of(target)
    assert made is not None
    return made


def words(watched: Estimated) -> dict[str, Verdict]:
    """The verdicts by signal."""
    return {verdict.signal: verdict for verdict in watched.verdicts()}


def on(side: str, part: Rows) -> Rows:
    """The rows of a side."""
    return part.take(part.inputs["side"] == side)


def live(
    watched: Estimated,
    days: range,
    change: Change = lambda part: part,
    truth: Callable[[Labelled], Labelled] | None = None,
) -> dict[str, Verdict]:
    """Live through days of 800 rows, with labels where `truth` is given; the last verdicts."""
    for day in days:
        part = change(rows(800, seed=day, start=day * DAY))
        watched.take(watched.count(part))
        if truth is not None:
            watched.take(watched.learn(truth(labelled(part, seed=day))))
        watched.close((day + 1) * DAY + 3600.0, Breaks())
    return words(watched)


def vague_on_the_right(part: Rows) -> Rows:
    """Scores that promise little, on one side."""
    score = np.random.default_rng(len(part)).beta(20.0, 20.0, len(part))
    right = part.inputs["side"] == "right"
    return Rows(part.fixed, part.inputs, {"score": np.where(right, score, part.outputs["score"])})


def flipped_on_the_right(given: Labelled) -> Labelled:
    """Labels turned around, on one side."""
    right = given.rows.inputs["side"] == "right"
    other = np.where(given.label == "1", "0", "1").astype(object)
    return replace(given, label=np.where(right, other, given.label))


@pytest.mark.parametrize("timed", [True, False], ids=["timed", "untimed"])
def test_each_segment_has_an_estimate_with_its_scope(timed: bool) -> None:
    found = live(family(profile(timed=timed)), range(FIRST, FIRST + 3))
    assert sorted(found) == ["estimate", "estimate:side=left", "estimate:side=right"]
    for side in ("left", "right"):
        verdict = found[f"estimate:side={side}"]
        assert (verdict.verdict, verdict.tier, verdict.scope) == ("ok", "ticket", {"side": side})
        assert f"brier of side={side} without labels" in verdict.reason
        assert verdict.lower is not None
        assert verdict.upper is not None
        assert verdict.reference is not None
        assert verdict.lower < verdict.reference < verdict.upper
        assert 300 < verdict.n < 500


def test_each_metric_is_estimated_in_each_segment() -> None:
    found = live(family(quality=("error", "recall")), range(FIRST, FIRST + 1))
    assert set(found) == {
        *("estimate", "estimate:side=left", "estimate:side=right"),
        *("estimate:recall", "estimate:recall:side=left", "estimate:recall:side=right"),
    }


def test_harm_to_one_segment_is_found_there_and_nowhere_else() -> None:
    found = live(family(), range(FIRST, FIRST + 25), vague_on_the_right)
    assert found["estimate:side=right"].verdict == "bad"
    assert found["estimate:side=right"].since is not None
    assert found["estimate:side=left"].verdict == "ok"


def test_labels_that_contradict_one_segment_cost_its_word_alone() -> None:
    found = live(family(), range(FIRST, FIRST + 6), truth=flipped_on_the_right)
    assert found["estimate:side=right"].verdict == "unknown"
    assert "not trusted since" in found["estimate:side=right"].reason
    assert found["estimate:side=left"].verdict == "ok"


def test_all_rows_have_half_of_the_budget_and_segments_the_other() -> None:
    found, alone = family(), family(build_profile(replace(reference(timed=False), segments=())))
    limits = {name: verdict.threshold_log10 for name, verdict in words(found).items()}
    whole = words(alone)["estimate"].threshold_log10
    assert limits["estimate"] == pytest.approx(whole + np.log10(2.0))
    assert limits["estimate:side=left"] == pytest.approx(whole + np.log10(4.0))
    shares = 10.0 ** -limits["estimate"] + 2 * 10.0 ** -limits["estimate:side=left"]
    assert shares == pytest.approx(10.0**-whole)
    assert budget.tier("estimate") == "ticket"


def few_on_the_right(rows_a_day: int) -> Change:
    """So many rows of the right a day."""

    def change(part: Rows) -> Rows:
        right = part.inputs["side"] == "right"
        return part.take(~right | (np.cumsum(right) <= rows_a_day))

    return change


def test_rows_of_a_small_segment_wait_until_they_are_enough() -> None:
    watched = family()
    early = live(watched, range(FIRST, FIRST + 2), few_on_the_right(40))
    assert early["estimate:side=right"].verdict == "unknown"
    assert early["estimate:side=right"].reason == (
        f"no {PATIENCE} blocks had 100 rows of side=right together yet"
    )
    late = live(watched, range(FIRST + 2, FIRST + 3), few_on_the_right(40))
    assert late["estimate:side=right"].verdict == "ok"
    assert late["estimate:side=right"].n == 120
    assert "from 1970-01-21" in late["estimate:side=right"].reason


def test_a_segment_of_one_row_a_day_never_has_enough() -> None:
    watched = family()
    found = live(watched, range(FIRST, FIRST + 9), few_on_the_right(1))
    assert found["estimate:side=right"].verdict == "unknown"
    waiting = watched.state.segments["side=right"].waiting
    assert waiting is not None
    assert (waiting.seen.n, waiting.start) == (2, (FIRST + 7) * DAY)


def test_a_segment_that_stops_coming_is_no_longer_estimated() -> None:
    watched = family()
    live(watched, range(FIRST, FIRST + 1))
    gone = live(watched, range(FIRST + 1, FIRST + 2 * PATIENCE), few_on_the_right(0))
    assert gone["estimate:side=right"].verdict == "ok"
    gone = live(watched, range(FIRST + 2 * PATIENCE, FIRST + 15), few_on_the_right(0))
    assert gone["estimate:side=right"].verdict == "unknown"
    assert "the last 7 blocks had fewer than 100 rows of side=right" in (
        gone["estimate:side=right"].reason
    )


def test_rows_unlike_the_reference_are_refused_in_their_segment_alone() -> None:
    def far(part: Rows) -> Rows:
        right = part.inputs["side"] == "right"
        few = right & (np.arange(len(part)) % 20 == 0)
        level = part.inputs["level"] + np.where(few | right, 50.0, 0.0)
        return Rows(part.fixed, {**part.inputs, "level": level}, part.outputs)

    found = live(family(), range(FIRST, FIRST + 1), far)
    assert "100% of the rows have values that the reference never held" in (
        found["estimate:side=right"].reason
    )
    assert found["estimate:side=left"].verdict == "ok"


def test_a_segment_of_few_labels_says_how_many_there_are() -> None:
    known = reference(days=2, per_day=400, timed=False)
    side = np.where(np.arange(800) < 40, "right", "left").astype(object)
    few = build_profile(replace(known, inputs={**known.inputs, "side": side}))
    found = words(family(few))
    assert found["estimate:side=right"].reason == (
        "the reference has 40 labelled rows with side=right, at least 100 are needed"
    )
    assert found["estimate:side=right"].scope == {"side": "right"}
    assert "estimate:side=left" in found


def test_a_column_that_the_build_was_not_told_of_says_so() -> None:
    bare = build_profile(replace(reference(timed=False), segments=()))
    found = words(family(bare))["estimate:side"]
    assert (found.verdict, found.scope) == ("unknown", {"column": "side"})
    assert found.reason == (
        "the release was built without segments of side: build it again with --segments side"
    )
    assert "estimate:side" not in words(family(bare, segments=()))


def test_segments_beyond_those_that_are_learned_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segment_profile, "MOST_SEGMENTS", 1)
    found = words(family(build_profile(reference(timed=False))))
    told = [each.reason for each in found.values() if each.reason.startswith("only the ")]
    assert told == ["only the 32 largest segments are learned"]


def test_a_metric_that_a_segment_never_showed_is_not_estimated_of_it() -> None:
    known = reference(days=2, per_day=400, timed=False)
    assert known.label is not None
    right = known.inputs["side"] == "right"
    none = replace(known, label=np.where(right, "0", known.label).astype(object))
    found = words(family(build_profile(none), quality=("error", "roc_auc")))
    assert "roc_auc is not defined on the" in found["estimate:roc_auc:side=right"].reason
    assert "estimate:side=right" in found


def test_a_release_without_any_estimate_has_none_of_segments() -> None:
    old = msgspec.structs.replace(UNTIMED, estimate=None)
    assert list(words(family(old))) == ["estimate"]


def test_metrics_that_cannot_be_estimated_have_no_segments() -> None:
    known = reference(days=2, per_day=400, timed=False)
    with_loss = msgspec.structs.replace(
        build_profile(known).quality[0], metric="loss", formula="1 - score"
    )
    profiled = build_profile(known)
    other = msgspec.structs.replace(profiled, quality=(*profiled.quality, with_loss))
    found = words(family(other, quality="loss", loss="1 - score"))
    assert list(found) == ["estimate"]


def test_costs_are_expected_of_segments_too() -> None:
    costs = {"1": {"0": 4.0}, "0": {"1": 1.0}}
    found = live(family(quality="cost", costs=costs), range(FIRST, FIRST + 2))
    assert found["estimate:side=left"].verdict == "ok"
    assert "cost of side=left without labels" in found["estimate:side=left"].reason


def test_a_sample_and_an_audit_speak_of_each_segment() -> None:
    def some(given: Labelled) -> Labelled:
        return given.take(np.arange(len(given.label)) % 4 == 0)

    sampled = live(family(maturity_seconds=0.0), range(FIRST, FIRST + 3), truth=some)
    assert "; by labels for " in sampled["estimate:side=left"].reason
    watched = family(maturity_seconds=0.0, audit=0.2)
    audited = live(watched, range(FIRST, FIRST + 3), truth=lambda given: given)
    assert "; by an audit of " in audited["estimate:side=left"].reason
    both = [watched.state.segments[f"side={side}"].audit.asked for side in ("left", "right")]
    assert sum(both) == watched.state.audit.asked


def test_labels_of_a_segment_that_was_never_seen_are_no_audit_of_it() -> None:
    watched = family(maturity_seconds=0.0, audit=0.5)
    part = rows(800, seed=1, start=FIRST * DAY)
    watched.take(watched.count(on("left", part)))
    watched.take(watched.learn(labelled(part)))
    watched.close((FIRST + 2) * DAY, Breaks())
    audits = {name: each.audit for name, each in watched.state.segments.items()}
    assert audits["side=left"].asked > 0
    assert audits["side=right"].asked == 0


def test_parts_counted_apart_are_what_counting_at_once_gives() -> None:
    watched = family(audit=0.3)
    part = rows(900, seed=4, start=FIRST * DAY)
    mute = Rows(part.fixed, part.inputs, {"score": np.where(np.arange(900) % 9, 0.4, np.nan)})
    truth = labelled(mute)
    at_once = merged(watched.count(mute), watched.learn(truth))
    split: dict[int, Counted] = {}
    for third in np.split(np.random.default_rng(1).permutation(900), 3):
        split = merged(split, watched.count(mute.take(np.sort(third))))
        split = merged(split, watched.learn(truth.take(np.sort(third))))
    assert split == at_once
    block = at_once[FIRST]
    assert sum(each.seen.mute for each in block.segments.values()) == block.whole.seen.mute == 100


def test_rows_without_a_segment_belong_to_all_rows_alone() -> None:
    watched = family()
    part = rows(300, seed=5, start=FIRST * DAY)
    nowhere = Rows(part.fixed, {**part.inputs, "side": np.full(300, None, object)}, part.outputs)
    counted = watched.count(nowhere)[FIRST]
    assert counted.whole.seen.n == 300
    assert counted.segments == {}
    told = watched.learn(labelled(on("left", part)))[FIRST]
    assert list(told.segments) == ["side=left"]
    assert told.segments["side=left"].told.n == told.whole.told.n


def test_what_is_known_of_segments_survives_a_restart() -> None:
    plan = spec(block_seconds=DAY)
    watched = Monitors.start(plan, BINARY, UNTIMED, STABLE.digest, FIRST * DAY)
    for day in range(FIRST, FIRST + 3):
        part = rows(800, seed=day, start=day * DAY)
        watched.observe(few_on_the_right(40)(part))
        watched.learn(labelled(part, seed=day))
        watched = Monitors.load(watched.dump())
        report = watched.assess((day + 1) * DAY + 3600.0, (), Surroundings())
    found = {verdict.signal: verdict for verdict in report.verdicts}
    assert found["estimate:side=right"].n == 120


@pytest.mark.no_cover
def test_a_segment_in_alarm_is_an_incident_that_names_it() -> None:
    monitors = Monitors.start(spec(block_seconds=DAY), BINARY, UNTIMED, STABLE.digest, FIRST * DAY)
    opened = []
    for day in range(FIRST, FIRST + 25):
        monitors.observe(vague_on_the_right(rows(800, seed=day, start=day * DAY)))
        report = monitors.assess((day + 1) * DAY + 3600.0, (), Surroundings())
        opened += [verdict.scope for incident in report.opened for verdict in incident.verdicts]
    assert {"side": "right"} in opened
    assert {"side": "left"} not in opened


REGRESSION = Signature(
    (Column("level", Datatype.FP64), Column("side", Datatype.BYTES)),
    (Output("prediction", Datatype.FP64),),
    "regression",
)


def predicted(n: int, seed: int, start: float = 0.0) -> Labelled:
    """Predictions that are three times as far off on the right."""
    rng, part = np.random.default_rng(seed), rows(n, seed=seed, start=start)
    inputs = columns(rng, n)
    far = np.where(inputs["side"] == "right", 3.0, 1.0)
    truth = inputs["level"] + far * rng.normal(size=n)
    label = np.array([repr(float(each)) for each in truth], dtype=object)
    given = Rows(part.fixed, inputs, {"prediction": inputs["level"]})
    return Labelled(given, label, part.fixed["event_time"] + 60.0)


def test_the_loss_of_a_regression_is_expected_by_segment_on_the_scale_of_all_rows() -> None:
    known = predicted(6_000, 1)
    learned = build_profile(
        Reference(
            REGRESSION, known.rows.inputs, known.rows.outputs, known.label, segments=("side",)
        )
    )
    plan = spec(quality="auto", block_seconds=DAY, maturity_seconds=0.0)
    watched = Estimated.of(Target(plan, REGRESSION, learned, STABLE.digest, 0.0))
    assert watched is not None
    live_rows = predicted(1_500, 2, FIRST * DAY)
    watched.take(watched.count(live_rows.rows))
    watched.take(watched.learn(live_rows))
    watched.close((FIRST + 1) * DAY + 3600.0, Breaks())
    found = words(watched)
    left, right = (found[f"estimate:side={side}"] for side in ("left", "right"))
    assert left.verdict == right.verdict == "ok"
    assert (right.estimate or 0.0) > 4.0 * (left.estimate or 1.0)
    assert learned.estimate is not None
    scales = {q.scale for each in learned.estimate.segments for q in each.quality[:1]}
    assert scales == {learned.quality[0].scale}
