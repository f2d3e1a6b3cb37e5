"""What decide does about incidents and finished runs: the action that is right for the cause."""

import msgspec
import pytest
from tests.support.control import ANN, BAD, GOOD, Story, incident, kinds, release, spec, verdict

from trimtab.domain import events as e
from trimtab.domain.deployment import RetrainPlan
from trimtab.domain.state import DeploymentState
from trimtab.domain.verdicts import Cause, Incident, Tier
from trimtab.judge import verbs
from trimtab.judge.draft import FinishedRun
from trimtab.judge.reports import MonitorReport

AUTO = RetrainPlan(("quality", "drift"), "auto", cooldown_seconds=1000.0)
HUMAN = RetrainPlan(("quality",), "human", cooldown_seconds=1000.0)


def served(plan: RetrainPlan = AUTO) -> Story:
    """A deployment that serves m@1, proven."""
    story = Story(DeploymentState(spec=spec(retrain=plan)))
    story.take(verbs.deploy(story.state, story.seen(), ANN, release(1))).tick()
    return story


def opened(*args: object) -> MonitorReport:
    """A report of one new incident."""
    return MonitorReport((), opened=(incident(*args),))  # type: ignore[arg-type]


def test_concept_drift_starts_one_run_on_the_labels_known_by_now() -> None:
    story = served().tick(monitors=opened())
    assert kinds(story.last) == ["IncidentOpened", "RunRequested"]
    start = story.last.effects[0]
    assert start.id == "run:d-run1"
    assert start.what == e.StartRun("d-run1", "m", "d", story.clock)
    assert story.last.effects[1].id == "notify:i1:opened"
    assert story.state.incidents[0].action == "retrain: d-run1"
    assert story.state.incidents[0].undo == "trimtab rollback d --to m@1"
    assert kinds(story.tick().last) == []


@pytest.mark.parametrize(
    ("cause", "tier", "plan", "action"),
    [
        (Cause.DATA_DRIFT, "ticket", AUTO, "retrain: d-run1"),
        (Cause.DATA_DRIFT, "note", AUTO, "watch: the inputs changed, no harm is shown"),
        (Cause.DATA_DRIFT, "page", HUMAN, "alert owner: retrain.when does not name drift"),
        (Cause.CONCEPT_DRIFT, "note", AUTO, "watch: scores come true otherwise"),
        (Cause.INFRASTRUCTURE, "page", AUTO, "alert owner: the machine, a process or"),
        (Cause.UPSTREAM_BREAK, "page", AUTO, "alert owner and hold"),
        (Cause.TRAINING_SERVING_SKEW, "page", AUTO, "alert owner and hold: roll back the feature"),
        (Cause.LABEL_FAULT, "page", AUTO, "alert owner: the labels are at fault"),
        (Cause.UNKNOWN, "page", AUTO, "alert owner"),
    ],
)
def test_every_cause_has_its_action(
    cause: Cause, tier: Tier, plan: RetrainPlan, action: str
) -> None:
    story = served(plan).tick(monitors=opened("i", cause, tier))
    assert story.state.incidents[0].action.startswith(action)
    assert (story.state.run is not None) == action.startswith("retrain:")


def differing(*workers: str) -> Incident:
    """An incident that blames these workers."""
    told = tuple(
        verdict("bad", signal=f"workers:{each}", scope={"worker": each}) for each in workers
    )
    blamed = incident("w", Cause.BAD_WORKER, "ticket")
    return msgspec.structs.replace(blamed, verdicts=told, signals=tuple(v.signal for v in told))


def test_a_worker_that_differs_is_replaced_once_and_another_one_when_it_differs_too() -> None:
    story = served().tick(monitors=MonitorReport((), opened=(differing("w-1"),)))
    assert story.state.incidents[0].action.startswith("replace w-1;")
    assert story.last.effects[0] == e.Effect("relieve:w:w-1", e.Relieve("w-1"))
    assert story.tick().last.effects == ()
    more = MonitorReport((), updated=(differing("w-1", "w-10"),))
    relieved = [each for each in story.tick(monitors=more).last.effects if "relieve" in each.id]
    assert [each.what for each in relieved] == [e.Relieve("w-10")]


