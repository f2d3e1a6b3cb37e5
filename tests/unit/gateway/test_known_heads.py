"""Heads that are recognised by their bytes mean what the parser says, however a stream is cut."""

import asyncio
import itertools
from typing import Any, cast

from hypothesis import example, given, settings
from hypothesis import strategies as st

from trimtab.gateway.http11 import Exchange, Head, HttpServer


class NeverLearns(HttpServer):
    """Every head goes through the parser."""

    def learn(self, head: bytes, parsed: Head) -> None:
        """Forget it."""


class Wire:
    """What a connection writes, and whether it closed."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.closing = False

    def write(self, data: bytes) -> None:
        self.sent.append(data)

    def write_eof(self) -> None:
        self.sent.append("end")

    def close(self) -> None:
        self.sent.append("close")
        self.closing = True

    def is_closing(self) -> bool:
        return self.closing

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        """Nothing reads."""

    def resume_reading(self) -> None:
        """Nothing reads."""


def seen(server_type: type[HttpServer], stream: bytes, cuts: list[int], *, twice: bool) -> Any:
    """The exchanges that a stream gives, and the bytes that went back.

    With `twice`, the server has met all of it before, in one piece.
    """
    found: list[Any] = []

    def handle(exchange: Exchange, _: int) -> None:
        facts = (exchange.method, exchange.path, dict(exchange.headers), exchange.body)
        found.append((*facts, exchange.keep_alive))
        exchange.respond(200, exchange.path)

    async def played() -> Any:
        server = server_type(handle)
        if twice:
            connect(server, [stream])
        found.clear()
        edges = sorted({0, len(stream), *(cut % (len(stream) + 1) for cut in cuts)})
        pieces = [stream[a:b] for a, b in itertools.pairwise(edges)]
        return found, connect(server, pieces)

    return asyncio.run(played())


def connect(server: HttpServer, pieces: list[bytes]) -> list[Any]:
    """What goes back over one connection."""
    wire = Wire()
    connection = server.connection()
    connection.connection_made(cast(asyncio.Transport, wire))
    for piece in pieces:
        if wire.closing:
            break
        connection.data_received(piece)
    return wire.sent


BODIES = st.sampled_from([b"", b"{}", b"\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"a" * 40])
HEADERS = st.sampled_from(
    [
        b"Host: x\r\n",
        b"Accept: */*\r\nUser-Agent: y\r\n",
        b"X-A: 1\r\nx-a: 2\r\n",
        b"Connection: keep-alive\r\n",
        b"Connection: close\r\n",
        b"Expect: 100-continue\r\n",
        b"Content-Encoding: identity\r\n",
        b"X-Empty:\r\n",
        b"X-Folded: a\r\n b\r\n",
        b"Bare: line\n",
        b"Upgrade: h2c\r\nConnection: upgrade\r\n",
        b"Content-Length: 2\r\n",
        b"no colon\r\n",
    ]
)
LINES = st.sampled_from(
    [
        b"%b /a HTTP/1.1\r\n",
        b"%b /b?q=1 HTTP/1.1\r\n",
        b"%b http://x/c HTTP/1.1\r\n",
        b"%b /d HTTP/1.0\r\n",
        b"\r\n%b /e HTTP/1.1\r\n",
        b"%b /f HTTP/1.1\n",
        b"%b  /g HTTP/1.1\r\n",
    ]
)


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """One request, mostly a good one."""
    method = draw(st.sampled_from([b"GET", b"POST", b"HEAD", b"get"]))
    head = draw(LINES) % method + b"".join(draw(st.lists(HEADERS, max_size=3)))
    body = draw(BODIES)
    framing = draw(st.sampled_from(["none", "length", "length", "chunked"]))
    if framing == "none":
        return head + b"\r\n"
    if framing == "length":
        return head + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
    return head + b"Transfer-Encoding: chunked\r\n\r\n%b0\r\n\r\n" % chunk


STREAMS = st.lists(requests(), min_size=1, max_size=5).map(b"".join) | st.builds(
    lambda parts, tail: b"".join(parts) + tail, st.lists(requests(), max_size=3), st.binary()
)


@settings(max_examples=300)
@given(STREAMS, st.lists(st.integers(0, 10_000), max_size=12))
@example(b"GET / HTTP/1.1\r\nContent-Length: 4\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\n\r\n", [40])
def test_known_heads_change_nothing(stream: bytes, cuts: list[int]) -> None:
    parsed = seen(NeverLearns, stream, cuts, twice=False)
    assert seen(HttpServer, stream, cuts, twice=False) == parsed
    assert seen(HttpServer, stream, cuts, twice=True) == parsed


@settings(max_examples=100)
@given(STREAMS, st.lists(st.integers(0, 10_000), max_size=12))
def test_where_a_stream_is_cut_changes_nothing(stream: bytes, cuts: list[int]) -> None:
    whole, _ = seen(NeverLearns, stream, [], twice=False)
    cut, _ = seen(HttpServer, stream, cuts, twice=True)
    assert cut == whole


def test_good_requests_are_learnt_and_then_recognised() -> None:
    """Otherwise the properties above would hold for nothing."""
    stream = b"POST /a HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}" * 2

    async def learnt() -> int:
        server = HttpServer(lambda exchange, _: exchange.respond(200, b""))
        connect(server, [stream])
        return len(server.heads)

    assert asyncio.run(learnt()) == 1
