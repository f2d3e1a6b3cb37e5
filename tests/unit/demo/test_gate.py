"""The event clock goes as far as it may, and nobody passes it."""

import asyncio

from trimtab.demo.gate import Gate


async def settle() -> None:
    """Let every task that can run, run."""
    for _ in range(5):
        await asyncio.sleep(0)


def test_a_moment_passes_only_up_to_the_horizon() -> None:
    """What is later waits, and passes in the order of its time once the horizon moves."""

    async def play() -> list[float]:
        gate, passed = Gate(0.0), list[float]()

        async def enter(moment: float) -> None:
            await gate.enter(moment)
            passed.append(moment)

        async with asyncio.TaskGroup() as group:
            for moment in (3.0, 2.0, 1.0):
                group.create_task(enter(moment))
            await settle()
            assert passed == []
            gate.allow(2.0)
            await settle()
            assert passed == [1.0, 2.0]
            assert gate.clock == 2.0
            gate.allow(1.0)
            assert gate.horizon == 2.0
            gate.allow(3.0)
        return passed

    assert asyncio.run(play()) == [1.0, 2.0, 3.0]


def test_a_held_clock_stands_until_the_last_reason_is_gone() -> None:
    """Two reasons are two holds; the horizon alone lets nobody pass."""

    async def play() -> None:
        gate = Gate(0.0)
        gate.allow(10.0)
        gate.hold("run")
        gate.hold("build")
        entering = asyncio.create_task(gate.enter(5.0))
        await settle()
        gate.release("run")
        await settle()
        assert not entering.done()
        assert gate.holds == {"build"}
        gate.release("build")
        await entering
        assert gate.clock == 5.0

    asyncio.run(play())


def test_whoever_waits_for_a_moment_is_told_once_the_clock_has_passed_it() -> None:
    """Not by the horizon, but by what really entered; the finish passes everything."""

    async def play() -> None:
        gate = Gate(0.0)
        early, late = (asyncio.create_task(gate.reached(moment)) for moment in (4.0, 9.0))
        gate.allow(20.0)
        await settle()
        assert not early.done()
        await gate.enter(5.0)
        await early
        assert not late.done()
        gate.hold("build")
        gate.finish(10.0)
        await late

    asyncio.run(play())
