"""What the agent does again and again."""

import asyncio

import pytest

from trimtab.agent.options import AgentEvent
from trimtab.agent.unended import Unended


def test_a_fault_ends_nothing_and_is_told_once_until_it_is_over() -> None:
    told: list[AgentEvent] = []
    unended = Unended(told.append)
    for fails in (True, True, False, True):
        with unended.tried("nothing is measured"):
            if fails:
                raise OSError(24, "Too many open files")
    text = "nothing is measured just now: OSError: [Errno 24] Too many open files"
    assert [(each.kind, each.name, each.text) for each in told] == [("failed", "agent", text)] * 2


def test_an_end_is_an_end() -> None:
    unended = Unended(lambda event: None)
    with pytest.raises(asyncio.CancelledError), unended.tried("nothing is measured"):
        raise asyncio.CancelledError
