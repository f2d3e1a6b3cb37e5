"""What the controller's process does beside the loop."""

import asyncio
from datetime import date
from types import SimpleNamespace
from typing import Any

import pytest

from trimtab.web import __main__ as process


class _EnoughError(Exception):
    """Two rounds are done."""


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

    log = SimpleNamespace(deployments=deployments, expire=expire, roll=roll)
    config = SimpleNamespace(server=SimpleNamespace(retention_days=30))
    room: Any = SimpleNamespace(log=log, project=SimpleNamespace(config=config))
    monkeypatch.setattr(process, "ROLL_SECONDS", 0.0)
    with pytest.raises(_EnoughError):
        asyncio.run(process._roll(room))
    assert done == ["expire a", "roll a", "expire b", "roll b"] * 2


def test_the_log_is_kept_for_as_many_days_as_were_asked_for() -> None:
    assert process.oldest_kept(date(2026, 3, 1), 1) == date(2026, 2, 28)
    assert process.oldest_kept(date(2026, 3, 1), 30) == date(2026, 1, 30)


def test_more_days_than_there_are_dates_keep_everything() -> None:
    for days in (999_999, 99_999_999_999):
        assert process.oldest_kept(date(2026, 3, 1), days) == date.min
