"""Realtime calls that wait at the only worker, while it is busy with a part of batch work."""

import asyncio
from pathlib import Path
from statistics import fmean

import httpx
import pytest
from tests.unit.gateway.harness import Harness, running
from tests.unit.gateway.scenarios import STABLE, run, score, socket_of, times, waiting, worker
from tests.unit.gateway.simulation import Simulation, line, merged, poisson
from tests.unit.gateway.simulation import waiting as call
from tests.unit.gateway.support import FakeWorker, request, snapshot, target, until

from trimtab.gateway.batch import Batch
from trimtab.gateway.crew import Crew
from trimtab.gateway.schedule import FIRST_ROWS, Limits, Schedule, Turn

PART = [0.0] * FIRST_ROWS
SECONDS = 20.0


def sent(crew: Crew, lane: str, now: float, ends_at: float, behind: Batch | None = None) -> Batch:
    batch = Batch(lane, "idle", [call()])
    batch.sent_at, batch.ends_at, batch.behind = now, ends_at, behind
    crew.begin(batch)
    return batch


def test_what_is_behind_a_part_counts_from_its_end() -> None:
    crew = Crew()
    part = sent(crew, "batch", 0.0, 2.0)
    behind = sent(crew, "realtime", 0.5, 3.0, part)
    assert (crew.running, crew.parts_out, crew.ahead(1.0)) == (1, 1, 2.0)
    crew.end(part)
    assert (crew.running, crew.parts_out, crew.ahead(2.0)) == (1, 0, 1.0)
    crew.end(behind)
    assert (crew.running, crew.parts_out, crew.ahead(2.0)) == (0, 0, 0.0)


def test_a_worker_that_is_lost_takes_both_batches_with_it() -> None:
    crew = Crew()
    part = sent(crew, "batch", 0.0, 2.0)
    crew.end(sent(crew, "realtime", 0.5, 3.0, part))
    crew.end(part)
    assert (crew.running, crew.parts_out, crew.ahead(0.0)) == (0, 0, 0.0)


def test_only_realtime_calls_go_behind_a_part() -> None:
    schedule, part = Schedule(Limits()), Batch("batch", "part", [call(FIRST_ROWS)])
    turn = Turn(1.0, "", schedule.crew, freed=True)
    schedule.add(call(), "batch", 0.0)
    assert schedule.behind(part, turn) is None
    late, good = call(), call()
    for each, due in ((late, 0.5), (good, 9.0)):
        each.due = due
        schedule.add(each, "realtime", 0.0)
    batch = schedule.behind(part, turn)
    assert batch is not None
    assert (batch.calls, batch.behind, batch.reason) == ([good], part, "behind")
    assert schedule.late == [late]
    late.due = 0.5
    schedule.add(late, "realtime", 0.0)
    assert schedule.behind(part, turn) is None


def test_a_batch_behind_a_part_is_expected_after_that() -> None:
    schedule, part = Schedule(Limits()), Batch("batch", "part", [call(FIRST_ROWS)])
    for _ in range(8):
        schedule.crew.cost.learn(1, 0.25, 0.25)
    part.ends_at = 5.0
    batch = Batch("realtime", "behind", [call()])
    batch.behind, batch.sent_at = part, 4.0
    schedule.expect(batch, schedule.crew)
    assert batch.ends_at == pytest.approx(5.25)
    batch.sent_at = 6.0
    schedule.expect(batch, schedule.crew)
    assert batch.ends_at == pytest.approx(6.25)


def played(way: float, *, follows: bool) -> Simulation:
    """A full batch lane beside realtime requests, with a worker `way` from the gateway and back."""
    it = Simulation(1, line(2.5e-4, 2e-6))
    it.way, it.follows = way, follows
    large = poisson(75.0, SECONDS, seed=5, lane="batch", rows=10_000, timeout=3.0)
    it.run(merged(poisson(300.0, SECONDS, timeout=5.0), large), SECONDS)
    return it


@pytest.mark.parametrize("way", [1e-3, 3e-3])
def test_realtime_requests_save_the_way_of_the_part(way: float) -> None:
    """And the worker does more of the batch lane, since it waits less for the gateway."""
    before, after = (played(way, follows=follows).seen for follows in (False, True))
    (mean, p99), (saved_mean, saved_p99) = (
        (fmean(seen["realtime"].answered), seen["realtime"].p99) for seen in (before, after)
    )
    assert saved_mean < 0.92 * mean
    assert saved_p99 < 0.97 * p99
    assert after["batch"].rows > 1.05 * before["batch"].rows


async def in_part(it: Harness, one: FakeWorker) -> asyncio.Task[httpx.Response]:
    """A batch request whose part keeps the worker until its gate opens."""
    one.gate.clear()
    one.arrived.clear()
    asked = asyncio.create_task(it.infer(request(PART, parameters={"priority": 2})))
    await one.arrived.wait()
    return asked


