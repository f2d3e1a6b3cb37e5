"""A loss of the user's own: what it names, what rows lose, and what is made of it."""

from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest
from tests.support.traffic import BINARY, DAY, STABLE, labelled, profile, reference, rows, spec

from trimtab.domain.deployment import MonitorPlan, misread, unfounded
from trimtab.domain.records import Labelled
from trimtab.domain.signature import Column, Datatype, Output, Signature
from trimtab.domain.verdicts import Verdict
from trimtab.judge.monitors import Monitors
from trimtab.judge.own_loss import Clipped, OwnLoss, Row, kinds, same
from trimtab.judge.profile import Reference, build_profile
from trimtab.judge.promised import lacking, named, promised
from trimtab.judge.reports import Surroundings
from trimtab.judge.signals.quality import Cohort

FIRST = 20
INPUTS = (
    Column("x", Datatype.FP64),
    Column("side", Datatype.BYTES),
    Column("grid", Datatype.FP64, shape=(2,)),
    Column("label", Datatype.FP64),
)
REGRESSION = Signature(INPUTS, (Output("prediction", Datatype.FP64),), "regression")
CLASSES = Signature(INPUTS, (Output("label", Datatype.BYTES),), "multiclass", ("1", "2", "3"))
MISSED = 'where(label == "1", 4, 1) * abs(number(label) - score)'
"""A positive that was thought unlikely costs four times as much."""


def texts(*values: Any) -> Any:
    """Texts as a column."""
    return np.array(values, dtype=object)


def test_a_regression_loses_by_numbers_and_by_its_inputs() -> None:
    given = Row(
        {"x": np.array([1.0, 2.0, np.nan, 1.0]), "side": texts("a", "b", "a", None)},
        {"prediction": np.array([1.0, 1.0, 1.0, 1.0])},
        texts("4", "2", "3", "3"),
    )
    loss = OwnLoss("where(side == 'a', 2, 1) * x * (label - prediction)", 4.0)
    assert loss.unfit(REGRESSION) == ""
    assert loss.of(REGRESSION, given).tolist()[:2] == [1.5, 0.5]
    assert np.isnan(loss.of(REGRESSION, given)[2:]).all()
    assert loss.columns == ("label", "prediction", "side", "x")


def test_classes_are_texts_and_numbers_when_they_are_read_as_such() -> None:
    given = Row({}, {"label": texts("1", "3", None)}, texts("2", "3", "1"))
    assert OwnLoss("where(label == prediction, 0, 1)").of(CLASSES, given).tolist()[:2] == [1.0, 0.0]
    far = OwnLoss("abs(number(label) - number(prediction))", 2.0).of(CLASSES, given)
    assert far.tolist()[:2] == [0.5, 0.0]
    assert np.isnan(far[2])
    assert "number(…) reads it as one" in OwnLoss("label - 1").unfit(CLASSES)


def test_the_decision_of_a_binary_model_is_that_of_its_score() -> None:
    given = Row({}, {"score": np.array([0.7, 0.2, np.nan, 1.5])}, texts("1", "1", "1", "0"))
    wrong = OwnLoss("where(label == prediction, 0, 1)").of(BINARY, given)
    assert wrong.tolist()[:2] == [0.0, 1.0]
    assert np.isnan(wrong[2:]).all()
    assert OwnLoss("score").of(BINARY, given).tolist()[:2] == [0.7, 0.2]


def test_an_input_of_a_taken_name_is_had_by_column_and_tensors_have_no_value_a_row() -> None:
    given = Row({"label": np.array([5.0])}, {"prediction": np.array([1.0])}, texts("2"))
    assert OwnLoss('label + column("label")').of(REGRESSION, given).tolist() == [7.0]
    assert "there is no column 'grid'" in OwnLoss("grid + label").unfit(REGRESSION)
    assert "score" not in kinds(REGRESSION)
    assert kinds(BINARY)["score"] == "number"
    assert kinds(msgspec.structs.replace(REGRESSION, task="other")) == {}


