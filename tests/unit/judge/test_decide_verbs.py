"""What a person may order, and what is refused with a hint."""

from collections.abc import Callable

import msgspec
import pytest
from tests.support.control import ANN, BAD, GOOD, HARMLESS, Story, incident, kinds, release, spec

from trimtab import errors
from trimtab.domain import events as e
from trimtab.domain.deployment import RetrainPlan
from trimtab.domain.processes import WorkerSlot
from trimtab.domain.signature import Column, Datatype, Signature
from trimtab.domain.state import DeploymentState
from trimtab.domain.verdicts import Cause
from trimtab.judge import schedule, verbs
from trimtab.judge.reports import MonitorReport


def served(upto: int = 1) -> Story:
    """A deployment that went through releases 1 to `upto`, all proven."""
    story = Story()
    for number in range(1, upto + 1):
        story.take(verbs.deploy(story.state, story.seen(), ANN, release(number), "now"))
        story.tick()
        story.tick(3600.0, guard=GOOD)
    assert story.phase == "idle"
    return story


def rolling() -> Story:
    """m@1 serves and m@2 is in shadow."""
    story = served()
    return story.take(verbs.deploy(story.state, story.seen(), ANN, release(2))).tick()


def refused(code: str, order: Callable[[], object]) -> errors.TrimtabError:
    """The refusal of an order, which must carry a hint."""
    with pytest.raises(errors.TrimtabError) as caught:
        order()
    assert caught.value.code == code
    assert caught.value.hint
    return caught.value


def test_orders_are_recorded_with_who_and_why() -> None:
    story = served()
    story.take(verbs.deploy(story.state, story.seen(), ANN, release(2)))
    assert (story.last.entries[0].actor, story.last.entries[0].reason) == ("ann", "because")


def test_deploying_what_already_serves_or_is_on_its_way_changes_nothing() -> None:
    story = served()
    assert verbs.deploy(story.state, story.seen(), ANN, release(1)).entries == ()
    story = rolling()
    assert verbs.deploy(story.state, story.seen(), ANN, release(2)).entries == ()


def test_deploy_during_a_rollout_is_refused_with_the_way_out() -> None:
    story = rolling()
    error = refused(
        errors.ROLLOUT_IN_PROGRESS,
        lambda: verbs.deploy(story.state, story.seen(), ANN, release(3)),
    )
    assert error.hint == "trimtab abort d"
    story.take(verbs.promote(story.state, story.seen(guard=GOOD), ANN, full=True))
    error = refused(
        errors.ROLLOUT_IN_PROGRESS,
        lambda: verbs.deploy(story.state, story.seen(), ANN, release(3)),
    )
    assert error.hint == "trimtab promote d --full"


def test_another_strategy_for_the_rollout_in_progress_is_refused_not_overheard() -> None:
    story = rolling()
    error = refused(
        errors.ROLLOUT_IN_PROGRESS,
        lambda: verbs.deploy(story.state, story.seen(), ANN, release(2), "now"),
    )
    assert "by the strategy canary already" in error.message
    assert verbs.deploy(story.state, story.seen(), ANN, release(2), "canary").entries == ()


def test_first_deployment_gives_way_to_another_order() -> None:
    story = Story()
    story.take(verbs.deploy(story.state, story.seen(), ANN, release(1)))
    story.take(verbs.deploy(story.state, story.seen(), ANN, release(2)))
    assert kinds(story.last) == ["RolloutEnded", "RolloutStarted"]
    assert story.tick().state.stable == release(2)


def test_deploying_stable_again_gives_up_a_candidate_that_goes_out_at_once() -> None:
    story = served()
    story.take(verbs.deploy(story.state, story.seen(), ANN, release(2), "now"))
    story.take(verbs.deploy(story.state, story.seen(), ANN, release(1)))
    assert kinds(story.last) == ["RolloutEnded"]
    assert (story.phase, story.state.stable) == ("idle", release(1))


