"""What the controller's process does beside the loop."""

import asyncio
from datetime import date
from types import SimpleNamespace
from typing import Any

import pytest

from trimtab.backends.clock import SystemClock
from trimtab.domain.state import SystemState
from trimtab.web import __main__ as process
from trimtab.web import counts


class _EnoughError(Exception):
    """Two rounds are done."""


async def until(found: list[Any], work: Any) -> None:
    """Do the work until two things were found."""
    task = asyncio.ensure_future(work)
    async with asyncio.timeout(30):
        while len(found) < 2 and not task.done():  # noqa: ASYNC110 - no event tells
            await asyncio.sleep(0.005)
    assert len(found) >= 2
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def test_the_logs_are_tidied_on_whatever_one_of_them_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    def deployments() -> tuple[str, ...]:
        if len(done) == 8:
            raise _EnoughError
        return ("a", "b")

    def expire(name: str, before: object) -> None:
        done.append(f"expire {name}")
        if name == "a":
            raise PermissionError

    def roll(name: str) -> None:
        done.append(f"roll {name}")
        if name == "a":
            raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "no name of a column")

    log = SimpleNamespace(
        deployments=deployments, expire=expire, roll=roll, newest_day=lambda: None
    )
    config = SimpleNamespace(server=SimpleNamespace(retention_days=30))
    project = SimpleNamespace(config=config)
    room: Any = SimpleNamespace(log=log, project=project, clock=SystemClock())
    monkeypatch.setattr(process, "ROLL_SECONDS", 0.0)
    with pytest.raises(_EnoughError):
        asyncio.run(process._roll(room))
    assert done == ["expire a", "roll a", "expire b", "roll b"] * 2


def test_a_clock_years_ahead_of_the_log_deletes_nothing_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    done: list[str] = []
    log = SimpleNamespace(
        deployments=lambda: ("a",),
        expire=lambda name, before: done.append(f"expire {name} {before}"),
        roll=lambda name: done.append(f"roll {name}"),
        newest_day=lambda: date(2026, 3, 1),
    )
    config = SimpleNamespace(server=SimpleNamespace(retention_days=30))
    clock = SimpleNamespace(now=lambda: 4e9, monotonic=lambda: 10.0)
    room: Any = SimpleNamespace(log=log, project=SimpleNamespace(config=config), clock=clock)
    monkeypatch.setattr(process, "ROLL_SECONDS", 0.001)
    asyncio.run(until(done, process._roll(room)))
    assert set(done) == {"roll a"}
    assert caplog.text.count("nothing is deleted") == 1


def test_counts_are_left_again_after_one_could_not_be(monkeypatch: pytest.MonkeyPatch) -> None:
    left: list[object] = []

    def leave(count: object) -> None:
        left.append(count)
        if len(left) == 1:
            raise RuntimeError("can't start new thread")

    monkeypatch.setattr(counts, "EVERY_SECONDS", 0.005)
    monkeypatch.setattr(counts, "leave", leave)
    store = SimpleNamespace(state=SystemState())
    room: Any = SimpleNamespace(controller=SimpleNamespace(store=store))
    asyncio.run(until(left, process._tell(room)))
