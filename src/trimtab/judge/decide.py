"""One pure step of the control loop: what a deployment's state and an observation lead to.

Rules, in the order they are applied:

1. A finished run gives an offered release, which goes out when `retrain.approve` is `auto`.
2. Incidents get the action that is right for their first cause (`judge.response`).
3. The guard comes before progress and does not care about pauses: a candidate it finds bad, or
   whose workers cannot be made ready, loses its traffic at once. In bake the old release, which
   must be proven and ready now, becomes stable again.
4. A rollout advances one step when its time in the phase has passed, the guard has positive
   evidence, no input is known to be broken and nobody paused it. `unknown` holds, without limit;
   after `max_hold` a ticket says so.
5. A stable release that is itself to blame, or, in a rollout too, that can no longer be started, is
   left for a proven one. Routing alone never changes a release: that would be a decision nobody can
   read back.
6. The numbers of workers follow demand (`judge.scale`), on the host's clock.

The first release of a deployment is proven as soon as it is ready, because there is nothing
better. Schedules (`retrain.schedule`) are checked when the configuration is read and not acted on.
"""

from trimtab.domain import events as e
from trimtab.domain.names import short
from trimtab.domain.rollout import Outcome, Phase, Rollout, Standing
from trimtab.domain.routing import TOTAL_WEIGHT
from trimtab.domain.state import DeploymentState, known_of_run, workers_of
from trimtab.judge.draft import Author, Decision, Draft, FinishedRun, Observation, evidence
from trimtab.judge.response import (
    MOST_AUTOMATIC_ROLLBACKS,
    blamed_on_stable,
    explain_rollback,
    inputs_broken,
    ready_target,
    respond,
    watch_own,
)
from trimtab.judge.scale.roles import scaled, seats

CONTROLLER = Author("controller")
SHADOWED = frozenset({"canary", "shadow"})
"""Strategies that begin with copies of requests."""
STEPPED = frozenset({"canary", "steps"})
"""Strategies that give the candidate rising shares of the traffic."""


def decide(state: DeploymentState, seen: Observation) -> Decision:
    """The next entries and effects of one deployment; empty when there is nothing to do.

    Ids are derived from counters in the state, so the same arguments give the same decision."""
    draft = Draft(state, seen, CONTROLLER)
    for finished in seen.finished:
        _finish(draft, finished)
    respond(draft)
    stranded = _judge_rollout(draft) if draft.state.rollout else _judge_stable(draft)
    _deploy_offered(draft)
    watch_own(draft, stranded)
    _scale(draft)
    return draft.decision()


def _scale(draft: Draft) -> None:
    """Give each release the workers that demand asks for, by the state as it has become."""
    load, now = draft.seen.load, draft.seen.now
    if load is None:
        return
    for seat in tuple(seats(draft.state, load, draft.seen.ready, now)):
        event = scaled(seat, now)
        if event is not None:
            draft.record(event, seat.release.name, seat.sizing.why, seat.sizing.numbers)


def _finish(draft: Draft, finished: FinishedRun) -> None:
    run = draft.state.run
    if run is None or run.id != finished.run:
        return
    if finished.release is None:
        draft.record(e.RunFailed(run.id, finished.error), reason=finished.error)
        return
    spec = draft.state.spec
    reason = known_of_run(draft.state, finished.release)
    if not reason and spec.retrain.approve == "human":
        reason = f"waits for trimtab deploy {spec.name} --release {finished.release.name}"
    draft.record(
        e.RunSucceeded(run.id, finished.release, finished.seconds), finished.release.name, reason
    )


def _deploy_offered(draft: Draft) -> None:
    state = draft.state
    offered = state.offered
    if offered is None or state.rollout is not None or state.spec.retrain.approve != "auto":
        return
    held = state.automatic_rollbacks >= MOST_AUTOMATIC_ROLLBACKS
    if held or inputs_broken(state) or offered.digest in state.rejected:
        return
    start(draft, offered, state.spec.rollout.strategy, automatic=True)


def start(draft: Draft, candidate: Standing, strategy: str, automatic: bool = False) -> None:
    """Begin a rollout of `candidate`."""
    state = draft.state
    key = f"{state.spec.name}-r{state.rollouts + 1}"
    event = e.RolloutStarted(key, candidate, strategy, draft.clock, automatic)
    draft.record(event, candidate.name, "made by a run" if automatic else "")


def _judge_rollout(draft: Draft) -> str:
    """Roll back, advance or hold; returns why the deployment is stranded, if it is."""
    rollout = draft.rollout("judge")
    why = _condemned(rollout, draft.seen)
    if why:
        return _take_out(draft, rollout, why)
    stranded = "" if rollout.phase == "bake" else _judge_stable(draft)
    if draft.state.rollout is not None:
        _progress(draft, rollout)
    return stranded


def _progress(draft: Draft, rollout: Rollout) -> None:
    if rollout.phase_clock <= 0.0 < draft.clock:
        _begin_clock(draft, rollout)
        return
    guard = draft.seen.guard
    convinced = guard is not None and guard.advance == "ok" and guard.verdict != "bad"
    if may_advance(draft) and _due(draft, rollout, convinced):
        advance(draft)


def _begin_clock(draft: Draft, rollout: Rollout) -> None:
    """Event time begins with the first request: time in the phase counts from there, not from 0."""
    event = e.RolloutAdvanced(rollout.id, rollout.phase, rollout.step, rollout.weight, draft.clock)
    draft.record(event, rollout.candidate.name, "the deployment's clock began")


