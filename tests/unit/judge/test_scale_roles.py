"""Which release of a deployment is sized by what, and what other loads would need."""

from typing import Any

import msgspec
import pytest
from tests.support.control import ANN, GOOD, Story, kinds, release, spec
from tests.unit.judge.test_placement import RELEASES, counts

from trimtab.domain import events as e
from trimtab.domain.deployment import ScalePlan
from trimtab.domain.processes import HostStatus
from trimtab.domain.state import DeploymentState, Scale, asleep, workers_of
from trimtab.judge import verbs
from trimtab.judge.placement import Stamp, routing, workers_wanted
from trimtab.judge.scale.arrivals import Demand
from trimtab.judge.scale.cost import Cost
from trimtab.judge.scale.plan import plan
from trimtab.judge.scale.roles import Load, room_of, work_of
from trimtab.judge.scale.service import Work

ONE, TWO = release(1).digest, release(2).digest
GIB = 2**30
COST = Cost(0.010, 0.0)


def load(rate: float = 250.0, **changes: Any) -> Load:
    """A deployment that is asked `rate` times a second for 10 ms."""
    demand = Demand(level=rate, coming=rate, peak=rate, known=3600.0, last=2e9)
    work = {ONE: Work(seconds=0.010, cost=COST, longest=0.0)}
    return Load(**{"demand": demand, "work": work, **changes})


def serving(scale: ScalePlan = ScalePlan(max=16)) -> Story:  # noqa: B008 - it is frozen
    """m@1 serves, and every release has as many ready workers as anybody wants."""
    story = Story(DeploymentState(spec=msgspec.structs.replace(spec(), scale=scale)))
    story.ready = dict.fromkeys(story.ready, 99)
    story.take(verbs.deploy(story.state, story.seen(), ANN, release(1))).tick()
    return story.tick(load=load())


def rolling(until: str, scale: ScalePlan = ScalePlan(max=16)) -> Story:  # noqa: B008 - it is frozen
    """m@2 is on its way, while four workers are needed."""
    story = serving(scale)
    story.take(verbs.deploy(story.state, story.seen(), ANN, release(2)))
    while story.phase != until:
        story.tick(3600.0, guard=GOOD, load=load())
    return story


def test_a_change_is_recorded_with_its_numbers_and_no_change_is_not() -> None:
    story = serving()
    assert kinds(story.last) == ["Scaled"]
    entry = story.last.entries[0]
    assert entry.event == e.Scaled(release(1), 4, 1, story.clock + 1e9)
    assert (entry.reason, entry.release) == ("250/s × 10 ms = 2.5 busy", "m@1")
    assert entry.evidence["busy_workers"] == 2.5
    assert kinds(story.tick(load=load()).last) == []


def test_without_readings_the_number_stays() -> None:
    assert kinds(serving().tick(load=None).last) == []


def test_a_candidate_gets_what_the_whole_demand_asks_for_before_it_has_a_share() -> None:
    story = serving()
    story.take(verbs.deploy(story.state, story.seen(), ANN, release(2)))
    story.ready[TWO] = 0
    assert counts(story.tick(load=load())) == {ONE: 4, TWO: 4}
    story.ready[TWO] = 3
    assert story.tick(load=load()).phase == "preparing0"
    story.ready[TWO] = 4
    assert story.tick(load=load()).phase == "shadow0"


def test_the_last_step_before_bake_waits_for_all_workers_of_the_candidate() -> None:
    story = rolling("canary1")
    story.ready[TWO] = 3
    assert story.tick(3600.0, guard=GOOD, load=load()).phase == "canary1"
    story.ready[TWO] = 4
    assert story.tick(1.0, guard=GOOD, load=load()).phase == "bake1"


def test_the_release_before_keeps_its_workers_in_bake_and_one_warm_after_it() -> None:
    story = rolling("bake1")
    assert counts(story) == {ONE: 4, TWO: 4}
    assert counts(story.tick(3600.0, guard=GOOD, load=load())) == {ONE: 1, TWO: 4}


def test_a_rollback_hands_on_the_number_of_workers() -> None:
    story = rolling("bake1").tick(3600.0, guard=GOOD, load=load())
    story.take(e_scaled(story, TWO, 7))
    story.take(verbs.rollback(story.state, story.seen(), ANN))
    assert story.state.stable == release(1)
    assert counts(story)[ONE] == 7


