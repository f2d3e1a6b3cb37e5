"""Posting to a collector: one request over a connection of its own, and its answer."""

import asyncio
import contextlib
import gzip
import ssl
from base64 import b64encode
from dataclasses import dataclass, field
from urllib.parse import SplitResult, unquote, urlsplit

import httptools

from trimtab.domain.otel import Destination

MOST_ANSWER = 64 * 1024
_PORTS = {"http": 80, "https": 443}
_TRY_AGAIN = frozenset((429, 502, 503, 504))
"""Statuses that OTLP/HTTP calls retryable."""


@dataclass(slots=True)
class Reply:
    """What a collector said. `pause` is how many seconds it asks to be left alone."""

    status: int = 0
    pause: float = 0.0
    body: bytes = b""
    whole: bool = False

    @property
    def taken(self) -> bool:
        """Whether it took what was sent, or some of it."""
        return 200 <= self.status < 300

    @property
    def try_again(self) -> bool:
        """Whether it may take the same later."""
        return self.status in _TRY_AGAIN


class Collector:
    """A place that OTLP is posted to. `shown` is its URL without what may be a secret in it."""

    def __init__(self, to: Destination) -> None:
        self._to = to
        parts = urlsplit(to.url)
        self._host = parts.hostname or ""
        self._port = parts.port or _PORTS[parts.scheme]
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        given = {name: value for name, value in to.headers.items() if name.lower() not in _OWN}
        host = parts.netloc.rpartition("@")[2]
        self.shown = f"{parts.scheme}://{host}{parts.path}"
        headers = {
            "Host": host,
            "User-Agent": "trimtab",
            "Content-Type": "application/x-protobuf",
            **({"Content-Encoding": "gzip"} if to.compressed else {}),
            **(_login(parts) if "authorization" not in map(str.lower, given) else {}),
            **given,
            "Connection": "close",
        }
        lines = [f"POST {path} HTTP/1.1", *(f"{name}: {headers[name]}" for name in headers)]
        self._head = "\r\n".join(lines).encode("latin-1", "replace")
        self._tls: ssl.SSLContext | None = None
        self._secure = parts.scheme == "https"

    async def post(self, message: bytes) -> Reply:
        """Send a message. Raises `OSError` when nobody answers within the time that is set."""
        if self._to.compressed:  # zlib lets other threads run
            message = await asyncio.to_thread(gzip.compress, message, 6)
        try:
            async with asyncio.timeout(self._to.timeout_seconds):
                return await self._exchange(message)
        except TimeoutError:
            raise OSError(f"no answer within {self._to.timeout_seconds:g} s") from None

    async def _exchange(self, message: bytes) -> Reply:
        if self._secure and self._tls is None:
            self._tls = await asyncio.to_thread(
                ssl.create_default_context, cafile=self._to.certificate or None
            )
        reader, writer = await asyncio.open_connection(self._host, self._port, ssl=self._tls)
        try:
            writer.write(b"%b\r\nContent-Length: %d\r\n\r\n" % (self._head, len(message)))
            writer.write(message)
            await writer.drain()
            return await _reply(reader)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


def _login(parts: SplitResult) -> dict[str, str]:
    """Name and password that stand in a URL, as a header (RFC 7617)."""
    given, there, _ = parts.netloc.rpartition("@")
    code = b64encode(unquote(given).encode()).decode()
    return {"Authorization": f"Basic {code}"} if there else {}


_OWN = frozenset(("host", "connection", "content-length", "content-encoding", "transfer-encoding"))


async def _reply(reader: asyncio.StreamReader) -> Reply:
    """The answer; raises `OSError` when there is none, or none that can be read."""
    heard = _Heard()
    parser = httptools.HttpResponseParser(heard)
    try:
        while not heard.reply.whole and len(heard.reply.body) <= MOST_ANSWER:
            data = await reader.read(MOST_ANSWER)
            if not data:
                break
            parser.feed_data(data)
    except httptools.HttpParserError as error:
        raise OSError(f"the answer is not HTTP: {error}") from error
    if not heard.whole_head:
        raise OSError("the connection ended without an answer")
    heard.reply.status = parser.get_status_code()
    return heard.reply


@dataclass(slots=True)
class _Heard:
    """Callbacks of the parser."""

    reply: Reply = field(default_factory=Reply)
    whole_head: bool = False

    def on_headers_complete(self) -> None:
        """The status is known."""
        self.whole_head = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """A pause is asked for in whole seconds; a date is as good as nothing."""
        if name.lower() == b"retry-after" and value.isdigit():
            self.reply.pause = float(value)

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self.reply.body += body

    def on_message_complete(self) -> None:
        """Nothing follows."""
        self.reply.whole = True
