"""Which workers should exist, and what gateways route by: both follow from the state alone."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from trimtab.domain.layout import worker_socket
from trimtab.domain.names import Digest
from trimtab.domain.processes import WorkerLimits, WorkerSlot
from trimtab.domain.release import Release
from trimtab.domain.rollout import Rollout, Standing
from trimtab.domain.routing import (
    TOTAL_WEIGHT,
    DeploymentRoute,
    Route,
    RoutingSnapshot,
    Target,
)
from trimtab.domain.state import DeploymentState, asleep, rollback_target, workers_of

Ready = Mapping[Digest, tuple[WorkerSlot, ...]]


@dataclass(frozen=True, slots=True)
class Stamp:
    """Which snapshot this is: `version` grows with every change, `epoch` is the leader's."""

    version: int
    epoch: int


def workers_wanted(state: DeploymentState) -> frozenset[WorkerSlot]:
    """Stable and a candidate get the workers that demand asked for, at least `scale.min`, and
    `scale.batch` more for the batch lane; the rollback target one, and in bake as many as it had,
    because it may get all the traffic back within a second. A sleeping deployment gets none."""
    if asleep(state):
        return frozenset()
    rollout, target = state.rollout, rollback_target(state)
    baking = rollout is not None and rollout.phase == "bake"
    slots: set[WorkerSlot] = set()
    if target is not None:
        whole = _slots(state, target, workers_of(state, target))
        slots.update(whole if baking else (WorkerSlot(target.digest, 0),))
    for release in (rollout.candidate if rollout else None, state.stable):
        if release is not None:
            slots.update(_slots(state, release, workers_of(state, release)))
    return frozenset(slots)


def _slots(state: DeploymentState, release: Standing, count: int) -> Iterator[WorkerSlot]:
    """The places of a release that serves or may at any time, `count` of them for all lanes."""
    yield from (WorkerSlot(release.digest, index) for index in range(count))
    batch = state.spec.scale.batch
    yield from (WorkerSlot(release.digest, index, "batch") for index in range(batch))


def _awaited(state: DeploymentState) -> frozenset[WorkerSlot]:
    """The places of workers that are wanted, or will be once a sleeping deployment is woken."""
    if not asleep(state) or state.stable is None:
        return workers_wanted(state)
    return frozenset(_slots(state, state.stable, state.spec.scale.min))


def limits_of(states: Iterable[DeploymentState]) -> dict[Digest, WorkerLimits]:
    """The limits of the releases' workers: the widest of the deployments that they work for."""
    found: dict[Digest, WorkerLimits] = {}
    for state in states:
        for release in {slot.release for slot in workers_wanted(state)}:
            limits = state.spec.limits
            found[release] = limits.wider(found.get(release, limits))
    return found


def routing(
    states: Mapping[str, DeploymentState],
    releases: Mapping[Digest, Release],
    ready: Ready,
    stamp: Stamp,
) -> RoutingSnapshot:
    """The routes of all deployments.

    `ready` holds the verified workers that may be named. A candidate without one for all lanes gets
    nothing, and its share stays with stable. All places of stable's workers are named, also of one
    that is restarting: a socket only exists once its worker is verified, so requests wait for it
    within their deadline, and never go to a release that nobody decided on. A deployment whose
    first release is not ready has no routes, so that callers hear "not ready", not "unknown"."""
    up = {digest for digest, slots in ready.items() if serving(slots)}
    routed = tuple(_route(state, up) for _, state in sorted(states.items()))
    named = {route.release for deployment in routed for route in deployment.routes}
    wanted = frozenset().union(*map(_awaited, states.values()))
    stable = {state.stable.digest for state in states.values() if state.stable}
    resident = {slot.release for slot in wanted} & releases.keys()
    shown = sorted(digest for digest in resident if digest in named or digest in up)
    places = {
        digest: [slot for slot in wanted if slot.release == digest]
        if digest in stable
        else ready.get(digest, ())
        for digest in shown
    }
    return RoutingSnapshot(
        stamp.version,
        stamp.epoch,
        routed,
        tuple(_target(releases[digest], slots) for digest, slots in places.items()),
    )


def serving(slots: Iterable[WorkerSlot]) -> tuple[WorkerSlot, ...]:
    """Of these places those whose workers take all lanes, in order."""
    return tuple(sorted(slot for slot in slots if slot.lane == "realtime"))


def _target(release: Release, slots: Collection[WorkerSlot]) -> Target:
    batch = sorted(slot for slot in slots if slot.lane == "batch")
    return Target(
        release=release.digest,
        name=release.name,
        number=release.number,
        signature=release.manifest.signature,
        workers=tuple(worker_socket(slot.id) for slot in serving(slots)),
        batch_workers=tuple(worker_socket(slot.id) for slot in batch),
    )


def _route(state: DeploymentState, up: Collection[Digest]) -> DeploymentRoute:
    rollout = state.rollout
    return DeploymentRoute(
        name=state.spec.name,
        routes=_shares(state.stable, rollout, up),
        deadline_seconds=state.spec.objective.deadline_seconds,
        key=state.spec.monitor.key,
        rollout=rollout.id if rollout else None,
        asleep=asleep(state),
    )


def _shares(
    stable: Standing | None, rollout: Rollout | None, up: Collection[Digest]
) -> tuple[Route, ...]:
    if stable is None:
        return ()
    whole = Route(stable.digest, "stable", TOTAL_WEIGHT)
    if rollout is None or rollout.candidate.digest not in up:
        return (whole,)
    candidate = rollout.candidate.digest
    if rollout.phase == "shadow":
        return (whole, Route(candidate, "shadow", 0))
    if rollout.phase == "canary":
        weight = rollout.weight
        return (
            Route(stable.digest, "stable", TOTAL_WEIGHT - weight),
            Route(candidate, "canary", weight),
        )
    return (whole,)
