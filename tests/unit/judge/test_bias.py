"""Bias between groups: what is found, what is named, and what is not known."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.support.traffic import DAY, STABLE

from trimtab.domain.deployment import DeploymentSpec, MonitorPlan
from trimtab.domain.profile import ReferenceProfile
from trimtab.domain.records import Labelled, Rows
from trimtab.domain.signature import Column, Datatype, Output, Signature
from trimtab.domain.verdicts import Cause, Incident, Verdict
from trimtab.judge.monitors import Monitors
from trimtab.judge.profile import Reference, build_profile
from trimtab.judge.reports import Surroundings
from trimtab.judge.signals.bias import Bias
from trimtab.judge.signals.family import Breaks, Target

FIRST = 100
PLAN = MonitorPlan(quality="none", groups=("sex", "race"), maturity_seconds=DAY, block_seconds=DAY)
COLUMNS = (Column("sex", Datatype.BYTES, nullable=True), Column("race", Datatype.BYTES))
BINARY = Signature(
    COLUMNS,
    (Output("score", Datatype.FP64), Output("label", Datatype.BYTES)),
    "binary",
    ("0", "1"),
)


def people(n: int, seed: int) -> dict[str, np.ndarray]:
    """Protected columns: two sexes, three races of which one is rare."""
    rng = np.random.default_rng(seed)
    sex = rng.choice(np.array(["F", "M"], dtype=object), n)
    race = rng.choice(np.array(["a", "b", "c"], dtype=object), n, p=[0.7, 0.28, 0.02])
    return {"sex": sex, "race": race}


def given(n: int = 400, day: int = FIRST, **inputs: Any) -> Labelled:
    """Answers of a day with labels that come true as the scores say."""
    rng = np.random.default_rng(1000 + day)
    fixed: dict[str, np.ndarray] = {
        "request_id": np.array([f"{day}-{i}" for i in range(n)], dtype=object),
        "event_time": day * DAY + np.arange(n) * DAY / n,
        "release": np.full(n, STABLE.digest, dtype=object),
        "mode": np.full(n, "stable", dtype=object),
        "outcome": np.full(n, "ok", dtype=object),
        "total_seconds": np.full(n, 0.01),
    }
    score = np.round(rng.beta(2.0, 2.0, n), 3)
    label = np.where(rng.random(n) < score, "1", "0").astype(object)
    rows = Rows(fixed, {**people(n, day), **inputs}, {"score": score})
    return Labelled(rows, label, fixed["event_time"] + 60.0)


def reference(n: int = 6000, **changed: Any) -> Reference:
    """Reference rows without a time."""
    made = given(n, 0)
    known = Reference(
        BINARY, made.rows.inputs, made.rows.outputs, made.label, None, (), ("sex", "race")
    )
    return replace(known, **changed)


PROFILE = build_profile(reference())


def spec(plan: MonitorPlan = PLAN) -> DeploymentSpec:
    """A deployment on event time."""
    return DeploymentSpec(name="d", model="m", clock="event", monitor=plan)


def begun(profile: ReferenceProfile | None = PROFILE, plan: MonitorPlan = PLAN) -> Monitors:
    """Monitors of a release that began long before."""
    return Monitors.start(spec(plan), BINARY, profile, STABLE.digest, 0.0)


def family(profile: ReferenceProfile | None = PROFILE, plan: MonitorPlan = PLAN) -> Bias:
    """The family by itself."""
    made = Bias.of(Target(spec(plan), BINARY, profile, STABLE.digest, 0.0))
    assert made is not None
    return made


def harmed(
    made: Labelled, group: dict[str, str], *, decisions: float = 0.0, labels: float = 0.0
) -> Labelled:
    """The same with a share of a group's decisions turned down, or of its labels turned around."""
    rng = np.random.default_rng(7)
    mask = np.ones(len(made.label), dtype=np.bool_)
    for column, value in group.items():
        mask &= made.rows.inputs[column] == value
    low = mask & (rng.random(mask.size) < decisions)
    score = np.where(low, made.rows.outputs["score"] * 0.3, made.rows.outputs["score"])
    flip = mask & (rng.random(mask.size) < labels)
    label = np.where(flip, np.where(made.label == "1", "0", "1"), made.label).astype(object)
    return Labelled(replace(made.rows, outputs={"score": score}), label, made.labelled_at)