def test_what_workers_do_to_quality_has_none_replaced_twice() -> None:
    blamed = incident("q", Cause.BAD_WORKER, "page")
    story = served().tick(monitors=MonitorReport((), opened=(blamed,)))
    assert story.state.incidents[0].action.startswith("replace the workers that differ;")
    assert not [each for each in story.last.effects if "relieve" in each.id]
    story = served().tick(monitors=MonitorReport((), opened=(differing("w-1", "w-1"),)))
    assert story.state.incidents[0].action.startswith("replace w-1;")


def test_an_incident_that_turns_out_to_be_a_worker_has_it_replaced() -> None:
    story = served().tick(monitors=opened("w", Cause.UNKNOWN, "ticket"))
    story.tick(monitors=MonitorReport((), updated=(differing("w-1"),)))
    assert story.last.effects[0].what == e.Relieve("w-1")


def test_incident_without_a_cause_alerts_and_notes_tell_nobody() -> None:
    bare = msgspec.structs.replace(incident(tier="note"), causes=())
    story = served().tick(monitors=MonitorReport((), opened=(bare,)))
    assert story.state.incidents[0].action == "alert owner"
    assert story.last.effects == ()


@pytest.mark.parametrize(
    ("cause", "hold"),
    [
        (Cause.UPSTREAM_BREAK, "an upstream break is open"),
        (Cause.TRAINING_SERVING_SKEW, "inputs are served otherwise than training has them"),
    ],
)
def test_no_retraining_while_the_inputs_are_at_fault_and_then_it_starts(
    cause: Cause, hold: str
) -> None:
    story = served()
    both = MonitorReport((), opened=(incident(), incident("feed", cause)))
    story.tick(monitors=both)
    assert story.state.run is None
    waiting = {i.id: i.action for i in story.state.incidents}
    assert waiting["i1"] == f"retrain waits: {hold}"
    story.tick(monitors=MonitorReport((), closed=("feed", "never-opened")))
    assert kinds(story.last) == ["IncidentClosed", "IncidentUpdated", "RunRequested"]
    assert "notify:feed:closed" in [effect.id for effect in story.last.effects]


def test_finished_run_goes_out_by_itself_when_approval_is_auto() -> None:
    story = served().tick(monitors=opened())
    story.tick(finished=(FinishedRun("d-run1", release(2), 60.0),))
    assert kinds(story.last) == ["RunSucceeded", "RolloutStarted"]
    assert (story.state.run, story.state.offered) == (None, None)
    assert story.state.rollout is not None
    assert story.state.rollout.candidate == release(2)
    for _ in range(6):
        story.tick(3600.0, guard=GOOD)
    assert story.state.stable == release(2)
    assert story.state.incidents == (), "the release that caused it serves no more"


def test_finished_run_waits_for_a_person_otherwise() -> None:
    story = served(HUMAN).tick(monitors=opened())
    story.tick(finished=(FinishedRun("d-run1", release(2), 60.0),))
    assert kinds(story.last) == ["RunSucceeded"]
    assert story.last.entries[0].reason == "waits for trimtab deploy d --release m@2"
    story.tick(5000.0)
    assert (story.state.offered, story.state.runs) == (release(2), 1)
    assert story.state.incidents[0].action == "retrain: d-run1"
    story.take(verbs.deploy(story.state, story.seen(), ANN, release(2)))
    assert story.state.offered is None


def test_run_that_made_the_same_release_again_changes_nothing() -> None:
    story = served().tick(monitors=opened())
    story.tick(finished=(FinishedRun("d-run1", release(1), 60.0),))
    assert (story.state.offered, story.state.rollout) == (None, None)
    assert story.last.entries[0].reason == "m@1 serves already: the run made the same again"


