"""When the loop ticks while nothing is in progress, on a clock that a test moves."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from tests.unit.loop.world import World, run

from trimtab.loop.controller import EVIDENCE, Controller


@contextlib.asynccontextmanager
async def running(world: World) -> AsyncIterator[Controller]:
    """A loop at rest: it has ticked, and nothing is new any more."""
    controller, _ = await world.serving()
    loop = asyncio.ensure_future(controller.run())
    await world.clock.advance(0.01)
    await world.clock.advance(0.01)
    world.evidence.fresh = False
    try:
        yield controller
    finally:
        controller.stop()
        await loop


async def ticks(world: World, seconds: float) -> int:
    """How often the loop ticks in that time."""
    before = world.node.asked
    await world.clock.advance(seconds)
    return world.node.asked - before


def test_where_nothing_is_new_the_loop_ticks_once_a_second(tmp_path: Path) -> None:
    async def work() -> None:
        world = World(tmp_path)
        async with running(world):
            assert await ticks(world, 20.0) == 20

    run(work)


def test_what_is_new_in_the_log_is_looked_at_within_half_a_second(tmp_path: Path) -> None:
    async def work() -> None:
        world = World(tmp_path)
        async with running(world):
            await world.clock.advance(5.0)
            world.evidence.fresh = True
            assert await ticks(world, 0.5) == 1
            assert not world.evidence.fresh

    run(work)


def test_what_becomes_of_a_process_is_looked_at_at_once(tmp_path: Path) -> None:
    async def work() -> None:
        world = World(tmp_path)
        async with running(world):
            await world.clock.advance(5.1)
            world.node.tell()
            assert await ticks(world, 0.0) == 1

    run(work)


def test_an_agent_that_is_gone_and_comes_back_is_heard_again(tmp_path: Path) -> None:
    async def work() -> None:
        world = World(tmp_path)
        async with running(world):
            world.node.reachable = False
            world.node.tell()
            await world.clock.advance(5.0)
            world.node.reachable = True
            await world.clock.advance(1.1)
            world.node.tell()
            assert await ticks(world, 0.0) == 1

    run(work)


def test_a_log_in_which_nothing_is_new_is_read_now_and_then(tmp_path: Path) -> None:
    async def work() -> None:
        world = World(tmp_path)
        reads = []

        async def refresh() -> bool:
            reads.append(world.clock.now())
            return True

        world.evidence.refresh = refresh  # type: ignore[method-assign]
        async with running(world):
            reads.clear()
            await world.clock.advance(20.0)
            assert len(reads) == 4

    run(work)


def test_evidence_that_is_saved_already_is_not_saved_again(tmp_path: Path) -> None:
    async def work() -> None:
        world = World(tmp_path)
        journal = world.journal
        saved: list[bytes] = []

        def save(epoch: int, key: str, value: bytes) -> None:
            if key == EVIDENCE:
                saved.append(value)

        journal.save = save  # type: ignore[method-assign]
        async with running(world):
            await world.clock.advance(30.0)
            assert saved == [b"dump"]
            world.evidence.saved = b"another"
            await world.clock.advance(6.0)
            assert saved == [b"dump", b"another"]

    run(work)