def test_a_column_that_was_lost_is_missing_in_each_row() -> None:
    given = Row({"side": np.array([1.0])}, {"prediction": np.array([1.0])}, texts("2"))
    for text in ("where(side == 'a', label, 1)", "x + label"):
        assert np.isnan(OwnLoss(text).of(REGRESSION, given)).all()


def test_two_losses_are_one_however_they_are_spaced() -> None:
    assert same("label-score", " label - score")
    assert not same("label", "score")
    assert same("<lambda>(label)", "<lambda>(label)")
    assert not same("<lambda>(label)", "label")


def test_losses_outside_their_bounds_are_clipped_and_counted() -> None:
    loss, outside = Clipped.of(np.array([-0.5, 0.5, 7.0, np.nan]))
    assert loss[:3].tolist() == [0.0, 0.5, 1.0]
    assert np.isnan(loss[3])
    assert outside == 2


def known(text: str = MISSED, bound: float = 4.0, **changes: Any) -> Any:
    """The profile of the reference with a loss of its own."""
    return build_profile(replace(reference(), loss=OwnLoss(text, bound), **changes))


TIMED = known()


def plan(**given: Any) -> MonitorPlan:
    """A monitor plan with that loss."""
    return MonitorPlan(**{"loss": MISSED, "loss_bound": 4.0, **given})


@pytest.mark.parametrize("timed", [True, False])
def test_the_release_knows_what_it_lost_on_its_reference(timed: bool) -> None:
    given = reference(timed=timed)
    assert given.label is not None
    score, truth = given.outputs["score"], (given.label == "1").astype(float)
    lost = np.where(truth == 1.0, 4.0, 1.0) * np.abs(truth - score) / 4.0
    (found,) = promised(plan(), build_profile(replace(given, loss=OwnLoss(MISSED, 4.0))), BINARY)
    assert found.metric == "loss"
    assert found.value == pytest.approx(lost.mean())
    assert found.lower < found.value < found.upper
    assert (found.formula, found.scale, found.n, found.clipped) == (MISSED, 4.0, 8000, 0.0)
    assert (found.spread is None) == (not timed)


def test_losses_of_the_reference_outside_the_bound_are_told() -> None:
    (found,) = promised(plan(loss_bound=2.0), known(bound=2.0), BINARY)
    assert 0.0 < found.clipped < 0.5
    assert 0.0 < found.value < 1.0


def test_a_reference_without_labels_or_usable_rows_knows_no_loss() -> None:
    assert known(label=None).quality == ()
    assert known(label=np.array([None] * 8000, dtype=object)).quality == ()
    assert known(outputs={}).quality == ()
    nowhere = known("log(score - 2) * number(label)")
    assert "loss" not in {each.metric for each in nowhere.quality}


def test_a_loss_of_a_free_text_sees_the_text_itself() -> None:
    rng = np.random.default_rng(0)
    words = [
        " ".join(rng.choice(["late", "soon", "rain", "snow"], 9)) + f" {i}" for i in range(400)
    ]
    signature = msgspec.structs.replace(
        REGRESSION, inputs=(Column("note", Datatype.BYTES), Column("x", Datatype.FP64))
    )
    number = rng.normal(size=400)
    given = Reference(
        signature,
        {"note": texts(*words), "x": number},
        {"prediction": number},
        texts(*(repr(float(value)) for value in number)),
        loss=OwnLoss("where(note == 'x', 1, 0) + abs(label - prediction)"),
    )
    assert [each.value for each in build_profile(given).quality if each.formula] == [0.0]


def test_auto_is_the_loss_where_one_is_set() -> None:
    assert named(plan(), TIMED) == ("loss",)
    assert named(plan(quality=("brier", "loss")), TIMED) == ("brier", "loss")


