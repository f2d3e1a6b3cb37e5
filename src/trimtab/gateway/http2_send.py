"""The answers of an HTTP/2 connection: no faster than the client makes room (RFC 9113, 5.2)."""

from collections.abc import Callable
from typing import Protocol

from trimtab.gateway import http2_frames as frames
from trimtab.gateway.header_blocks import NO_TABLE
from trimtab.gateway.http2_frames import END_HEADERS, END_STREAM, HEAD, MAX_FRAME, MAX_WINDOW

_LAST_HEADERS = END_HEADERS | END_STREAM


class Sending(Protocol):
    """What a stream has to send. `trailers` end it, once they are there."""

    number: int
    window: int
    outbox: bytearray
    trailers: bytes | None


class Outlet:
    """Sends for all streams of a connection; `sent` is told of each that has nothing left.

    `progress` grows with every frame that had to wait.
    """

    def __init__(self, write: Callable[[bytes], None], sent: Callable[[Sending], None]) -> None:
        self.initial_window = frames.DEFAULT_WINDOW
        self.progress = 0
        self._write = write
        self._sent = sent
        self._window = frames.DEFAULT_WINDOW
        self._waiting: dict[int, Sending] = {}
        self._prefix = b""

    @property
    def stuck(self) -> bool:
        """Whether an answer waits for the client to make room for it."""
        return bool(self._waiting)

    def answer(self, stream: Sending, head: bytes, data: bytes, trailers: bytes) -> None:
        """All of an answer, in one piece if the client has room for that."""
        size = len(data)
        if size > self._window or size > stream.window or size > MAX_FRAME:
            self.headers(stream, head)
            stream.outbox += data
            stream.trailers = trailers
            self.rest(stream)
            return
        number = stream.number
        self._window -= size
        if self._prefix:
            head, self._prefix = self._prefix + head, b""
        parts = (
            HEAD.pack(0, len(head), frames.HEADERS, END_HEADERS, number),
            head,
            HEAD.pack(0, size, frames.DATA, 0, number),
            data,
            HEAD.pack(0, len(trailers), frames.HEADERS, _LAST_HEADERS, number),
            trailers,
        )
        self._write(b"".join(parts))
        self._sent(stream)

    def headers(self, stream: Sending, block: bytes, flags: int = END_HEADERS) -> None:
        """A header block, which has to be smaller than `MAX_FRAME`."""
        block, self._prefix = self._prefix + block, b""
        self._write(frames.frame(frames.HEADERS, flags, stream.number, block))

    def close(self, stream: Sending, block: bytes) -> None:
        """The last header block of a stream."""
        self.headers(stream, block, _LAST_HEADERS)
        self._sent(stream)

    def rest(self, stream: Sending) -> None:
        """As much of a stream's outbox as there is room for, and then its end."""
        while self._piece(stream):
            pass

    def forget(self, number: int) -> None:
        """A stream will send nothing more."""
        self._waiting.pop(number, None)

    def forget_all(self) -> None:
        """No stream will send anything more."""
        self._waiting.clear()

    def widen(self, by: int) -> bool:
        """The client takes more on the connection; False when that is more than may be."""
        had_room = self._window > 0  # then those that wait do so for room of their own
        self._window += by
        if not had_room:
            self._take_turns()
        return self._window <= MAX_WINDOW

    def resize(self, streams: list[Sending], window: int) -> bool:
        """The client chose what a stream has at first; False when one has more than may be."""
        more = window - self.initial_window
        self.initial_window = window
        for stream in streams:
            stream.window += more
        self._take_turns()
        return all(stream.window <= MAX_WINDOW for stream in streams)

    def keep_no_table(self) -> None:
        """Say so in the next header block: the client chose a size for the table."""
        self._prefix = NO_TABLE

    def _take_turns(self) -> None:
        """A frame of each waiting stream after another, so that a large answer holds none up."""
        moving = list(self._waiting.values())
        while moving:
            moving = [stream for stream in moving if self._window > 0 and self._piece(stream)]

    def _piece(self, stream: Sending) -> bool:
        """The next frame of a stream; whether more may follow at once."""
        outbox = stream.outbox
        size = min(len(outbox), self._window, stream.window, MAX_FRAME)
        if size > 0:
            self._write(frames.frame(frames.DATA, 0, stream.number, bytes(outbox[:size])))
            del outbox[:size]
            self._window -= size
            stream.window -= size
            self.progress += 1
        if outbox:
            self._waiting[stream.number] = stream
            return size > 0
        self._waiting.pop(stream.number, None)
        if stream.trailers is not None:
            self.close(stream, stream.trailers)
        return False
