"""What decide leads to: rollouts by evidence, the guard, first releases."""

import msgspec
import pytest
from tests.support.control import (
    ANN,
    BAD,
    GOOD,
    HARMLESS,
    PLAN,
    UNKNOWN,
    Story,
    incident,
    kinds,
    release,
    spec,
    verdict,
)

from trimtab.domain import events as e
from trimtab.domain.deployment import RolloutPlan
from trimtab.domain.state import DeploymentState
from trimtab.domain.verdicts import Cause, Tier
from trimtab.judge import verbs
from trimtab.judge.draft import WorkerFailure
from trimtab.judge.reports import GuardReport, MonitorReport
from trimtab.judge.response import OWN


def served(plan: RolloutPlan = PLAN, workers: int = 1) -> Story:
    """A deployment that serves m@1, proven."""
    story = Story(DeploymentState(spec=spec(plan, workers=workers)))
    story.ready = dict.fromkeys(story.ready, workers)
    story.take(verbs.deploy(story.state, story.seen(), ANN, release(1))).tick()
    assert story.state.stable == release(1)
    return story


def rolling(until: str = "canary0", plan: RolloutPlan = PLAN) -> Story:
    """The same with m@2 on its way."""
    story = served(plan)
    story.take(verbs.deploy(story.state, story.seen(), ANN, release(2)))
    while story.phase != until:
        story.tick(3600.0, guard=GOOD)
    return story


def test_first_release_is_proven_as_soon_as_it_is_ready() -> None:
    story = Story()
    story.take(verbs.deploy(story.state, story.seen(), ANN, release(1)))
    ready, story.ready = story.ready, {}
    assert kinds(story.tick().last) == []
    story.ready = ready
    story.tick()
    assert kinds(story.last) == ["RolloutAdvanced", "RolloutEnded", "Proven"]
    assert story.state.stable == release(1)
    assert story.state.proven == (release(1),)
    assert story.state.rollout is None


def test_a_good_candidate_goes_through_every_phase_and_is_proven() -> None:
    story = served()
    story.take(verbs.deploy(story.state, story.seen(), ANN, release(2)))
    phases = [story.phase]
    while story.state.rollout:
        story.tick(30.0, guard=GOOD)
        if story.phase != phases[-1]:
            phases.append(story.phase)
    assert phases == ["preparing0", "shadow0", "canary0", "canary1", "bake1", "idle"]
    assert (story.state.stable, story.state.previous) == (release(2), release(1))
    assert story.state.proven == (release(1), release(2))
    assert story.state.last_rollout is not None
    assert story.state.last_rollout.outcome == "promoted"


def test_time_in_a_phase_is_never_enough_without_evidence() -> None:
    for until in ("shadow0", "canary0", "canary1", "bake1"):
        for guard in (None, UNKNOWN, HARMLESS):
            assert rolling(until).tick(80_000.0, guard=guard).phase == until


def test_evidence_is_never_enough_before_the_time_in_a_phase() -> None:
    for until, seconds in (("shadow0", 599.0), ("canary0", 59.0), ("bake1", 3599.0)):
        assert rolling(until).tick(seconds, guard=GOOD).phase == until


def test_candidate_needs_all_its_first_workers_before_shadow() -> None:
    story = served(workers=2)
    story.take(verbs.deploy(story.state, story.seen(), ANN, release(2)))
    story.ready[release(2).digest] = 1
    assert story.tick(guard=GOOD).phase == "preparing0"
    story.ready[release(2).digest] = 2
    assert story.tick(guard=GOOD).phase == "shadow0"


@pytest.mark.parametrize("until", ["preparing0", "shadow0", "canary0", "canary1"])
@pytest.mark.parametrize("paused", [False, True])
def test_guard_takes_a_bad_candidate_out_in_every_phase_also_paused(
    until: str, paused: bool
) -> None:
    story = rolling(until)
    if paused:
        story.take(verbs.pause(story.state, story.seen(), ANN))
    story.tick(guard=BAD)
    assert kinds(story.last) == ["RolloutEnded", "IncidentOpened", "IncidentClosed"]
    assert (story.phase, story.state.stable) == ("idle", release(1))
    assert story.state.rejected == (release(2).digest,)
    assert story.state.automatic_rollbacks == 1
    ended = story.last.entries[0]
    assert ended.reason == "errors are bad"
    assert ended.evidence["evidence_log10"] == 3.0
    opened = story.last.entries[1].event
    assert isinstance(opened, e.IncidentOpened)
    assert opened.incident.action == "rolled back to m@1"
    assert opened.incident.first_evidence_at == 5.0
    assert opened.incident.shown == BAD.shown
    assert [effect.id for effect in story.last.effects] == ["notify:d-r2-rolled-back:closed"]


