"""HTTP/2 on an asyncio protocol: sockets, timeouts and the end of a gateway.

What a request means is decided by the `begin` given to the server, as in `http2`.
"""

import asyncio
from collections.abc import Callable
from typing import cast

from trimtab.gateway.holding import Holding
from trimtab.gateway.http2 import Http2, Receiver, Stream
from trimtab.gateway.http2_frames import Code

FRAME_SECONDS = 5.0
BODY_IDLE_SECONDS = 10.0
IDLE_SECONDS = 300.0
"""Without a stream. A client that goes on later connects again without its caller noticing."""

STALL_SECONDS = 30.0
"""How long a client may leave an answer unread."""

LINGER_SECONDS = 2.0

_OTHER = b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nConnection: close\r\n"
_WRONG_PORT = b'{"error":"this port speaks gRPC; REST is on the port of server.inference"}'
_HTTP1 = b"%bContent-Length: %d\r\n\r\n%b" % (_OTHER, len(_WRONG_PORT), _WRONG_PORT)
_METHODS = (b"GET ", b"POST", b"HEAD", b"PUT ")


class Http2Server:
    """What all connections share: who takes their requests, and whether it is closing.

    `holding` counts the messages, also those of other protocols."""

    def __init__(self, begin: Callable[[Stream], Receiver], holding: Holding | None = None) -> None:
        self.begin = begin
        self.holding = holding or Holding()
        self.draining = False
        self.connections: set[Http2Connection] = set()

    def connection(self) -> "Http2Connection":
        """A protocol for one accepted socket."""
        return Http2Connection(self)

    def tick(self, now: float) -> None:
        """Twice a second: the end of connections and streams that are too slow."""
        for connection in list(self.connections):
            connection.expire(now)

    def drain(self) -> None:
        """Tell every client to go elsewhere; what it has sent is still answered."""
        self.draining = True
        for connection in list(self.connections):
            connection.drain()

    @property
    def busy(self) -> bool:
        """Whether some client still waits for an answer, or its answer is not sent yet."""
        return any(connection.busy for connection in self.connections)


class Http2Connection(asyncio.Protocol):
    """One client."""

    def __init__(self, server: Http2Server) -> None:
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._http2 = Http2(server.begin, self._write, server.holding)
        self._heard = self._loop.time()
        self._began: float | None = self._heard
        self._stalled: tuple[tuple[int, int], float] | None = None
        self._paused = False
        self._close_at: float | None = None

    @property
    def busy(self) -> bool:
        """Whether an answer is due or still in the send buffer."""
        transport = self._transport
        if transport is None:
            return False
        http2 = self._http2
        untold = self._server.draining and not (http2.refusing or http2.closing)
        return untold or bool(http2.streams) or self._unsent > 0

    @property
    def _unsent(self) -> int:
        """Bytes that the kernel has not taken yet."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    @property
    def http2(self) -> Http2:
        """The protocol's state."""
        return self._http2

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Both sides begin; neither waits for the other."""
        # uvloop's transports have asyncio's methods but not its base classes.
        self._transport = cast(asyncio.Transport, transport)
        self._server.connections.add(self)
        self._http2.start()
        if self._server.draining:
            self.drain()

    def connection_lost(self, exc: Exception | None) -> None:
        """Whoever still works for this client may stop."""
        self._transport = None
        self._server.connections.discard(self)
        self._http2.lose()

    def eof_received(self) -> bool:
        """A client that sends no more is taken to be gone: nothing else would tell of its end."""
        return False

    def pause_writing(self) -> None:
        """A client that does not read gets nothing more to read into."""
        self._pause(True)

    def resume_writing(self) -> None:
        """It reads again."""
        self._pause(False)

    def data_received(self, data: bytes) -> None:
        """Feed the protocol; when it has had enough, let the client read why, and close."""
        if not self._http2.closing:
            self._heard = self._loop.time()
            self._feed(data)

    def _feed(self, data: bytes) -> None:
        http2 = self._http2
        taken = http2.taken
        if not http2.settled and data.startswith(_METHODS):
            self._write(_HTTP1)
            http2.lose()
        http2.receive(data)
        if not http2.receiving:
            self._began = None
        elif self._began is None or http2.taken != taken:
            self._began = self._heard
        if http2.closing:
            self._close_soon()

    def expire(self, now: float) -> None:
        """End what has waited too long."""
        http2 = self._http2
        http2.tick(now, BODY_IDLE_SECONDS)
        if self._close_at is not None:
            self._expire_closing(now)
        elif http2.closing:
            self._close_soon()
        elif self._began is not None and now >= self._began + FRAME_SECONDS:
            self._end(Code.SETTINGS_TIMEOUT, "a frame did not arrive in time")
        elif self._is_stalled(now):
            self._end(Code.ENHANCE_YOUR_CALM, "an answer was not read in time")
        elif not http2.streams:
            self._expire_idle(now)

    def drain(self) -> None:
        """Say that this connection ends, and end it when nothing is under way."""
        self._http2.drain()
        self._close_at = self._loop.time() + LINGER_SECONDS

    def _expire_closing(self, now: float) -> None:
        """A client that was told has some time to go; the one that does not is left."""
        assert self._close_at is not None
        transport = self._transport
        if self._http2.streams or transport is None or now < self._close_at:
            return
        goes_on = not (self._http2.closing or transport.is_closing())
        if goes_on and self._unsent and not self._is_stalled(now):
            return  # its last answers are still on their way
        self._http2.refuse_further()
        if transport.is_closing():
            transport.abort()
        transport.close()

    def _expire_idle(self, now: float) -> None:
        if now >= self._heard + IDLE_SECONDS:
            self._http2.refuse_further()
            self._close_at = now + LINGER_SECONDS

    def _is_stalled(self, now: float) -> bool:
        """Whether an answer waits and nothing of it went out for too long."""
        outlet = self._http2.outlet
        left = (outlet.progress, self._unsent)
        if not (self._unsent or outlet.stuck):
            self._stalled = None
        elif self._stalled is None or self._stalled[0] != left:
            self._stalled = (left, now)
        return self._stalled is not None and now >= self._stalled[1] + STALL_SECONDS

    def _end(self, code: Code, text: str) -> None:
        self._http2.fail(code, text)
        self._close_soon()

    def _close_soon(self) -> None:
        """Closing while a client still sends would reset the connection under its answer."""
        if self._transport is not None and not self._transport.is_closing():
            self._close_at = self._loop.time() + LINGER_SECONDS
            self._pause(False)
            self._transport.write_eof()

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _pause(self, pause: bool) -> None:
        if self._transport is None or self._transport.is_closing() or pause == self._paused:
            return
        self._paused = pause
        if pause:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()