class Watching:
    """Monitors that live through days, as the control loop leads them."""

    def __init__(self, monitors: Monitors) -> None:
        self.monitors = monitors
        self.open: dict[str, Incident] = {}
        self.verdicts: dict[str, Verdict] = {}

    def day(self, made: Labelled, at: int) -> None:
        """A day with its labels, judged when it is over."""
        self.monitors.observe(made.rows)
        self.monitors.learn(made)
        clock = (at + 1) * DAY + 3600.0
        report = self.monitors.assess(clock, tuple(self.open.values()), Surroundings())
        self.open |= {each.id: each for each in (*report.opened, *report.updated)}
        for gone in report.closed:
            del self.open[gone]
        self.verdicts = {verdict.signal: verdict for verdict in report.verdicts}


def lived(days: int, monitors: Monitors | None = None, **harm: Any) -> Watching:
    """Ten ordinary days, then days with harm done to one group."""
    watching = Watching(begun() if monitors is None else monitors)
    for day in range(FIRST, FIRST + 10 + days):
        made = given(day=day)
        watching.day(harmed(made, **harm) if day >= FIRST + 10 else made, day)
    return watching


def test_ordinary_days_are_ok_in_every_measure() -> None:
    watching = lived(0)
    bias = {name: v for name, v in watching.verdicts.items() if name.startswith("bias:")}
    assert list(bias) == [
        f"bias:{name}" for name in ("selection", "score", "tpr", "fpr", "error", "calibration")
    ]
    assert {verdict.verdict for verdict in bias.values()} == {"ok"}
    assert {verdict.tier for verdict in bias.values()} == {"page"}
    told = bias["bias:selection"]
    assert told.lower is not None
    assert told.upper is not None
    assert told.lower < (told.estimate or 0.0) < told.upper
    assert told.detectable is not None
    assert not watching.open


def test_decisions_turned_down_for_a_group_are_a_page_that_names_it() -> None:
    watching = lived(10, group={"sex": "F"}, decisions=0.6)
    verdict = watching.verdicts["bias:selection"]
    assert verdict.verdict == "bad"
    assert list(verdict.scope) == ["sex"]
    assert verdict.since == (FIRST + 10) * DAY
    assert "also" in verdict.reason
    (incident,) = (each for each in watching.open.values() if "bias:selection" in each.signals)
    assert incident.tier == "page"
    assert "-bias-" in incident.id
    assert incident.causes[0].cause is Cause.DATA_DRIFT
    assert Cause.BAD_RELEASE in {each.cause for each in incident.ruled_out}


def test_labels_that_turn_against_a_group_are_a_changed_world() -> None:
    watching = lived(12, group={"race": "b"}, labels=0.6)
    assert watching.verdicts["bias:error"].verdict == "bad"
    assert watching.verdicts["bias:error"].scope == {"race": "b"}
    assert watching.verdicts["bias:selection"].verdict == "ok"
    (incident,) = watching.open.values()
    assert incident.causes[0].cause is Cause.CONCEPT_DRIFT
    assert Cause.DATA_DRIFT in {each.cause for each in incident.ruled_out}


def test_harm_to_an_intersection_is_named_as_such() -> None:
    watching = lived(14, group={"sex": "F", "race": "b"}, decisions=0.9)
    assert watching.verdicts["bias:selection"].scope == {"sex": "F", "race": "b"}


def test_a_gap_from_the_first_day_on_is_the_releases_own() -> None:
    monitors = Monitors.start(spec(), BINARY, PROFILE, STABLE.digest, FIRST * DAY)
    watching = Watching(monitors)
    for day in range(FIRST, FIRST + 8):
        watching.day(harmed(given(day=day), {"sex": "F"}, decisions=0.7), day)
    causes = {each.causes[0].cause for each in watching.open.values() if "bias" in each.id}
    assert causes == {Cause.BAD_RELEASE}


@pytest.mark.no_cover
def test_a_gap_that_closes_again_ends_its_incident() -> None:
    watching = lived(6, group={"sex": "F"}, decisions=0.7)
    assert watching.open
    for day in range(FIRST + 16, FIRST + 50):
        watching.day(given(day=day), day)
    assert watching.verdicts["bias:selection"].verdict == "ok"
    assert not [name for name in watching.open if "bias" in name]


def test_a_bound_of_the_users_own_takes_the_place_of_the_reference() -> None:
    plan = MonitorPlan(quality="none", block_seconds=DAY, groups=("sex",), bias={"selection": 0.3})
    watching = lived(10, begun(plan=plan), group={"sex": "F"}, decisions=0.4)
    assert watching.verdicts["bias:selection"].verdict == "ok"
    assert "from -0.300 to +0.300" in watching.verdicts["bias:selection"].reason


