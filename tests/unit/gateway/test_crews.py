"""Workers for the batch lane alone: who takes what, in simulated time and by a real gateway."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.unit.gateway.harness import Harness, running
from tests.unit.gateway.scenarios import die, run, score, socket_of, times, worker
from tests.unit.gateway.simulation import Simulation, line, merged, poisson, waiting
from tests.unit.gateway.support import request, snapshot, target, until

from trimtab.domain.routing import RoutingSnapshot
from trimtab.gateway.schedule import Limits, Schedule, Turn

SECONDS = 4.0
LARGE: dict[str, Any] = {"lane": "batch", "rows": 10_000, "timeout": 3.0}


def played(workers: int, *, batch: int, slower: float = 1.0, busy: float = 0.1) -> Simulation:
    """Realtime work for `busy` of each worker's time, and more batch work than can be done."""
    base, slope = 2.5e-4, 2e-6
    it = Simulation(workers, line(base, slope), batch=batch)
    it.slower = slower
    realtime = poisson(busy * workers / base, SECONDS, timeout=2.0)
    large = poisson(1.5 * (workers + batch) / (slope * 10_000), SECONDS, seed=5, **LARGE)
    it.run(merged(realtime, large), SECONDS)
    return it


@pytest.mark.parametrize("workers", [1, 4])
def test_batch_work_goes_to_its_own_workers_and_realtime_work_to_the_others(workers: int) -> None:
    it = played(workers, batch=2)
    assert set(it.worked[False]) == {"realtime"}
    assert set(it.worked[True]) == {"batch"}
    assert it.seen["batch"].rows > 100_000


def test_realtime_requests_wait_for_no_part_of_batch_work() -> None:
    alone = Simulation(1, line(2.5e-4, 2e-6))
    alone.run(poisson(400.0, SECONDS, timeout=2.0), SECONDS)
    shared, own = played(1, batch=0).seen["realtime"].p99, played(1, batch=1).seen["realtime"].p99
    assert own == pytest.approx(alone.seen["realtime"].p99, rel=0.05)
    assert own < shared / 2


def test_workers_that_yield_all_the_time_cost_no_realtime_request_its_admission() -> None:
    """Fifty times slower, they would make a cost that is common to all look hopeless."""
    it = played(1, batch=1, slower=50.0, busy=0.5)
    seen, schedule = it.seen["realtime"], it.schedule
    assert (seen.refused, seen.late, seen.dropped) == (0, 0, 0)
    assert schedule.batch_crew.cost.seconds(64) > 20 * schedule.crew.cost.seconds(64)
    assert it.seen["batch"].refused + it.seen["batch"].dropped > 0


def test_parts_stay_long_while_realtime_requests_come() -> None:
    own, shared = played(1, batch=1), played(1, batch=0)
    assert 0.004 < own.longest_part < 0.008
    assert own.seen["batch"].rows > shared.seen["batch"].rows


def test_without_one_of_their_own_batch_work_is_for_all_workers_again() -> None:
    it = Simulation(1, line(2.5e-4, 2e-6), batch=1)
    crew = it.schedule.batch_crew
    assert it.schedule.crew_of("batch") is crew
    it.leave(crew, "b0")
    it.run(poisson(20.0, SECONDS, **LARGE), SECONDS)
    assert set(it.worked[False]) == {"batch"}
    assert it.schedule.crew_of("batch") is it.schedule.crew
    it.join(crew, "b0")
    assert it.schedule.crew_of("batch") is crew


def test_copies_for_a_shadow_stay_with_the_workers_that_would_serve() -> None:
    it = Simulation(1, line(2.5e-4, 2e-6), batch=1)
    it.run(poisson(20.0, SECONDS, lane="shadow", rows=100), SECONDS)
    assert set(it.worked[False]) == {"shadow"}
    assert not it.worked[True]


def test_a_worker_of_the_batch_lane_is_given_nothing_else() -> None:
    schedule = Schedule(Limits())
    schedule.batch_crew.join("b0")
    for lane in ("realtime", "shadow"):
        schedule.add(waiting(), lane, 0.0)
    assert schedule.next(Turn(0.0, "b0", schedule.batch_crew, freed=False)) is None


OWN = snapshot(
    1,
    [msgspec.structs.replace(target(1, socket_of(1)), batch_workers=(socket_of(1, "b0"),))],
    [(1, "stable", 10_000)],
)


async def asked(it: Harness, *, batch: bool) -> float:
    """The score of a request in a lane; the release's workers are told apart by it."""
    answer = await it.infer(request([1.0], parameters={"priority": 2 if batch else 1}))
    assert answer.status_code == 200, answer.text
    return score(answer)


async def joined(it: Harness, count: int) -> None:
    """Until so many workers of the batch lane alone are connected."""
    (pool,) = it.gateway.pools
    await until(lambda: pool.connected_batch == count)


def test_each_lane_is_answered_by_its_own_workers(tmp_path: Path) -> None:
    async def scenario() -> None:
        await worker(tmp_path, 1, times(1), "0")
        await worker(tmp_path, 1, times(2), "b0")
        async with running(tmp_path, OWN) as it:
            await joined(it, 1)
            assert [await asked(it, batch=batch) for batch in (False, True)] == [1.0, 2.0]
            metrics = (await it.client.get("/metrics")).text
            assert 'trimtab_workers_connected{release="m@1"} 1.0' in metrics
            assert 'trimtab_batch_workers_connected{release="m@1"} 1.0' in metrics

    run(scenario)


def test_batch_work_does_not_wait_for_its_worker_to_start_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        await worker(tmp_path, 1, times(1), "0")
        async with running(tmp_path, OWN) as it:
            assert await asked(it, batch=True) == 1.0
            own = await worker(tmp_path, 1, times(2), "b0")
            await joined(it, 1)
            assert await asked(it, batch=True) == 2.0
            own.die()
            await joined(it, 0)
            assert await asked(it, batch=True) == 1.0

    run(scenario)


def test_what_a_dying_worker_of_the_batch_lane_had_is_asked_of_the_others(tmp_path: Path) -> None:
    async def scenario() -> None:
        await worker(tmp_path, 1, times(1), "0")
        dying = await worker(tmp_path, 1, die, "b0")
        async with running(tmp_path, OWN) as it:
            await joined(it, 1)
            assert await asked(it, batch=True) == 1.0
            assert dying.sizes == [1]

    run(scenario)


def test_batch_work_goes_on_when_the_snapshot_names_no_worker_of_its_own(tmp_path: Path) -> None:
    async def scenario() -> None:
        await worker(tmp_path, 1, times(1), "0")
        await worker(tmp_path, 1, times(2), "b0")
        async with running(tmp_path, OWN) as it:
            await joined(it, 1)
            (bare,) = OWN.releases
            without = RoutingSnapshot(
                2, 1, OWN.deployments, (msgspec.structs.replace(bare, batch_workers=()),)
            )
            await it.route(without)
            (pool,) = it.gateway.pools
            assert pool.connected_batch is None
            assert await asked(it, batch=True) == 1.0
            assert "trimtab_batch_workers_connected{" not in (await it.client.get("/metrics")).text

    run(scenario)