def test_a_candidate_that_must_go_and_cannot_gives_way_to_another_order() -> None:
    """No other order takes it out: it is bad, it serves, and nothing else is ready."""
    story = rolling()
    story.take(verbs.promote(story.state, story.seen(guard=GOOD), ANN, full=True))
    story.tick(guard=GOOD)
    refused(
        errors.ROLLOUT_IN_PROGRESS,
        lambda: verbs.deploy(story.state, story.seen(guard=BAD), ANN, release(3)),
    )
    story.ready[release(1).digest] = 0
    story.tick(guard=BAD)
    assert story.phase == "bake0"
    for order in (verbs.abort, verbs.rollback, verbs.promote):
        with pytest.raises(errors.TrimtabError):
            order(story.state, story.seen(guard=BAD), ANN)
    story.take(verbs.deploy(story.state, story.seen(guard=BAD), ANN, release(3)))
    assert kinds(story.last) == ["RolloutEnded", "RolloutStarted"]
    assert story.state.last_rollout is not None
    assert story.state.last_rollout.outcome == "superseded"
    assert story.tick().phase == "shadow0"


def test_a_candidate_in_bake_without_any_worker_gives_way_where_no_other_release_has_one() -> None:
    story = rolling()
    story.take(verbs.promote(story.state, story.seen(guard=GOOD), ANN, full=True))
    story.ready[release(2).digest] = 0
    refused(
        errors.ROLLOUT_IN_PROGRESS,
        lambda: verbs.deploy(story.state, story.seen(), ANN, release(3)),
    )
    story.ready[release(1).digest] = 0
    story.take(verbs.deploy(story.state, story.seen(), ANN, release(3)))
    assert kinds(story.last) == ["RolloutEnded", "RolloutStarted"]


def test_release_of_another_model_does_not_fit() -> None:
    refused(errors.INCOMPATIBLE, lambda: verbs.check_fit(spec(), "other", release(2)))
    verbs.check_fit(spec(), "m", release(2))


def test_a_release_that_the_loss_of_the_deployment_asks_too_much_of_does_not_fit() -> None:
    given = Signature((Column("a", Datatype.FP64),), (), "regression")
    plan = msgspec.structs.replace(spec().monitor, loss="abs(label - prediction) * b")
    priced = msgspec.structs.replace(spec(), monitor=plan)
    refused(errors.INCOMPATIBLE, lambda: verbs.check_loss(priced, release(2), given))
    verbs.check_loss(spec(), release(2), given)
    fitting = msgspec.structs.replace(given, inputs=(*given.inputs, Column("b", Datatype.INT8)))
    verbs.check_loss(priced, release(2), fitting)


def test_release_that_present_callers_cannot_call_does_not_fit() -> None:
    old = Signature((Column("a", Datatype.FP64), Column("b", Datatype.BYTES)), ())
    fits = Signature((Column("a", Datatype.INT64), Column("c", Datatype.FP64, nullable=True)), ())
    verbs.check_callers(release(2), fits, old)
    reshaped = Column("a", Datatype.FP64, shape=(2,))
    for column in (Column("c", Datatype.FP64), Column("b", Datatype.FP64), reshaped):
        new = Signature((column,), ())
        refused(errors.INCOMPATIBLE, lambda new=new: verbs.check_callers(release(2), new, old))  # type: ignore[misc]


def test_promote_spares_the_waiting() -> None:
    story = rolling()
    story.take(verbs.promote(story.state, story.seen(guard=GOOD), ANN))
    assert story.phase == "canary0"
    story.take(verbs.promote(story.state, story.seen(guard=GOOD), ANN, full=True))
    assert (story.phase, story.state.stable) == ("bake0", release(2))
    story.take(verbs.promote(story.state, story.seen(guard=GOOD), ANN))
    assert (story.phase, story.state.proven) == ("idle", (release(1), release(2)))


def test_promote_never_spares_the_evidence_without_an_override() -> None:
    story = rolling()
    for guard, why in ((None, "there is no evidence yet"), (HARMLESS, "1,000 more rows")):
        seen = story.seen(guard=guard)
        error = refused(
            errors.ROLLOUT_IN_PROGRESS,
            lambda seen=seen: verbs.promote(story.state, seen, ANN),  # type: ignore[misc]
        )
        assert error.message.startswith(why)
    story.take(verbs.promote(story.state, story.seen(guard=HARMLESS), ANN, override=True))
    assert story.phase == "canary0"


