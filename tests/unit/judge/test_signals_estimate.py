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
    before = watched.state.streams["brier"].watch.n
    live(watched, range(FIRST + 5, FIRST + 7), flip=0.4)
    assert watched.state.streams["brier"].watch.n == before


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
    assert watched.state.streams["brier"].powered is None


def test_labels_of_rows_that_were_never_seen_are_no_sample() -> None:
    watched, part = family(maturity_seconds=0.0), rows(600, seed=1, start=FIRST * DAY)
    sure = Rows(part.fixed, part.inputs, {"score": np.full(600, 0.99)})
    watched.take(watched.count(sure))
    watched.take(watched.learn(labelled(part).take(part.outputs["score"] < 0.2)))
    watched.close((FIRST + 2) * DAY, Breaks())
    assert watched.state.streams["brier"].powered is None


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
    usual = learned.quality[0]
    assert found.lower < usual.told(usual.value) < found.upper
    assert "by labels for 200 of 600" in found.reason
    assert watched.state.trust.since is None


COSTS = {"1": {"0": 4.0}, "0": {"1": 1.0}}


def words(watched: Estimated) -> dict[str, Verdict]:
    """The verdicts about all rows, by signal."""
    return {verdict.signal: verdict for verdict in watched.verdicts() if not verdict.scope}


@pytest.mark.parametrize("profiled", [TIMED, UNTIMED], ids=["timed", "untimed"])
def test_each_metric_that_is_watched_is_estimated(profiled: ReferenceProfile) -> None:
    metrics = ("error", "log_loss", "precision", "recall", "f1", "cost")
    watched = family(profiled, quality=metrics, costs=COSTS)
    live(watched, range(FIRST, FIRST + 5), share=0.0)
    found = words(watched)
    assert list(found) == ["estimate", *(f"estimate:{name}" for name in metrics[1:])]
    assert {each.verdict for each in found.values()} == {"ok"}
    for verdict in found.values():
        assert verdict.lower is not None
        assert verdict.upper is not None
        assert verdict.lower < (verdict.estimate or 0.0) < verdict.upper
        assert abs((verdict.estimate or 0.0) - (verdict.reference or 0.0)) < 0.06


def test_harm_to_a_cost_is_found_before_any_label() -> None:
    watched = family(quality="cost", costs=COSTS)
    assert live(watched, range(FIRST, FIRST + 25), change=vague, share=0.0).verdict == "bad"


def test_metrics_that_are_no_mean_loss_have_no_sample_and_trust_goes_by_brier() -> None:
    watched = family(quality=("recall", "precision"), maturity_seconds=0.0)
    found = live(watched, range(FIRST, FIRST + 5), share=0.4, flip=0.4)
    assert found.reason.startswith("not trusted since")
    assert "by labels" not in found.reason


def test_a_fall_is_split_from_the_time_on_that_is_asked_for() -> None:
    watched = family(quality="brier")
    live(watched, range(FIRST, FIRST + 3))
    live(watched, range(FIRST + 3, FIRST + 5), flip=0.4)
    whole, since = (watched.explained("brier", day * DAY) for day in (FIRST, FIRST + 3))
    assert whole is not None
    assert since is not None
    assert since.changed
    assert since.real > whole.real > since.expected
    assert since.tie.kept == pytest.approx(0.2, abs=0.1)
    assert watched.explained("brier", (FIRST + 5) * DAY) is None
    assert watched.explained("error", FIRST * DAY) is None


def test_a_cohort_of_few_labels_is_not_split() -> None:
    watched = family(quality="brier", maturity_seconds=0.0)
    live(watched, range(FIRST, FIRST + 2), share=0.02)
    assert watched.explained("brier", 0.0) is None


def test_a_metric_that_cannot_be_watched_has_no_estimate() -> None:
    watched = family(quality=("macro_recall", "error"))
    live(watched, range(FIRST, FIRST + 3), share=0.0)
    assert list(words(watched)) == ["estimate:error"]


def test_an_audit_is_an_interval_at_any_time_and_says_how_complete_it_is() -> None:
    watched = family(quality=("error", "roc_auc"), maturity_seconds=0.0, audit=0.2)
    found = live(watched, range(FIRST, FIRST + 4))
    assert "; by an audit of " in found.reason
    assert "(100% of those asked for), at any time error " in found.reason
    assert "audit" not in words(watched)["estimate:roc_auc"].reason