def test_a_wider_tolerance_takes_the_place_of_the_default() -> None:
    wide = MonitorPlan(
        quality="none", block_seconds=DAY, groups=("sex",), tolerances={"bias:selection": 0.4}
    )
    watching = lived(10, begun(plan=wide), group={"sex": "F"}, decisions=0.4)
    assert watching.verdicts["bias:selection"].verdict == "ok"


def test_columns_in_another_order_than_at_build_are_the_same_groups() -> None:
    turned = MonitorPlan(quality="none", block_seconds=DAY, groups=("race", "sex"))
    names = {each.group for each in family(plan=turned).readings()}
    assert names == {each.group for each in family().readings()}
    watching = lived(2, begun(plan=turned), group={"sex": "F"}, decisions=0.0)
    assert watching.verdicts["bias:selection"].verdict == "ok"


def test_a_group_that_is_too_small_says_how_many_rows_it_needs() -> None:
    monitors = begun()
    watching = Watching(monitors)
    watching.day(given(day=FIRST), FIRST)
    readings = {
        (r.measure, r.group): r
        for each in monitors.families
        if isinstance(each, Bias)
        for r in each.readings()
    }
    rare = readings["selection", "race=c"]
    assert rare.verdict == "unknown"
    assert rare.reason.startswith("needs ")
    assert rare.gap is None
    assert readings["selection", "sex=F"].verdict == "ok"
    assert "race=c needs" in watching.verdicts["bias:selection"].reason


def test_a_reference_that_knows_a_measure_too_little_cannot_judge_it() -> None:
    label = given(6000, 0).label.copy()
    label[60:] = None
    watching = Watching(begun(build_profile(reference(label=label))))
    watching.day(given(day=FIRST), FIRST)
    verdict = watching.verdicts["bias:error"]
    assert verdict.verdict == "unknown"
    assert "are needed" in verdict.reason
    assert "more groups are unknown" in verdict.reason
    assert watching.verdicts["bias:selection"].verdict == "ok"


def test_a_profile_without_counts_asks_for_a_new_build() -> None:
    for profile in (build_profile(reference(groups=())), None):
        verdicts = family(profile).verdicts()
        assert {each.verdict for each in verdicts} == {"unknown"}
        assert "the release has no counts of sex, race: build it anew" in verdicts[0].reason


def test_a_column_without_a_group_that_is_large_enough_is_unknown() -> None:
    tiny = build_profile(reference(n=60, **vars_of(60)))
    verdicts = family(tiny).verdicts()
    assert {each.verdict for each in verdicts} == {"unknown"}
    assert "rows enough" in verdicts[0].reason


def vars_of(n: int) -> dict[str, Any]:
    """A smaller reference."""
    made = given(n, 0)
    return {"inputs": made.rows.inputs, "outputs": made.rows.outputs, "label": made.label}


def test_a_group_that_vanishes_becomes_unknown_with_the_day_of_its_last_row() -> None:
    watching = Watching(begun())
    for day in range(FIRST, FIRST + 14):
        sex = np.full(400, "M", dtype=object) if day >= FIRST + 4 else people(400, day)["sex"]
        watching.day(given(day=day, sex=sex), day)
    assert "sex=F has had no row since 1970-04-14 00:00" in watching.verdicts["bias:score"].reason


def test_new_and_missing_groups_are_told_and_are_no_evidence() -> None:
    watching = Watching(begun())
    rng = np.random.default_rng(3)
    for day in range(FIRST, FIRST + 6):
        who = people(400, day)
        who["sex"][rng.random(400) < 0.25] = None
        who["race"][rng.random(400) < 0.05] = "new"
        watching.day(given(day=day, sex=who["sex"], race=who["race"]), day)
    reason = family_of(watching).verdicts()[1].reason
    assert "of rows lack sex" in reason
    assert "have a new or rare race" in reason


def test_days_on_which_a_feed_is_broken_are_no_evidence() -> None:
    """A release whose reference holds all values of `race` takes another in half of the rows for a
    broken feed."""
    watching = Watching(begun())
    for day in range(FIRST, FIRST + 6):
        who = people(400, day)
        who["race"][::2] = "new"
        watching.day(given(day=day, sex=who["sex"], race=who["race"]), day)
    state = family_of(watching).state
    assert (state.answers, state.labels) == (None, None)


def family_of(watching: Watching) -> Bias:
    """The family that lived."""
    return next(each for each in watching.monitors.families if isinstance(each, Bias))


def closed(made: Bias, day: int = FIRST) -> dict[str, Verdict]:
    """The verdicts once that day is over and its labels have matured."""
    made.close((day + 3) * DAY, Breaks())
    return {each.signal: each for each in made.verdicts()}


