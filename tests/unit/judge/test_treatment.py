"""How a candidate treats groups beside stable."""

from typing import Any

import msgspec
import numpy as np
import pytest
from tests.support.traffic import BINARY, CANDIDATE, DAY, STABLE, profile, rows, spec

from trimtab.domain.deployment import RolloutPlan
from trimtab.domain.profile import ReferenceProfile
from trimtab.domain.records import Labelled, Rows
from trimtab.domain.rollout import Phase
from trimtab.domain.verdicts import Verdict
from trimtab.judge import treatment
from trimtab.judge.guard import Guard
from trimtab.judge.reports import GuardReport

PROFILE = profile(groups=("side",))
HERE = "side=left"


def guard(told: ReferenceProfile | None = PROFILE, **monitor: Any) -> Guard:
    given = spec(**{"quality": "none", "groups": ("side",), **monitor})
    return Guard.start(RolloutPlan(), given, CANDIDATE, STABLE, (BINARY, told))


def split(
    n: int,
    *,
    seed: int = 0,
    weight: int = 5000,
    here: float = 0.0,
    there: float = 0.0,
    **fixed: Any,
) -> Rows:
    """Requests assigned by chance. Half are decided positive; `here` is what a candidate adds to
    that on the left, `there` what stable does."""
    rng = np.random.default_rng(seed)
    canary = rng.random(n) < weight / 10_000
    given = rows(
        n,
        seed=seed,
        start=seed * DAY,
        release=np.where(canary, CANDIDATE.digest, STABLE.digest).astype(object),
        mode=np.where(canary, "canary", "stable").astype(object),
        weight=weight,
        **fixed,
    )
    left = np.asarray(given.inputs["side"] == "left")
    chance = 0.5 + left * np.where(canary, here, there)
    given.outputs["score"][:] = np.where(rng.random(n) < chance, 0.9, 0.1)
    return given


def truth(given: Rows, seed: int = 0) -> Labelled:
    """Labels that have nothing to do with the answers: half are positive."""
    label = np.where(np.random.default_rng(seed + 1).random(len(given)) < 0.5, "1", "0")
    return Labelled(given, label.astype(object), given.fixed["event_time"] + 60.0)


def judged(
    watching: Guard, *parts: Rows, phase: Phase = "canary", step: int = 3, labels: bool = False
) -> GuardReport:
    watching.assess(phase, step, 0.0)
    for part in parts:
        watching.observe(part)
        if labels:
            watching.learn(truth(part))
    return watching.assess(phase, step, 9 * DAY)


def told(report: GuardReport, measure: str = "selection") -> Verdict:
    return next(each for each in report.verdicts if each.signal == f"bias:{measure}")


def test_a_candidate_that_selects_a_group_less_than_stable_does_is_rolled_back() -> None:
    report = judged(guard(), *(split(1500, seed=seed, here=-0.25) for seed in range(3)))
    verdict = told(report)
    assert (report.verdict, verdict.verdict, verdict.tier) == ("bad", "bad", "page")
    assert verdict.scope in ({"side": "left"}, {"side": "right"})
    assert verdict.evidence_log10 >= verdict.threshold_log10
    assert abs(verdict.estimate or 0.0) == pytest.approx(0.25, abs=0.08)
    assert verdict.lower is not None
    assert verdict.upper is not None
    assert verdict.lower < (verdict.estimate or 0.0) < verdict.upper
    assert "under stable: a difference of" in verdict.reason
    assert "; also side=" in verdict.reason


def test_a_candidate_that_treats_groups_as_stable_does_may_advance() -> None:
    report = judged(guard(), *(split(3000, seed=seed) for seed in range(4)))
    assert told(report).verdict == "ok"
    assert report.advance == "ok"


def test_a_gap_that_stable_has_as_well_is_not_the_candidates() -> None:
    both = [split(3000, seed=seed, here=-0.25, there=-0.25) for seed in range(4)]
    assert told(judged(guard(), *both)).verdict == "ok"


def test_a_candidate_that_closes_a_gap_is_welcome() -> None:
    closing = [split(3000, seed=seed, here=0.0, there=-0.25) for seed in range(4)]
    assert told(judged(guard(), *closing)).verdict == "ok"


def test_a_gap_that_turns_around_is_not_closed() -> None:
    turned = [split(2000, seed=seed, here=0.25, there=-0.25) for seed in range(3)]
    assert told(judged(guard(), *turned)).verdict == "bad"


