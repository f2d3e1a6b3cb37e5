"""Which metrics are watched, and why others cannot be."""

import re
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest
from tests.support.traffic import BINARY, DAY, STABLE, labelled, profile, rows, spec

from trimtab.domain.deployment import MonitorPlan, unfounded
from trimtab.domain.profile import Metric, QualityProfile, ReferenceProfile
from trimtab.domain.records import Labelled, Rows
from trimtab.domain.signature import Datatype, Output
from trimtab.domain.verdicts import Verdict
from trimtab.judge.monitors import Monitors
from trimtab.judge.profile import Reference, build_profile
from trimtab.judge.promised import lacking, named, needed, promised
from trimtab.judge.reports import Surroundings
from trimtab.judge.signals.family import Breaks, Target
from trimtab.judge.signals.quality import Quality

FIRST = 20
TIMED = profile()
UNTIMED = profile(timed=False)
BYTES = Datatype.BYTES
COSTS = {"1": {"0": 2.0}, "0": {"1": 8.0}}


def plan(**given: Any) -> MonitorPlan:
    """A monitor plan."""
    return MonitorPlan(**given)


def test_auto_is_the_first_metric_of_the_release_and_the_error_or_the_cost() -> None:
    assert named(plan(), TIMED) == ("roc_auc", "error")
    assert named(plan(), of_metrics("error", "log_loss", "macro_recall")) == ("error",)
    assert named(plan(), of_metrics("squared_error", "absolute_error")) == ("squared_error",)
    assert named(plan(costs=COSTS), TIMED) == ("cost",)
    assert named(plan(quality="none"), TIMED) == ()
    assert named(plan(quality=("f1", "recall")), TIMED) == ("f1", "recall")
    assert named(plan(quality="f1"), None) == ()


def of_metrics(*metrics: Metric) -> ReferenceProfile:
    """A release that knows these metrics."""
    known = [
        QualityProfile(metric=each, value=0.2, lower=0.1, upper=0.3, n=900) for each in metrics
    ]
    return ReferenceProfile(rows=900, inputs=(), quality=tuple(known))


@pytest.mark.parametrize("known", [TIMED, UNTIMED], ids=["timed", "untimed"])
def test_a_cost_is_what_decisions_on_the_reference_cost_as_a_share_of_the_largest(
    known: Any,
) -> None:
    (cost,) = promised(plan(costs=COSTS), known, BINARY)
    tables = np.array(known.decisions).reshape(-1, 2, 2)
    shares = tables / tables.sum(axis=(1, 2), keepdims=True)
    assert cost.value == pytest.approx((shares[:, 1, 0] * 0.25 + shares[:, 0, 1]).mean())
    assert cost.lower < cost.value < cost.upper
    assert (cost.scale, cost.n) == (8.0, 8000)
    assert (cost.spread is None) == (known is UNTIMED)


def test_costs_of_what_the_model_does_not_answer_are_refused_by_name() -> None:
    asked = plan(costs={"yes": {"no": 1.0}})
    assert promised(asked, TIMED, BINARY) == ()
    assert "costs are set for no, yes," in lacking(asked, TIMED, BINARY)["cost"]


def test_costs_need_a_release_that_knows_its_decisions() -> None:
    old = msgspec.structs.replace(TIMED, decisions=())
    assert "build it again" in lacking(plan(costs=COSTS), old, BINARY)["cost"]
    assert lacking(plan(costs=COSTS), TIMED, BINARY) == {}
    assert "nothing says" in lacking(plan(quality="cost"), TIMED, BINARY)["cost"]


def test_a_metric_that_the_release_does_not_know_is_lacking_and_never_silent() -> None:
    asked = plan(quality=("brier", "macro_recall"))
    assert [each.metric for each in promised(asked, TIMED, BINARY)] == ["brier"]
    assert list(lacking(asked, TIMED, BINARY)) == ["macro_recall"]
    assert promised(asked, None, BINARY) == ()
    assert lacking(asked, None, BINARY) == {}


def test_a_day_without_a_row_of_known_truth_has_no_decisions_to_price() -> None:
    empty = msgspec.structs.replace(TIMED, decisions=(*TIMED.decisions, (0, 0, 0, 0)))
    (with_it,), (without,) = (
        promised(plan(costs=COSTS), known, BINARY) for known in (empty, TIMED)
    )
    assert with_it.value == without.value


def test_decisions_are_kept_by_day_as_long_as_there_is_room() -> None:
    assert len(TIMED.decisions) == 20
    assert [sum(day) for day in TIMED.decisions] == [400] * 20
    assert len(UNTIMED.decisions) == 1
    label = np.array([f"c{i % 300}" for i in range(600)], dtype=object)
    classes = tuple(sorted(set(label.tolist())))
    wide = msgspec.structs.replace(BINARY, task="multiclass", classes=classes)
    given = Reference(wide, {"x": np.ones(600)}, {"label": label}, label)
    assert build_profile(given).decisions == ()
    foreign = np.full(600, "z", dtype=object)
    assert build_profile(Reference(wide, given.inputs, given.outputs, foreign)).decisions == ()


