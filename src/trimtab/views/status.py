"""The status screen: every deployment, what serves, how it is judged, what can be undone."""

from collections.abc import Iterable, Mapping

from trimtab import errors
from trimtab.domain.processes import WorkerStatus
from trimtab.domain.rollout import Rollout, Standing
from trimtab.domain.routing import TOTAL_WEIGHT
from trimtab.domain.state import DeploymentState, EndedRollout, asleep, rollback_target
from trimtab.domain.verdicts import Verdict
from trimtab.judge.draft import storable
from trimtab.views.scale import build_scale
from trimtab.views.seen import Seen, TrafficCounts, begun, maybe, moment, named
from trimtab.views.shapes import (
    BlocksView,
    DeploymentView,
    Health,
    LatencyView,
    RequestsView,
    RollbackView,
    RolloutView,
    ServingView,
    StatusView,
    VerdictView,
)
from trimtab.views.words import late, plain

_LOUDNESS = {"bad": 0, "unknown": 1, "ok": 2}
_TIERS = {"page": 0, "ticket": 1, "note": 2}
LITTLE_ROOM_MIB = 256
"""With less room on the disk of the state folder it is time to say so."""
BEHIND_SECONDS = 30.0
"""From when on it is trouble that the control loop reads requests late."""
GROWING_SECONDS = 10.0
"""The same, where it reads them ever later."""


def build_status(seen: Seen, only: str | None = None) -> StatusView:
    """All deployments by name, or the one called `only` (raises `NotFound` TT-601)."""
    states = seen.state.deployments
    if only is not None and only not in states:
        raise no_such_deployment(only, states)
    names = sorted(states) if only is None else [only]
    return StatusView(
        deployments=tuple(_deployment(states[name], seen) for name in names),
        seq=seen.state.seq,
        at=moment(seen.now),
        observed_at=maybe(seen.observed_at),
        routed=seen.routed,
        journal_broken=seen.journal_broken,
        disk_left_mib=_disk_left(seen.free_bytes),
    )


def _disk_left(free_bytes: int | None) -> int | None:
    left = None if free_bytes is None else free_bytes >> 20
    return None if left is None or left >= LITTLE_ROOM_MIB else left


def no_such_deployment(name: str, known: Iterable[str]) -> errors.NotFound:
    """The error for a deployment that nobody configured; `known` are the names that there are."""
    names = ", ".join(sorted(known)) or "none"
    return errors.NotFound(
        errors.NO_SUCH_DEPLOYMENT,
        "find deployment",
        name,
        f"no deployment has that name (there are: {names})",
        unchanged="nothing was changed",
        hint="trimtab status",
    )


def build_rollout(state: DeploymentState, seen: Seen) -> RolloutView | None:
    """The rollout in progress, with the guard's word on it."""
    rollout = state.rollout
    if rollout is None:
        return None
    guard = seen.guards.get(state.spec.name)
    return RolloutView(
        id=rollout.id,
        release=rollout.candidate.name,
        strategy=rollout.strategy,
        state=rollout.phase,
        step=rollout.step,
        paused=rollout.paused,
        weight_ratio=candidate_weight(rollout) / TOTAL_WEIGHT,
        steps=tuple(step / TOTAL_WEIGHT for step in state.spec.rollout.steps),
        started_at=maybe(rollout.started_clock),
        since=maybe(rollout.phase_clock),
        verdict=guard.verdict if guard else "unknown",
        advance=guard.advance if guard else "unknown",
        waiting_for=guard.waiting_for if guard else "",
    )


def build_ended(ended: EndedRollout | None) -> RolloutView | None:
    """How the last rollout ended."""
    if ended is None:
        return None
    return RolloutView(
        id=ended.id,
        release=ended.candidate.name,
        strategy="",
        state="ended",
        step=0,
        outcome=ended.outcome,
        since=maybe(ended.clock),
    )


def candidate_weight(rollout: Rollout) -> int:
    """The candidate's share in parts per 10,000: in bake it serves everything."""
    return TOTAL_WEIGHT if rollout.phase == "bake" else rollout.weight


def build_verdict(verdict: Verdict, names: Mapping[str, str]) -> VerdictView:
    """A verdict with numbers that JSON can say; `names` are those of releases by digest."""
    told = storable(verdict)
    return VerdictView(
        signal=told.signal,
        scope=told.scope,
        tier=told.tier,
        verdict=told.verdict,
        reason=told.reason,
        release=named(told.release, names),
        evidence_log10=told.evidence_log10,
        threshold_log10=told.threshold_log10,
        estimate=told.estimate,
        lower=told.lower,
        upper=told.upper,
        reference=told.reference,
        tolerance=told.tolerance,
        n=told.n,
        since=maybe(told.since),
        detectable=told.detectable,
        detectable_seconds=told.detectable_seconds,
    )


