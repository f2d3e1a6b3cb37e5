"""Who is taken to be stopped for good, and who for a moment."""

import pytest

from trimtab.agent import stopped as module
from trimtab.agent.stopped import Stopped


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """The processes that a signal has stopped."""
    found: set[int] = set()
    monkeypatch.setattr(module, "is_stopped", found.__contains__)
    return found


def test_a_process_that_is_stopped_at_two_looks_stays_so(held: set[int]) -> None:
    looks = Stopped(1.0)
    held |= {7}
    assert looks.still([7, 8], 0.0) == frozenset()
    assert looks.still([7, 8], 1.0) == {7}


def test_a_process_that_goes_on_between_two_looks_is_let_be(held: set[int]) -> None:
    looks = Stopped(1.0)
    held |= {7}
    looks.still([7], 0.0)
    held.clear()
    assert looks.still([7], 1.0) == frozenset()
    held |= {7}
    assert looks.still([7], 2.0) == frozenset()


def test_an_agent_that_was_stopped_with_the_others_looks_anew(held: set[int]) -> None:
    """As with Ctrl-Z and `fg`: the others may go on a moment after it."""
    looks = Stopped(1.0)
    held |= {7, 8}
    looks.still([7, 8], 0.0)
    assert looks.still([7, 8], 60.0) == frozenset()
    held -= {7}
    assert looks.still([7, 8], 61.0) == {8}
