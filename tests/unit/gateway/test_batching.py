"""Rows returned are rows sent, in order, to the right caller, whatever the interleaving."""

import asyncio
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.gateway.harness import Harness, running
from tests.unit.gateway.support import (
    NUMERIC,
    FakeWorker,
    digest,
    snapshot,
    stop_workers,
    summed,
    target,
    tensor,
    until,
)

from trimtab.gateway.schedule import LANES, Limits
from trimtab.worker.frames import Frame, Tensor, tensors_of

POISON = -1.0


@dataclass(frozen=True)
class Asking:
    """One request: its rows, what becomes of it, its priority, and the turns before it is sent."""

    rows: int
    kind: str
    priority: int
    turns: int


REQUESTS = st.lists(
    st.builds(
        Asking,
        st.integers(1, 30),
        st.sampled_from(["good", "good", "good", "poison", "leaves"]),
        st.sampled_from([0, 2]),
        st.integers(0, 4),
    ),
    min_size=1,
    max_size=14,
)


class Picky:
    """Sums, fails a batch that holds a poisonous value, and kills its worker at one batch."""

    def __init__(self, dies_at: int | None) -> None:
        self._dies_at = dies_at
        self._batches = 0

    def __call__(self, frame: Frame) -> list[Tensor]:
        self._batches += 1
        if self._batches == self._dies_at:
            raise EOFError
        (inputs,) = tensors_of(frame, "inputs")
        if POISON in np.frombuffer(inputs[0].data):
            raise ValueError("poison")
        return summed(frame)


def question(number: int, asking: Asking) -> tuple[bytes, list[float]]:
    """The body of a request, and what its answer says."""
    values: list[Any] = [float(number * 100 + row) for row in range(asking.rows)]
    expected = [value + row for row, value in enumerate(values)]
    if asking.kind == "poison":
        values[-1] = POISON
    body = {
        "id": str(number),
        "parameters": {"priority": asking.priority},
        "inputs": [tensor("a", "FP64", values), tensor("b", "INT32", list(range(asking.rows)))],
    }
    return msgspec.json.encode(body), expected


async def ask(it: Harness, number: int, asking: Asking) -> None:
    """Send one request after some turns of the loop, and hold the answer to what it sent."""
    for _ in range(asking.turns):
        await asyncio.sleep(0)
    body, expected = question(number, asking)
    if asking.kind == "leaves":
        await ask_and_leave(it, body)
        return
    answer = await it.infer(body)
    if asking.kind == "poison":
        assert answer.status_code == 500
        return
    assert answer.status_code == 200
    assert answer.json()["id"] == str(number)
    assert answer.json()["outputs"][0]["shape"] == [asking.rows]
    assert answer.json()["outputs"][0]["data"] == expected


async def ask_and_leave(it: Harness, body: bytes) -> None:
    """A client that hangs up while its request is somewhere on its way."""
    _, writer = await asyncio.open_connection("127.0.0.1", it.port)
    head = f"POST /v2/models/d/infer HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    await writer.drain()
    await asyncio.sleep(0)
    writer.transport.abort()


@settings(max_examples=40)
@given(
    REQUESTS,
    st.integers(1, 3),
    st.integers(1, 12),
    st.integers(1, 3),
    st.none() | st.integers(1, 12),
)
def test_every_caller_gets_its_own_rows(
    askings: list[Asking], requests: int, rows: int, workers: int, dies_at: int | None
) -> None:
    """For any mix of sizes, lanes, poisonous requests, clients that leave, batch limits (which cut
    the larger requests of the batch lane into parts) and workers, one of which may die once."""

    async def scenario(home: Path) -> None:
        paths = [f"run/w/{number}.sock" for number in range(workers)]
        for number, path in enumerate(paths):
            picky = Picky(None if number else dies_at)
            await FakeWorker(str(home / path), digest(1), picky).start()
        routing = snapshot(1, [target(1, *paths, signature=NUMERIC)], [(1, "stable", 10_000)])
        limits = Limits(batch_requests=requests, batch_rows=rows)
        async with asyncio.timeout(20), running(home, routing, limits) as it:
            await asyncio.gather(*(ask(it, n, asking) for n, asking in enumerate(askings)))
            pools = list(it.gateway.pools)
            await until(lambda: not any(pool.depth(lane) for pool in pools for lane in LANES))
            stayed = [n for n, asking in enumerate(askings) if asking.kind != "leaves"]
            if not stayed:
                return
            logged = await it.rows()
            final = {str(n): 0 for n in stayed}
            for name, last in zip(logged["request_id"], logged["final"], strict=True):
                if name in final:
                    final[name] += last
            assert final == {str(n): askings[n].rows for n in stayed}
            keys = list(zip(logged["request_id"], logged["row"], logged["attempt"], strict=True))
            assert len(keys) == len(set(keys))
            columns = (logged[name] for name in ("outcome", "in.a", "in.b", "out.sum"))
            for outcome, one, other, both in zip(*columns, strict=True):
                assert both == (one + other if outcome == "ok" else None)

    async def bounded(home: Path) -> None:
        try:
            await scenario(home)
        finally:
            await stop_workers()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(bounded(Path(folder)))


def test_what_of_a_batch_is_still_wanted_is_logged_with_its_own_values(tmp_path: Path) -> None:
    async def scenario() -> None:
        def closing(frame: Frame) -> list[Tensor]:
            fake.gate.clear()
            return summed(frame)

        fake = FakeWorker(str(tmp_path / "run/w/0.sock"), digest(1), closing)
        await fake.start()
        fake.gate.clear()
        routing = snapshot(
            1, [target(1, "run/w/0.sock", signature=NUMERIC)], [(1, "stable", 10_000)]
        )
        async with running(tmp_path, routing) as it:
            asking = [asyncio.create_task(it.infer(short_question(0, 10_000_000)))]
            await fake.arrived.wait()
            patience = {1: 10_000_000, 2: 200_000, 3: 10_000_000}
            asking += [asyncio.create_task(it.infer(short_question(*p))) for p in patience.items()]
            (pool,) = it.gateway.pools
            await until(lambda: pool.depth("realtime") == 3)
            fake.gate.set()
            assert (await asking[2]).status_code == 504
            fake.gate.set()
            answers = await asyncio.gather(*asking)
            assert [answer.status_code for answer in answers] == [200, 200, 504, 200]
            assert fake.sizes == [1, 3]
            logged = await it.rows()
        values = dict(zip(logged["request_id"], logged["in.a"], strict=True))
        assert values == {"0": 0.0, "1": 1.0, "2": 2.0, "3": 3.0}
        sums = dict(zip(logged["request_id"], logged["out.sum"], strict=True))
        assert sums == {"0": 0.0, "1": 2.0, "2": None, "3": 6.0}

    async def bounded() -> None:
        try:
            await scenario()
        finally:
            await stop_workers()

    asyncio.run(bounded())


def short_question(number: int, timeout: int) -> bytes:
    """A request of one row that waits so many microseconds."""
    inputs = [tensor("a", "FP64", [float(number)]), tensor("b", "INT32", [number])]
    parameters = {"timeout": timeout}
    return msgspec.json.encode({"id": str(number), "parameters": parameters, "inputs": inputs})
