"""How long a worker may take over a batch, whatever it did with those before."""

import asyncio
import io
from collections.abc import Callable
from typing import Any, cast

import pytest
from tests.unit.gateway.scenarios import run

from trimtab.gateway.crew import Crew
from trimtab.gateway.link import Link
from trimtab.gateway.logs import Log
from trimtab.worker.frames import PROTOCOL, Frame, Kind, encode


class Clock:
    """The event loop, as far as it tells the time."""

    def __init__(self) -> None:
        self.now = 0.0
        self._timers: list[asyncio.TimerHandle] = []

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, call: Callable[[], None]) -> asyncio.TimerHandle:
        loop = asyncio.get_running_loop()
        self._timers.append(asyncio.TimerHandle(when, call, (), loop))
        return self._timers[-1]

    def pass_to(self, now: float) -> None:
        """Call what is due until then, in order."""
        while due := [t for t in self._timers if t.when() <= now and not t.cancelled()]:
            first = min(due, key=asyncio.TimerHandle.when)
            self._timers.remove(first)
            self.now = first.when()
            first._run()
        self.now = now

    def held_until(self, now: float) -> None:
        """Do nothing until then, as a process that is stopped; what is due is called late."""
        self.now = now
        for timer in [t for t in self._timers if t.when() <= now and not t.cancelled()]:
            self._timers.remove(timer)
            timer._run()


class Owner:
    """Whoever the link tells."""

    def __init__(self) -> None:
        self.answered = self.idle = 0

    def link_idle(self, _: Link) -> None:
        self.idle += 1

    def link_leaving(self, _: Link) -> None:
        """No batch follows."""

    def link_answered(self, _: Link, __: Frame) -> None:
        self.answered += 1

    def link_lost(self, _: Link, __: str) -> None:
        """It is over."""


class Line:
    """The transport to a worker."""

    def __init__(self) -> None:
        self.ended: list[str] = []

    def get_extra_info(self, _: str) -> Any:
        return self

    def setsockopt(self, *_: int) -> None:
        """It is large enough."""

    def is_closing(self) -> bool:
        return bool(self.ended)

    def writelines(self, _: list[bytes]) -> None:
        """It takes everything."""

    def abort(self) -> None:
        self.ended.append("aborted")

    def close(self) -> None:
        self.ended.append("closed")


def joined(kind: Kind, header: dict[str, Any]) -> bytes:
    return b"".join(map(bytes, encode(kind, header)))


def greeted(monkeypatch: pytest.MonkeyPatch) -> tuple[Link, Line, Clock, Owner]:
    """A link whose worker said HELLO, its connection, the clock that it goes by and its owner."""
    line, clock, owner = Line(), Clock(), Owner()
    link = Link("nowhere/a-0.sock", "sha256:1", Crew(), owner, Log(io.StringIO()))
    monkeypatch.setattr(link, "_loop", clock)
    link.connection_made(cast(Any, line))
    link.data_received(joined(Kind.HELLO, {"protocol": PROTOCOL, "release": "sha256:1"}))
    return link, line, clock, owner


def test_a_worker_is_given_up_when_its_own_batch_has_lasted_too_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario() -> None:
        link, line, clock, owner = greeted(monkeypatch)
        for number, given, taken in ((1, 1.0, 0.5), (2, 10.0, 9.0), (3, 1.0, 0.9)):
            link.send(number, [], given)
            clock.pass_to(clock.now + taken)
            link.data_received(joined(Kind.RESULT, {"id": number}))
            assert owner.answered == number
        clock.pass_to(clock.now + 100.0)
        assert line.ended == []
        link.send(4, [], 1.0)
        clock.pass_to(clock.now + 0.99)
        assert line.ended == []
        clock.pass_to(clock.now + 0.02)
        assert line.ended == ["aborted"]
        link.abort()

    run(scenario)


def test_the_time_for_a_second_batch_starts_when_the_first_is_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario() -> None:
        link, line, clock, owner = greeted(monkeypatch)
        idle = owner.idle
        link.send(1, [], 5.0)
        link.send(2, [], 1.0)
        clock.pass_to(4.0)
        link.data_received(joined(Kind.RESULT, {"id": 1}))
        assert (owner.answered, owner.idle, link.busy) == (1, idle, True)
        clock.pass_to(4.99)
        assert line.ended == []
        link.retire()
        assert line.ended == []
        clock.pass_to(5.01)
        assert line.ended == ["aborted"]

    run(scenario)


def test_a_gateway_that_was_stopped_does_not_blame_its_workers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario() -> None:
        link, line, clock, owner = greeted(monkeypatch)
        link.send(1, [], 1.0)
        clock.held_until(60.0)
        assert line.ended == []
        link.data_received(joined(Kind.RESULT, {"id": 1}))
        assert owner.answered == 1
        link.send(2, [], 1.0)
        clock.held_until(120.0)
        clock.pass_to(121.1)
        assert line.ended == ["aborted"]
        link.abort()

    run(scenario)


def test_a_link_that_is_let_go_ends_when_all_that_is_out_is_answered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario() -> None:
        link, line, *_ = greeted(monkeypatch)
        for number in (1, 2):
            link.send(number, [], 1.0)
        link.retire()
        for number, ended in ((1, []), (2, ["closed"])):
            link.data_received(joined(Kind.RESULT, {"id": number}))
            assert line.ended == ended

    run(scenario)