def test_costs_and_the_metric_that_goes_by_them_belong_together() -> None:
    assert "nothing says" in unfounded(plan(quality=("cost", "f1")))
    assert "cost is not among" in unfounded(plan(quality="f1", costs=COSTS))
    assert unfounded(plan(quality=("f1", "cost"), costs=COSTS)) == ""
    assert unfounded(plan(costs=COSTS)) == ""
    assert unfounded(plan()) == ""


def judged(days: int, flip: float, **monitor: Any) -> dict[str, Verdict]:
    """The verdicts after some days with labels, a share of which is turned around."""
    monitors = Monitors.start(spec(**monitor), BINARY, TIMED, STABLE.digest, FIRST * DAY)
    for day in range(FIRST, FIRST + days):
        part = rows(500, seed=day, start=day * DAY)
        monitors.observe(part)
        monitors.learn(labelled(part, seed=day, flip=flip))
        report = monitors.assess((day + 1) * DAY + 3600.0, (), Surroundings(0.0))
    return {verdict.signal: verdict for verdict in report.verdicts}


SEVERAL: dict[str, Any] = {
    "quality": ("f1", "error", "cost", "log_loss", "macro_recall"),
    "costs": COSTS,
}


def test_several_metrics_are_several_signals_the_first_of_which_stands_for_all() -> None:
    found = judged(8, 0.0, **SEVERAL)
    names = ["quality", "quality:error", "quality:cost", "quality:log_loss"]
    assert [found[name].verdict for name in names] == ["ok"] * 4
    assert found["quality"].reason.startswith("f1 ")
    assert found["quality:cost"].scope == {}
    assert found["quality"].scope == {}
    lost = found["quality:macro_recall"]
    assert lost.verdict == "unknown"
    assert "macro_recall cannot be watched" in lost.reason


def test_what_labels_that_came_too_late_say_is_told_beside_and_is_no_evidence() -> None:
    asked = spec(quality=("error", "roc_auc"), maturity_seconds=0.0)
    monitors = Monitors.start(asked, BINARY, TIMED, STABLE.digest, FIRST * DAY)
    for day in range(FIRST, FIRST + 3):
        part = rows(500, seed=day, start=day * DAY)
        monitors.observe(part)
        truth = labelled(part, seed=day)
        soon = np.arange(500) % 2 == 0
        monitors.learn(truth.take(soon))
        monitors.assess((day + 1) * DAY + 3600.0, (), Surroundings(0.0))
        monitors.learn(labelled(part, seed=day, flip=1.0).take(~soon))
    report = monitors.assess((FIRST + 4) * DAY, (), Surroundings(0.0))
    found = {verdict.signal: verdict for verdict in report.verdicts}
    (told,) = re.findall(
        r"error (\S+) of those that came too late, (\S+) of the others", found["quality"].reason
    )
    late, others = map(float, told)
    assert late > 0.6
    assert others < 0.4
    assert found["quality"].verdict == "ok"
    assert "too late," not in found["quality:roc_auc"].reason


def test_metrics_share_the_weight_of_quality() -> None:
    alone, shared = judged(1, 0.0), judged(1, 0.0, **SEVERAL)
    apart = shared["quality"].threshold_log10 - alone["quality"].threshold_log10
    assert apart == pytest.approx(np.log10(5.0))


@pytest.mark.no_cover
@pytest.mark.parametrize("metric", ["error", "log_loss", "cost"])
def test_harm_is_found_by_each_loss(metric: str) -> None:
    found = judged(25, 0.3, **SEVERAL)
    assert found[f"quality:{metric}"].verdict == "bad"


@pytest.mark.no_cover
@pytest.mark.parametrize("metric", ["precision", "recall", "f1"])
def test_harm_is_found_by_each_ratio(metric: str) -> None:
    monitors = Monitors.start(spec(quality=metric), BINARY, CAREFUL, STABLE.digest, FIRST * DAY)
    for day in range(FIRST, FIRST + 25):
        part = confident(day)
        monitors.observe(part)
        monitors.learn(labelled(part, seed=day, flip=0.3))
        report = monitors.assess((day + 1) * DAY + 3600.0, (), Surroundings(0.0))
    (found,) = [each for each in report.verdicts if each.signal == "quality"]
    assert found.verdict == "bad"
    assert (found.estimate or 1.0) < (found.reference or 0.0)


