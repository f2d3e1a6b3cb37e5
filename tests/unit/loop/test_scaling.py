"""Worker counts in the loop: from readings to the node, over restarts, and through sleep."""

import asyncio
from pathlib import Path

import msgspec
from tests.support.control import ANN, manifest_digest, release, spec
from tests.unit.loop.world import World, run

from trimtab.domain import layout
from trimtab.domain.deployment import DeploymentSpec, ScalePlan
from trimtab.domain.processes import HostStatus
from trimtab.judge.scale.arrivals import Demand
from trimtab.judge.scale.cost import Cost
from trimtab.judge.scale.service import Work
from trimtab.loop.controller import Controller

ONE = manifest_digest(1)
COST = Cost(0.010, 0.0)


def scaled(plan: ScalePlan, clock: str = "wall") -> DeploymentSpec:
    """A deployment with this plan."""
    return msgspec.structs.replace(spec(), scale=plan, clock=clock)


def ask(world: World, rate: float) -> None:
    """Let calls of 10 ms come at `rate` from now on; a rate of 0 ends them."""
    now = world.clock.now()
    last = now if rate else world.evidence.demands.get("d", Demand()).last
    known = now - 1_700_000_000.0
    told = Demand(level=rate, coming=rate, peak=rate, known=known, last=last)
    world.evidence.demands["d"] = told
    world.evidence.works[ONE] = Work(seconds=0.010, cost=COST, longest=0.0, calls=rate * 60.0)


async def later(world: World, controller: Controller, rate: float, seconds: int) -> None:
    """Ticks at a rate; after each the journal must fold to the state."""
    for _ in range(seconds // 30):
        ask(world, rate)
        await world.tick(controller, 30.0)
        world.check(controller)


def workers(world: World) -> int:
    """Workers of m@1 that exist."""
    return sum(slot.release == release(1).digest for slot in world.node.workers)


def test_load_brings_workers_and_quiet_lets_them_go(tmp_path: Path) -> None:
    async def work() -> None:
        world = World(tmp_path)
        controller, _ = await world.serving(scaled(ScalePlan(max=8)))
        await later(world, controller, 450.0, 60)
        assert workers(world) == 6
        assert len(world.snapshot().releases[0].workers) == 6
        await later(world, controller, 30.0, 240)
        assert workers(world) == 6
        await later(world, controller, 30.0, 90)
        assert workers(world) == 1

    run(work)


def test_capacity_follows_the_host_where_the_deployment_runs_on_event_time(tmp_path: Path) -> None:
    async def work() -> None:
        world = World(tmp_path)
        controller, _ = await world.serving(scaled(ScalePlan(max=8), "event"))
        world.evidence.clock = lambda _: 5.0  # type: ignore[method-assign, assignment]
        await later(world, controller, 450.0, 60)
        assert workers(world) == 6

    run(work)


def test_a_new_controller_goes_on_with_the_number_and_takes_none_away_before_it_knows(
    tmp_path: Path,
) -> None:
    async def work() -> None:
        world = World(tmp_path)
        controller, _ = await world.serving(scaled(ScalePlan(max=8)))
        await later(world, controller, 450.0, 60)
        again = world.start()
        world.evidence.demands.clear()
        world.evidence.works.clear()
        for _ in range(20):
            await world.tick(again, 30.0)
        assert workers(world) == 6

    run(work)


def test_nothing_is_decided_while_the_log_cannot_be_read(tmp_path: Path) -> None:
    async def work() -> None:
        world = World(tmp_path)
        controller, _ = await world.serving(scaled(ScalePlan(max=8)))
        world.evidence.broken = True
        await later(world, controller, 450.0, 60)
        assert workers(world) == 1

    run(work)


def test_the_cores_of_the_host_bound_the_number(tmp_path: Path) -> None:
    async def work() -> None:
        world = World(tmp_path)
        world.host.status = HostStatus(2.0, 2**34, 2**33)
        controller, _ = await world.serving(scaled(ScalePlan(max=8)))
        await later(world, controller, 450.0, 60)
        assert workers(world) == 2
        load = controller.seen["d"].load
        assert load is not None
        assert load.host == world.host.status

    run(work)


def test_a_deployment_sleeps_and_a_file_of_the_gateway_wakes_it(tmp_path: Path) -> None:
    async def work() -> None:
        world = World(tmp_path)
        plan = ScalePlan(max=8, idle="zero", idle_after_seconds=120.0)
        controller, _ = await world.serving(scaled(plan))
        await later(world, controller, 30.0, 300)
        await later(world, controller, 0.0, 60)
        assert workers(world) == 1
        await later(world, controller, 0.0, 120)
        assert workers(world) == 0
        route = world.snapshot().deployments[0]
        assert (route.asleep, [each.weight for each in route.routes]) == (True, [10_000])
        assert len(world.snapshot().releases[0].workers) == 1
        wake = tmp_path / layout.wake("d")
        wake.parent.mkdir()
        wake.touch()
        controller = world.start()
        await world.tick(controller)
        assert workers(world) == 1
        assert not world.snapshot().deployments[0].asleep
        assert not wake.exists()

    run(work)


def test_a_request_for_workers_that_sleep_is_seen_within_a_quarter_of_a_second(
    tmp_path: Path,
) -> None:
    async def work() -> None:
        world = World(tmp_path)
        plan = ScalePlan(max=8, idle="zero", idle_after_seconds=120.0)
        controller, _ = await world.serving(scaled(plan))
        await later(world, controller, 30.0, 300)
        await later(world, controller, 0.0, 180)
        world.evidence.fresh = False
        loop = asyncio.ensure_future(controller.run())
        await world.clock.advance(10.0)
        assert workers(world) == 0
        wake = tmp_path / layout.wake("d")
        wake.parent.mkdir()
        wake.touch()
        await world.clock.advance(0.25)
        assert workers(world) == 1
        controller.stop()
        await loop

    run(work)


def test_deployments_that_serve_the_same_release_ask_for_its_workers_together(
    tmp_path: Path,
) -> None:
    async def work() -> None:
        world = World(tmp_path)
        controller, control = await world.serving(scaled(ScalePlan(max=8)))
        asked: list[tuple[str, ...]] = []

        def demand(deployments: tuple[str, ...], lead: float, patience: float) -> Demand:
            asked.append(deployments)
            return Demand()

        world.evidence.demand = demand  # type: ignore[method-assign]
        other = msgspec.structs.replace(scaled(ScalePlan(max=8)), name="e")
        await control.configure(other, ANN)
        await control.deploy("e", "m@1", ANN)
        for _ in range(3):
            await world.tick(controller)
        assert asked[-2:] == [("d", "e"), ("e", "d")]

    run(work)