def test_labels_tell_who_is_found_and_who_is_wronged() -> None:
    report = judged(
        guard(), *(split(2500, seed=s, here=-0.3) for s in range(4)), labels=True, step=0
    )
    assert told(report, "tpr").verdict == "bad"
    assert told(report, "fpr").verdict == "bad"
    assert told(report, "error").verdict == "ok"


def test_too_few_rows_hold_and_say_how_far_they_are() -> None:
    few = judged(guard(), split(150))
    verdict = told(few)
    assert (verdict.verdict, few.advance) == ("unknown", "unknown")
    assert "that it is less than 0.075 farther off than under stable" in verdict.reason
    assert verdict.reason in few.waiting_for
    fewer = told(judged(guard(), split(12)))
    assert (fewer.verdict, fewer.n) == ("unknown", 0)
    assert "evidence 10^0.0" in fewer.reason


def test_without_rows_or_counts_of_groups_it_is_said_what_is_missing() -> None:
    assert "no row of a group was compared yet" in told(judged(guard())).reason
    bare = judged(guard(None), split(300))
    assert "build it anew with them as groups" in told(bare).reason
    assert "build it anew" in bare.waiting_for


def test_nothing_waits_for_labels_unless_harm_is_suspected() -> None:
    fine = judged(guard(), *(split(3000, seed=seed) for seed in range(4)))
    assert told(fine, "tpr").verdict == "unknown"
    assert fine.advance == "ok"


def test_suspected_harm_holds_before_it_is_beyond_doubt() -> None:
    watching = guard()
    watching.observe(split(3000, here=-0.12))
    terms = treatment.Terms("m@2", 0.0, 9.0, 1.6, 1.5, held=True, suspect=-9.0)
    assert watching._treated is not None
    found = watching._treated.judged(terms)[0]
    assert (found.verdict.verdict, found.awaited) == ("unknown", True)
    assert "; suspected, evidence 10^" in found.verdict.reason


def test_without_groups_nothing_is_compared_and_nothing_is_spent() -> None:
    plain = guard(groups=())
    report = judged(plain, split(500))
    assert all(not each.signal.startswith("bias") for each in report.verdicts)
    with_groups = judged(guard(), split(500))
    spent = [10.0 ** -r.verdicts[0].threshold_log10 for r in (report, with_groups)]
    assert spent[0] == pytest.approx(1.15 * spent[1])


def test_bake_waits_for_nothing() -> None:
    watching = guard()
    watching.observe(split(200))
    bake = watching.assess("bake", 3, DAY)
    assert told(bake).verdict == "unknown"
    assert told(bake).reason not in bake.waiting_for
    preparing = watching.assess("preparing", 0, DAY)
    assert all(not each.signal.startswith("bias") for each in preparing.verdicts)


def copied(n: int, lost: float, seed: int = 0) -> tuple[Rows, Rows]:
    """Stable's answers and the candidate's copies, which on the left turn a share of the positive
    decisions into negative ones."""
    answers = split(n, seed=seed, weight=0)
    fixed = {**answers.fixed, "release": np.full(n, CANDIDATE.digest, dtype=object)}
    fixed["mode"] = np.full(n, "shadow", dtype=object)
    left = np.asarray(answers.inputs["side"] == "left")
    turned = left & (np.random.default_rng(seed + 9).random(n) < lost)
    score = np.where(turned, 0.1, answers.outputs["score"])
    return answers, Rows(fixed, answers.inputs, {"score": score})


@pytest.mark.parametrize("copies_first", [False, True])
def test_in_shadow_pairs_of_decisions_tell_before_any_exposure(copies_first: bool) -> None:
    answers, copies = copied(1000, 0.5)
    parts = (copies, answers) if copies_first else (answers, copies)
    verdict = told(judged(guard(), *parts, phase="shadow", step=0))
    assert verdict.verdict == "bad"
    assert abs(verdict.estimate or 0.0) == pytest.approx(0.25, abs=0.06)


def test_in_shadow_the_same_decisions_about_few_rows_prove_that_nobody_is_harmed() -> None:
    report = judged(guard(), *copied(400, 0.0), phase="shadow", step=0)
    assert told(report).verdict == "ok"
    few = judged(guard(), *copied(100, 0.0), phase="shadow", step=0)
    assert told(few).verdict == "unknown"
    assert told(few).reason in few.waiting_for