def e_scaled(story: Story, digest: str, workers: int) -> Any:
    """A decision that gives a release a number of workers."""
    from trimtab.judge.draft import Author, Draft

    draft = Draft(story.state, story.seen(), Author())
    given = next(r for r in (release(1), release(2)) if r.digest == digest)
    draft.record(e.Scaled(given, workers, 1, story.clock))
    return draft.decision()


def test_a_promotion_never_begins_with_fewer_workers() -> None:
    story = rolling("canary1")
    story.take(e_scaled(story, ONE, 9))
    story.tick(3600.0, guard=GOOD)
    assert story.phase == "bake1"
    assert workers_of(story.state, release(2)) == 9


def test_numbers_of_releases_that_are_gone_are_forgotten() -> None:
    story = rolling("canary0")
    assert TWO in story.state.scales
    story.take(verbs.abort(story.state, story.seen(), ANN))
    story.take(verbs.deploy(story.state, story.seen(), ANN, release(3)))
    assert set(story.state.scales) == {ONE}


def test_a_recorded_number_stays_within_what_is_configured_by_now() -> None:
    state = msgspec.structs.replace(serving().state, scales={ONE: Scale(9, 0.0)})
    for plan_now, expected in ((ScalePlan(max=4), 4), (ScalePlan(min=12, max=16), 12)):
        changed = msgspec.structs.replace(state.spec, scale=plan_now)
        assert workers_of(msgspec.structs.replace(state, spec=changed), release(1)) == expected


def sleeping() -> Story:
    """m@1 has not been asked for a quarter of an hour."""
    story = serving(ScalePlan(idle="zero"))
    story.clock += 3600.0
    quiet = Demand(known=3600.0, last=story.clock + 1e9 - 1800.0)
    return story.tick(load=load(demand=quiet))


def test_a_sleeping_deployment_has_no_worker_and_names_the_places_of_those_to_come() -> None:
    story = sleeping()
    assert asleep(story.state)
    assert workers_wanted(story.state) == frozenset()
    snapshot = routing({"d": story.state}, RELEASES, {}, Stamp(1, 1))
    assert snapshot.deployments[0].asleep
    assert snapshot.deployments[0].routes[0].weight == 10_000
    assert len(snapshot.releases[0].workers) == 1


def test_a_request_wakes_it_and_so_does_another_configuration() -> None:
    story = sleeping()
    quiet = Demand(known=3600.0, last=0.0)
    assert asleep(story.tick(load=load(demand=quiet)).state)
    woken = story.tick(load=load(demand=quiet, woken=True))
    assert kinds(woken.last) == ["Scaled"]
    assert counts(woken) == {ONE: 1}
    story = sleeping()
    keep = msgspec.structs.replace(story.state.spec, scale=ScalePlan())
    story.take(verbs.apply_spec(story.state, keep, story.seen(), ANN))
    assert not asleep(story.state)


def test_a_deployment_is_awake_while_a_rollout_is_in_progress() -> None:
    story = sleeping()
    story.take(verbs.deploy(story.state, story.seen(), ANN, release(2)))
    assert counts(story) == {ONE: 1, TWO: 1}


def test_what_a_candidate_costs_is_taken_from_stable_until_it_is_known() -> None:
    state = rolling("canary0").state
    told = work_of(state, release(2), load())
    assert (told.cost, told.queue, told.pressed) == (COST, None, False)
    own = Work(cost=Cost(0.5, 0.0))
    assert work_of(state, release(2), load(work={TWO: own})) == own
    assert work_of(DeploymentState(spec=spec()), release(2), load(work={})) == Work()


def host(free: float, cores: float = 8.0) -> HostStatus:
    """A machine of 10 GiB."""
    return HostStatus(cores, 10 * GIB, int(free * GIB))


