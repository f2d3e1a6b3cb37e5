"""A sleeping deployment: its requests wait, and ask for workers."""

import asyncio
from pathlib import Path

import msgspec
from tests.unit.gateway.harness import running
from tests.unit.gateway.scenarios import STABLE, run, score, socket_of, times, worker
from tests.unit.gateway.support import request, snapshot, target, until

from trimtab.domain import layout
from trimtab.domain.routing import RoutingSnapshot
from trimtab.gateway.disk import Disk
from trimtab.gateway.logs import Log
from trimtab.gateway.wake import Waker

ASLEEP = snapshot(1, [target(1, socket_of(1))], [(1, "stable", 10_000)], asleep=True)


def test_a_request_waits_for_the_worker_that_it_asked_for(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path, ASLEEP) as it:
            ready = await it.client.get("/v2/models/d/ready")
            assert ready.status_code == 200
            assert not Path(layout.wake("d")).exists()
            asked = asyncio.ensure_future(it.infer(request([1.5])))
            await until(Path(layout.wake("d")).exists)
            await worker(tmp_path, 1, times(2))
            answer = await asked
            assert (answer.status_code, score(answer)) == (200, 3.0)

    run(scenario)


def test_workers_of_a_release_are_missed_where_it_is_awake_and_nowhere_else(tmp_path: Path) -> None:
    awake = snapshot(1, [target(1, socket_of(1))], [(1, "stable", 10_000)])
    other = msgspec.structs.replace(ASLEEP.deployments[0], name="e")
    both = msgspec.structs.replace(awake, deployments=(*awake.deployments, other))

    async def scenario(snapshot: RoutingSnapshot, told: bool) -> None:
        async with running(tmp_path, snapshot) as it:
            metrics = (await it.client.get("/metrics")).text
            assert ('trimtab_workers_connected{release="m@1"} 0.0' in metrics) == told

    for given, told in ((ASLEEP, False), (awake, True), (both, True)):
        run(lambda given=given, told=told: scenario(given, told))  # type: ignore[misc]


def test_a_deployment_that_is_awake_is_not_woken(tmp_path: Path) -> None:
    async def scenario() -> None:
        await worker(tmp_path, 1, times(2))
        async with running(tmp_path, STABLE) as it:
            await it.infer(request())
            assert not Path(layout.WAKE).exists()

    run(scenario)


def test_each_deployment_is_asked_for_at_most_five_times_a_second(tmp_path: Path) -> None:
    async def scenario() -> None:
        (tmp_path / "run").mkdir()
        now = [100.0]
        disk = Disk(Log())
        waker = Waker(tmp_path, lambda: now[0], disk)

        async def woken(deployment: str) -> bool:
            waker.wake(deployment)
            file = tmp_path / layout.wake(deployment)
            left = await disk.do(file.exists)
            file.unlink(missing_ok=True)
            return left

        left = []
        for second in (0.0, 0.1, 0.19, 0.2, 0.3, 0.41):
            now[0] = 100.0 + second
            left.append(await woken("d"))
        assert left == [True, False, False, True, False, True]
        assert await woken("e")
        disk.close()

    run(scenario)


def test_a_folder_that_cannot_be_written_is_logged_and_the_request_waits_all_the_same(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        await worker(tmp_path, 1, times(2))
        async with running(tmp_path, ASLEEP) as it:
            Path(layout.WAKE).write_text("a file where the folder should be")
            answer = await it.infer(request())
            assert answer.status_code == 200
            await until(lambda: "wake.failed" in (tmp_path / "gateway.log").read_text())

    run(scenario)
