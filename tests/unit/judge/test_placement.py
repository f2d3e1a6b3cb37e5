"""Which workers exist, and who is routed to."""

import msgspec
import pytest
from tests.support.control import ANN, GOOD, Story, manifest, release, spec

from trimtab.domain.names import Digest
from trimtab.domain.processes import WorkerLimits, WorkerSlot
from trimtab.domain.release import Release
from trimtab.domain.routing import Route
from trimtab.domain.state import DeploymentState, Scale
from trimtab.judge import verbs
from trimtab.judge.placement import Stamp, limits_of, routing, workers_wanted

RELEASES = {
    release(n).digest: Release(release(n).digest, "m", n, 0.0, manifest(n)) for n in range(1, 9)
}
ONE, TWO = release(1).digest, release(2).digest


def rolling(until: str, workers: int = 2) -> Story:
    """m@1 serves, m@2 is on its way."""
    story = Story(DeploymentState(spec=spec(workers=workers)))
    story.ready = dict.fromkeys(story.ready, workers)
    story.take(verbs.deploy(story.state, story.seen(), ANN, release(1))).tick()
    story.take(verbs.deploy(story.state, story.seen(), ANN, release(2)))
    while story.phase != until:
        story.tick(3600.0, guard=GOOD)
    return story


def counts(story: Story) -> dict[Digest, int]:
    """Wanted workers per release."""
    wanted = workers_wanted(story.state)
    return {slot.release: sum(s.release == slot.release for s in wanted) for slot in wanted}


def routes(story: Story, *ready: Digest) -> tuple[Route, ...]:
    """The routes when one worker of each of `ready` is ready."""
    slots = {digest: (WorkerSlot(digest, 0),) for digest in ready}
    snapshot = routing({"d": story.state}, RELEASES, slots, Stamp(7, 3))
    assert (snapshot.version, snapshot.epoch) == (7, 3)
    return snapshot.deployments[0].routes


def test_nothing_is_wanted_before_anything_is_deployed() -> None:
    assert workers_wanted(DeploymentState(spec=spec())) == frozenset()


def test_a_release_of_two_deployments_gets_the_wider_limits() -> None:
    story = rolling("preparing0")
    tight = WorkerLimits(memory_bytes=100, cpus=2.0, processes=8, gpus=("0", "1"))
    wide = WorkerLimits(memory_bytes=200, cpus=None, processes=4, gpus=("1", "2"))
    states = [
        msgspec.structs.replace(
            story.state, spec=msgspec.structs.replace(story.state.spec, limits=limits)
        )
        for limits in (tight, wide)
    ]
    both = WorkerLimits(200, None, 8, limits_of(states)[ONE].gpus)
    assert sorted(both.gpus) == ["0", "1", "2"]
    assert limits_of(states[:1]) == {ONE: tight, TWO: tight}
    assert limits_of(states) == dict.fromkeys((ONE, TWO), both)


def batches(story: Story) -> Story:
    """The same with two workers for the batch lane alone."""
    plan = msgspec.structs.replace(story.state.spec.scale, batch=2)
    specified = msgspec.structs.replace(story.state.spec, scale=plan)
    story.state = msgspec.structs.replace(story.state, spec=specified)
    return story


def of_batch(story: Story) -> dict[Digest, int]:
    """Wanted workers of the batch lane per release."""
    wanted = [slot.release for slot in workers_wanted(story.state) if slot.lane == "batch"]
    return {digest: wanted.count(digest) for digest in wanted}


@pytest.mark.parametrize("until", ["preparing0", "shadow0", "canary1", "bake1"])
def test_every_release_of_a_rollout_has_workers_for_the_batch_lane(until: str) -> None:
    story = batches(rolling(until))
    assert of_batch(story) == {ONE: 2, TWO: 2}
    assert counts(story) == {ONE: 4, TWO: 4}


def test_a_rollback_target_at_rest_has_none_for_the_batch_lane() -> None:
    story = batches(rolling("bake1")).tick(3600.0, guard=GOOD)
    assert (of_batch(story), counts(story)) == ({TWO: 2}, {ONE: 1, TWO: 4})


def test_a_candidate_with_workers_for_the_batch_lane_alone_gets_nothing() -> None:
    story = batches(rolling("canary1"))
    only = {ONE: (WorkerSlot(ONE, 0),), TWO: (WorkerSlot(TWO, 0, "batch"),)}
    snapshot = routing({"d": story.state}, RELEASES, only, Stamp(1, 1))
    assert snapshot.deployments[0].routes == (Route(ONE, "stable", 10_000),)
    assert [target.name for target in snapshot.releases] == ["m@1"]


