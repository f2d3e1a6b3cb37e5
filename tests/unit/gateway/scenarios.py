"""What the scenarios of the gateway's tests share: releases, snapshots, bounded runs."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from tests.unit.gateway.harness import Harness
from tests.unit.gateway.support import (
    Answerer,
    FakeWorker,
    digest,
    scored,
    snapshot,
    stop_workers,
    target,
    until,
)

from trimtab.worker.frames import Frame, Tensor


def times(factor: float) -> Answerer:
    """A release whose score is `factor` times `x`."""
    return lambda frame: scored(frame, factor)


def crash(_: Frame) -> list[Tensor]:
    """A release that fails every batch."""
    raise ValueError("boom")


def die(_: Frame) -> list[Tensor]:
    """A release that ends its worker."""
    raise EOFError


def run(test: Callable[[], Awaitable[None]]) -> None:
    """Run a test's coroutine with a bound on its time."""

    async def bounded() -> None:
        try:
            async with asyncio.timeout(20):
                await test()
        finally:
            await stop_workers()

    asyncio.run(bounded())


async def worker(home: Path, number: int, answer: Answerer, slot: str = "0") -> FakeWorker:
    """A started worker of release `number` at `run/w/<number>-<slot>.sock`."""
    path = home / socket_of(number, slot)
    return await FakeWorker(str(path), digest(number), answer).start()


def socket_of(number: int, slot: str = "0") -> str:
    return f"run/w/{number}-{slot}.sock"


STABLE = snapshot(1, [target(1, socket_of(1))], [(1, "stable", 10_000)])


def canary_at(weight: int, **deployment: Any) -> Any:
    """Release 1 stable, release 2 canary."""
    return snapshot(
        1,
        [target(1, socket_of(1)), target(2, socket_of(2))],
        [(1, "stable", 10_000 - weight), (2, "canary", weight)],
        **deployment,
    )


def score(answer: Any) -> float:
    return float(answer.json()["outputs"][0]["data"][0])


async def waiting(it: Harness, count: int, lane: str = "realtime") -> None:
    """Until `count` requests wait in a lane of any release."""
    await until(lambda: sum(pool.depth(lane) for pool in it.gateway.pools) >= count)
