"""What the guard says of a candidate beside stable."""

from typing import Any

import numpy as np
import pytest
from tests.support.traffic import BINARY, CANDIDATE, STABLE, column, labelled, rows, spec

from trimtab.domain.deployment import DeploymentSpec, RolloutPlan
from trimtab.domain.records import Labelled, Rows
from trimtab.domain.signature import Datatype, Output, Signature
from trimtab.judge.guard import Guard
from trimtab.judge.reports import GuardReport

PLAN = RolloutPlan(shadow_rows=400)
REGRESSION = Signature((), (Output("prediction", Datatype.FP64),), task="regression")


def guard(quality: str = "none", signature: Signature = BINARY, **plan: Any) -> Guard:
    given: DeploymentSpec = spec(quality=quality)
    told = signature, None
    return Guard.start(RolloutPlan(shadow_rows=400, **plan), given, CANDIDATE, STABLE, told)


def split(n: int, weight: int, *, seed: int = 0, start: float = 0.0, **bad: float) -> Rows:
    """Requests assigned by chance; `candidate` and `stable` are the shares that fail, `slow` and
    `usual` those that take half a second."""
    rng = np.random.default_rng(seed)
    canary = rng.random(n) < weight / 10_000
    share = np.where(canary, bad.get("candidate", 0.0), bad.get("stable", 0.0))
    slow = np.where(canary, bad.get("slow", 0.0), bad.get("usual", 0.0))
    return rows(
        n,
        seed=seed,
        start=start,
        release=np.where(canary, CANDIDATE.digest, STABLE.digest).astype(object),
        mode=np.where(canary, "canary", "stable").astype(object),
        weight=weight,
        outcome=np.where(rng.random(n) < share, "failed", "ok").astype(object),
        total_seconds=np.where(rng.random(n) < slow, 0.5, 0.01),
    )


def shadow(n: int, *, seed: int = 0, failed: float = 0.0) -> tuple[Rows, Rows]:
    """Stable's answers and the candidate's copies of the same requests."""
    answers = rows(n, seed=seed)
    fate = np.random.default_rng(seed).random(n) < failed
    fixed = dict(answers.fixed)
    for name, value in {"release": CANDIDATE.digest, "mode": "shadow", "final": False}.items():
        fixed[name] = column(value, n)
    fixed["outcome"] = np.where(fate, "failed", "ok").astype(object)
    return answers, Rows(fixed, answers.inputs, answers.outputs)


def judged(watching: Guard, *parts: Rows, phase: str = "canary", step: int = 0) -> GuardReport:
    watching.assess(phase, step, 0.0)  # type: ignore[arg-type]
    for part in parts:
        watching.observe(part)
    return watching.assess(phase, step, 86_400.0)  # type: ignore[arg-type]


def words(report: GuardReport) -> dict[str, str]:
    return {verdict.signal: verdict.verdict for verdict in report.verdicts}


def test_without_rows_the_guard_holds_and_says_what_it_waits_for() -> None:
    report = judged(guard())
    assert (report.verdict, report.advance) == ("unknown", "unknown")
    assert "20 more requests" in report.waiting_for


def test_a_candidate_without_errors_advances_after_some_hundred_requests() -> None:
    few = judged(guard(), split(200, 500))
    assert few.advance == "unknown"
    assert " d at the present traffic" in few.waiting_for or " h at" in few.waiting_for
    enough = judged(guard(), split(8000, 2500), step=2)
    assert (enough.verdict, enough.advance) == ("ok", "ok")
    assert enough.waiting_for == ""


def test_a_candidate_as_bad_as_stable_advances_by_the_ratio_and_is_never_blamed() -> None:
    report = judged(guard(), split(20_000, 5000, candidate=0.05, stable=0.05), step=1)
    assert words(report)["errors"] == "ok"


def test_a_candidate_that_fails_more_often_is_rolled_back() -> None:
    report = judged(guard(), split(4000, 500, candidate=0.3, stable=0.01))
    assert report.verdict == "bad"
    assert report.waiting_for == ""
    errors = report.verdicts[0]
    assert errors.evidence_log10 >= errors.threshold_log10
    assert errors.lower is not None
    assert errors.lower > 1.0


def test_a_crash_from_the_first_request_on_needs_no_statistics() -> None:
    report = judged(guard(), split(60, 1000, candidate=1.0))
    assert "first 5 attempts all failed" in report.verdicts[0].reason