def test_bad_in_bake_goes_back_to_the_proven_release() -> None:
    story = rolling("bake1")
    assert story.state.stable == release(2)
    story.tick(guard=BAD)
    assert kinds(story.last)[:2] == ["RolledBackTo", "RolloutEnded"]
    assert (story.state.stable, story.state.previous) == (release(1), None)
    assert story.state.automatic_rollbacks == 1


def test_bad_in_bake_without_a_ready_target_pages_once_and_goes_back_when_it_is_ready() -> None:
    story = rolling("bake1")
    count = story.ready.pop(release(1).digest)
    assert kinds(story.tick(guard=BAD).last) == ["IncidentOpened"]
    assert kinds(story.tick(guard=BAD).last) == []
    story.ready[release(1).digest] = count
    story.tick(guard=BAD)
    assert story.state.stable == release(1)
    assert "IncidentClosed" in kinds(story.last)
    assert story.state.incidents == ()


def test_bad_without_words_is_still_bad() -> None:
    story = rolling().tick(guard=GuardReport("bad", "unknown", ()))
    assert story.last.entries[0].reason == "the guard found the candidate worse"
    assert story.last.entries[0].evidence == {}


def test_workers_that_cannot_start_end_the_rollout_with_their_error() -> None:
    story = rolling("preparing0")
    story.failed = {release(2).digest: WorkerFailure("TT-402", "golden set differs by .2")}
    story.tick()
    assert story.last.entries[0].reason == "TT-402: golden set differs by .2"
    opened = story.last.entries[1].event
    assert isinstance(opened, e.IncidentOpened)
    assert opened.incident.causes[0].cause is Cause.ENVIRONMENT_MISALIGNMENT


def test_crash_loop_in_canary_counts_only_when_no_worker_is_ready() -> None:
    story = rolling()
    story.failed = {release(2).digest: WorkerFailure("TT-401", "it crashed")}
    assert story.tick(guard=HARMLESS).phase == "canary0"
    story.ready[release(2).digest] = 0
    assert story.tick(guard=HARMLESS).phase == "idle"


def test_first_release_that_cannot_start_leaves_the_deployment_down() -> None:
    story = Story()
    story.take(verbs.deploy(story.state, story.seen(), ANN, release(1)))
    story.failed = {release(1).digest: WorkerFailure("TT-401", "no")}
    story.tick()
    assert (story.state.stable, story.phase) == (None, "idle")
    opened = story.last.entries[1].event
    assert isinstance(opened, e.IncidentOpened)
    assert opened.incident.action == "taken out: nothing serves"
    assert kinds(story.tick().last) == []


def test_pause_stops_progress_and_resume_lets_it_go_on() -> None:
    story = rolling()
    story.take(verbs.pause(story.state, story.seen(), ANN))
    assert story.tick(3600.0, guard=GOOD).phase == "canary0"
    story.take(verbs.resume(story.state, story.seen(), ANN))
    assert story.tick(guard=GOOD).phase == "canary1"


def test_no_advance_on_broken_inputs() -> None:
    story = rolling()
    broken = MonitorReport((), opened=(incident("feed", Cause.UPSTREAM_BREAK),))
    assert story.tick(3600.0, guard=GOOD, monitors=broken).phase == "canary0"
    assert story.tick(3600.0, guard=GOOD).phase == "canary0"
    assert story.tick(guard=GOOD, monitors=MonitorReport((), closed=("feed",))).phase == "canary1"


def test_holding_too_long_opens_one_ticket_that_closes_with_progress() -> None:
    story = rolling()
    story.tick(86_500.0, guard=HARMLESS)
    assert kinds(story.last) == ["IncidentOpened"]
    held = story.state.incidents[0]
    assert (held.tier, held.signals) == ("ticket", OWN)
    assert held.severity == "m@2 is held in canary: 1,000 more rows"
    assert kinds(story.tick(86_500.0).last) == []
    assert kinds(story.tick(guard=GOOD).last) == ["RolloutAdvanced", "IncidentClosed"]


