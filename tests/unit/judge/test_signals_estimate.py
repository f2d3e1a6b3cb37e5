"""The line of quality without labels, beside realised quality."""

from collections.abc import Callable

import msgspec
import numpy as np
import pytest
from tests.support.traffic import BINARY, DAY, STABLE, labelled, profile, reference, rows, spec

from trimtab.domain.profile import ReferenceProfile
from trimtab.domain.records import Labelled, Rows
from trimtab.domain.signature import Column, Datatype, Output, Signature
from trimtab.domain.verdicts import Verdict
from trimtab.judge.profile import Reference, build_profile
from trimtab.judge.signals.estimate import Estimated
from trimtab.judge.signals.family import Breaks, Span, Target

FIRST = 20
TIMED = profile()
UNTIMED = profile(timed=False)


def vague(part: Rows) -> Rows:
    """Scores that promise little."""
    score = np.random.default_rng(len(part)).beta(20.0, 20.0, len(part))
    return Rows(part.fixed, part.inputs, {"score": score})


def unchanged(part: Rows) -> Rows:
    """As they are."""
    return part


def family(reference: ReferenceProfile = UNTIMED, **plan: object) -> Estimated:
    """The family of a release that begins to serve on the first day."""
    target = Target(
        spec(**{"block_seconds": DAY, **plan}), BINARY, reference, STABLE.digest, FIRST * DAY
    )
    made = Estimated.of(target)
    assert made is not None
    return made


def live(
    watched: Estimated,
    days: range,
    *,
    change: Callable[[Rows], Rows] = unchanged,
    flip: float = 0.0,
    share: float = 1.0,
    breaks: Breaks | None = None,
) -> Verdict:
    """Live through days, with labels for a share of the rows; the last verdict."""
    for day in days:
        part = change(rows(600, seed=day, start=day * DAY))
        watched.take(watched.count(part))
        truth = labelled(part, seed=day, flip=flip)
        known = np.random.default_rng(day).random(len(part)) < share
        watched.take(watched.learn(truth.take(known)))
        watched.close((day + 1) * DAY + 3600.0, breaks or Breaks())
    return watched.verdicts()[0]


@pytest.mark.parametrize("profiled", [TIMED, UNTIMED], ids=["timed", "untimed"])
def test_calm_days_are_estimated_and_found_harmless(profiled: ReferenceProfile) -> None:
    found = live(family(profiled), range(FIRST, FIRST + 5), share=0.0)
    assert found.verdict == "ok"
    assert (found.signal, found.tier, found.n) == ("estimate", "ticket", 600)
    assert found.lower is not None
    assert found.upper is not None
    assert found.lower < profiled.quality[2].value < found.upper
    assert "brier without labels" in found.reason
    assert "if labels still go by scores as they did" in found.reason


@pytest.mark.parametrize("metric", ["brier", "roc_auc", "error"])
def test_harm_that_scores_show_is_found_before_any_label(metric: str) -> None:
    found = live(family(quality=metric), range(FIRST, FIRST + 25), change=vague, share=0.0)
    assert found.verdict == "bad"
    assert found.since is not None
    assert f"{metric} without labels" in found.reason


@pytest.mark.parametrize("profiled", [TIMED, UNTIMED], ids=["timed", "untimed"])
def test_labels_that_contradict_it_cost_the_estimate_its_word(profiled: ReferenceProfile) -> None:
    watched = family(profiled, quality="roc_auc")
    found = live(watched, range(FIRST, FIRST + 5), flip=0.4)
    assert found.verdict == "unknown"
    assert found.reason.startswith("not trusted since 1970-01-21 00:00, labels contradict it: ")
    assert found.estimate is None
    assert live(watched, range(FIRST + 5, FIRST + 20)).verdict == "ok"


def test_what_is_not_trusted_is_no_evidence_of_harm() -> None:
    watched = family()
    live(watched, range(FIRST, FIRST + 5), flip=0.4)
    before = watched.state.watch.n
    live(watched, range(FIRST + 5, FIRST + 7), flip=0.4)
    assert watched.state.watch.n == before


def test_labels_of_a_sample_give_a_prediction_powered_mean() -> None:
    found = live(family(maturity_seconds=0.0), range(FIRST, FIRST + 4), share=0.2)
    assert found.verdict == "ok"
    assert "; by labels for " in found.reason
    assert " of 600 rows of 1970-01-24 00:00 brier " in found.reason


def test_where_the_estimate_is_not_trusted_the_sample_stands_for_it() -> None:
    found = live(family(maturity_seconds=0.0), range(FIRST, FIRST + 9), share=0.4, flip=0.4)
    assert found.verdict == "unknown"
    assert found.estimate is not None
    assert found.lower is not None
    assert found.upper is not None
    assert found.lower < found.estimate < found.upper
    assert "not trusted" in found.reason
    assert found.estimate > 0.2


def test_a_sample_gives_a_mean_loss_and_no_auc() -> None:
    wrong, pairs = (
        live(family(quality=metric, maturity_seconds=0.0), range(FIRST, FIRST + 3), share=0.3)
        for metric in ("error", "roc_auc")
    )
    assert "by labels for" in wrong.reason
    assert "by labels for" not in pairs.reason


def test_a_handful_of_labels_is_no_audit() -> None:
    watched = family(maturity_seconds=0.0)
    live(watched, range(FIRST, FIRST + 4), share=0.03, flip=1.0)
    assert watched.state.trust.doubts == []
    assert watched.state.powered is None