def test_a_candidate_is_not_blamed_while_stable_burns_as_well() -> None:
    report = judged(guard(), split(60, 1000, candidate=1.0, stable=1.0))
    assert report.verdict == "unknown"


def test_one_client_alone_cannot_condemn_a_candidate() -> None:
    part = split(4000, 5000, candidate=0.5)
    part.fixed["unit"][:] = 7
    report = judged(guard(), part)
    assert report.verdict != "bad"


def test_a_unit_that_retries_counts_once_in_ten_seconds() -> None:
    part = split(2000, 5000, candidate=1.0)
    part.fixed["unit"][:] = np.arange(2000) % 2
    part.fixed["event_time"][:] = 5.0
    part.fixed["outcome"][:10] = "ok"
    assert judged(guard(), part).verdict != "bad"


def test_answers_slower_than_stables_frozen_quantiles_roll_back() -> None:
    before = rows(300, seed=8)
    report = judged(guard(), before, split(6000, 2500, slow=0.6, usual=0.002), step=1)
    assert words(report)["latency_p99"] == "bad"
    assert words(report)["errors"] == "ok"


def test_answers_of_the_batch_lane_are_compared_in_all_but_their_time() -> None:
    before, part = rows(300, seed=8), split(6000, 2500, slow=0.6, usual=0.002)
    batch = Rows({**part.fixed, "lane": column("batch", 6000)}, part.inputs, part.outputs)
    report = judged(guard(), before, batch, step=1)
    assert report.verdict != "bad"
    assert words(report)["latency_p99"] != "bad"
    assert words(report)["errors"] == "ok"


def test_explicit_requests_retries_and_refusals_are_not_compared() -> None:
    watching = guard()
    for fixed in ({"mode": "explicit"}, {"attempt": 1}, {"outcome": "rejected"}, {"row": 1}):
        watching.observe(rows(50, release=CANDIDATE.digest, weight=500, **fixed))
    assert {verdict.n for verdict in judged(watching).verdicts} == {0}


def test_shadow_copies_that_fail_roll_back_before_any_exposure() -> None:
    answers, copies = shadow(500, failed=0.1)
    report = judged(guard(), answers, copies, phase="shadow")
    assert report.verdict == "bad"
    assert words(report).keys() == {"errors"}


def test_shadow_advances_with_enough_copies_and_paired_quality() -> None:
    watching = guard("brier")
    answers, copies = shadow(1500)
    begun = judged(watching, answers, copies, phase="shadow")
    assert begun.advance == "unknown"
    assert "0/1500 of its attempts" in begun.verdicts[0].reason
    assert "no label yet of a row that both answered" in begun.waiting_for
    rng = np.random.default_rng(3)
    other = np.clip(copies.outputs["score"] + rng.normal(0.0, 0.02, 1500), 0.0, 1.0)
    better = Rows(copies.fixed, copies.inputs, {"score": other})
    truth = labelled(answers)
    watching.learn(truth)
    watching.learn(Labelled(better, truth.label, truth.labelled_at))
    report = watching.assess("shadow", 0, 86_400.0)
    assert (report.verdict, report.advance) == ("ok", "ok")
    assert " on 1,500 rows that both answered" in report.verdicts[-1].reason
    later = judged(watching, split(3000, 1000, seed=4))
    assert words(later)["quality"] == "ok"


def test_too_few_shadow_copies_hold_whatever_the_evidence() -> None:
    answers, copies = shadow(100)
    report = judged(guard(), answers, copies, phase="shadow")
    assert "300 more shadow copies" in report.waiting_for


def test_a_candidate_with_worse_scores_on_the_same_rows_is_rolled_back() -> None:
    watching = guard("brier")
    answers, copies = shadow(1500)
    worse = Rows(copies.fixed, copies.inputs, {"score": 1.0 - copies.outputs["score"]})
    truth = labelled(answers)
    watching.learn(Labelled(worse, truth.label, truth.labelled_at))
    watching.learn(truth)
    report = judged(watching, answers, copies, phase="shadow")
    assert words(report)["quality"] == "bad"


def test_wrong_decisions_in_the_canary_roll_back_without_pairs() -> None:
    watching = guard("brier")
    part = split(6000, 5000)
    canary = part.fixed["mode"] == "canary"
    score = np.where(canary, 1.0 - part.outputs["score"], part.outputs["score"])
    truth = labelled(part)
    told = Labelled(Rows(part.fixed, part.inputs, {"score": score}), truth.label, truth.labelled_at)
    watching.learn(told)
    assert words(judged(watching, part))["quality"] == "bad"


