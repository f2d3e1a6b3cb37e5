"""Faults that others have known: one client's or one worker's trouble stays its own."""

import asyncio
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from tests.unit.gateway.harness import Harness, running
from tests.unit.gateway.scenarios import (
    STABLE,
    crash,
    run,
    score,
    socket_of,
    times,
    waiting,
    worker,
)
from tests.unit.gateway.support import (
    FakeWorker,
    digest,
    request,
    scored,
    snapshot,
    target,
)

from trimtab.gateway import pool
from trimtab.gateway.disk import Disk
from trimtab.gateway.http11 import Exchange
from trimtab.gateway.logs import Log
from trimtab.gateway.metrics import Meter
from trimtab.gateway.outliers import SUSPECT
from trimtab.gateway.plan import Plan
from trimtab.gateway.record import Recorder
from trimtab.gateway.values import Inputs
from trimtab.gateway.wire import predict_frame
from trimtab.worker.frames import Bytes, Frame, Tensor, tensors_of


def test_an_answer_that_cannot_be_sent_costs_no_other_its_answer() -> None:
    """A write to a closed transport may raise, and answers leave in one callback."""

    def broken() -> None:
        raise RuntimeError("the handler is closed")

    async def scenario() -> None:
        told: list[int] = []
        stream = io.StringIO()
        log = Log(stream)
        recorder = Recorder(None, Disk(log), Meter(), log)  # type: ignore[arg-type]
        for answer in (lambda: told.append(1), broken, lambda: told.append(2)):
            recorder.then(answer)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert told == [1, 2]
        assert "the handler is closed" in stream.getvalue()

    run(scenario)


def test_a_client_that_breaks_off_does_not_stall_those_in_its_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    respond = Exchange.respond

    def raising(self: Exchange, status: int, body: bytes, *rest: Any) -> None:
        if b'"id":"broken"' in body:
            raise RuntimeError("the transport is closed")
        respond(self, status, body, *rest)

    monkeypatch.setattr(Exchange, "respond", raising)

    async def scenario() -> None:
        one = await worker(tmp_path, 1, times(1))
        one.gate.clear()
        async with running(tmp_path, STABLE) as it:
            first = asyncio.create_task(it.infer(request()))
            await one.arrived.wait()
            names = ["a", "broken", "b"]
            tasks = [asyncio.create_task(it.infer(request(id=name))) for name in names]
            await waiting(it, 3)
            one.gate.set()
            answers = await asyncio.gather(first, tasks[0], tasks[2])
            assert [answer.status_code for answer in answers] == [200, 200, 200]
            assert one.sizes == [1, 3]
            tasks[1].cancel()

    run(scenario)


