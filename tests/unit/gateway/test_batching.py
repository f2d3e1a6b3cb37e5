"""Rows returned are rows sent, in order, to the right caller, whatever the interleaving."""

import asyncio
import tempfile
from pathlib import Path
from typing import Any

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
)

from trimtab.gateway.pool import Limits
from trimtab.worker.frames import Frame, Tensor, tensors_of

POISON = -1.0

REQUESTS = st.lists(
    st.tuples(
        st.integers(1, 7),
        st.sampled_from(["good", "good", "good", "poison"]),
        st.sampled_from([0, 2]),
        st.integers(0, 3),
    ),
    min_size=1,
    max_size=14,
)


def picky(frame: Frame) -> list[Tensor]:
    """Sums, but fails a batch that holds a poisonous value."""
    (inputs,) = tensors_of(frame, "inputs")
    import numpy as np

    if POISON in np.frombuffer(inputs[0].data):
        raise ValueError("poison")
    return summed(frame)


async def ask(it: Harness, number: int, plan: tuple[int, str, int, int]) -> None:
    """Send one request after some turns of the loop, and hold the answer to what it sent."""
    rows, kind, priority, turns = plan
    for _ in range(turns):
        await asyncio.sleep(0)
    values: list[Any] = [float(number * 100 + row) for row in range(rows)]
    if kind == "poison":
        values[-1] = POISON
    body = {
        "id": str(number),
        "parameters": {"priority": priority},
        "inputs": [tensor("a", "FP64", values), tensor("b", "INT32", list(range(rows)))],
    }
    answer = await it.client.post("/v2/models/d/infer", json=body)
    if kind == "poison":
        assert answer.status_code == 500
        return
    assert answer.status_code == 200
    assert answer.json()["id"] == str(number)
    assert answer.json()["outputs"][0]["data"] == [v + i for i, v in enumerate(values)]


@settings(max_examples=25)
@given(REQUESTS, st.integers(1, 3), st.integers(1, 12), st.integers(1, 3))
def test_every_caller_gets_its_own_rows(
    plans: list[tuple[int, str, int, int]], requests: int, rows: int, workers: int
) -> None:
    """For any mix of sizes, lanes, poisonous requests, batch limits and numbers of workers."""

    async def scenario(home: Path) -> None:
        paths = [f"run/w/{number}.sock" for number in range(workers)]
        for path in paths:
            await FakeWorker(str(home / path), digest(1), picky).start()
        routing = snapshot(1, [target(1, *paths, signature=NUMERIC)], [(1, "stable", 10_000)])
        limits = Limits(batch_requests=requests, batch_rows=rows)
        async with asyncio.timeout(20), running(home, routing, limits) as it:
            await asyncio.gather(*(ask(it, n, plan) for n, plan in enumerate(plans)))
            logged = await it.rows()
            final = sum(logged["final"])
            assert final == sum(plan[0] for plan in plans)
            keys = list(zip(logged["request_id"], logged["row"], logged["attempt"], strict=True))
            assert len(keys) == len(set(keys))

    async def bounded(home: Path) -> None:
        try:
            await scenario(home)
        finally:
            await stop_workers()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(bounded(Path(folder)))