async def behind_a_part(
    it: Harness, one: FakeWorker
) -> tuple[asyncio.Task[httpx.Response], asyncio.Task[httpx.Response]]:
    """A batch request as of `in_part`, and a realtime one that waits at the same worker."""
    part = await in_part(it, one)
    realtime = asyncio.create_task(it.infer(request([1.0])))
    await until(lambda: sum(pool.in_flight for pool in it.gateway.pools) == 2)
    return part, realtime


def test_what_comes_while_one_batch_is_behind_a_part_goes_together(tmp_path: Path) -> None:
    async def scenario() -> None:
        one = await worker(tmp_path, 1, times(2))
        async with running(tmp_path, STABLE) as it:
            part, first = await behind_a_part(it, one)
            later = [asyncio.create_task(it.infer(request([n]))) for n in (2.0, 3.0)]
            await waiting(it, 2)
            one.gate.set()
            answers = await asyncio.gather(first, *later)
            assert [score(answer) for answer in answers] == [2.0, 4.0, 6.0]
            assert (await part).status_code == 200
            assert one.sizes == [FIRST_ROWS, 1, 2]
            metrics = (await it.client.get("/metrics")).text
            assert 'lane="realtime",reason="behind"' in metrics

    run(scenario)


def test_with_other_workers_whoever_is_free_first_takes_realtime_calls(tmp_path: Path) -> None:
    """One of the parts may hang, and with it what is behind."""
    two = snapshot(1, [target(1, socket_of(1, "0"), socket_of(1, "1"))], [(1, "stable", 10_000)])

    async def scenario() -> None:
        workers = [await worker(tmp_path, 1, times(2), slot) for slot in ("0", "1")]
        async with running(tmp_path, two) as it:
            (pool,) = it.gateway.pools
            await until(lambda: pool.connected == 2)
            for one in workers:
                one.gate.clear()
            parts = [
                asyncio.create_task(it.infer(request(PART, parameters={"priority": 2})))
                for _ in workers
            ]
            await asyncio.gather(*(one.arrived.wait() for one in workers))
            realtime = asyncio.create_task(it.infer(request([1.0])))
            await waiting(it, 1)
            workers[1].gate.set()
            assert score(await realtime) == 2.0
            assert [one.sizes for one in workers] == [[FIRST_ROWS], [FIRST_ROWS, 1]]
            workers[0].gate.set()
            assert {answer.status_code for answer in await asyncio.gather(*parts)} == {200}

    run(scenario)


def test_calls_behind_a_part_that_ends_its_worker_were_never_sent(tmp_path: Path) -> None:
    async def scenario() -> None:
        one = await worker(tmp_path, 1, times(2))
        async with running(tmp_path, STABLE) as it:
            part, realtime = await behind_a_part(it, one)
            one.die()
            await worker(tmp_path, 1, times(3))
            assert score(await realtime) == 3.0
            assert (await part).status_code == 200
            rows = await it.rows()
            outcomes = list(zip(rows["lane"], rows["outcome"], strict=True))
            assert outcomes.count(("realtime", "ok")) == 1
            assert ("realtime", "failed") not in outcomes
            assert ("batch", "failed") in outcomes

    run(scenario)


def test_calls_behind_a_part_expire_as_those_that_wait(tmp_path: Path) -> None:
    """They are told in time, and neither the release nor its worker is blamed."""

    async def scenario() -> None:
        one = await worker(tmp_path, 1, times(2))
        async with running(tmp_path, STABLE) as it:
            part = await in_part(it, one)
            asked = request([1.0], parameters={"timeout": 400_000})
            late = await it.infer(asked)
            assert late.status_code == 504
            one.gate.set()
            assert (await part).status_code == 200
            assert score(await it.infer(request([1.0]))) == 2.0
            (pool,) = it.gateway.pools
            assert not pool.suspects("1-0")
            rows = await it.rows()
            at = rows["outcome"].index("shed")
            assert (rows["error"][at], rows["worker"][at]) == ("deadline", None)

    run(scenario)


def test_a_call_behind_a_part_has_waited_until_its_worker_got_to_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        one = await worker(tmp_path, 1, times(2))
        async with running(tmp_path, STABLE) as it:
            part, realtime = await behind_a_part(it, one)
            reached = asyncio.get_running_loop().time() + 0.05
            asyncio.get_running_loop().call_at(reached, one.gate.set)
            await asyncio.gather(part, realtime)
            rows = await it.rows()
            assert rows["queue_seconds"][rows["lane"].index("realtime")] >= 0.05

    run(scenario)