def confident(day: int) -> Any:
    """Rows of a day with scores at both ends, so that decisions are mostly right."""
    part = rows(500, seed=day, start=day * DAY)
    score = np.where(np.random.default_rng(day).random(500) < 0.4, 0.9, 0.1)
    return type(part)(part.fixed, part.inputs, {"score": score})


def careful() -> Any:
    """The profile of such days."""
    parts = [confident(1000 + day) for day in range(20)]
    truth = [labelled(part, seed=1000 + day).label for day, part in enumerate(parts)]
    inputs = {name: np.concatenate([p.inputs[name] for p in parts]) for name in parts[0].inputs}
    score = np.concatenate([part.outputs["score"] for part in parts])
    time = np.concatenate([part.fixed["event_time"] for part in parts]) - 1000 * DAY
    given = Reference(BINARY, inputs, {"score": score}, np.concatenate(truth), time)
    return build_profile(given)


CAREFUL = careful()


def test_a_tolerance_by_metric_goes_before_that_of_quality() -> None:
    tolerances = {"quality:f1": 0.3}
    given = spec(quality=("error", "f1"), quality_tolerance=0.2, tolerances=tolerances)
    monitors = Monitors.start(given, BINARY, CAREFUL, STABLE.digest, FIRST * DAY)
    part = confident(FIRST)
    monitors.observe(part)
    monitors.learn(labelled(part, seed=FIRST))
    report = monitors.assess((FIRST + 1) * DAY + 3600.0, (), Surroundings(0.0))
    found = {each.signal: each.tolerance for each in report.verdicts}
    assert found["quality"] == pytest.approx(0.2)
    assert found["quality:f1"] == pytest.approx(0.3)


def test_names_of_signals_go_by_the_plan() -> None:
    target = Target(spec(**SEVERAL), BINARY, TIMED, STABLE.digest, 0.0)
    assert target.signal("quality", "f1") == "quality"
    assert target.signal("estimate", "error") == "estimate:error"


def of_three(metrics: tuple[str, ...], flip: bool) -> dict[str, Verdict]:
    """The verdicts of a model of three classes after some days; `flip` spoils the rarest class."""
    signature = msgspec.structs.replace(
        BINARY, task="multiclass", classes=("a", "b", "c"), outputs=(Output("label", BYTES),)
    )
    inputs = rows(6000, seed=1).inputs
    rng = np.random.default_rng(2)
    truth = rng.choice(np.array(["a", "b", "c"], dtype=object), 6000, p=(0.6, 0.3, 0.1))
    said = np.where(rng.random(6000) < 0.1, "a", truth).astype(object)
    known = build_profile(Reference(signature, inputs, {"label": said}, truth))
    target = Target(
        spec(block_seconds=DAY, quality=metrics), signature, known, STABLE.digest, FIRST * DAY
    )
    family = Quality.of(target)
    assert family is not None
    for day in range(FIRST, FIRST + 6):
        part = rows(500, seed=day, start=day * DAY)
        label = truth[:500].copy()
        label[0] = "new"
        spoilt = np.where((truth[:500] == "c") & flip, "a", said[:500]).astype(object)
        told = Rows(part.fixed, part.inputs, {"label": spoilt})
        family.take(family.count(told))
        family.take(family.learn(Labelled(told, label, part.fixed["event_time"])))
        family.close((day + 1) * DAY + 3600.0, Breaks())
    return {verdict.signal: verdict for verdict in family.verdicts()}


@pytest.mark.parametrize("flip", [False, True])
def test_the_rarest_class_counts_as_much_as_the_others(flip: bool) -> None:
    found = of_three(("macro_recall", "error"), flip)
    assert found["quality"].verdict == ("bad" if flip else "ok")
    assert found["quality:error"].n == 3000
    assert of_three(("error",), False)["quality"].verdict == "ok"


def test_where_nothing_can_be_watched_labels_are_not_counted() -> None:
    found = of_three(("f1",), False)
    assert found["quality"].verdict == "unknown"
    assert "f1 cannot be watched" in found["quality"].reason


@pytest.mark.parametrize("quality", ["auto", "f1", ("log_loss", "recall")])
def test_a_reference_is_asked_for_no_metric_that_a_plan_does_not_need(quality: Any) -> None:
    asked, traffic = plan(quality=quality), rows(4_000, seed=3)
    whole = Reference(
        BINARY, dict(traffic.inputs), {"score": traffic.outputs["score"]}, labelled(traffic).label
    )
    known = build_profile(whole)
    some = build_profile(replace(whole, metrics=needed(asked)))
    assert len(some.quality) < len(known.quality)
    assert promised(asked, some, BINARY) == promised(asked, known, BINARY)
    assert some.estimate is not None
    assert known.estimate is not None
    assert set(some.estimate.metrics) == set(needed(asked)) - {"auto"}
    assert some.estimate.chance == known.estimate.chance
