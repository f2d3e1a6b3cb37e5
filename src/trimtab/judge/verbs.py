"""What a person may order, as pure functions of the state: a `Decision`, or an error that says why.

Ordering what is already so gives an empty decision. No order starts or stops a process: it changes
the record, and the loop does the rest.
"""

from trimtab.domain import events as e
from trimtab.domain.deployment import DeploymentSpec
from trimtab.domain.processes import WorkerSlot
from trimtab.domain.rollout import Rollout, Standing
from trimtab.domain.signature import Column, Signature
from trimtab.domain.state import DeploymentState, rollback_target
from trimtab.errors import (
    BAD_VALUE,
    INCOMPATIBLE,
    NO_ROLLBACK_TARGET,
    RETRAIN_HELD,
    ROLLED_BACK,
    ROLLOUT_IN_PROGRESS,
    RUN_IN_PROGRESS,
    WORKER_FAILED,
    Refused,
    Usage,
)
from trimtab.judge import schedule
from trimtab.judge.decide import advance, end, revert, start, stuck
from trimtab.judge.draft import Author, Decision, Draft, Observation
from trimtab.judge.own_loss import OwnLoss
from trimtab.judge.response import inputs_broken, request_run, skewed

_SAME = "what serves is as it was"


def apply_spec(
    state: DeploymentState | None, spec: DeploymentSpec, seen: Observation, author: Author
) -> Decision:
    """Set the desired state; a rollout in progress goes on by the new plan.

    Raises `Refused` TT-609 when the model of a served deployment changes, and `Usage` TT-102 when
    the retraining schedule cannot be read."""
    draft = Draft(state or DeploymentState(spec=spec), seen, author)
    wrong = schedule.fault(spec.retrain.schedule) if spec.retrain.schedule else ""
    if wrong:
        raise Usage(
            BAD_VALUE,
            "configure",
            f"deployment.{spec.name}.retrain.schedule",
            wrong,
            unchanged="no setting was changed",
            hint='schedule = "0 4 * * 1" is Monday at 4:00',
        )
    if state is not None and state.spec == spec:
        return draft.decision()
    if state is not None and state.stable is not None and state.spec.model != spec.model:
        raise Refused(
            INCOMPATIBLE,
            "configure",
            spec.name,
            f"it serves releases of {state.spec.model}, and now asks for {spec.model}",
            unchanged=f"it still serves {state.stable.name}",
            hint="give the other model a deployment of its own",
        )
    draft.record(e.SpecApplied(spec))
    return draft.decision()


def deploy(
    state: DeploymentState,
    seen: Observation,
    author: Author,
    candidate: Standing,
    strategy: str | None = None,
) -> Decision:
    """Begin a rollout of `candidate`. Raises `Refused` TT-602 while another one is in progress, or
    one of the same release that goes out by another strategy than `strategy`.

    A first deployment, a rollout of strategy `now`, and a candidate that must go but cannot give
    way to the new order; one for the release that serves then leaves it at that."""
    draft = Draft(state, seen, author)
    rollout = state.rollout
    if candidate == (rollout.candidate if rollout else state.stable):
        _check_strategy(state, rollout, strategy)
        return draft.decision()
    if rollout is not None:
        _supersede(draft, rollout, candidate)
    if candidate != state.stable:
        start(draft, candidate, strategy or state.spec.rollout.strategy)
    return draft.decision()


def _check_strategy(state: DeploymentState, rollout: Rollout | None, strategy: str | None) -> None:
    """A rollout keeps its strategy, and who asks for another is not told that it is so already."""
    if rollout is not None and strategy not in (None, rollout.strategy):
        name, told = state.spec.name, f"it goes out by the strategy {rollout.strategy} already"
        raise _in_progress(name, rollout, rollout.candidate.name, told)