def _deployment(state: DeploymentState, seen: Seen) -> DeploymentView:
    name = state.spec.name
    rollout = state.rollout
    candidate = rollout.candidate if rollout and rollout.phase != "bake" else None
    weight = candidate_weight(rollout) if rollout and candidate else 0
    stable = _serving(state.stable, TOTAL_WEIGHT - weight, seen)
    counts = seen.traffic.get(name, TrafficCounts())
    health, reason = _health(state, stable, seen)
    return DeploymentView(
        name=name,
        state=health,
        reason=reason,
        model=state.spec.model,
        clock=state.spec.clock,
        at=maybe(seen.clocks.get(name)),
        stable=stable,
        candidate=_serving(candidate, weight, seen),
        rollout=build_rollout(state, seen),
        last_rollout=build_ended(state.last_rollout),
        rollback=_rollback(state, seen),
        verdicts=_verdicts(name, seen),
        requests=RequestsView(
            total=counts.total,
            failed=counts.failed,
            rate_per_second=counts.rate_per_second,
            behind_seconds=counts.behind_seconds,
            behind_trend=counts.behind_trend,
            unreadable_segments=counts.unreadable,
            damaged_files=counts.damaged,
        ),
        latency=LatencyView(p50_seconds=counts.p50_seconds, p99_seconds=counts.p99_seconds),
        incidents=tuple(incident.id for incident in state.incidents),
        run=state.run.id if state.run else None,
        offered=state.offered.name if state.offered else None,
        serving_since=maybe(state.serving_since),
        scale=build_scale(state, seen),
        blocks=_blocks(state, seen),
    )


def _blocks(state: DeploymentState, seen: Seen) -> BlocksView | None:
    """When the next block closes; the one in which the release began to serve may be left out."""
    blocks, clock = seen.blocks.get(state.spec.name), seen.clocks.get(state.spec.name)
    if blocks is None or clock is None or not begun(clock):
        return None
    start = clock // blocks.seconds * blocks.seconds
    if blocks.whole and state.serving_since is not None and start < state.serving_since:
        start += blocks.seconds
    return BlocksView(blocks.seconds, moment(start + blocks.seconds), blocks.reason)


def _serving(release: Standing | None, weight: int, seen: Seen) -> ServingView | None:
    if release is None:
        return None
    workers, batch = seen.workers(release.digest), seen.workers(release.digest, "batch")
    return ServingView(
        release=release.name,
        digest=release.digest,
        weight_ratio=weight / TOTAL_WEIGHT,
        workers=len(workers),
        ready_workers=_ready(workers),
        batch_workers=len(batch),
        ready_batch_workers=_ready(batch),
        problem=next((worker.error for worker in (*workers, *batch) if worker.error), ""),
    )


def _ready(workers: Iterable[WorkerStatus]) -> int:
    return sum(worker.state == "ready" for worker in workers)


def _rollback(state: DeploymentState, seen: Seen) -> RollbackView:
    rollout = state.rollout
    in_front = rollout is not None and rollout.phase != "bake"
    target = state.stable if in_front else rollback_target(state)
    workers = seen.workers(target.digest) if target else ()
    rehearsed = seen.rehearsals.get(state.spec.name)
    return RollbackView(
        ready=_ready(workers) > 0,
        target=target.name if target else None,
        seconds=rehearsed.seconds if rehearsed else None,
        rehearsed_at=moment(rehearsed.at) if rehearsed else None,
    )


def _verdicts(name: str, seen: Seen) -> tuple[VerdictView, ...]:
    """The guard's and the monitors' verdicts, the loudest first."""
    guard = seen.guards.get(name)
    told = (*(guard.verdicts if guard else ()), *seen.verdicts.get(name, ()))
    names = seen.names()
    views = [build_verdict(verdict, names) for verdict in told]
    return tuple(sorted(views, key=_rank))


def _rank(verdict: VerdictView) -> tuple[int, int, float, str]:
    distance = verdict.threshold_log10 - verdict.evidence_log10
    return _LOUDNESS[verdict.verdict], _TIERS[verdict.tier], distance, verdict.label


def _health(state: DeploymentState, stable: ServingView | None, seen: Seen) -> tuple[Health, str]:
    """The word for a deployment and the sentence that explains it."""
    rollout = state.rollout
    if stable is None and rollout is None:
        return "down", f"nothing is deployed yet: trimtab deploy {state.spec.name}"
    if stable is not None and asleep(state):
        return "healthy", f"{stable.release} sleeps until the next request"
    if stable is not None and stable.ready_workers == 0:
        return "down", stable.problem or f"{stable.release} has no ready worker"
    trouble = _trouble(state, stable, seen)
    if trouble:
        return "degraded", trouble
    if rollout is None:
        return "healthy", f"{stable.release} serves all requests" if stable else ""
    if rollout.paused:
        return "paused", f"{rollout.candidate.name} is paused in {rollout.phase}"
    return "progressing", f"{rollout.candidate.name} is in {rollout.phase}"


def _short(view: ServingView) -> bool:
    """Whether workers are not ready that should be."""
    return view.ready_workers < view.workers or view.ready_batch_workers < view.batch_workers


def _trouble(state: DeploymentState, stable: ServingView | None, seen: Seen) -> str:
    pages = [incident for incident in state.incidents if incident.tier == "page"]
    if pages:
        causes = pages[0].causes
        return f"incident {pages[0].id}: {plain(causes[0].cause) if causes else 'unknown cause'}"
    bad = [
        verdict
        for verdict in seen.verdicts.get(state.spec.name, ())
        if verdict.verdict == "bad" and verdict.tier == "page"
    ]
    if bad:
        return f"{bad[0].signal}: {bad[0].reason}"
    if stable is not None and _short(stable) and stable.problem:
        return f"a worker of {stable.release} fails: {stable.problem}"
    counts = seen.traffic.get(state.spec.name, TrafficCounts())
    growing = counts.behind_trend == "growing"
    if counts.behind_seconds >= (GROWING_SECONDS if growing else BEHIND_SECONDS):
        return f"requests are {late(counts.behind_seconds, counts.behind_trend)}"
    return ""