def test_a_loss_needs_a_release_that_was_built_with_it() -> None:
    assert lacking(plan(), TIMED, BINARY) == {}
    assert lacking(plan(loss=MISSED.replace(" ", "")), TIMED, BINARY) == {}
    assert "was built without it" in lacking(plan(), profile(), BINARY)["loss"]
    for other in (plan(loss="score"), plan(loss_bound=3.0)):
        assert (
            f"was built with another one, {MISSED} up to 4" in lacking(other, TIMED, BINARY)["loss"]
        )
        assert promised(other, TIMED, BINARY) == ()
    asked = MonitorPlan(quality="loss")
    assert "nothing says how" in lacking(asked, TIMED, BINARY)["loss"]


def test_a_loss_and_the_metric_that_goes_by_it_belong_together() -> None:
    assert "nothing says how" in unfounded(MonitorPlan(quality=("loss", "f1")))
    assert "loss is not among" in unfounded(plan(quality="f1"))
    assert "which stands for all" in unfounded(plan(costs={"1": {"0": 1.0}}))
    both = plan(quality=("loss", "cost"), costs={"1": {"0": 1.0}})
    assert unfounded(both) == unfounded(plan()) == ""
    assert misread("label +").startswith("at character")
    assert misread("") == misread("label") == ""


def judged(flip: float, **monitor: Any) -> dict[str, Verdict]:
    """The verdicts after some days with labels, a share of which is turned around."""
    given = {"loss": MISSED, "loss_bound": 4.0, "quality": ("loss", "brier"), **monitor}
    bound = given["loss_bound"]
    monitors = Monitors.start(spec(**given), BINARY, known(bound=bound), STABLE.digest, FIRST * DAY)
    for day in range(FIRST, FIRST + 15):
        part = rows(500, seed=day, start=day * DAY)
        monitors.observe(part)
        monitors.learn(labelled(part, seed=day, flip=flip))
        report = monitors.assess((day + 1) * DAY + 3600.0, (), Surroundings(0.0))
    return {verdict.signal: verdict for verdict in report.verdicts}


@pytest.mark.no_cover
def test_harm_is_found_by_a_loss_of_the_users_own_and_calm_is_not() -> None:
    assert judged(0.0)["quality"].verdict == "ok"
    found = judged(0.3)["quality"]
    assert found.verdict == "bad"
    assert found.reason.startswith("loss ")
    assert "outside" not in found.reason


def test_the_share_of_clipped_losses_is_told_beside_the_verdict() -> None:
    found = judged(0.0, loss_bound=2.0)
    assert "of the losses were outside 0 to 2," in found["quality"].reason
    assert "outside" not in found["quality:brier"].reason


def test_parts_of_a_cohort_merge_to_the_whole_and_rows_without_a_loss_are_unusable() -> None:
    qualities = promised(plan(loss_bound=2.0), known(bound=2.0), BINARY)
    part = labelled(rows(300, seed=1))
    part.label[:3] = "neither"
    whole = Cohort.of(qualities, BINARY, part)
    halves = [Cohort.of(qualities, BINARY, part.take(np.arange(300) % 2 == i)) for i in (0, 1)]
    assert halves[0].merge(halves[1]) == whole
    assert (whole.labelled, whole.unusable) == (297, 3)
    assert whole.clipped > 0


def test_a_loss_of_a_regression_counts_beside_other_metrics() -> None:
    rng = np.random.default_rng(0)
    base = rows(200, seed=1)
    answer = rng.normal(size=200)
    truth = texts(*(repr(float(value)) for value in answer + rng.normal(size=200)))
    loss = OwnLoss("max(label - prediction, 0)", 3.0)
    outputs = {"prediction": answer}
    quality = build_profile(Reference(REGRESSION, {"x": answer}, outputs, truth, loss=loss)).quality
    given = Labelled(replace(base, outputs=outputs), truth, base.fixed["event_time"])
    cohort = Cohort.of(quality, REGRESSION, given)
    own = np.clip(np.maximum(truth.astype(float) - answer, 0.0) / 3.0, 0.0, 1.0)
    total, n = cohort.measured("loss") or (0.0, 0)
    assert total == pytest.approx(own.sum(), abs=1e-3)
    assert n == 200
    assert set(cohort.losses) == {"squared_error", "absolute_error", "loss"}