def _supersede(draft: Draft, rollout: Rollout, candidate: Standing) -> None:
    name = draft.state.spec.name
    gives_way = rollout.strategy == "now" or rollout.previous is None
    if not gives_way and not stuck(draft, rollout):
        told = f"{rollout.candidate.name} is in {rollout.phase} on {name}"
        raise _in_progress(name, rollout, candidate.name, told)
    end(draft, "superseded", f"replaced by {candidate.name}")


def _in_progress(name: str, rollout: Rollout, asked: str, told: str) -> Refused:
    return Refused(
        ROLLOUT_IN_PROGRESS,
        "deploy",
        asked,
        told,
        unchanged=_SAME,
        hint=f"trimtab promote {name} --full"
        if rollout.phase == "bake"
        else f"trimtab abort {name}",
    )


def check_fit(spec: DeploymentSpec, model: str, candidate: Standing) -> None:
    """Raises `Refused` TT-609 when the release is of another model than the deployment serves."""
    if model == spec.model:
        return
    raise Refused(
        INCOMPATIBLE,
        "deploy",
        candidate.name,
        f"deployment {spec.name} serves releases of {spec.model}",
        unchanged=_SAME,
        hint=f"trimtab releases --model {spec.model}",
    )


def check_loss(spec: DeploymentSpec, candidate: Standing, signature: Signature) -> None:
    """Raises `Refused` TT-609 when the deployment's own loss asks for what the release has not."""
    wanted = spec.monitor.loss
    problem = OwnLoss(wanted).unfit(signature) if wanted else ""
    if not problem:
        return
    raise Refused(
        INCOMPATIBLE,
        "deploy",
        candidate.name,
        f"the loss of deployment {spec.name} cannot be calculated of it: {problem}",
        unchanged=_SAME,
        hint=f"change monitor.loss in [deployment.{spec.name}], and restart trimtab up",
    )


def check_callers(candidate: Standing, new: Signature, old: Signature) -> None:
    """Raises `Refused` TT-609 when callers of the old release could not call the new one.

    They would miss a column that is new and not nullable, or send one in another kind of type or
    another shape."""
    known = {column.name: column for column in old.inputs}
    wrong = [
        column.name
        for column in new.inputs
        if (column.name not in known and not column.nullable)
        or (column.name in known and not _alike(known[column.name], column))
    ]
    if not wrong:
        return
    raise Refused(
        INCOMPATIBLE,
        "deploy",
        candidate.name,
        f"callers of the present release do not send {', '.join(wrong)} as it needs",
        unchanged=_SAME,
        hint="deploy it under a name of its own, or with --strategy now once callers have changed",
    )


def _alike(one: Column, other: Column) -> bool:
    return one.datatype.numeric == other.datatype.numeric and one.shape == other.shape


def promote(
    state: DeploymentState,
    seen: Observation,
    author: Author,
    *,
    full: bool = False,
    override: bool = False,
) -> Decision:
    """Go to the next step now, or with `full` straight to bake (from bake: end it as proven).

    It spares the waiting, never the evidence: that takes `override`, and a candidate that the
    guard finds bad, or that has no ready worker, is not promoted at all. Raises `Refused`."""
    draft = Draft(state, seen, author)
    rollout = draft.rollout("promote")
    name = state.spec.name
    guard = seen.guard
    if not seen.up(rollout.candidate):
        slot = WorkerSlot(rollout.candidate.digest, 0).id
        why = f"it has no ready worker; logs/worker-{slot}.log in the state folder says why"
        raise _not_promoted(WORKER_FAILED, rollout, why, f"trimtab status {name}")
    if guard is not None and guard.verdict == "bad":
        raise _not_promoted(ROLLED_BACK, rollout, "the guard finds it bad", f"trimtab why {name}")
    shown = guard is not None and guard.advance == "ok"
    needs_evidence = state.stable is not None and (rollout.phase != "preparing" or full)
    if needs_evidence and not shown and not override:
        missing = guard.waiting_for if guard else ""
        why = missing or "there is no evidence yet that it is not worse"
        hint = f"trimtab promote {name} --override --reason 'seen and accepted'"
        raise _not_promoted(ROLLOUT_IN_PROGRESS, rollout, why, hint)
    advance(draft, full)
    return draft.decision()