def test_values_that_cannot_be_sent_cost_neither_their_worker_nor_other_calls(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def raising(plan: Plan, number: int, parts: Sequence[Inputs], *rest: Any) -> list[Bytes]:
        if any("bad" in (part.columns or [])[2] for part in parts):
            raise TypeError("no text")
        return predict_frame(plan, number, parts, *rest)

    monkeypatch.setattr(pool, "predict_frame", raising)

    async def scenario() -> None:
        one = await worker(tmp_path, 1, times(1))
        one.gate.clear()
        async with running(tmp_path, STABLE) as it:
            first = asyncio.create_task(it.infer(request()))
            await one.arrived.wait()
            carriers = ["AA", "bad", "BB"]
            bodies = [request().replace(b'"AA"', f'"{name}"'.encode()) for name in carriers]
            tasks = [asyncio.create_task(it.infer(body)) for body in bodies]
            await waiting(it, 3)
            one.gate.set()
            answers = await asyncio.gather(first, *tasks)
            assert [answer.status_code for answer in answers] == [200, 200, 500, 200]
            assert (await it.infer(request())).status_code == 200

    run(scenario)


def test_a_dying_worker_stalls_nobody_behind_another(tmp_path: Path) -> None:
    async def scenario() -> None:
        victim = await worker(tmp_path, 1, times(1), "0")
        other = await worker(tmp_path, 1, times(1), "1")
        victim.gate.clear()
        other.gate.clear()
        workers = target(1, socket_of(1, "0"), socket_of(1, "1"))
        async with running(tmp_path, snapshot(1, [workers], [(1, "stable", 10_000)])) as it:
            tasks = [asyncio.create_task(it.infer(request([1.0])))]
            await asyncio.wait(
                [asyncio.ensure_future(each.arrived.wait()) for each in (victim, other)],
                return_when=asyncio.FIRST_COMPLETED,
            )
            tasks.append(asyncio.create_task(it.infer(request([2.0]))))
            await asyncio.gather(victim.arrived.wait(), other.arrived.wait())
            tasks += [asyncio.create_task(it.infer(request([float(n)]))) for n in range(3, 6)]
            await waiting(it, 3)
            victim.die()
            other.gate.set()
            answers = await asyncio.gather(*tasks)
            assert sorted(score(answer) for answer in answers) == [1.0, 2.0, 3.0, 4.0, 5.0]

    run(scenario)


class Confused(FakeWorker):
    """Answers each batch under a number that nobody used, then rightly."""

    confused = 0

    async def _reply(self, frame: Frame, writer: asyncio.StreamWriter) -> None:
        if self.confused < 1:
            self.confused += 1
            frame.header["id"] += 1000
        await super()._reply(frame, writer)


def test_an_answer_to_another_batch_reaches_nobody(tmp_path: Path) -> None:
    """The worker is out of step: its connection is made anew and the batch sent again."""

    def wrong_first(frame: Frame) -> list[Tensor]:
        return scored(frame, 100.0 if frame.header["id"] > 1000 else 1.0)

    async def scenario() -> None:
        confused = await Confused(str(tmp_path / socket_of(1)), digest(1), wrong_first).start()
        confused.gate.clear()
        async with running(tmp_path, STABLE) as it:
            one = asyncio.create_task(it.infer(request([7.0])))
            await confused.arrived.wait()
            confused.gate.set()
            assert score(await one) == 7.0
            rows = await it.rows()
            assert rows["outcome"] == ["failed", "ok"]

    run(scenario)


class Talkative(FakeWorker):
    """Answers every batch twice."""

    async def _reply(self, frame: Frame, writer: asyncio.StreamWriter) -> None:
        await super()._reply(frame, writer)
        await super()._reply(frame, writer)


def test_an_answer_that_nobody_asked_for_ends_the_connection_and_nothing_else(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        await Talkative(str(tmp_path / socket_of(1)), digest(1), times(1)).start()
        async with running(tmp_path, STABLE) as it:
            for number in range(5):
                answer = await it.infer(request([float(number)]))
                assert answer.status_code == 200
                assert score(answer) == float(number)

    run(scenario)


def test_a_bad_worker_is_rested_and_its_requests_go_to_its_siblings(tmp_path: Path) -> None:
    """Only the first failures of the bad worker reach a client; then siblings are asked."""

    async def scenario() -> None:
        await worker(tmp_path, 1, crash, "0")
        await worker(tmp_path, 1, times(1), "1")
        await worker(tmp_path, 1, times(1), "2")
        workers = target(1, *(socket_of(1, slot) for slot in "012"))
        async with running(tmp_path, snapshot(1, [workers], [(1, "stable", 10_000)])) as it:
            answers = [await it.infer(request([1.0])) for _ in range(60)]
            codes = [answer.status_code for answer in answers]
            assert codes.count(500) <= SUSPECT
            assert set(codes[30:]) == {200}
            (pool,) = it.gateway.pools
            assert (pool.connected, pool.resting) == (3, 1)
            metrics = (await it.client.get("/metrics")).text
            assert 'trimtab_worker_rests_total{release="m@1",worker="1-0"} 1.0' in metrics
            assert 'trimtab_workers_resting{release="m@1"} 1.0' in metrics
            assert "worker.rested" in (tmp_path / "gateway.log").read_text()

    run(scenario)


def test_a_bad_release_rests_no_worker(tmp_path: Path) -> None:
    async def scenario() -> None:
        await worker(tmp_path, 1, crash, "0")
        await worker(tmp_path, 1, crash, "1")
        workers = target(1, socket_of(1, "0"), socket_of(1, "1"))
        async with running(tmp_path, snapshot(1, [workers], [(1, "stable", 10_000)])) as it:
            codes = {(await it.infer(request([1.0]))).status_code for _ in range(30)}
            assert codes == {500}
            (pool,) = it.gateway.pools
            assert pool.resting == 0
            rows = await it.rows()
            assert rows["attempt"] == [0] * 30

    run(scenario)


def test_one_bad_call_among_many_costs_a_few_batches_and_nobody_else(tmp_path: Path) -> None:
    def picky(frame: Frame) -> list[Tensor]:
        if -1.0 in np.frombuffer(tensors_of(frame, "inputs")[0][0].data):
            raise ValueError("poison")
        return scored(frame, 1.0)

    async def scenario() -> None:
        one = await worker(tmp_path, 1, picky)
        one.gate.clear()
        async with running(tmp_path, STABLE) as it:
            first = asyncio.create_task(it.infer(request([0.0])))
            await one.arrived.wait()
            values = [float(number) for number in range(32)]
            values[11] = -1.0
            tasks = [asyncio.create_task(it.infer(request([value]))) for value in values]
            await waiting(it, 32)
            one.gate.set()
            await first
            answers = [await task for task in tasks]
            assert [answer.status_code for answer in answers].count(500) == 1
            assert answers[11].status_code == 500
            assert one.sizes == [1, 32, 16, 8, 8, 4, 2, 2, 1, 1, 4, 16]

    run(scenario)


class Stuck:
    """A release that loses its worker with -1 in a batch; `patience` is what each was given."""

    def __init__(self) -> None:
        self.patience: list[tuple[int, float]] = []

    def __call__(self, frame: Frame) -> list[Tensor]:
        self.patience.append((frame.header["rows"], frame.header["patience"]))
        if -1.0 in np.frombuffer(tensors_of(frame, "inputs")[0][0].data):
            raise EOFError
        return scored(frame, 1.0)


async def together(it: Harness, one: FakeWorker, values: list[float]) -> list[httpx.Response]:
    """The answers to requests that wait together while the worker is busy with another."""
    one.arrived.clear()
    one.gate.clear()
    first = asyncio.create_task(it.infer(request([0.0])))
    await one.arrived.wait()
    tasks = [asyncio.create_task(it.infer(request([value]))) for value in values]
    await waiting(it, len(values))
    one.gate.set()
    assert (await first).status_code == 200
    return [await task for task in tasks]


async def learned(it: Harness) -> None:
    """Let the gateway know what a batch costs."""
    for _ in range(10):
        assert (await it.infer(request([0.0]))).status_code == 200


def test_a_call_that_takes_its_worker_with_it_costs_its_company_nothing(tmp_path: Path) -> None:
    """All of the batch are asked again, each alone; what loses a second worker is not."""

    async def scenario() -> None:
        one = await worker(tmp_path, 1, Stuck())
        async with running(tmp_path, STABLE) as it:
            await learned(it)
            answers = await together(it, one, [1.0, 2.0, -1.0, 3.0])
            assert [answer.status_code for answer in answers] == [200, 200, 500, 200]
            assert one.sizes[10:] == [1, 4, 1, 1, 1, 1]
            rows = await it.rows()
            assert rows["outcome"].count("failed") == 4 + 1
            assert set(rows["error"]) == {None, "the worker's connection ended"}

    run(scenario)


def test_calls_that_share_a_batch_get_a_third_of_their_time_before_it_counts_as_hanging(
    tmp_path: Path,
) -> None:
    """So does one that is asked again. Alone, a call has all of it, as have all at first."""

    async def scenario() -> None:
        stuck = Stuck()
        one = await worker(tmp_path, 1, stuck)
        async with running(tmp_path, STABLE) as it:
            await together(it, one, [1.0, 2.0])
            await learned(it)
            await together(it, one, [1.0, -1.0])
        (_, first), (rows, unknown) = stuck.patience[:2]
        assert first > 5.0
        assert (rows, unknown > 5.0) == (2, True)
        (_, alone), (rows, shared), *again = stuck.patience[-4:]
        assert alone > 5.0
        assert rows == 2
        assert all(1.0 <= each <= 5.0 / 3 for each in (shared, again[0][1], again[1][1]))

    run(scenario)


def test_a_worker_that_was_lost_after_its_patience_hung(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SHARED_PATIENCE", "SLOW", "LEAST_PATIENCE"):
        monkeypatch.setattr(pool, name, 0.0)

    async def scenario() -> None:
        one = await worker(tmp_path, 1, Stuck())
        async with running(tmp_path, STABLE) as it:
            await learned(it)
            await together(it, one, [1.0, -1.0])
            rows = await it.rows()
            assert set(rows["error"]) == {None, "the worker hung for 0 s: its log tells where"}

    run(scenario)


def test_a_model_that_has_answered_late_before_is_not_taken_to_hang(tmp_path: Path) -> None:
    async def scenario() -> None:
        stuck = Stuck()
        one = await worker(tmp_path, 1, stuck)
        async with running(tmp_path, STABLE) as it:
            await learned(it)
            one.model_seconds = 1.999
            await it.infer(request([0.0]))
            one.model_seconds = 0.002
            await together(it, one, [1.0, 2.0])
        rows, patience = stuck.patience[-1]
        assert (rows, patience) == (2, 4.0)

    run(scenario)