def test_holding_without_a_guard_says_that_evidence_is_missing() -> None:
    story = rolling().tick(86_500.0)
    assert "there is no evidence" in story.state.incidents[0].severity


def test_strategy_now_goes_straight_to_bake_and_is_still_guarded() -> None:
    story = served()
    story.take(verbs.deploy(story.state, story.seen(), ANN, release(2), "now")).tick()
    assert (story.phase, story.state.stable) == ("bake0", release(2))
    assert story.tick(guard=BAD).state.stable == release(1)


def test_strategy_shadow_is_promoted_by_the_evidence_of_the_shadow() -> None:
    story = served()
    story.take(verbs.deploy(story.state, story.seen(), ANN, release(2), "shadow")).tick()
    assert story.phase == "shadow0"
    assert story.tick(600.0, guard=GOOD).phase == "bake0"


def test_unproven_release_is_never_a_rollback_target() -> None:
    story = rolling("bake1")
    story.take(verbs.promote(story.state, story.seen(), ANN, override=True))
    story.take(verbs.deploy(story.state, story.seen(), ANN, release(3), "now")).tick()
    story.take(verbs.deploy(story.state, story.seen(), ANN, release(4), "now")).tick()
    assert story.state.stable == release(4)
    assert story.state.previous == release(2)
    assert story.tick(guard=BAD).state.stable == release(2)
    assert story.state.previous == release(1)


def test_stable_that_can_no_longer_start_is_left_for_the_proven_one() -> None:
    story = rolling("bake1").tick(3600.0, guard=GOOD)
    story.failed = {release(2).digest: WorkerFailure("TT-401", "library is gone")}
    story.ready[release(2).digest] = 0
    story.tick()
    assert kinds(story.last) == ["RolledBackTo", "IncidentOpened", "IncidentClosed"]
    assert (story.state.stable, story.state.automatic_rollbacks) == (release(1), 1)
    assert story.state.rejected == (release(2).digest,)


@pytest.mark.parametrize("paused", [False, True])
def test_stable_that_can_no_longer_start_is_left_in_the_middle_of_a_rollout_too(
    paused: bool,
) -> None:
    story = rolling("bake1").tick(3600.0, guard=GOOD)
    story.take(verbs.deploy(story.state, story.seen(), ANN, release(3))).tick()
    if paused:
        story.take(verbs.pause(story.state, story.seen(), ANN))
    assert story.phase == "shadow0"
    story.failed = {release(2).digest: WorkerFailure("TT-401", "library is gone")}
    story.ready[release(2).digest] = 0
    story.tick()
    told = ["RolloutEnded", "RolledBackTo", "IncidentOpened", "IncidentClosed"]
    assert kinds(story.last) == told
    assert (story.state.stable, story.state.automatic_rollbacks) == (release(1), 1)
    assert story.state.last_rollout is not None
    assert (story.state.last_rollout.outcome, story.state.rejected) == (
        "aborted",
        (release(2).digest,),
    )


def test_stable_that_can_no_longer_start_is_left_for_the_candidate_where_that_is_proven() -> None:
    story = rolling("bake1").tick(3600.0, guard=GOOD)
    story.take(verbs.deploy(story.state, story.seen(), ANN, release(1))).tick()
    story.failed = {release(2).digest: WorkerFailure("TT-401", "library is gone")}
    story.ready[release(2).digest] = 0
    story.tick()
    assert (story.phase, story.state.stable) == ("idle", release(1))
    assert story.state.last_rollout is not None
    assert story.state.last_rollout.outcome == "superseded"


def test_a_rollout_goes_on_where_stable_cannot_start_and_nothing_proven_is_ready() -> None:
    story = rolling("shadow0")
    story.failed = {release(1).digest: WorkerFailure("TT-401", "library is gone")}
    story.ready[release(1).digest] = 0
    story.tick()
    assert [each.id for each in story.state.incidents] == ["d-stranded-2"]
    assert story.tick(600.0, guard=GOOD).phase == "canary0"
    story.take(verbs.promote(story.state, story.seen(), ANN, full=True, override=True)).tick()
    assert (story.phase, story.state.incidents) == ("bake0", ())