def test_labels_of_rows_that_were_never_seen_are_no_sample() -> None:
    watched, part = family(maturity_seconds=0.0), rows(600, seed=1, start=FIRST * DAY)
    sure = Rows(part.fixed, part.inputs, {"score": np.full(600, 0.99)})
    watched.take(watched.count(sure))
    watched.take(watched.learn(labelled(part).take(part.outputs["score"] < 0.2)))
    watched.close((FIRST + 2) * DAY, Breaks())
    assert watched.state.powered is None


def test_cohorts_wait_for_their_labels() -> None:
    watched = family(maturity_seconds=5 * DAY)
    live(watched, range(FIRST, FIRST + 4), share=0.5, flip=0.4)
    assert watched.state.trust.doubts == []
    late = labelled(rows(600, seed=FIRST, start=FIRST * DAY), seed=FIRST)
    watched.close((FIRST + 9) * DAY, Breaks())
    assert watched.state.trust.doubts
    before = watched.state.cohorts
    watched.take(watched.learn(late))
    assert watched.state.cohorts == before


def test_rows_unlike_the_reference_are_refused_with_the_reason() -> None:
    def far(part: Rows) -> Rows:
        return Rows(part.fixed, {**part.inputs, "level": part.inputs["level"] + 50.0}, part.outputs)

    found = live(family(), range(FIRST, FIRST + 2), change=far)
    assert found.verdict == "unknown"
    assert found.reason == (
        "not estimated: 100% of the rows have values that the reference never held"
    )


def test_broken_feeds_and_days_in_part_are_left_out() -> None:
    days = range(FIRST, FIRST + 3)
    broken = Breaks([Span(0.0)], {day * DAY: frozenset({"level"}) for day in days})
    watched = family()
    assert (
        live(watched, days, breaks=broken, flip=0.4).reason
        == "no block of predictions has closed yet"
    )
    assert watched.state.trust.doubts == []
    early = family(TIMED)
    assert live(early, range(FIRST - 2, FIRST), flip=0.4).verdict == "unknown"
    assert early.state.trust.doubts == []


def test_rows_without_a_score_are_in_no_cell() -> None:
    def mute(part: Rows) -> Rows:
        score = np.where(np.arange(len(part)) < 300, np.nan, part.outputs["score"])
        return Rows(part.fixed, part.inputs, {"score": score})

    watched = family()
    found = live(watched, range(FIRST, FIRST + 1), change=mute)
    assert found.n == 300


def test_rows_whose_output_a_torn_segment_lost_are_not_counted() -> None:
    watched, part = family(), rows(600, seed=1, start=FIRST * DAY)
    bare = Rows(part.fixed, part.inputs, {})
    assert watched.count(bare) == {}
    assert watched.learn(Labelled(bare, labelled(part).label, part.fixed["event_time"])) == {}


def test_a_release_of_before_says_so() -> None:
    old = msgspec.structs.replace(UNTIMED, estimate=None)
    watched = family(old)
    found = live(watched, range(FIRST, FIRST + 2))
    assert found.verdict == "unknown"
    assert found.reason.startswith("the release was built before quality was estimated")


def test_a_reference_of_few_labels_says_so() -> None:
    small = build_profile(reference(days=1, per_day=60, timed=False))
    assert family(small).verdicts()[0].reason == ("the reference has 60 labels, 100 are needed")


def test_nothing_is_estimated_where_quality_is_not_watched() -> None:
    target = Target(spec(quality="none"), BINARY, UNTIMED, STABLE.digest, 0.0)
    assert Estimated.of(target) is None


REGRESSION = Signature(
    (Column("level", Datatype.FP64), Column("side", Datatype.BYTES)),
    (Output("prediction", Datatype.FP64),),
    "regression",
)
CLASSES = Signature(
    REGRESSION.inputs, (Output("label", Datatype.BYTES),), "multiclass", ("left", "right")
)


def answered(day: int, signature: Signature) -> Labelled:
    """Rows of a day under another task, with their labels."""
    part, rng = rows(600, seed=day, start=day * DAY), np.random.default_rng(day)
    if signature is CLASSES:
        outputs = {"label": part.inputs["side"]}
        right = rng.random(600) < 0.8
        label = np.where(right, part.inputs["side"], "neither").astype(object)
    else:
        outputs = {"prediction": part.inputs["level"]}
        truth = part.inputs["level"] + rng.normal(size=600)
        label = np.array([repr(float(each)) for each in truth], dtype=object)
    given = Rows(part.fixed, part.inputs, outputs)
    return Labelled(given, label, part.fixed["event_time"] + 60.0)


@pytest.mark.parametrize("signature", [REGRESSION, CLASSES], ids=lambda s: str(s.task))
def test_other_tasks_are_estimated_doubted_and_audited_alike(signature: Signature) -> None:
    parts = [answered(day, signature) for day in range(4)]
    learned = build_profile(
        Reference(
            signature,
            {n: np.concatenate([p.rows.inputs[n] for p in parts]) for n in ("level", "side")},
            {n: np.concatenate([p.rows.outputs[n] for p in parts]) for n in parts[0].rows.outputs},
            np.concatenate([part.label for part in parts]),
        )
    )
    plan = spec(quality="auto", block_seconds=DAY, maturity_seconds=0.0)
    watched = Estimated.of(Target(plan, signature, learned, STABLE.digest, 0.0))
    assert watched is not None
    for day in range(FIRST, FIRST + 4):
        part = answered(day, signature)
        watched.take(watched.count(part.rows))
        watched.take(watched.learn(part.take(np.arange(200))))
        watched.close((day + 1) * DAY + 3600.0, Breaks())
    found = watched.verdicts()[0]
    assert found.verdict == "ok"
    assert found.lower is not None
    assert found.upper is not None
    assert found.lower < learned.quality[0].value < found.upper
    assert "by labels for 200 of 600" in found.reason
    assert watched.state.trust.since is None
