"""Clients that read their answers slowly get them whole; those that do not read at all are left."""

import asyncio
import socket
from collections.abc import Awaitable, Callable

import pytest
from tests.unit.gateway.scenarios import run
from tests.unit.gateway.support import until

from trimtab.gateway import http2_frames as frames
from trimtab.gateway import http2_server
from trimtab.gateway.header_blocks import STATUS_200, literal
from trimtab.gateway.http2 import Stream
from trimtab.gateway.http2_server import Http2Connection, Http2Server
from trimtab.gateway.http11 import (
    KEEP_ALIVE_SECONDS,
    LINGER_SECONDS,
    STALL_SECONDS,
    Connection,
    Exchange,
    HttpServer,
)

BIG = b"x" * (8 * 1024 * 1024)
IN_KERNEL = 64 * 1024
"""Of either buffer of a connection: what is beyond waits in the server."""
CLOSE, STAY = (b"GET / HTTP/1.1\r\n%b\r\n" % line for line in (b"Connection: close\r\n", b""))

_ROOM = frames.settings({frames.Setting.INITIAL_WINDOW_SIZE: frames.MAX_WINDOW})
_CALL = frames.frame(
    frames.HEADERS,
    frames.END_HEADERS | frames.END_STREAM,
    1,
    b"\x83\x86" + literal(b":path", b"/"),
)
CALL = frames.PREFACE + _ROOM + frames.window_update(0, frames.MAX_WINDOW >> 1) + _CALL
"""A call of a client that has room for all of its answer at once."""

Server = HttpServer | Http2Server
Scenario = Callable[[Server, socket.socket], Awaitable[None]]


def answer(exchange: Exchange, _: int) -> None:
    """A large answer, a little later."""
    asyncio.get_running_loop().call_soon(exchange.respond, 200, BIG, b"")


class Answering:
    """`Receiver` of a call whose answer is large."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def data(self, data: bytes) -> None:
        """None is expected."""

    def end(self) -> None:
        """Answer."""
        self._stream.answer(STATUS_200, BIG, literal(b"grpc-status", b"0"))

    def late(self) -> None:
        """It is not."""

    def lost(self) -> None:
        """It is not."""


def asking(scenario: Scenario, sent: bytes) -> None:
    """Run it against a server of large answers and a client that has asked and reads nothing."""

    async def against() -> None:
        loop = asyncio.get_running_loop()
        http = Http2Server(Answering) if sent == CALL else HttpServer(answer)
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, IN_KERNEL)
        async with await loop.create_server(http.connection, sock=listener):
            client = socket.socket()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, IN_KERNEL)
            client.connect(listener.getsockname())
            client.sendall(sent)
            await until(lambda: any(_is_answered(each) for each in http.connections))
            client.setblocking(False)
            await scenario(http, client)
            client.close()
            await until(lambda: not http.connections)

    run(against)


def _is_answered(connection: Connection | Http2Connection) -> bool:
    if isinstance(connection, Http2Connection):
        return connection.http2.settled and connection.busy
    return connection.busy


async def received(client: socket.socket, size: int) -> int:
    """Read until there are so many bytes, or no more come; returns how many there were."""
    count = 0
    while count < size:
        piece = await asyncio.get_running_loop().sock_recv(client, 1 << 20)
        if not piece:
            break
        count += len(piece)
    return count


@pytest.mark.parametrize(
    ("sent", "patience"), [(CLOSE, LINGER_SECONDS), (STAY, KEEP_ALIVE_SECONDS)]
)
def test_an_answer_that_is_read_slowly_arrives_whole(sent: bytes, patience: float) -> None:
    async def scenario(http: Server, client: socket.socket) -> None:
        now = asyncio.get_running_loop().time()
        read = 0
        for _ in range(3):
            now += max(patience, STALL_SECONDS) + 1
            http.tick(now)
            read += await received(client, 1 << 20)
        assert len(http.connections) == 1
        assert read + await received(client, len(BIG) - read) >= len(BIG)

    asking(scenario, sent)


@pytest.mark.parametrize("sent", [CLOSE, STAY, CLOSE + STAY])
def test_a_client_that_reads_nothing_of_its_answer_is_left(sent: bytes) -> None:
    async def scenario(http: Server, client: socket.socket) -> None:
        now = asyncio.get_running_loop().time()
        for wait in (KEEP_ALIVE_SECONDS, STALL_SECONDS, LINGER_SECONDS, LINGER_SECONDS):
            now += wait + 1
            http.tick(now)
            await asyncio.sleep(0)
        await until(lambda: not http.connections)

    asking(scenario, sent)


def test_a_call_whose_answer_is_read_slowly_gets_it_whole() -> None:
    """However much of it the client has room for."""

    async def scenario(http: Server, client: socket.socket) -> None:
        now = asyncio.get_running_loop().time()
        read = 0
        for _ in range(5):
            now += STALL_SECONDS + 1
            http.tick(now)
            read += await received(client, 1 << 20)
        assert read + await received(client, len(BIG) - read) >= len(BIG)

    asking(scenario, CALL)


def test_a_gateway_that_stops_sends_the_rest_of_an_answer_that_is_read_slowly() -> None:
    async def scenario(http: Server, client: socket.socket) -> None:
        http.drain()
        now = asyncio.get_running_loop().time()
        read = 0
        for _ in range(3):
            now += http2_server.LINGER_SECONDS + 1
            http.tick(now)
            read += await received(client, 1 << 20)
        assert http.busy
        assert read + await received(client, len(BIG) - read) >= len(BIG)

    asking(scenario, CALL)


def test_a_gateway_that_stops_leaves_a_client_that_reads_nothing() -> None:
    async def scenario(http: Server, client: socket.socket) -> None:
        http.drain()
        now = asyncio.get_running_loop().time()
        for wait in (http2_server.LINGER_SECONDS, STALL_SECONDS, 0):
            now += wait + 1
            http.tick(now)
            await asyncio.sleep(0)
        await until(lambda: not http.connections)

    asking(scenario, CALL)