def test_a_snapshot_says_which_workers_are_for_the_batch_lane_alone() -> None:
    story = batches(rolling("canary1"))
    slots = (WorkerSlot(TWO, 0, "batch"), WorkerSlot(TWO, 0))
    snapshot = routing({"d": story.state}, RELEASES, {TWO: slots}, Stamp(1, 1))
    stable, candidate = sorted(snapshot.releases, key=lambda target: target.name)
    assert (len(stable.workers), len(stable.batch_workers)) == (2, 2)
    assert candidate.workers == (f"run/w/{WorkerSlot(TWO, 0).id}.sock",)
    assert candidate.batch_workers == (f"run/w/{WorkerSlot(TWO, 0, 'batch').id}.sock",)


def test_a_sleeping_deployment_awaits_its_workers_for_the_batch_lane_too() -> None:
    story = batches(rolling("bake1")).tick(3600.0, guard=GOOD)
    plan = msgspec.structs.replace(story.state.spec.scale, idle="zero")
    specified = msgspec.structs.replace(story.state.spec, scale=plan)
    asleep = msgspec.structs.replace(
        story.state, spec=specified, scales={TWO: Scale(0, story.clock)}
    )
    assert workers_wanted(asleep) == frozenset()
    snapshot = routing({"d": asleep}, RELEASES, {}, Stamp(1, 1))
    assert snapshot.deployments[0].asleep
    assert [len(target.batch_workers) for target in snapshot.releases] == [2]


def test_candidate_gets_its_workers_before_any_weight() -> None:
    assert counts(rolling("preparing0")) == {ONE: 2, TWO: 2}


def test_old_release_stays_at_full_strength_in_bake_and_warm_after_it() -> None:
    story = rolling("bake1")
    assert counts(story) == {ONE: 2, TWO: 2}
    assert counts(story.tick(3600.0, guard=GOOD)) == {ONE: 1, TWO: 2}


@pytest.mark.parametrize(
    ("until", "expected"),
    [
        ("preparing0", (Route(ONE, "stable", 10_000),)),
        ("shadow0", (Route(ONE, "stable", 10_000), Route(TWO, "shadow", 0))),
        ("canary1", (Route(ONE, "stable", 7_500), Route(TWO, "canary", 2_500))),
        ("bake1", (Route(TWO, "stable", 10_000),)),
    ],
)
def test_each_phase_has_its_shares(until: str, expected: tuple[Route, ...]) -> None:
    assert routes(rolling(until), ONE, TWO) == expected


@pytest.mark.parametrize("until", ["shadow0", "canary0"])
def test_candidate_without_a_ready_worker_gets_nothing(until: str) -> None:
    assert routes(rolling(until), ONE) == (Route(ONE, "stable", 10_000),)


def test_stable_keeps_its_route_without_a_worker_and_nobody_else_gets_it() -> None:
    story = rolling("bake1").tick(3600.0, guard=GOOD)
    assert routes(story, ONE) == (Route(TWO, "stable", 10_000),)


def test_deployment_without_a_release_is_known_and_has_no_routes() -> None:
    story = Story()
    assert routes(story) == ()
    story.take(verbs.deploy(story.state, story.seen(), ANN, release(1)))
    assert routes(story, ONE) == ()


def test_a_request_may_take_as_long_as_the_deployment_says() -> None:
    story = rolling("canary0")
    objective = msgspec.structs.replace(story.state.spec.objective, deadline_seconds=90.0)
    specified = msgspec.structs.replace(story.state.spec, objective=objective)
    story.state = msgspec.structs.replace(story.state, spec=specified)
    snapshot = routing({"d": story.state}, RELEASES, {}, Stamp(1, 1))
    assert snapshot.deployments[0].deadline_seconds == 90.0


def test_resident_releases_are_named_with_their_sockets() -> None:
    story = rolling("canary0")
    ready = {ONE: (WorkerSlot(ONE, 1), WorkerSlot(ONE, 0))}
    snapshot = routing({"d": story.state}, RELEASES, ready, Stamp(1, 1))
    assert [target.name for target in snapshot.releases] == ["m@1"]
    assert snapshot.releases[0].workers == tuple(
        f"run/w/{WorkerSlot(ONE, index).id}.sock" for index in (0, 1)
    )
    assert snapshot.deployments[0].rollout == "d-r2"