def test_stable_with_a_failed_worker_beside_ready_ones_stays() -> None:
    story = rolling("bake1").tick(3600.0, guard=GOOD)
    story.failed = {release(2).digest: WorkerFailure("TT-401", "one of many")}
    assert kinds(story.tick().last) == []


def test_page_that_blames_stable_rolls_it_back() -> None:
    story = rolling("bake1").tick(3600.0, guard=GOOD)
    blamed = incident("bad", Cause.BAD_RELEASE, about=release(2).digest)
    story.tick(monitors=MonitorReport((), opened=(blamed,)))
    assert kinds(story.last) == [
        "IncidentOpened",
        "RolledBackTo",
        "IncidentUpdated",
        "IncidentClosed",
    ]
    assert story.state.stable == release(1)


@pytest.mark.parametrize(("tier", "serves"), [("page", "m@1"), ("ticket", "m@2")])
def test_release_that_no_worker_reproduces_is_rolled_back_and_not_for_one_worker(
    tier: Tier, serves: str
) -> None:
    story = rolling("bake1").tick(3600.0, guard=GOOD)
    blamed = incident("env", Cause.ENVIRONMENT_MISALIGNMENT, tier, about=release(2).digest)
    blamed = msgspec.structs.replace(blamed, signals=("golden",))
    story.tick(monitors=MonitorReport((), opened=(blamed,)))
    assert story.state.stable is not None
    assert story.state.stable.name == serves
    assert ("IncidentClosed" in kinds(story.last)) == (tier == "page")


def test_page_that_blames_the_only_release_pages_that_there_is_no_way_back() -> None:
    story = served()
    blamed = incident("bad", Cause.BAD_RELEASE)
    story.tick(monitors=MonitorReport((), opened=(blamed,)))
    assert story.state.stable == release(1)
    assert [i.id for i in story.state.incidents] == ["bad", "d-stranded-1"]


def test_trouble_of_the_loop_itself_that_comes_back_is_told_of_again() -> None:
    story = served()
    broken = WorkerFailure("TT-401", "it does not start")
    told, opened = [], []
    for _ in range(3):
        story.ready[release(1).digest], story.failed = 0, {release(1).digest: broken}
        story.tick().tick()
        opened += [each.id for each in story.state.incidents]
        story.ready[release(1).digest], story.failed = 1, {}
        told += [effect.id for effect in story.tick().last.effects]
        assert story.state.incidents == ()
    assert opened == ["d-stranded-1", "d-stranded-1-again-1", "d-stranded-1-again-2"]
    assert told == [f"notify:{each}:closed" for each in opened]


def test_ticket_that_blames_stable_does_not_roll_it_back() -> None:
    story = rolling("bake1").tick(3600.0, guard=GOOD)
    blamed = incident("bad", Cause.BAD_RELEASE, "ticket", about="m@2")
    story.tick(monitors=MonitorReport((), opened=(blamed,)))
    assert story.state.stable == release(2)
    assert story.state.incidents[0].action == "alert owner"


def test_numbers_that_json_cannot_hold_are_made_finite() -> None:
    wild = verdict("bad", evidence_log10=float("inf"), estimate=float("nan"), lower=0.5)
    mild = verdict("ok", evidence_log10=float("nan"))
    story = rolling().tick(guard=GuardReport("bad", "unknown", (wild, mild)))
    facts = story.last.entries[0].evidence
    assert (facts["evidence_log10"], facts["estimate"], facts["lower"]) == (9999.0, None, 0.5)


def test_time_in_a_phase_counts_from_the_first_request_when_the_clock_is_event_time() -> None:
    story = served()
    story.clock = 0.0
    story.take(verbs.deploy(story.state, story.seen(), ANN, release(2), "now"))
    story.tick(0.0)
    assert story.phase == "bake0"
    story.tick(1_700_000_000.0, guard=GOOD)
    assert (story.phase, story.state.incidents) == ("bake0", ())
    assert (story.state.stable, story.state.previous) == (release(2), release(1))
    assert story.tick(3599.0, guard=GOOD).phase == "bake0"
    assert story.tick(1.0, guard=GOOD).phase == "idle"