def test_labels_that_were_not_asked_for_are_no_audit() -> None:
    """A label for each tenth row, whatever was asked: half of the audit stays without."""
    watched = family(maturity_seconds=0.0, audit=0.2)
    found = live(watched, range(FIRST, FIRST + 4), share=0.5)
    assert "; the audit waits for labels: 95% of those asked for are needed" in found.reason
    assert "by labels for" not in found.reason


def test_a_small_audit_says_how_many_labels_it_has() -> None:
    watched = family(maturity_seconds=0.0, audit=0.01)
    live(watched, range(FIRST, FIRST + 2))
    assert "; the audit has " in watched.verdicts()[0].reason


def test_an_audit_begins_anew_when_labels_contradict_what_is_predicted() -> None:
    watched = family(maturity_seconds=0.0, audit=0.2)
    live(watched, range(FIRST, FIRST + 3))
    before = watched.state.audit.labelled
    live(watched, range(FIRST + 3, FIRST + 6), flip=0.4)
    assert watched.state.trust.since is not None
    found = live(watched, range(FIRST + 6, FIRST + 10), flip=0.4)
    assert 0 < watched.state.audit.asked < before * 3
    assert "by an audit of " in found.reason
    assert found.estimate is not None
    assert found.estimate > 0.2


def test_a_refusal_still_says_what_an_audit_knows() -> None:
    watched = family(maturity_seconds=0.0, audit=0.5)
    live(watched, range(FIRST, FIRST + 3))
    part = rows(50, seed=1, start=(FIRST + 3) * DAY)
    watched.take(watched.count(part))
    watched.close((FIRST + 4) * DAY + 3600.0, Breaks())
    reason = watched.verdicts()[0].reason
    assert reason.startswith("not estimated: 50 rows")
    assert "; by an audit of " in reason


def three(profiled: bool = True) -> tuple[Signature, Reference]:
    """Rows of three classes whose top score comes true as it says."""
    signature = Signature(
        BINARY.inputs,
        (Output("scores", Datatype.FP64, (3,)), Output("label", Datatype.BYTES)),
        "multiclass",
        ("a", "b", "c"),
    )
    rng, n = np.random.default_rng(5), 4000
    chances = rng.dirichlet((1.0, 1.0, 1.0), n)
    truth = np.array(signature.classes, dtype=object)[
        (chances.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1)
    ]
    scores = np.empty(n, dtype=object)
    scores[:] = chances.tolist()
    label = np.array(signature.classes, dtype=object)[chances.argmax(axis=1)]
    part = rows(n, seed=5, start=FIRST * DAY)
    outputs = {"label": label, "scores": scores} if profiled else {"label": label}
    return signature, Reference(signature, part.inputs, outputs, truth)


@pytest.mark.parametrize(
    ("metric", "word"), [("error", "ok"), ("log_loss", "ok"), ("macro_recall", "unknown")]
)
def test_of_several_classes_error_and_log_loss_are_estimated(metric: str, word: str) -> None:
    signature, known = three()
    reference = build_profile(known)
    target = Target(
        spec(block_seconds=DAY, quality=metric, maturity_seconds=0.0),
        signature,
        reference,
        STABLE.digest,
        FIRST * DAY,
    )
    watched = Estimated.of(target)
    assert watched is not None
    part = rows(4000, seed=5, start=FIRST * DAY)
    live_rows = Rows(part.fixed, part.inputs, known.outputs)
    watched.take(watched.count(live_rows))
    assert known.label is not None
    few = Labelled(live_rows, known.label, part.fixed["event_time"]).take(np.arange(4000) < 400)
    watched.take(watched.learn(few))
    watched.close((FIRST + 1) * DAY + 3600.0, Breaks())
    found = watched.verdicts()[0]
    assert found.verdict == word
    if word == "ok":
        assert found.lower is not None
        assert found.upper is not None
        assert found.lower < (found.reference or 0.0) < found.upper
        assert "by labels for 400 of 4,000 rows" in found.reason
    else:
        assert "macro_recall cannot be estimated without labels" in found.reason


def test_classes_without_scores_have_an_error_and_nothing_else_to_estimate() -> None:
    _, known = three(profiled=False)
    profiled = build_profile(known)
    assert profiled.estimate is not None
    assert profiled.estimate.metrics == ("error",)
    assert profiled.estimate.costs == {}
    assert [each.metric for each in profiled.quality] == ["error", "macro_recall"]


def test_a_model_that_is_never_wrong_has_no_cost_of_being_wrong() -> None:
    signature, known = three()
    right = Reference(signature, known.inputs, known.outputs, known.outputs["label"])
    profiled = build_profile(right)
    assert profiled.estimate is not None
    assert set(profiled.estimate.costs["log_loss"][1]) == {0.0}
