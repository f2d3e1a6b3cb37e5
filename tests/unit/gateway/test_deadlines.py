"""Deadlines of many calls behind one timer."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

from tests.unit.gateway.support import until

from trimtab.gateway.call import Call
from trimtab.gateway.deadlines import GRAIN, Deadlines
from trimtab.gateway.plan import Plan
from trimtab.gateway.table import RouteView


def made() -> Call:
    """A call of which only its deadline matters."""
    return Call(cast(Any, SimpleNamespace(client=None)), cast(RouteView, None), cast(Plan, None))


def run(test: Callable[[Deadlines, list[Call]], Any]) -> None:
    async def scenario() -> None:
        expired: list[Call] = []
        async with asyncio.timeout(10):
            await test(Deadlines(expired.append), expired)

    asyncio.run(scenario())


async def passed(expired: list[Call], count: int) -> None:
    await until(lambda: len(expired) >= count)


def test_calls_expire_in_the_order_of_their_deadlines_and_never_early() -> None:
    async def test(deadlines: Deadlines, expired: list[Call]) -> None:
        loop = asyncio.get_running_loop()
        late, soon = made(), made()
        begun = loop.time()
        deadlines.set(late, begun + 10 * GRAIN)
        deadlines.set(soon, begun + 2 * GRAIN)
        await passed(expired, 1)
        assert loop.time() >= begun + 2 * GRAIN
        await passed(expired, 2)
        assert loop.time() >= begun + 10 * GRAIN
        assert expired == [soon, late]
        assert len(deadlines) == 0

    run(test)


def test_a_call_that_is_done_or_cleared_does_not_expire() -> None:
    async def test(deadlines: Deadlines, expired: list[Call]) -> None:
        now = asyncio.get_running_loop().time()
        done, cleared, last = made(), made(), made()
        for call in (done, cleared):
            deadlines.set(call, now + GRAIN)
        done.done = True
        deadlines.clear(cleared)
        deadlines.set(last, now + 5 * GRAIN)
        await passed(expired, 1)
        assert expired == [last]

    run(test)


def test_a_call_has_one_deadline_at_a_time() -> None:
    async def test(deadlines: Deadlines, expired: list[Call]) -> None:
        now = asyncio.get_running_loop().time()
        moved, last = made(), made()
        deadlines.set(moved, now + GRAIN)
        deadlines.set(moved, now + 5 * GRAIN)
        deadlines.set(last, now + 10 * GRAIN)
        assert len(deadlines) == 2
        await passed(expired, 2)
        assert expired == [moved, last]

    run(test)
