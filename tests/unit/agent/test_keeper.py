"""Gateways and the controller are kept alive, also by a system that refuses a process at times."""

import asyncio
from typing import cast

import pytest

from trimtab import errors
from trimtab.agent.keeper import NOT_YET, Keeper
from trimtab.agent.options import AgentEvent, Patience
from trimtab.agent.process import Child, Launch

LAUNCH = Launch("gateway-0", (), {})
REFUSED = errors.Permanent(errors.SPAWN_FAILED, "start", "gateway-0", "no more processes")


class Lived:
    """A process that has ended."""

    pid = 7
    last_lines: tuple[str, ...] = ()

    async def wait(self) -> int:
        return 1

    async def stop(self, drain: float) -> int:
        return 1


@pytest.mark.parametrize("refusal", [REFUSED, OSError(24, "Too many open files")])
def test_a_start_that_the_system_refuses_is_tried_again_and_ends_nothing_else(
    refusal: Exception,
) -> None:
    starts: list[Exception | None] = [None, refusal, refusal, None]
    told: list[AgentEvent] = []
    stops: list[asyncio.Future[None]] = []

    async def start(launch: Launch) -> Child:
        refused = starts.pop(0)
        if refused is not None:
            raise refused
        if not starts:
            stops.append(asyncio.ensure_future(keeper.stop()))
        return cast(Child, Lived())

    async def kept() -> None:
        async with asyncio.timeout(10):
            await keeper.run()

    keeper = Keeper(lambda: LAUNCH, start, Patience(shortest_pause=0.001), told.append)
    asyncio.run(kept())
    assert starts == []
    failed = [event for event in told if event.kind == "failed"]
    assert len(failed) == 2
    assert "no more processes" in failed[0].text or "Too many open files" in failed[0].text


def test_a_first_start_that_the_system_refuses_is_told_at_once() -> None:
    async def start(launch: Launch) -> Child:
        raise REFUSED

    keeper = Keeper(lambda: LAUNCH, start, Patience(), lambda event: None)
    with pytest.raises(errors.Permanent):
        asyncio.run(keeper.run())


def test_what_is_stopped_while_it_starts_has_not_failed_to() -> None:
    """Its listener is closed by then."""

    async def start(launch: Launch) -> Child:
        await keeper.stop()
        raise REFUSED

    told: list[AgentEvent] = []
    keeper = Keeper(lambda: LAUNCH, start, Patience(), told.append)
    asyncio.run(asyncio.wait_for(keeper.run(), 10))
    assert told == []


def test_a_process_that_cannot_start_yet_ends_nothing_and_says_why() -> None:
    """As a controller on a full disk: what serves goes on serving."""
    told: list[AgentEvent] = []

    class NotYet(Lived):
        last_lines = ("error: lead control.db: database or disk is full", "hint: look")

        async def wait(self) -> int:
            return NOT_YET

    async def start(launch: Launch) -> Child:
        if len(told) == 4:
            asyncio.ensure_future(keeper.stop())  # noqa: RUF006 - it ends with the loop
        return cast(Child, NotYet())

    keeper = Keeper(lambda: LAUNCH, start, Patience(shortest_pause=0.001), told.append)
    asyncio.run(asyncio.wait_for(keeper.run(), 10))
    ends = [event.text for event in told if event.kind == "ended"]
    assert len(ends) >= 2
    assert "tried again: error: lead control.db: database or disk is full · hint: look" in ends[0]
