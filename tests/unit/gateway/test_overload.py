"""Too much work: what is refused, what is dropped, and what goes between."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.unit.gateway.harness import Harness, running
from tests.unit.gateway.scenarios import STABLE, run, times, waiting, worker
from tests.unit.gateway.support import request, until

from trimtab.gateway.backlog import Backlog, Begin
from trimtab.gateway.schedule import FIRST_ROWS, Limits

WARM = 10
"""Requests after which a release's cost is known."""


async def shed(it: Harness, lane: str, reason: str) -> bool:
    """Whether exactly one piece of work was shed for this reason."""
    text = (await it.client.get("/metrics")).text
    line = f'trimtab_shed_total{{deployment="d",lane="{lane}",reason="{reason}"}} 1.0'
    return line in text.splitlines()


def test_work_that_cannot_meet_its_deadline_is_refused_at_once(tmp_path: Path) -> None:
    async def scenario() -> None:
        one = await worker(tmp_path, 1, times(1))
        async with running(tmp_path, STABLE, Limits(batch_requests=1)) as it:
            for _ in range(WARM):
                await it.infer(request())
            one.gate.clear()
            tasks = [asyncio.create_task(it.infer(request())) for _ in range(40)]
            await waiting(it, 39)
            refused = await it.infer(request(parameters={"timeout": 60_000}))
            assert refused.status_code == 429
            assert "s of work are waiting before this request" in refused.json()["error"]
            assert refused.headers["retry-after"] == "1"
            one.gate.set()
            assert {(await task).status_code for task in tasks} == {200}
            assert sorted((await it.rows())["outcome"]) == ["ok"] * (WARM + 40) + ["shed"]
            assert await shed(it, "realtime", "deadline")

    run(scenario)


def test_what_had_no_turn_for_half_of_its_time_is_refused_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(_: Backlog, begin: Begin, what: Any, size: int) -> None:
        asyncio.get_running_loop().call_later(0.04, begin, [what])

    async def scenario() -> None:
        one = await worker(tmp_path, 1, times(1))
        monkeypatch.setattr(Backlog, "give", late)
        async with running(tmp_path, STABLE) as it:
            refused = await it.infer(request(parameters={"timeout": 60_000}))
            assert refused.status_code == 429
            assert refused.headers["retry-after"] == "1"
            assert one.sizes == []
            assert (await it.infer(request())).status_code == 200
            assert await shed(it, "realtime", "deadline")

    run(scenario)


def test_what_had_no_turn_until_its_time_was_over_is_refused_at_the_pace_of_refusals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Told 504 at once, a flood of them would come again sooner than anything can be answered."""

    def late(_: Backlog, begin: Begin, what: Any, size: int) -> None:
        asyncio.get_running_loop().call_later(0.04, begin, [what])

    async def scenario() -> None:
        one = await worker(tmp_path, 1, times(1))
        monkeypatch.setattr(Backlog, "give", late)
        async with running(tmp_path, STABLE) as it:
            refused = await it.infer(request(parameters={"timeout": 20_000}))
            assert refused.status_code == 429
            assert one.sizes == []

    run(scenario)


def test_what_has_no_time_at_all_is_told_that_it_is_over(tmp_path: Path) -> None:
    async def scenario() -> None:
        one = await worker(tmp_path, 1, times(1))
        async with running(tmp_path, STABLE) as it:
            late = await it.infer(request(parameters={"timeout": 1}))
            assert late.status_code == 504
            assert one.sizes == []
            assert await shed(it, "realtime", "expired")

    run(scenario)


def test_what_waited_too_long_is_told_and_never_run(tmp_path: Path) -> None:
    async def scenario() -> None:
        one = await worker(tmp_path, 1, times(1))
        one.gate.clear()
        async with running(tmp_path, STABLE) as it:
            first = asyncio.create_task(it.infer(request()))
            await one.arrived.wait()
            late = await it.infer(request([1.0, 2.0], parameters={"timeout": 20_000}))
            assert late.status_code == 504
            one.gate.set()
            assert (await first).status_code == 200
            assert (await it.infer(request())).status_code == 200
            assert one.sizes == [1, 1]
            assert await shed(it, "realtime", "expired")

    run(scenario)


def test_what_a_client_left_behind_is_counted_and_never_run(tmp_path: Path) -> None:
    async def scenario() -> None:
        one = await worker(tmp_path, 1, times(1))
        one.gate.clear()
        async with running(tmp_path, STABLE) as it:
            first = asyncio.create_task(it.infer(request()))
            await one.arrived.wait()
            _, writer = await asyncio.open_connection("127.0.0.1", it.port)
            body = request([1.0, 2.0])
            head = f"POST /v2/models/d/infer HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}"
            writer.write(head.encode() + b"\r\n\r\n" + body)
            await waiting(it, 1)
            writer.transport.abort()
            await until(lambda: len(it.gateway.http.connections) == 1)
            one.gate.set()
            assert (await first).status_code == 200
            assert (await it.infer(request())).status_code == 200
            assert one.sizes == [1, 1]
            assert await shed(it, "realtime", "abandoned")

    run(scenario)


def test_a_lane_is_bounded_by_rows_and_by_bytes(tmp_path: Path) -> None:
    async def scenario() -> None:
        one = await worker(tmp_path, 1, times(1))
        one.gate.clear()
        async with running(tmp_path, STABLE, Limits(queue_rows=10, queue_bytes=20_000)) as it:
            tasks = [asyncio.create_task(it.infer(request()))]
            await one.arrived.wait()
            tasks.append(asyncio.create_task(it.infer(request([1.0] * 8))))
            await waiting(it, 1)
            assert (await it.infer(request([1.0] * 3))).status_code == 429
            long = {"name": "carrier", "datatype": "BYTES", "shape": [1], "data": ["x" * 20_000]}
            assert (await it.infer(with_input(long))).status_code == 429
            tasks.append(asyncio.create_task(it.infer(request([1.0] * 2))))
            await waiting(it, 2)
            one.gate.set()
            assert {(await task).status_code for task in tasks} == {200}

    run(scenario)


def with_input(tensor: Mapping[str, object]) -> bytes:
    """A good request of one row with one of its inputs replaced."""
    import msgspec

    body = msgspec.json.decode(request())
    body["inputs"] = [tensor if t["name"] == tensor["name"] else t for t in body["inputs"]]
    return msgspec.json.encode(body)


def test_realtime_work_goes_between_the_parts_of_batch_work(tmp_path: Path) -> None:
    async def scenario() -> None:
        one = await worker(tmp_path, 1, times(2))
        one.gate.clear()
        rows = 3 * FIRST_ROWS - 12
        values = [float(row) for row in range(rows)]
        async with running(tmp_path, STABLE) as it:
            batch = asyncio.create_task(it.infer(request(values, parameters={"priority": 2})))
            await one.arrived.wait()
            realtime = asyncio.create_task(it.infer(request([1.0])))
            await until(lambda: sum(pool.in_flight for pool in it.gateway.pools) == 2)
            one.gate.set()
            assert (await realtime).status_code == 200
            answer = await batch
            outputs = {each["name"]: each["data"] for each in answer.json()["outputs"]}
            assert outputs["score"] == [2 * value for value in values]
            assert outputs["label"] == ["AA"] * rows
            assert outputs["pair"][:4] == [0.0, 0.0, 2.0, -2.0]
            assert one.sizes == [60, 1, 60, 60]
            logged = await it.rows()
            assert logged["out.score"][-1] == outputs["score"][-1]
            assert logged["lane"].count("batch") == rows

    run(scenario)