@pytest.mark.parametrize("plan", [AUTO, HUMAN])
def test_run_that_made_again_what_was_rolled_back_does_not_keep_the_next_one_waiting(
    plan: RetrainPlan,
) -> None:
    story = served(plan)
    story.state = msgspec.structs.replace(story.state, rejected=(release(2).digest,))
    story.tick(monitors=opened())
    story.tick(finished=(FinishedRun("d-run1", release(2), 60.0),))
    assert (story.state.offered, story.state.rollout) == (None, None)
    assert story.last.entries[0].reason == "m@2 was rolled back before: the run made the same again"
    story.tick(1000.0)
    assert story.state.runs == 2


def test_failed_run_is_tried_again_after_the_cooldown() -> None:
    story = served().tick(monitors=opened())
    story.tick(finished=(FinishedRun("d-run1", None, 1.0, "no labels"),))
    assert kinds(story.last) == ["RunFailed"]
    assert kinds(story.tick(500.0).last) == []
    story.tick(500.0)
    assert kinds(story.last) == ["IncidentUpdated", "RunRequested"]
    assert story.state.run is not None
    assert story.state.run.id == "d-run2"


def test_results_of_other_runs_are_ignored() -> None:
    story = served()
    assert kinds(story.tick(finished=(FinishedRun("x", None, 1.0),)).last) == []
    story.tick(monitors=opened()).tick(finished=(FinishedRun("x", None, 1.0),))
    assert story.state.run is not None


def test_new_drift_waits_for_the_cooldown_a_rollout_and_a_run() -> None:
    story = served().tick(monitors=opened())
    story.tick(monitors=opened("i2", Cause.DATA_DRIFT))
    assert story.state.incidents[-1].action == "retrain waits: a run is in progress"
    story.tick(finished=(FinishedRun("d-run1", release(2), 60.0),))
    story.tick()
    assert {i.action for i in story.state.incidents} == {
        "retrain: d-run1",
        "retrain waits: a rollout is in progress",
    }
    story.tick(guard=BAD).tick()
    assert {i.action for i in story.state.incidents} == {
        "retrain: d-run1",
        "retrain waits: the cooldown has not passed",
    }


def test_three_automatic_rollbacks_hold_retrained_releases_and_page() -> None:
    story = served().tick(monitors=opened())
    for number in (2, 3, 4):
        run = story.state.run
        assert run is not None
        story.tick(finished=(FinishedRun(run.id, release(number), 60.0),))
        story.tick(guard=BAD)
        story.tick(2000.0)
    assert story.state.automatic_rollbacks == 3
    assert "d-rollbacks-4" in [i.id for i in story.state.incidents]
    run = story.state.run
    assert run is not None
    story.tick(finished=(FinishedRun(run.id, release(5), 60.0),)).tick(5000.0)
    assert (story.state.rollout, story.state.offered) == (None, release(5))
    story.take(verbs.deploy(story.state, story.seen(), ANN, release(5))).tick()
    assert story.state.automatic_rollbacks == 0
    assert "d-rollbacks-4" not in [i.id for i in story.state.incidents]


def test_release_that_was_rolled_back_is_not_deployed_by_itself_again() -> None:
    story = served().tick(monitors=opened())
    story.tick(finished=(FinishedRun("d-run1", release(2), 60.0),)).tick(guard=BAD)
    story.tick(2000.0)
    story.tick(finished=(FinishedRun("d-run2", release(2), 60.0),)).tick()
    assert (story.state.rollout, story.state.offered) == (None, None)


def test_same_report_twice_changes_nothing() -> None:
    story = served().tick(monitors=opened("feed", Cause.UPSTREAM_BREAK))
    assert kinds(story.tick(monitors=opened("feed", Cause.UPSTREAM_BREAK)).last) == []
    story.tick(monitors=MonitorReport((), closed=("feed",)))
    late = MonitorReport(
        (),
        opened=(incident("feed", Cause.UPSTREAM_BREAK),),
        updated=(incident("feed", Cause.UPSTREAM_BREAK),),
        closed=("feed",),
    )
    assert kinds(story.tick(monitors=late).last) == []