def test_a_row_is_paired_once_and_only_with_the_other_release() -> None:
    answers, copies = copied(60, 0.0)
    watching = guard()
    for part in (answers, answers, copies, copies):
        watching.observe(part)
    contest = watching._trial.treatment.contests[f"selection {HERE}"]
    assert sum(contest.seen) == 60
    few = guard()
    for part in copied(12, 0.0):
        few.observe(part)
    assert few._trial.treatment.contests[f"selection {HERE}"].n == 0
    lost = guard()
    lost.observe(answers)
    lost.observe(Rows(copies.fixed, {}, copies.outputs))
    assert lost._trial.treatment.contests == {}


def test_a_task_without_measures_has_nothing_to_compare() -> None:
    other = msgspec.structs.replace(BINARY, task="other", classes=())
    given = spec(quality="none", groups=("side",))
    watching = Guard.start(RolloutPlan(), given, CANDIDATE, STABLE, (other, PROFILE))
    report = judged(watching, split(100), *copied(100, 0.0))
    assert all(not each.signal.startswith("bias") for each in report.verdicts)


def test_one_client_alone_rolls_nothing_back() -> None:
    parts = [split(1500, seed=seed, here=-0.4) for seed in range(3)]
    for part in parts:
        part.fixed["unit"][:] = np.where(part.fixed["mode"] == "canary", 7, 8)
        part.fixed["event_time"][:] = np.arange(1500) * 20.0
    assert told(judged(guard(), *parts)).verdict == "unknown"


def test_a_unit_counts_once_in_ten_seconds() -> None:
    watching = guard()
    part = split(1000)
    part.fixed["unit"][:] = 5
    part.fixed["event_time"][:] = 3.0
    watching.observe(part)
    contests = watching._trial.treatment.contests
    assert sum(contests[f"selection {HERE}"].seen) == 1


def test_rows_that_were_not_assigned_by_chance_count_for_nothing() -> None:
    watching = guard()
    for fixed in ({"attempt": 1}, {"row": 1}, {"outcome": "failed"}):
        watching.observe(split(200, **fixed))
    outside = split(200)
    outside.fixed["mode"][:] = "explicit"
    watching.observe(outside)
    watching.learn(truth(outside))
    assert watching._trial.treatment.contests == {}


def test_a_stated_bound_holds_in_place_of_the_tolerance() -> None:
    parts = [split(2500, seed=seed, here=-0.2) for seed in range(4)]
    assert told(judged(guard(bias={"selection": 0.35}), *parts)).verdict != "bad"
    assert told(judged(guard(bias={"selection": 0.1}), *parts)).verdict == "bad"


def test_a_column_that_is_lost_or_of_another_type_is_in_no_group() -> None:
    watching = guard()
    part = split(200)
    watching.observe(Rows(part.fixed, {"side": np.zeros(200)}, part.outputs))
    watching.observe(Rows(part.fixed, {}, part.outputs))
    assert watching._trial.treatment.contests == {}


def test_rare_groups_are_watched_and_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(treatment, "COMMON", 0.9)
    report = judged(guard(), *(split(1500, seed=seed, here=-0.3) for seed in range(3)))
    assert told(report).verdict == "bad"
    fine = judged(guard(), split(1500))
    assert told(fine).verdict == "unknown"


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(treatment, "MOST_UNITS", 20)
    monkeypatch.setattr(treatment, "MOST_WAITING", 30)
    watching = guard()
    watching.observe(split(500))
    watching.observe(split(500, weight=0))
    assert len(watching._trial.treatment.windows) == 20
    assert len(watching._trial.treatment.waiting) == 30


def test_what_was_saved_resumes_bit_for_bit() -> None:
    straight, broken = guard(), guard()
    for seed in range(3):
        part = split(300, seed=seed, weight=(1000, 5000)[seed % 2])
        for watching in (straight, broken):
            watching.observe(part)
            watching.learn(truth(part))
        broken = Guard.load(broken.dump())
    assert broken.dump() == straight.dump()
    assert broken.assess("canary", 2, 9.0) == straight.assess("canary", 2, 9.0)


def test_a_guard_that_was_saved_before_groups_were_compared_is_read() -> None:
    old = msgspec.json.decode(guard(groups=()).dump())
    for name in ("division", "loss"):
        del old[name]
    del old["trial"]["treatment"]
    assert Guard.load(msgspec.json.encode(old)).assess("canary", 0, 1.0).verdict == "unknown"
