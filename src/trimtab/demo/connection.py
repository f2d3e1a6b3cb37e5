"""One keep-alive HTTP/1.1 connection, one request at a time, without more than that needs.

A general client costs several times what the gateway spends on a request, and would make the
replay measure itself.
"""

import asyncio
from dataclasses import dataclass
from typing import cast
from urllib.parse import urlsplit

import httptools

RETRIED_STATUS = frozenset({429, 502, 503})
_FIRST_PAUSE = 0.02
_LONGEST_PAUSE = 0.5
_RELEASE = b"x-trimtab-release"


class Lost(ConnectionError):
    """The connection ended before the whole answer had come."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer. `release` is the `X-Trimtab-Release` header; `attempts` counts what was sent.

    Status 0 means that no answer came before the deadline."""

    status: int
    release: str
    body: bytes
    attempts: int = 1


@dataclass(frozen=True, slots=True)
class Address:
    """Where a listener is."""

    host: str
    port: int

    @classmethod
    def of(cls, url: str) -> "Address":
        """The address in an http:// URL."""
        parts = urlsplit(url)
        return cls(parts.hostname or "127.0.0.1", parts.port or 80)

    def head(self, method: str, path: str, headers: bytes = b"") -> bytes:
        """A request up to the value of Content-Length, which is the caller's to add.

        `headers` are further lines, each with its end."""
        start = f"{method} {path} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\n".encode()
        return start + headers + b"Content-Type: application/json\r\nContent-Length: "


class _Exchange(asyncio.Protocol):
    """The protocol of one connection; `answer` is pending while a request is out."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.answer: asyncio.Future[Reply] | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._begin()

    def _begin(self) -> None:
        self._release = ""
        self._parts: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        if self.answer is not None and not self.answer.done():
            self.answer.set_exception(Lost("connection lost"))

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.close()

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == _RELEASE:
            self._release = value.decode()

    def on_body(self, body: bytes) -> None:
        self._parts.append(body)

    def on_message_complete(self) -> None:
        if self.answer is not None and not self.answer.done():
            status = self._parser.get_status_code()
            self.answer.set_result(Reply(status, self._release, b"".join(self._parts)))
        if not self._parser.should_keep_alive():
            self.close()

    async def send(self, data: bytes) -> Reply:
        """The answer to `data`; raises `Lost`."""
        if self.transport is None:
            raise Lost("not connected")
        self._begin()
        self.answer = asyncio.get_running_loop().create_future()
        self.transport.write(data)
        return await self.answer

    def close(self) -> None:
        if self.transport is not None:
            self.transport.abort()


class Line:
    """A connection that is opened again whenever it is lost. One caller at a time."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._exchange: _Exchange | None = None

    async def call(self, head: bytes, body: bytes, seconds: float) -> Reply:
        """The answer to one request, sent again, the same, until `seconds` have passed."""
        data = b"%b%d\r\n\r\n%b" % (head, len(body), body)
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        pause, attempts, reply = _FIRST_PAUSE, 0, Reply(0, "", b"")
        while True:
            attempts += 1
            try:
                async with asyncio.timeout_at(end):
                    reply = await self._send(data)
            except (OSError, TimeoutError):
                self.close()
                reply = Reply(0, "", b"")
            except asyncio.CancelledError:
                # The answer that is on its way would be taken for that of the next request.
                self.close()
                raise
            settled = reply.status and reply.status not in RETRIED_STATUS
            if settled or loop.time() + pause >= end:
                return Reply(reply.status, reply.release, reply.body, attempts)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)

    async def _send(self, data: bytes) -> Reply:
        if self._exchange is None or self._exchange.transport is None:
            loop = asyncio.get_running_loop()
            address = self._address
            _, self._exchange = await loop.create_connection(_Exchange, address.host, address.port)
        return await self._exchange.send(data)

    def close(self) -> None:
        """Close the connection; the next call opens it again."""
        if self._exchange is not None:
            self._exchange.close()
            self._exchange = None
