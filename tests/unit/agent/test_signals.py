"""What ends the agent, and what does not."""

import asyncio
import os
import signal
from collections.abc import Iterator

import pytest

from trimtab.agent.supervisor import stopping_signals


@pytest.fixture(autouse=True)
def on_a_terminal() -> Iterator[None]:
    """The tests themselves may have been started with nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


async def told_to_stop(number: int) -> bool:
    stop = asyncio.Event()
    with stopping_signals(stop, lambda: None):
        os.kill(os.getpid(), number)
        await asyncio.sleep(0.01)
    return stop.is_set()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_service_manager_a_person_and_a_closed_terminal_let_it_drain(number: int) -> None:
    assert asyncio.run(told_to_stop(number))


def test_a_closed_terminal_is_nothing_to_whoever_was_started_with_nohup() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert not asyncio.run(told_to_stop(signal.SIGHUP))
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