def test_an_incident_that_was_over_before_it_could_be_recorded_has_no_consequences() -> None:
    """As on a disk that was full meanwhile: both are reported until the journal has them."""
    story = served()
    drift = incident("i1", Cause.CONCEPT_DRIFT)
    story.tick(monitors=MonitorReport((), opened=(drift,), closed=("i1",)))
    assert kinds(story.last) == []
    assert (story.state.run, story.state.incidents) == (None, ())


def test_update_with_another_first_cause_changes_the_action() -> None:
    story = served().tick(monitors=opened("i", Cause.UNKNOWN))
    changed = incident("i", Cause.INFRASTRUCTURE)
    story.tick(monitors=MonitorReport((), updated=(changed,)))
    assert kinds(story.last) == ["IncidentUpdated"]
    assert story.last.effects == ()
    assert "the machine" in story.state.incidents[0].action


@pytest.mark.parametrize("tier", ["note", "ticket"])
def test_an_incident_that_is_part_of_another_ends_with_its_name_and_is_not_told_again(
    tier: Tier,
) -> None:
    story = served().tick(monitors=opened("drift", Cause.DATA_DRIFT, tier))
    page = incident("feed", Cause.UPSTREAM_BREAK)
    report = MonitorReport((), opened=(page,), closed=("drift",), folded={"drift": "feed"})
    story.tick(monitors=report)
    assert kinds(story.last) == ["IncidentUpdated", "IncidentClosed", "IncidentOpened"]
    part, closed, _ = story.last.entries
    assert "part of feed" in part.reason
    assert "part of feed" in closed.reason
    told = [effect.id for effect in story.last.effects]
    assert told == (["notify:drift:closed"] if tier == "ticket" else []) + ["notify:feed:opened"]
    assert kinds(story.tick(monitors=report).last) == []


def test_a_note_that_becomes_more_is_told_once() -> None:
    story = served().tick(monitors=opened("i", Cause.UNKNOWN, "note"))
    assert story.last.effects == ()
    louder = MonitorReport((), updated=(incident("i", Cause.UNKNOWN, "ticket"),))
    assert [effect.id for effect in story.tick(monitors=louder).last.effects] == ["notify:i:opened"]
    assert story.tick(monitors=louder).last.effects == ()


def test_stored_verdicts_are_finite() -> None:
    wild = verdict("bad", evidence_log10=float("inf"))
    reported = msgspec.structs.replace(incident(), verdicts=(wild,))
    story = served().tick(monitors=MonitorReport((), opened=(reported,)))
    assert story.state.incidents[0].verdicts[0].evidence_log10 == 9999.0


def test_incident_about_a_release_that_serves_no_more_is_closed() -> None:
    story = served(HUMAN)
    reported = (
        incident("drift", Cause.DATA_DRIFT, "note", "m@9"),
        incident("feed", Cause.UPSTREAM_BREAK, "page", release(1).digest),
        incident("host", Cause.UNKNOWN, "page", ""),
    )
    story.tick(monitors=MonitorReport((), opened=reported))
    assert {i.id for i in story.state.incidents} == {"feed", "host"}


def test_page_about_the_candidate_is_left_to_the_guard_and_told_by_it() -> None:
    story = served()
    story.take(verbs.deploy(story.state, story.seen(), ANN, release(2))).tick()
    story.tick(monitors=opened("bad", Cause.BAD_RELEASE, "page", "m@2"))
    assert story.state.incidents[0].action == "hold: the guard decides about the candidate"
    story.tick(guard=BAD)
    assert kinds(story.last) == ["RolloutEnded", "IncidentUpdated", "IncidentClosed"]
    told = story.last.effects[0].what
    assert isinstance(told, e.Notify)
    assert (told.incident.action, told.incident.closed_at) == ("rolled back to m@1", story.clock)


def test_incident_before_the_first_release_is_kept() -> None:
    story = Story().tick(monitors=opened())
    assert story.state.incidents[0].action == "alert owner: retrain.when does not name quality"
    early = Story(DeploymentState(spec=spec(retrain=AUTO))).tick(monitors=opened())
    assert (early.state.incidents[0].undo, early.state.runs) == ("", 1)
