"""The decision for each release of a deployment: what serves, and what is about to.

A candidate gets what the whole demand asks for, from the beginning of its rollout: in bake it
serves everything, and a promotion starts no process. The rollback target is not sized by itself: it
keeps in bake what it had, and one warm worker after; a rollback hands it the number of the release
that it replaces. For that, memory is left free.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from trimtab.domain import events as e
from trimtab.domain.names import Digest
from trimtab.domain.processes import HostStatus
from trimtab.domain.rollout import Standing
from trimtab.domain.state import DeploymentState, rollback_target, workers_of
from trimtab.judge.scale.arrivals import Demand
from trimtab.judge.scale.policy import Room, Situation, Sizing, size
from trimtab.judge.scale.service import Work

SPARE_BYTES, SPARE_RATIO = 256 * 2**20, 0.05
"""Memory that no worker may take: the larger of the two, the second of the machine's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What is known of a deployment's demand, and of the machine that serves it.

    `work`, `rss` (bytes of a worker) and `busy` (share of its time that a worker computes) are by
    release. `woken` says that a request waits for a sleeping deployment. `gateway_seconds` are the
    gateways' processor time per call, None before it was measured. A `host` of None is not known.
    """

    demand: Demand
    work: Mapping[Digest, Work] = field(default_factory=dict)
    rss: Mapping[Digest, int] = field(default_factory=dict)
    busy: Mapping[Digest, float] = field(default_factory=dict)
    host: HostStatus | None = None
    woken: bool = False
    gateways: int = 1
    gateway_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Seat:
    """A release whose number of workers follows the demand, and what was decided for it."""

    release: Standing
    before: int
    sizing: Sizing


def seats(
    state: DeploymentState, load: Load, ready: Mapping[Digest, int], now: float
) -> Iterator[Seat]:
    """Stable's and the candidate's numbers of workers at `now`, epoch seconds of the host."""
    rollout = state.rollout
    candidate = rollout.candidate if rollout else None
    for release in dict.fromkeys((state.stable, candidate)):
        if release is not None:
            before = workers_of(state, release)
            yield Seat(release, before, size(_situation(state, release, load, ready, now)))


def scaled(seat: Seat, now: float) -> e.Scaled | None:
    """The event of a number that changes; None when it stays."""
    if seat.sizing.workers == seat.before:
        return None
    return e.Scaled(seat.release, seat.sizing.workers, seat.before, now)


def _situation(
    state: DeploymentState,
    release: Standing,
    load: Load,
    ready: Mapping[Digest, int],
    now: float,
) -> Situation:
    found = state.scales.get(release.digest)
    since = state.serving_since if state.spec.clock == "wall" else None
    return Situation(
        now=now,
        workers=workers_of(state, release),
        ready=ready.get(release.digest, 0),
        changed_at=found.at if found else since or 0.0,
        plan=state.spec.scale,
        objective=state.spec.objective,
        demand=load.demand,
        work=work_of(state, release, load),
        room=room_of(state, release, load),
        may_sleep=state.rollout is None and release == state.stable,
        woken=load.woken,
    )


def work_of(state: DeploymentState, release: Standing, load: Load) -> Work:
    """What the release's workers did; what its cost is not known by is taken from stable's."""
    own = load.work.get(release.digest, Work())
    if own.cost is not None or state.stable is None:
        return own
    serving = load.work.get(state.stable.digest, Work())
    return Work(seconds=serving.seconds, cost=serving.cost, calm=own.calm)


def room_of(state: DeploymentState, release: Standing, load: Load) -> Room:
    """What the machine leaves for the release."""
    if load.host is None:
        return Room()
    busy = load.busy.get(release.digest, 1.0)
    return Room(load.host.cores, busy, fitting(state, release, load, state.spec.scale.max))


def fitting(state: DeploymentState, release: Standing, load: Load, limit: int) -> int | None:
    """How many workers, up to `limit`, fit into the memory when the other releases of the
    deployment may need as many; never fewer than there are. None when it is not known."""
    bytes_each, host = load.rss.get(release.digest, 0), load.host
    if host is None or not bytes_each:
        return None
    free = host.free_bytes - max(SPARE_BYTES, SPARE_RATIO * host.memory_bytes)
    present = most = workers_of(state, release)
    others = [
        (load.rss.get(other.digest, bytes_each), count) for other, count in _others(state, release)
    ]
    target = _without_batch(state, release)
    batch = load.rss.get(target.digest, bytes_each) * state.spec.scale.batch if target else 0
    while most < limit:
        reserved = batch + sum(each * max(0, most + 1 - count) for each, count in others)
        if (most + 1 - present) * bytes_each + reserved > free:
            break
        most += 1
    return most


def _without_batch(state: DeploymentState, release: Standing) -> Standing | None:
    """The release that has no workers of the batch lane yet, and would get them in a rollback."""
    rollout, target = state.rollout, rollback_target(state)
    candidate = rollout.candidate if rollout else None
    baking = rollout is not None and rollout.phase == "bake"
    return None if baking or target in (release, candidate) else target


def _others(state: DeploymentState, release: Standing) -> list[tuple[Standing, int]]:
    rollout, target = state.rollout, rollback_target(state)
    baking = rollout is not None and rollout.phase == "bake"
    found: dict[Standing, int] = {}
    if target is not None:
        found[target] = workers_of(state, target) if baking else 1
    for other in (state.stable, rollout.candidate if rollout else None):
        if other is not None:
            found[other] = workers_of(state, other)
    found.pop(release, None)
    return list(found.items())