def _not_promoted(code: str, rollout: Rollout, why: str, hint: str) -> Refused:
    return Refused(
        code, "promote", rollout.candidate.name, why, f"it stays in {rollout.phase}", hint
    )


def pause(state: DeploymentState, seen: Observation, author: Author) -> Decision:
    """Stop advancing; the guard stays on. Raises `Refused` TT-603."""
    draft = Draft(state, seen, author)
    rollout = draft.rollout("pause")
    if not rollout.paused:
        draft.record(e.RolloutPaused(rollout.id), rollout.candidate.name)
    return draft.decision()


def resume(state: DeploymentState, seen: Observation, author: Author) -> Decision:
    """Allow advancing again. Raises `Refused` TT-603."""
    draft = Draft(state, seen, author)
    rollout = draft.rollout("resume")
    if rollout.paused:
        draft.record(e.RolloutResumed(rollout.id), rollout.candidate.name)
    return draft.decision()


def abort(state: DeploymentState, seen: Observation, author: Author) -> Decision:
    """Give the rollout up; stable keeps serving. Raises `Refused` TT-603, also in bake."""
    draft = Draft(state, seen, author)
    rollout = draft.rollout("abort")
    if rollout.phase == "bake":
        name = state.spec.name
        raise Refused(
            ROLLOUT_IN_PROGRESS,
            "abort",
            name,
            f"{rollout.candidate.name} is in bake: it already serves all requests",
            unchanged=_SAME,
            hint=f"trimtab rollback {name}",
        )
    end(draft, "aborted")
    return draft.decision()


def rollback(
    state: DeploymentState, seen: Observation, author: Author, to: Standing | None = None
) -> Decision:
    """Go back now: take the candidate out, or make a proven and ready release stable again.

    Without `to`, a candidate that is not stable yet is taken out and stable stays. Raises `Refused`
    TT-604 when the target is not proven, or not ready."""
    draft = Draft(state, seen, author)
    rollout, stable = state.rollout, state.stable
    if rollout is not None and rollout.phase != "bake" and to in (None, stable):
        end(draft, "rolled_back")
        return draft.decision()
    if stable is None or to == stable:
        raise _no_target(state, "there is nothing to go back from")
    target = to or rollback_target(state)
    if target is None or target not in state.proven:
        why = f"{target.name} was never proven" if target else "no other release is proven yet"
        raise _no_target(state, why)
    if not seen.up(target):
        raise _no_target(state, f"{target.name} has no ready worker")
    revert(draft, stable, target, "")
    if rollout is not None:
        end(draft, "superseded" if rollout.candidate == target else "rolled_back")
    return draft.decision()


def _no_target(state: DeploymentState, why: str) -> Refused:
    name = state.spec.name
    return Refused(
        NO_ROLLBACK_TARGET,
        "roll back",
        name,
        why,
        unchanged=_SAME,
        hint=f"trimtab releases --model {state.spec.model}",
    )


def retrain(state: DeploymentState, seen: Observation, author: Author) -> Decision:
    """Make the release again. Raises `Refused` TT-607 while a run is in progress, and TT-611
    while an upstream break is open, which a model would learn, or a skew, which none mends."""
    draft = Draft(state, seen, author)
    name = state.spec.name
    if state.run is not None:
        raise Refused(
            RUN_IN_PROGRESS,
            "retrain",
            name,
            f"{state.run.id} is in progress",
            unchanged=_SAME,
            hint=f"trimtab runs {name}",
        )
    if inputs_broken(state) or skewed(state):
        what = "an upstream data break" if inputs_broken(state) else "a training/serving skew"
        raise Refused(
            RETRAIN_HELD,
            "retrain",
            name,
            f"{what} is open",
            unchanged=_SAME,
            hint=f"trimtab why {name}",
        )
    request_run(draft, "human")
    return draft.decision()