def test_promote_of_a_bad_or_unready_candidate_is_refused_even_with_an_override() -> None:
    story = rolling()
    bad = story.seen(guard=BAD)
    refused(errors.ROLLED_BACK, lambda: verbs.promote(story.state, bad, ANN, override=True))
    story.ready[release(2).digest] = 0
    down = story.seen(guard=GOOD)
    told = refused(
        errors.WORKER_FAILED, lambda: verbs.promote(story.state, down, ANN, override=True)
    )
    assert f"logs/worker-{WorkerSlot(release(2).digest, 0).id}.log" in told.message
    assert told.hint == f"trimtab status {story.state.spec.name}"


def test_pause_resume_and_abort_need_a_rollout_and_are_idempotent() -> None:
    story = served()
    orders = (verbs.pause, verbs.resume, verbs.abort, verbs.promote)
    for order in orders:
        refused(errors.NO_ROLLOUT, lambda order=order: order(story.state, story.seen(), ANN))  # type: ignore[misc]
    story = rolling()
    assert kinds(verbs.resume(story.state, story.seen(), ANN)) == []
    story.take(verbs.pause(story.state, story.seen(), ANN))
    assert kinds(verbs.pause(story.state, story.seen(), ANN)) == []


def test_abort_leaves_stable_and_rejects_nothing() -> None:
    story = rolling()
    story.take(verbs.abort(story.state, story.seen(), ANN))
    assert (story.phase, story.state.stable, story.state.rejected) == ("idle", release(1), ())


def test_abort_in_bake_points_to_rollback() -> None:
    story = rolling()
    story.take(verbs.promote(story.state, story.seen(guard=GOOD), ANN, full=True))
    error = refused(errors.ROLLOUT_IN_PROGRESS, lambda: verbs.abort(story.state, story.seen(), ANN))
    assert error.hint == "trimtab rollback d"


def test_rollback_before_bake_takes_the_candidate_out() -> None:
    story = rolling()
    story.take(verbs.rollback(story.state, story.seen(), ANN))
    assert kinds(story.last) == ["RolloutEnded"]
    assert story.state.automatic_rollbacks == 0


def test_rollback_in_bake_and_in_idle_goes_to_the_proven_release() -> None:
    story = rolling()
    story.take(verbs.promote(story.state, story.seen(guard=GOOD), ANN, full=True))
    story.take(verbs.rollback(story.state, story.seen(), ANN))
    assert kinds(story.last) == ["RolledBackTo", "RolloutEnded"]
    assert (story.phase, story.state.stable) == ("idle", release(1))
    story = served(2)
    story.take(verbs.rollback(story.state, story.seen(), ANN))
    assert (story.state.stable, story.state.previous) == (release(1), release(2))
    story.take(verbs.rollback(story.state, story.seen(), ANN))
    assert story.state.stable == release(2), "a rollback can be undone"


def test_rollback_to_an_older_release_ends_a_rollout_too() -> None:
    story = served(2)
    story.take(verbs.deploy(story.state, story.seen(), ANN, release(3))).tick()
    story.take(verbs.rollback(story.state, story.seen(), ANN, release(1)))
    assert kinds(story.last) == ["RolledBackTo", "RolloutEnded"]
    assert (story.state.stable, story.state.previous) == (release(1), release(2))


def test_rollback_to_the_candidate_of_a_rollout_leaves_it_a_rollback_target() -> None:
    story = served(2)
    story.take(verbs.rollback(story.state, story.seen(), ANN))
    story.take(verbs.deploy(story.state, story.seen(), ANN, release(2))).tick()
    story.take(verbs.rollback(story.state, story.seen(), ANN, release(2)))
    assert (story.phase, story.state.stable) == ("idle", release(2))
    assert story.state.last_rollout is not None
    assert (story.state.last_rollout.outcome, story.state.rejected) == ("superseded", ())
    story.take(verbs.deploy(story.state, story.seen(), ANN, release(3), "now")).tick()
    assert story.tick(guard=BAD).state.stable == release(2)


