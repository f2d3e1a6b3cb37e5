"""HTTP/1.1 on an asyncio protocol: parsing, limits, order of pipelined answers, timeouts.

What a request means is decided by the handler given to `Connection`; it answers by calling
`Exchange.respond`, at once or later, in any order. Answers leave in the order of the requests.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from functools import partial
from http import HTTPStatus
from typing import Any, cast

import httptools
import msgspec

from trimtab.gateway.coding import (
    MAX_BODY,
    PACKED_IN_PLACE,
    WORTH_COMPRESSING,
    chosen,
    compressed,
    decoded,
    too_large,
    unpack,
)
from trimtab.gateway.faults import Fault, bad
from trimtab.gateway.holding import SMALL, Holding, Share
from trimtab.gateway.http_head import path_of, repeatable

MAX_HEAD = 64 * 1024
HEAD_SECONDS = 5.0
BODY_IDLE_SECONDS = 10.0
KEEP_ALIVE_SECONDS = 75.0
LINGER_SECONDS = 2.0
STALL_SECONDS = 30.0
"""How long a client may leave an answer unread; one that reads slowly is no such client."""
LAST_REQUEST_SECONDS = 0.5
"""For how long a server that drains still takes a request on a kept connection: one that its client
sent before it could know must not be lost."""
ENDED_TOGETHER = 32
"""Connections that are ended in one pass of the event loop; the next are ended `REST_SECONDS`
later: thousands that came together and ask nothing must not keep the others waiting."""
REST_SECONDS = 0.005
MAX_PIPELINED = 64
COMPRESSED_IN_PLACE = 128 * 1024
KNOWN_HEADS = 1024
LONGEST_KNOWN_HEAD = 2048
SMALL_PIECE = 4096

_REFUSED = 400
"""The first status of answers that say what is wrong."""
_STATUS = {s.value: b"HTTP/1.1 %d %b\r\n" % (s, s.phrase.encode()) for s in HTTPStatus}
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_JSON = b"Content-Type: application/json\r\n"
_encode_json = msgspec.json.Encoder().encode
_ONE_LIST = frozenset((b"traceparent", b"tracestate"))


class Headers(dict[bytes, bytes]):
    """Values by lower-case name; the last one where a name comes again, unless it makes a list.

    `meaning` belongs to the handler: what it made of these headers, kept as long as the same head
    is recognised.
    """

    meaning: Any = None


@dataclass(frozen=True, slots=True)
class Head:
    """What the head of a request says. `length` is that of the body that follows it."""

    method: bytes
    path: bytes
    headers: Headers
    length: int


class Exchange:
    """One request and the place of its answer.

    `came_at`, of the monotonic clock, is when the request was whole. `stays` is the line that says
    that the connection goes on, where the client does not take it for granted. `share` is what its
    body holds of the room that all have together, None while that is next to nothing.
    """

    __slots__ = (
        "answer",
        "body",
        "came_at",
        "connection",
        "headers",
        "keep_alive",
        "method",
        "path",
        "share",
        "stays",
    )

    def __init__(self, connection: "Connection", head: Head | None = None) -> None:
        self.connection = connection
        self.answer: bytes | None = None
        if head is None:
            self.method = self.path = b""
            self.headers = Headers()
        else:
            self.method, self.path, self.headers = head.method, head.path, head.headers
        self.body = b""
        self.keep_alive = True
        self.stays = b""
        self.came_at = 0.0
        self.share: Share | None = None

    def hold(self, size: int) -> None:
        """The body has so many bytes by now; raises a 429 `Fault` where there is no room for it."""
        if self.share is None:
            self.share = Share(self.connection.server.holding)
        self.share.become(size)

    def respond(
        self, status: int, body: bytes, headers: bytes = _JSON, *, coded: bool = False
    ) -> None:
        """Answer with `body`; `headers` are whole lines. Only the first answer counts.

        A body that is not yet `coded` is compressed when the client wants that and it pays.
        """
        if self.answer is not None:
            return
        if status >= _REFUSED:
            # It may have to wait for the answers before it, and its body is of no more use.
            self.body, self.share = b"", None
        if len(body) > WORTH_COMPRESSING and not coded and b"accept-encoding" in self.headers:
            self._respond_coded(status, body, headers)
            return
        if self.connection.server.draining:
            self.keep_alive = False
        goes_on = self.stays if self.keep_alive else b"Connection: close\r\n"
        self.answer = b"%b%b%b%bContent-Length: %d\r\n\r\n%b" % (
            _STATUS[status],
            self.connection.server.date,
            headers,
            goes_on,
            len(body),
            b"" if self.method == b"HEAD" else body,
        )
        self.connection.flush()

    def _respond_coded(self, status: int, body: bytes, headers: bytes) -> None:
        dense = not headers.startswith((_JSON, b"Content-Type: text/"))
        coding = chosen(self.headers[b"accept-encoding"], dense=dense)
        if coding is None:
            self.respond(status, body, headers, coded=True)
            return
        headers += b"Content-Encoding: %b\r\nVary: Accept-Encoding\r\n" % coding
        if len(body) <= COMPRESSED_IN_PLACE:
            self.respond(status, compressed(body, coding), headers, coded=True)
            return
        # zlib lets other threads run, and other clients need not wait for this one's bytes.
        loop = asyncio.get_running_loop()
        packing = loop.run_in_executor(None, compressed, body, coding)
        packing.add_done_callback(
            lambda done: self.respond(status, done.result(), headers, coded=True)
        )

    def refuse(self, fault: Fault, headers: bytes = b"") -> None:
        """Answer with an error."""
        self.respond(
            fault.status, _encode_json({"error": fault.text}), _JSON + fault.headers + headers
        )


class HttpServer:
    """What all connections share: the handler, the clock's tick, and whether it is closing.

    `handle` is given each exchange, and the bytes of its body. `holding` counts the bodies, also
    those of other protocols.

    A client sends the same head again and again, so heads that were parsed once are recognised by
    their bytes: that costs a fortieth of parsing them.
    """

    def __init__(
        self, handle: Callable[[Exchange, int], None], holding: Holding | None = None
    ) -> None:
        self.handle = handle
        self.draining = False
        self._hears = False
        self.holding = holding or Holding()
        self.date = b""
        self.connections: set[Connection] = set()
        self.heads: dict[bytes, Head] = {}

    def learn(self, head: bytes, parsed: Head) -> None:
        """Recognise this head from now on."""
        if len(self.heads) >= KNOWN_HEADS:
            self.heads.clear()
        self.heads[head] = parsed

    def connection(self) -> "Connection":
        """A protocol for one accepted socket."""
        return Connection(self)

    def tick(self, now: float) -> None:
        """Twice a second: the Date header, and the end of connections that are too slow."""
        self.date = b"Date: %b\r\n" % formatdate(usegmt=True).encode()
        self._end([each for each in self.connections if each.expired(now)], now)

    def _end(self, slow: "list[Connection]", now: float) -> None:
        for connection in slow[:ENDED_TOGETHER]:
            connection.expire(now)
        if len(slow) > ENDED_TOGETHER:
            loop = asyncio.get_running_loop()
            loop.call_later(REST_SECONDS, self._end, slow[ENDED_TOGETHER:], now)

    def drain(self) -> None:
        """Take one more request on each kept connection, for a moment; then end the idle ones."""
        self.draining = self._hears = True
        asyncio.get_running_loop().call_later(LAST_REQUEST_SECONDS, self._end_idle)

    def _end_idle(self) -> None:
        self._hears = False
        for connection in list(self.connections):
            connection.end_if_idle()

    @property
    def busy(self) -> bool:
        """Whether some client still waits for an answer, its answer is not sent yet, or its last
        request may be on the way."""
        waits = self._hears and bool(self.connections)
        return waits or any(connection.busy for connection in self.connections)


class Connection(asyncio.Protocol):
    """One client. After a protocol error it answers and closes; what else arrives is ignored."""

    def __init__(self, server: HttpServer) -> None:
        self.server = server
        self.gone = False
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._pending: deque[Exchange] = deque()
        self._current: Exchange | None = None
        self._url = b""
        self._head_size = 0
        self._held_back = 0
        self._body: list[bytes | bytearray] = []
        self._body_size = 0
        self._in_head = True
        self._head: bytes | None = None
        self._ignore = False
        self._unread = False
        self._wants_continue = False
        self._body_without_parser = 0
        self._paused = False
        self._deaf = False
        self._limit = 0.0
        self._unsent = 0

    @property
    def busy(self) -> bool:
        """Whether an answer is due or still in the send buffer."""
        unsent = self._transport is not None and self._transport.get_write_buffer_size() > 0
        return not self.gone and (bool(self._pending) or unsent)

    @property
    def receiving(self) -> bool:
        """Whether part of a request has arrived."""
        return self._current is not None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The first request's header has to come within its time."""
        # uvloop's transports have asyncio's methods but not its base classes.
        transport = cast(asyncio.Transport, transport)
        self._transport = transport
        self._limit = self._loop.time() + HEAD_SECONDS
        self.server.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Whoever still works for this client may stop."""
        self.gone = True
        self._transport = None
        self._pending.clear()
        self._forget_current()
        self.server.connections.discard(self)

    def eof_received(self) -> bool:
        """A client that sends no more is taken to be gone: nothing else would tell of its end."""
        return False

    def pause_writing(self) -> None:
        """A client that does not read its answers may ask no more."""
        self._deaf = True
        self._pause(True)

    def resume_writing(self) -> None:
        """It reads again."""
        self._deaf = False
        if len(self._pending) < MAX_PIPELINED:
            self._pause(False)

    def data_received(self, data: bytes) -> None:
        """Feed the parser; anything wrong becomes an error answer and the end."""
        if self._current is None and not self._body_without_parser and not self._ignore:
            end = data.find(b"\r\n\r\n") + 4
            known = self.server.heads.get(data[:end]) if end <= LONGEST_KNOWN_HEAD else None
            if known is not None and end + known.length == len(data):
                self._take(Exchange(self, known), data[end:])
                return
            data = self._recognised(data)
        if self._ignore or not data:
            return
        try:
            self._feed(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._after_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            cause = error.__context__
            self._break(cause if isinstance(cause, Fault) else bad(f"not HTTP/1.1: {error}"))

    def _recognised(self, data: bytes) -> bytes:
        """Take whole requests whose head is known off the front; the parser gets the rest."""
        start = 0
        while start < len(data) and not self._ignore:
            end = data.find(b"\r\n\r\n", start) + 4
            head = data[start:end] if 4 <= end <= start + LONGEST_KNOWN_HEAD else b""
            known = self.server.heads.get(head)
            if known is None or end + known.length > len(data):
                self._head = head
                break
            start = end + known.length
            self._take(Exchange(self, known), data[end:start])
        return data[start:] if start else data

    def expired(self, now: float) -> bool:
        """Whether the connection's current wait has lasted too long."""
        waits = not self._pending or (self._current is not None and not self._paused)
        return now >= self._limit and waits and not self.gone

    def expire(self, now: float) -> None:
        """End it for that, unless it has gone on meanwhile."""
        if not self.expired(now) or self._reads_on(now):
            return
        if self._current is not None and not self._ignore:
            self._break(Fault(408, "the request did not arrive in time"))
        elif self._transport is not None:
            if self._transport.is_closing():
                self._transport.abort()
            self._transport.close()
            self._limit = now + LINGER_SECONDS

    def _reads_on(self, now: float) -> bool:
        """Whether the client took some of what lies here for it since this was asked before."""
        assert self._transport is not None
        unsent = self._transport.get_write_buffer_size()
        if unsent in (0, self._unsent):
            return False
        self._unsent = unsent
        self._limit = now + STALL_SECONDS
        return True

    def end_if_idle(self) -> None:
        """Close unless a request is arriving or waits for its answer."""
        if self._transport is not None and not self._pending and self._current is None:
            self._transport.close()

    def flush(self) -> None:
        """Send the answers that are due, in order."""
        pending, transport = self._pending, self._transport
        while pending and (answer := pending[0].answer) is not None:
            exchange = pending.popleft()
            if transport is None or transport.is_closing():
                continue
            transport.write(answer)
            if not exchange.keep_alive:
                self._close_after_answer()
                return
        if not pending:
            self._limit = self._loop.time() + KEEP_ALIVE_SECONDS
            if self._wants_continue:
                self._continue()
        if self._paused and not self._deaf and len(pending) < MAX_PIPELINED:
            self._pause(False)

    def _close_after_answer(self) -> None:
        """Closing while a client still sends would reset the connection under its answer."""
        assert self._transport is not None
        self._ignore = True
        self._pending.clear()
        self._limit = self._loop.time() + LINGER_SECONDS
        if self._unread:
            self._transport.write_eof()
        else:
            self._transport.close()

    def on_message_begin(self) -> None:
        """Parser callback: a request starts."""
        self._current = Exchange(self)
        self._url = b""
        self._head_size = self._held_back = 0
        self._body = []
        self._body_size = 0
        self._in_head = True
        self._limit = self._loop.time() + HEAD_SECONDS

    def on_url(self, url: bytes) -> None:
        """Parser callback: a piece of the target."""
        self._url += url
        self._grow_head(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Parser callback: one header, or one trailer, which may not say what a header does."""
        self._grow_head(len(name) + len(value) + 4)
        if not self._in_head:
            return
        assert self._current is not None
        name, headers = name.lower(), self._current.headers
        if name in headers and name in _ONE_LIST:
            value = b"%b,%b" % (headers[name], value)
        headers[name] = value

    def on_headers_complete(self) -> None:
        """Parser callback: the head is there; refuse what is too large before it arrives."""
        exchange = self._current
        assert exchange is not None
        headers = exchange.headers
        self._in_head = False
        self._head_size = self._held_back = 0
        self._limit = self._loop.time() + BODY_IDLE_SECONDS
        exchange.method = self._parser.get_method()
        exchange.path = path_of(self._url)
        length = headers.get(b"content-length")
        if length is not None and int(length) > MAX_BODY:
            raise too_large()
        if self._parser.get_http_version() == "1.0":
            exchange.stays = b"Connection: keep-alive\r\n"
        elif (expect := headers.get(b"expect")) is not None:
            self._expected(expect)
        if self._parser.should_upgrade():
            self._body_without_parser = int(length or 0)
            if b"transfer-encoding" in headers:
                raise bad("an upgrade request cannot have a chunked body here")
        elif self._head and not exchange.stays and repeatable(self._head, headers, self._parser):
            parsed = Head(exchange.method, exchange.path, headers, int(length or 0))
            self.server.learn(self._head, parsed)
        self._head = None

    def on_body(self, body: bytes) -> None:
        """Parser callback: a piece of the body."""
        self._body_size += len(body)
        if self._body_size > MAX_BODY:
            raise too_large()
        if self._body_size > SMALL and self._current is not None:
            self._current.hold(self._body_size)
        pieces = self._body
        if not pieces or len(body) >= SMALL_PIECE:
            pieces.append(body)
        elif isinstance(pieces[-1], bytearray):
            pieces[-1] += body
        else:  # an object for each of a million pieces would be many times their bytes
            pieces.append(bytearray(body))

    def on_message_complete(self) -> None:
        """Parser callback: hand the request over."""
        if not self._body_without_parser:
            self._complete(self._parser.should_keep_alive())

    def _complete(self, keep_alive: bool) -> None:
        exchange, self._current = self._current, None
        assert exchange is not None
        self._wants_continue = False
        exchange.keep_alive = keep_alive
        body = bytes(self._body[0]) if len(self._body) == 1 else b"".join(self._body)
        self._body = []
        self._take(exchange, body)

    def _take(self, exchange: Exchange, body: bytes) -> None:
        exchange.came_at = time.monotonic()
        pending = self._pending
        pending.append(exchange)
        if len(pending) >= MAX_PIPELINED:
            self._pause(True)
        coding = exchange.headers.get(b"content-encoding")
        if coding is None:
            self._hand_over(exchange, body)
        elif len(body) > PACKED_IN_PLACE:
            unpack(body, coding, partial(self._unpacked, exchange))
        else:
            try:
                body = decoded(body, coding)
            except Fault as fault:
                exchange.refuse(fault)
                return
            self._hand_over(exchange, body)

    def _unpacked(self, exchange: Exchange, done: "asyncio.Future[bytes]") -> None:
        if self.gone or done.cancelled():
            return
        try:
            body = done.result()
        except Fault as fault:
            exchange.refuse(fault)
            return
        self._hand_over(exchange, body)

    def _hand_over(self, exchange: Exchange, body: bytes) -> None:
        if len(body) > SMALL:
            try:
                exchange.hold(len(body))
            except Fault as fault:
                exchange.refuse(fault)
                return
        exchange.body = body
        self.server.handle(exchange, len(body))

    def _feed(self, data: bytes) -> None:
        if self._body_without_parser:
            self._limit = self._loop.time() + BODY_IDLE_SECONDS
            self._after_upgrade(data)
            return
        before, taken = (self._current, self._in_head), self._body_size
        self._parser.feed_data(data)
        if self._current is None:
            return
        if not self._in_head:
            self._limit = self._loop.time() + BODY_IDLE_SECONDS
        if self._body_size > taken:
            self._held_back = 0
        elif before == (self._current, self._in_head):
            # The parser holds an unfinished header or trailer back.
            self._held_back += len(data)
            if self._held_back > MAX_HEAD:
                self._break(_head_too_large())

    def _after_upgrade(self, data: bytes) -> None:
        """No upgrade is offered, so the request is answered as if it had not asked for one."""
        taken = data[: self._body_without_parser]
        try:
            self.on_body(taken)
        except Fault as fault:
            self._break(fault)
            return
        self._body_without_parser -= len(taken)
        if self._body_without_parser:
            return
        self._parser = httptools.HttpRequestParser(self)
        if self._current is not None:
            self._complete(True)
        if rest := data[len(taken) :]:
            self.data_received(rest)

    def _grow_head(self, size: int) -> None:
        self._head_size += size
        if self._head_size > MAX_HEAD:
            raise _head_too_large()

    def _expected(self, expect: bytes) -> None:
        if expect.lower() != b"100-continue":
            raise Fault(417, "only Expect: 100-continue is understood")
        self._wants_continue = True
        if not self._pending:
            self._continue()

    def _continue(self) -> None:
        self._wants_continue = False
        if self._transport is not None:
            self._transport.write(_CONTINUE)

    def _pause(self, pause: bool) -> None:
        if self._transport is None or self._transport.is_closing() or pause == self._paused:
            return
        self._paused = pause
        if pause:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()
            if self._current is not None:
                seconds = HEAD_SECONDS if self._in_head else BODY_IDLE_SECONDS
                self._limit = self._loop.time() + seconds

    def _forget_current(self) -> None:
        self._current = None
        self._body = []

    def _break(self, fault: Fault) -> None:
        """Answer the request that could not be read, after those before it, and close."""
        self._ignore = self._unread = True
        exchange = self._current or Exchange(self)
        self._forget_current()
        exchange.keep_alive = False
        self._pending.append(exchange)
        exchange.refuse(fault)


def _head_too_large() -> Fault:
    return Fault(431, f"the header is larger than {MAX_HEAD} bytes")