def _condemned(rollout: Rollout, seen: Observation) -> str:
    """Why the candidate must go; "" while it may stay."""
    failure = seen.failed.get(rollout.candidate.digest)
    if failure is not None and (rollout.phase == "preparing" or not seen.up(rollout.candidate)):
        return f"{failure.code}: {failure.error}"
    if seen.guard is None or seen.guard.verdict != "bad":
        return ""
    bad = [verdict.reason for verdict in seen.guard.verdicts if verdict.verdict == "bad"]
    return "; ".join(bad) or "the guard found the candidate worse"


def stuck(draft: Draft, rollout: Rollout) -> bool:
    """Whether the candidate serves, is bad or has no worker, and nothing is ready to go back to."""
    seen = draft.seen
    lost = not seen.up(rollout.candidate) or bool(_condemned(rollout, seen))
    return rollout.phase == "bake" and lost and ready_target(draft.state, seen) is None


def _take_out(draft: Draft, rollout: Rollout, why: str) -> str:
    if rollout.phase == "bake":
        target = ready_target(draft.state, draft.seen)
        if target is None:
            return f"{rollout.candidate.name} must be rolled back, and no proven release is ready"
        revert(draft, rollout.candidate, target, why, automatic=True)
    end(draft, "rolled_back", why, automatic=True)
    explain_rollback(draft, f"{rollout.id}-rolled-back", rollout.candidate, why)
    return ""


def end(draft: Draft, outcome: Outcome, why: str = "", automatic: bool = False) -> None:
    """End the rollout in progress; the candidate's weight is gone with it."""
    rollout = draft.rollout("end")
    event = e.RolloutEnded(rollout.id, rollout.candidate, outcome, draft.clock, automatic)
    draft.record(event, rollout.candidate.name, why, evidence(draft.seen.guard))


def revert(
    draft: Draft, left: Standing, target: Standing, why: str, *, automatic: bool = False
) -> None:
    """Make the proven release `target` stable again: no analysis, no steps."""
    event = e.RolledBackTo(left, target, draft.clock, automatic)
    draft.record(event, target.name, why, evidence(draft.seen.guard))


def may_advance(draft: Draft) -> bool:
    """Whether progress is allowed at all: not paused, inputs sound, enough verified workers to
    begin with, and for all the traffic before it comes."""
    state = draft.state
    rollout = draft.rollout("advance")
    to_bake = rollout.phase != "bake" and _next(state, rollout)[0] == "bake"
    whole = rollout.phase == "preparing" or to_bake
    enough = workers_of(state, rollout.candidate) if whole else 1
    ready = draft.seen.workers(rollout.candidate) >= enough
    return ready and not rollout.paused and not inputs_broken(state)


def _due(draft: Draft, rollout: Rollout, convinced: bool) -> bool:
    """`preparing` asks for ready workers only: no request has reached the candidate yet."""
    if rollout.phase == "preparing":
        return True
    plan = draft.state.spec.rollout
    dwell = {"shadow": plan.shadow_seconds, "bake": plan.bake_seconds}
    stayed = draft.clock - rollout.phase_clock
    return convinced and stayed >= dwell.get(rollout.phase, plan.step_seconds)


def advance(draft: Draft, full: bool = False) -> None:
    """Enter the next phase or step, or with `full` go straight to bake."""
    rollout = draft.rollout("advance")
    if rollout.phase == "bake":
        end(draft, "promoted")
        draft.record(e.Proven(rollout.candidate, draft.clock), rollout.candidate.name)
        return
    first = draft.state.stable is None
    phase, step, weight = _next(draft.state, rollout)
    if full:
        phase, step, weight = "bake", rollout.step, TOTAL_WEIGHT
    event = e.RolloutAdvanced(rollout.id, phase, step, weight, draft.clock)
    draft.record(event, rollout.candidate.name, evidence=evidence(draft.seen.guard))
    if first:
        end(draft, "promoted", "the first release: there is nothing better")
        draft.record(e.Proven(rollout.candidate, draft.clock), rollout.candidate.name)


def _next(state: DeploymentState, rollout: Rollout) -> tuple[Phase, int, int]:
    """Phase, step and weight after the present ones."""
    steps = state.spec.rollout.steps if rollout.strategy in STEPPED else ()
    if rollout.phase == "preparing" and rollout.strategy in SHADOWED and state.stable is not None:
        return "shadow", 0, 0
    step = rollout.step + 1 if rollout.phase == "canary" else 0
    immediate = rollout.strategy == "now" or state.stable is None
    if immediate or step >= len(steps):
        return "bake", rollout.step, TOTAL_WEIGHT
    return "canary", step, steps[step]


def _judge_stable(draft: Draft) -> str:
    """Leave a stable release that is itself to blame; returns why this is not possible.

    While a candidate is tried, what is said of stable may be the candidate's doing: then only one
    that cannot be started is left, and the rollout with it."""
    state, seen = draft.state, draft.seen
    stable = state.stable
    if stable is None:
        return ""
    failure = seen.failed.get(stable.digest)
    broken = failure is not None and not seen.up(stable)
    blamed = "" if state.rollout is not None else blamed_on_stable(state)
    why = f"{failure.code}: {failure.error}" if failure and broken else blamed
    if not why or state.automatic_rollbacks >= MOST_AUTOMATIC_ROLLBACKS:
        return ""
    target = ready_target(state, seen)
    if target is None:
        return f"{stable.name} is to blame, and no proven release is ready: {why}"
    if state.rollout is not None:
        outcome: Outcome = "superseded" if state.rollout.candidate == target else "aborted"
        end(draft, outcome, f"{stable.name} is left: {why}", automatic=True)
    revert(draft, stable, target, why, automatic=True)
    key = f"{state.spec.name}-{short(stable.digest)}-left-{int(draft.clock)}"
    explain_rollback(draft, key, stable, why)
    return ""
