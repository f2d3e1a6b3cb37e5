"""One worker's socket: connect, check who answers, batches in order, reconnect."""

import asyncio
import socket
from collections import deque
from typing import Any, Protocol, cast

import msgspec

from trimtab.gateway.crew import Crew
from trimtab.gateway.logs import Log
from trimtab.worker.frames import PROTOCOL, Bytes, Decoder, Frame, FrameError, Kind

FIRST_BACKOFF = 0.005
LAST_BACKOFF = 0.5
BACKOFF_GROWTH = 1.2
"""A worker that comes back is found late by at most a fifth of the time that it was away."""
HELLO_SECONDS = 5.0
HELD_SECONDS = 1.0
"""A timer that is so late was held up with all that this process does."""
SEND_BUFFER = 4 * 1024 * 1024
"""Bytes on the way to a worker. The usual 200 KB hold no part of a thousand rows: it was sent over
several turns of the event loop, while its worker waited. The system may grant less."""


class Owner(Protocol):
    """Who uses the link."""

    def link_idle(self, link: "Link") -> None:
        """The link can take a batch."""

    def link_leaving(self, link: "Link") -> None:
        """The worker takes no more batches; those in flight are still answered."""

    def link_answered(self, link: "Link", frame: Frame) -> None:
        """RESULT or FAILURE of the first batch in flight."""

    def link_lost(self, link: "Link", reason: str) -> None:
        """The connection ended; what is in flight will not be answered."""


class Link(asyncio.Protocol):
    """A connection to one worker that is made again whenever it ends, until `retire`.

    `ready` is true between the worker's HELLO and its BYE or death; `busy` while a batch is out.
    The worker answers batches in the order in which they are sent, and its time for each starts
    when the one before is answered. `idle_at` is when it last became free, for its owner to set;
    `crew` are those it works with.
    """

    def __init__(self, path: str, release: str, crew: Crew, owner: Owner, log: Log) -> None:
        self.path = path
        self.crew = crew
        self.worker = path.rpartition("/")[2].removesuffix(".sock")
        self.ready = False
        self.idle_at = 0.0
        self._release = release
        self._owner = owner
        self._log = log
        self._transport: asyncio.Transport | None = None
        self._decoder = Decoder(loads=msgspec.json.decode)
        self._retired = False
        self._leaving = False
        self._greeted = False
        self._reason = ""
        self._out: deque[tuple[int, float]] = deque()
        self._watchdog: asyncio.TimerHandle | None = None
        self._hangs_at = self._looks_at = 0.0
        self._loop = asyncio.get_running_loop()
        self._lost = asyncio.Event()
        self._task = self._loop.create_task(self._keep())

    @property
    def busy(self) -> bool:
        """Whether the worker has a batch to answer."""
        return bool(self._out)

    def send(self, number: int, frame: list[Bytes], give_up_after: float) -> None:
        """Send batch `number`; a worker that has not answered within `give_up_after` s is lost."""
        assert self._transport is not None  # only ready links are sent to
        self._out.append((number, give_up_after))
        if len(self._out) == 1:
            self._expect()
        self._transport.writelines(frame)

    def retire(self) -> None:
        """End the connection once nothing is in flight, and make no other."""
        self._retired = True
        if not self.busy:
            self._end()

    def abort(self) -> None:
        """End the connection now."""
        self._retired = True
        self._end()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for HELLO."""
        # uvloop's transports have asyncio's methods but not its base classes.
        transport = cast(asyncio.Transport, transport)
        self._transport = transport
        line = transport.get_extra_info("socket")
        line.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        self._decoder = Decoder(loads=msgspec.json.decode)
        self._leaving = False
        self._reason = "the worker's connection ended"
        loop = asyncio.get_running_loop()
        self._watchdog = loop.call_later(HELLO_SECONDS, self._drop, "no HELLO came")

    def data_received(self, data: bytes) -> None:
        """Frames, whatever the pieces."""
        try:
            for frame in self._decoder.feed(data):
                self._take(frame)
        except FrameError as error:
            self._drop(str(error))

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the owner, then connect again."""
        self._stop_watchdog()
        self._transport = None
        self.ready = False
        self._out.clear()
        self._lost.set()
        self._owner.link_lost(self, self._reason)

    def _take(self, frame: Frame) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        if frame.kind in (Kind.RESULT, Kind.FAILURE):
            self._answered(frame)
        elif frame.kind is Kind.HELLO:
            self._hello(frame.header)
        elif frame.kind is Kind.BYE:
            self.ready = False
            self._leaving = True
            self._owner.link_leaving(self)
            if not self.busy:
                self._end()
        else:
            self._drop(f"an unexpected {frame.kind.name} came")

    def _hello(self, header: dict[str, Any]) -> None:
        self._stop_watchdog()
        if header.get("protocol") != PROTOCOL or header.get("release") != self._release:
            self._log.error("worker.refused", path=self.path, hello=header, wanted=self._release)
            self._drop("another release answered")
            return
        self.ready = self._greeted = True
        self._owner.link_idle(self)

    def _answered(self, frame: Frame) -> None:
        if not self._out:
            self._drop("an answer came that nobody asked for")
            return
        if frame.header.get("id") != self._out[0][0]:
            self._drop("the worker answered another batch")
            return
        self._out.popleft()
        if self._out:
            self._expect()
        self._owner.link_answered(self, frame)
        if self._out:
            return
        if self._retired or self._leaving:
            self._end()
        elif self.ready:
            self._owner.link_idle(self)

    def _drop(self, reason: str) -> None:
        self._reason = reason
        self._log.error("worker.dropped", path=self.path, reason=reason)
        self._end(abort=True)

    def _end(self, *, abort: bool = False) -> None:
        self._stop_watchdog()
        if self._transport is not None:
            self.ready = False
            if abort:
                self._transport.abort()
            else:
                self._transport.close()
        if self._retired:
            self._task.cancel()

    def _expect(self) -> None:
        """The worker gets to the first batch that is out."""
        self._hangs_at = self._loop.time() + self._out[0][1]
        # Nearly every batch is answered long before: a timer of its own would cost as much again.
        if self._watchdog is None or self._looks_at > self._hangs_at:
            self._watch()

    def _watch(self) -> None:
        self._stop_watchdog()
        self._looks_at = self._hangs_at
        self._watchdog = self._loop.call_at(self._looks_at, self._look)

    def _look(self) -> None:
        self._watchdog = None
        now = self._loop.time()
        if self.busy and now - self._looks_at > HELD_SECONDS:
            # It was this process that did nothing; the answer may lie in the socket, unread.
            self._hangs_at = now + self._out[0][1]
        if self.busy and now < self._hangs_at:
            self._watch()
        elif self.busy:
            self._drop("the worker hangs")

    def _stop_watchdog(self) -> None:
        if self._watchdog is not None:
            self._watchdog.cancel()
            self._watchdog = None

    async def _keep(self) -> None:
        """Connect again and again; the pause grows while nobody answers as expected."""
        pause = FIRST_BACKOFF
        loop = asyncio.get_running_loop()
        while not self._retired:
            self._lost.clear()
            self._greeted = False
            try:
                await loop.create_unix_connection(lambda: self, self.path)
            except OSError:
                pass
            else:
                await self._lost.wait()
            pause = FIRST_BACKOFF if self._greeted else min(pause * BACKOFF_GROWTH, LAST_BACKOFF)
            await asyncio.sleep(pause)