def test_rollback_to_a_release_that_the_guard_put_aside_makes_it_a_target_again() -> None:
    story = served(2)
    found = incident(cause=Cause.BAD_RELEASE, about="m@2")
    story.tick(monitors=MonitorReport((), opened=(found,)))
    assert (story.state.stable, story.state.rejected) == (release(1), (release(2).digest,))
    story.take(verbs.rollback(story.state, story.seen(), ANN, release(2)))
    assert (story.state.stable, story.state.rejected) == (release(2), ())
    story.take(verbs.deploy(story.state, story.seen(), ANN, release(3), "now")).tick()
    assert story.tick(guard=BAD).state.stable == release(2)


def test_rollback_to_anything_unproven_or_not_ready_is_refused() -> None:
    story = served(2)
    target = errors.NO_ROLLBACK_TARGET
    refused(target, lambda: verbs.rollback(story.state, story.seen(), ANN, release(3)))
    refused(target, lambda: verbs.rollback(story.state, story.seen(), ANN, release(2)))
    story.ready[release(1).digest] = 0
    refused(target, lambda: verbs.rollback(story.state, story.seen(), ANN))
    alone, empty = served(1), Story()
    refused(target, lambda: verbs.rollback(alone.state, alone.seen(), ANN))
    refused(target, lambda: verbs.rollback(empty.state, empty.seen(), ANN))


def test_retrain_by_hand_is_one_run_at_a_time() -> None:
    story = served()
    story.take(verbs.retrain(story.state, story.seen(), ANN))
    assert story.state.run is not None
    assert story.state.run.cause == "human"
    assert story.last.effects[0].what == e.StartRun("d-run1", "m", "d", story.clock)
    early = Story(clock=0.0)
    early.take(verbs.retrain(early.state, early.seen(), ANN))
    assert early.last.effects[0].what == e.StartRun("d-run1", "m", "d", None)
    busy = story.state
    refused(errors.RUN_IN_PROGRESS, lambda: verbs.retrain(busy, story.seen(), ANN))


@pytest.mark.parametrize("cause", [Cause.UPSTREAM_BREAK, Cause.TRAINING_SERVING_SKEW])
def test_nobody_retrains_on_inputs_that_are_at_fault(cause: Cause) -> None:
    story = served()
    story.tick(monitors=MonitorReport((), opened=(incident("f", cause),)))
    refused(errors.RETRAIN_HELD, lambda: verbs.retrain(story.state, story.seen(), ANN))


def test_spec_is_recorded_only_when_it_changes() -> None:
    story = served()
    first = verbs.apply_spec(None, spec(), story.seen(), ANN)
    assert isinstance(first.entries[0].event, e.SpecApplied)
    assert verbs.apply_spec(story.state, story.state.spec, story.seen(), ANN).entries == ()
    changed = msgspec.structs.replace(story.state.spec, clock="event")
    story.take(verbs.apply_spec(story.state, changed, story.seen(), ANN))
    assert story.state.spec.clock == "event"


def test_served_deployment_cannot_change_its_model() -> None:
    story = served()
    other = msgspec.structs.replace(story.state.spec, model="other")
    refused(errors.INCOMPATIBLE, lambda: verbs.apply_spec(story.state, other, story.seen(), ANN))
    empty = DeploymentState(spec=spec())
    assert kinds(verbs.apply_spec(empty, other, story.seen(), ANN)) == ["SpecApplied"]


@pytest.mark.parametrize("text", ["0 4 * * 1", "*/15 0-6,22 1 1-12/2 7", "59 23 31 12 0"])
def test_schedule_in_five_fields_is_accepted(text: str) -> None:
    assert schedule.fault(text) == ""
    plan = spec(retrain=RetrainPlan(schedule=text))
    assert verbs.apply_spec(None, plan, Story().seen(), ANN).entries


@pytest.mark.parametrize("text", ["", "daily", "60 4 * * 1", "0 4 * * mon", "0 6-4 * * *"])
def test_schedule_that_cannot_be_read_is_refused(text: str) -> None:
    assert schedule.fault(text)
    if text:
        plan = spec(retrain=RetrainPlan(schedule=text))
        refused(errors.BAD_VALUE, lambda: verbs.apply_spec(None, plan, Story().seen(), ANN))