@pytest.mark.parametrize("word", ["maybe", "", "2", "nan"])
def test_forged_labels_are_no_evidence(word: str) -> None:
    made, rows = family(), given(n=2000).rows
    forged = Labelled(rows, np.full(2000, word, dtype=object), rows.fixed["event_time"])
    made.take(made.count(rows))
    made.take(made.learn(forged))
    verdicts = closed(made)
    assert verdicts["bias:error"].verdict == "unknown"
    assert verdicts["bias:selection"].verdict == "ok"


@pytest.mark.parametrize("value", [np.nan, 1.5, -0.5, np.inf])
def test_scores_that_are_no_probabilities_are_no_evidence(value: float) -> None:
    made, known = family(), given(n=2000)
    rows = replace(known.rows, outputs={"score": np.full(2000, value)})
    made.take(made.count(rows))
    made.take(made.learn(replace(known, rows=rows)))
    verdicts = closed(made)
    assert {each.verdict for each in verdicts.values()} == {"unknown"}


def test_answers_and_columns_that_a_torn_segment_has_lost_are_no_evidence() -> None:
    made, known = family(), given(n=2000)
    for rows in (replace(known.rows, outputs={}), replace(known.rows, inputs={})):
        made.take(made.count(rows))
        made.take(made.learn(replace(known, rows=rows)))
    verdicts = closed(made)
    assert {each.verdict for each in verdicts.values()} == {"unknown"}
    assert "of rows lack" in verdicts["bias:score"].reason


def test_a_day_with_one_row_of_a_group_is_weighed_as_one_row() -> None:
    sex = np.full(400, "M", dtype=object)
    sex[7] = "F"
    made = family()
    made.take(made.count(given(sex=sex).rows))
    closed(made)
    watch = made.state.watches["selection sex=F"]
    assert watch.whole.n == 1
    assert watch.watch.log10_evidence < 0.5


def test_labels_that_are_late_for_their_cohort_are_dropped() -> None:
    made, known = family(), given()
    made.take(made.count(known.rows))
    closed(made)
    made.take(made.learn(known))
    assert made.state.cohorts.counts == {}
    assert made.state.blocks.counts == {}


def test_days_of_a_broken_feed_and_cohorts_that_are_not_ripe_are_not_judged() -> None:
    made, known = family(), given()
    made.take(made.count(known.rows))
    made.take(made.learn(known.take(np.arange(10))))
    start = FIRST * DAY
    breaks = Breaks(columns={start: frozenset({"sex"})})
    made.close(start + 1.2 * DAY, breaks)
    assert made.state.answers is None
    assert made.state.cohorts.counts
    made.close(start + 3 * DAY, breaks)
    assert made.state.labels == start


def test_models_without_a_comparable_answer_have_no_bias_to_watch() -> None:
    other = Signature(COLUMNS, (), "other")
    assert Bias.of(Target(spec(), other, PROFILE, STABLE.digest, 0.0)) is None
    assert Bias.of(Target(spec(MonitorPlan()), BINARY, PROFILE, STABLE.digest, 0.0)) is None


def test_classes_are_compared_by_how_often_they_are_wrong() -> None:
    many = Signature(COLUMNS, (Output("label", Datatype.BYTES),), "multiclass", ("x", "y", "z"))
    label = np.random.default_rng(1).choice(np.array(["x", "y", "z"], dtype=object), 6000)
    outputs = {"label": label}
    profile = build_profile(reference(signature=many, outputs=outputs, label=label))
    made = Bias.of(Target(spec(), many, profile, STABLE.digest, 0.0))
    assert made is not None
    known = given(2000)
    rows = replace(known.rows, outputs={"label": label[:2000]})
    wrong = np.where(rows.inputs["sex"] == "F", "w", label[:2000]).astype(object)
    made.take(made.count(rows))
    made.take(made.learn(Labelled(rows, wrong, known.labelled_at)))
    assert closed(made)["bias:error"].verdict == "bad"


def test_numbers_are_compared_by_the_loss_that_quality_goes_by() -> None:
    number = Signature(COLUMNS, (Output("prediction", Datatype.FP64),), "regression")
    value = np.random.default_rng(1).normal(50.0, 10.0, 6000)
    truth = np.array([f"{v + e:.3f}" for v, e in zip(value, np.sin(value), strict=True)], object)
    profile = build_profile(reference(signature=number, outputs={"prediction": value}, label=truth))
    made = Bias.of(Target(spec(), number, profile, STABLE.digest, 0.0))
    assert made is not None
    assert [each.signal for each in made.verdicts()] == ["bias:error"]
    gap = profile.groups[0].gaps[0]
    assert 0.0 < gap.total / gap.n < 2.0**20