def test_labels_are_ignored_when_quality_is_switched_off() -> None:
    watching = guard()
    before = watching.dump()
    watching.learn(labelled(rows(10)))
    guard("brier").learn(labelled(rows(0)))
    assert watching.dump() == before


@pytest.mark.parametrize(
    ("signature", "called"), [(REGRESSION, "loss: evidence"), (BINARY, "wrong decisions: evidence")]
)
def test_what_a_rollout_waits_for_is_called_by_what_the_model_does(
    signature: Signature, called: str
) -> None:
    report = guard("auto", signature).assess("shadow", 0, 0.0)
    (quality,) = (each for each in report.verdicts if each.signal == "quality")
    assert quality.reason.startswith(called)


def test_regressions_are_compared_by_their_share_of_both_losses() -> None:
    watching = guard("auto", REGRESSION)
    answers, copies = shadow(800)
    truth = np.random.default_rng(1).normal(5.0, 1.0, 800)
    label = np.array([repr(value) for value in truth.tolist()], dtype=object)
    for part, error in ((answers, 0.5), (copies, 2.0)):
        told = Rows(part.fixed, part.inputs, {"prediction": truth + error})
        watching.learn(Labelled(told, label, part.fixed["event_time"]))
    assert words(judged(watching, answers, copies, phase="shadow"))["quality"] == "bad"


def answered(watching: Guard, label: str, stable: float, candidate: float) -> Guard:
    """A guard that heard of rows with this label and these answers, saved and resumed each time."""
    for part, predicted in zip(shadow(1500), (stable, candidate), strict=True):
        told = Rows(part.fixed, part.inputs, {"prediction": np.full(len(part), predicted)})
        truth = np.array([label] * len(part), dtype=object)
        watching.learn(Labelled(told, truth, part.fixed["event_time"]))
        watching = Guard.load(watching.dump())
    return watching


@pytest.mark.parametrize("label", ["inf", "-1e999", "nan"])
def test_labels_that_are_not_finite_are_no_evidence(label: str) -> None:
    watching = answered(guard("auto", REGRESSION), label, 5.0, 9.0)
    assert watching.dump() == guard("auto", REGRESSION).dump()


@pytest.mark.parametrize(("stable", "word"), [(5.0, "bad"), (np.inf, "ok")])
def test_an_infinite_answer_is_worse_than_any_other_and_as_bad_as_another(
    stable: float, word: str
) -> None:
    watching = answered(guard("auto", REGRESSION), "4.5", stable, -np.inf)
    assert words(watching.assess("shadow", 0, 0.0))["quality"] == word


def test_the_bake_judges_by_what_the_candidate_did_alone() -> None:
    fine = rows(800, release=CANDIDATE.digest)
    assert judged(guard("brier"), fine, phase="bake").advance == "ok"
    broken = rows(300, release=CANDIDATE.digest, outcome=["failed", "ok", "ok"] * 100)
    assert judged(guard(), broken, phase="bake").verdict == "bad"


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trimtab.judge.guard.MOST_WAITING", 20)
    watching = guard("brier")
    answers, copies = shadow(100, failed=1.0)
    watching.observe(copies)
    watching.learn(labelled(answers))
    assert len(watching.dump()) < 6000


@pytest.mark.parametrize(("seconds", "text"), [(3.0, "3 s"), (90.0, "1.5 min"), (7200.0, "2.0 h")])
def test_the_wait_is_told_in_the_unit_that_fits(seconds: float, text: str) -> None:
    from trimtab.judge.guard import _span

    assert _span(seconds) == text


def test_what_was_saved_resumes_bit_for_bit() -> None:
    straight, broken = guard("brier"), guard("brier")
    for seed in range(5):
        part = split(400, 1000, seed=seed, candidate=0.02, stable=0.02, slow=0.1, usual=0.1)
        for watching in (straight, broken):
            watching.observe(part)
            watching.learn(labelled(part, seed=seed))
            watching.assess("canary", seed // 2, float(seed))
        broken = Guard.load(broken.dump())
    assert broken.dump() == straight.dump()
    assert broken.assess("canary", 2, 9.0) == straight.assess("canary", 2, 9.0)