@pytest.mark.parametrize(("free", "expected"), [(0.0, 4), (2.9, 4), (3.1, 5), (4.1, 6), (99.0, 16)])
def test_memory_is_left_for_the_rollback_target_to_grow_to_as_many(
    free: float, expected: int
) -> None:
    """A worker takes half a GiB, and half is spared. Stable's fifth worker needs as much again, and
    the target, which has one, four times that."""
    story = rolling("bake1").tick(3600.0, guard=GOOD, load=load())
    given = load(host=host(free), rss={ONE: GIB // 2, TWO: GIB // 2})
    room = room_of(story.state, release(2), given)
    assert (room.memory, room.cores, room.busy) == (expected, 8.0, 1.0)


def test_memory_is_left_for_the_batch_workers_that_a_rollback_would_start() -> None:
    """In bake they are there. Afterwards they are not, and two of half a GiB cost stable one."""
    plan = ScalePlan(max=16, batch=2)
    given = load(host=host(4.1), rss={ONE: GIB // 2, TWO: GIB // 2})
    story = rolling("bake1", plan)
    assert room_of(story.state, release(2), given).memory == 7
    assert room_of(story.state, release(1), given).memory == 7
    story.tick(3600.0, guard=GOOD, load=load())
    assert room_of(story.state, release(2), given).memory == 5


def test_what_is_not_known_of_the_machine_limits_nothing() -> None:
    state = serving().state
    assert room_of(state, release(1), load()).memory is None
    assert room_of(state, release(1), load(host=host(1.0))).memory is None


def test_a_plan_names_the_batch_workers_that_no_load_changes() -> None:
    state = serving(ScalePlan(max=16, batch=2)).state
    assert (plan(state, release(1), load()).batch_workers) == 2
    assert plan(state, release(1), load(work={})).batch_workers == 2
    asleep = msgspec.structs.replace(
        state,
        spec=msgspec.structs.replace(state.spec, scale=ScalePlan(batch=2, idle="zero")),
        scales={ONE: Scale(0, 0.0)},
    )
    assert plan(asleep, release(1), load()).batch_workers == 0


def planned(**changes: Any) -> Any:
    """The plan of a release that is asked 100 times a second for 10 ms."""
    given = load(
        100.0,
        **{
            "host": host(3.0),
            "rss": {ONE: GIB // 2},
            "busy": {ONE: 1.0},
            "gateway_seconds": 0.001,
            **changes,
        },
    )
    return plan(serving().state, release(1), given)


def test_a_plan_tells_workers_at_other_loads_and_what_ends_first() -> None:
    told = planned()
    assert [(each.factor, each.rate) for each in told.outlooks] == [
        (1.0, 100.0),
        (10.0, 1000.0),
        (100.0, 10_000.0),
    ]
    assert [each.workers for each in told.outlooks] == [2, 13, 125]
    assert all(each.wait is not None and each.wait < 0.25 for each in told.outlooks)
    assert [end.resource for end in told.ends] == ["cores", "memory", "gateway", "scale.max"]
    assert [end.rate for end in told.ends] == sorted(end.rate for end in told.ends)
    assert told.outlooks[0].beyond == ()
    assert set(told.outlooks[2].beyond) == {"cores", "memory", "gateway", "scale.max"}


def test_a_plan_says_what_it_does_not_know() -> None:
    told = planned(host=None, rss={}, busy={}, gateway_seconds=None)
    assert [end.resource for end in told.ends] == ["scale.max"]
    assert len(told.unknown) == 5
    silent = plan(serving().state, release(1), Load(demand=Demand()))
    assert (silent.rate, silent.cost, silent.outlooks, silent.ends) == (None, None, (), ())
    assert silent.unknown[0] == "no request came yet, so today's load is not known"


def test_a_plan_without_traffic_today_still_says_what_ends_where() -> None:
    told = planned(demand=Demand())
    assert told.outlooks == ()
    assert told.ends


def test_loads_that_no_number_of_workers_serves_are_said_to_be_such() -> None:
    told = planned(work={ONE: Work(cost=Cost(10.0, 0.0))}, host=host(3.0, cores=0.5))
    assert told.outlooks[2].workers is None
    assert told.outlooks[2].wait is None
    assert told.ends[0].rate < 0.5


def test_what_costs_nothing_never_ends() -> None:
    told = planned(work={ONE: Work(cost=Cost(0.0, 0.0))}, gateway_seconds=0.0)
    assert {end.rate for end in told.ends} == {1e9}
