"""Clients that read their answers slowly get them whole; those that do not read at all are left."""

import asyncio
import socket
from collections.abc import Awaitable, Callable

import pytest
from tests.unit.gateway.scenarios import run
from tests.unit.gateway.support import until

from trimtab.gateway.http11 import (
    KEEP_ALIVE_SECONDS,
    LINGER_SECONDS,
    STALL_SECONDS,
    Exchange,
    HttpServer,
)

BIG = b"x" * (8 * 1024 * 1024)
IN_KERNEL = 64 * 1024
"""Of either buffer of a connection: what is beyond waits in the server."""
CLOSE, STAY = (b"GET / HTTP/1.1\r\n%b\r\n" % line for line in (b"Connection: close\r\n", b""))

Scenario = Callable[[HttpServer, socket.socket], Awaitable[None]]


def asking(scenario: Scenario, sent: bytes) -> None:
    """Run it against a server of large answers and a client that has asked and reads nothing."""

    def answer(exchange: Exchange, _: int) -> None:
        asyncio.get_running_loop().call_soon(exchange.respond, 200, BIG, b"")

    async def against() -> None:
        loop = asyncio.get_running_loop()
        http = HttpServer(answer)
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, IN_KERNEL)
        async with await loop.create_server(http.connection, sock=listener):
            client = socket.socket()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, IN_KERNEL)
            client.connect(listener.getsockname())
            client.sendall(sent)
            await until(lambda: any(each.busy for each in http.connections))
            client.setblocking(False)
            await scenario(http, client)
            client.close()
            await until(lambda: not http.connections)

    run(against)


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
    async def scenario(http: HttpServer, client: socket.socket) -> None:
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
    async def scenario(http: HttpServer, client: socket.socket) -> None:
        now = asyncio.get_running_loop().time()
        for wait in (KEEP_ALIVE_SECONDS, STALL_SECONDS, LINGER_SECONDS, LINGER_SECONDS):
            now += wait + 1
            http.tick(now)
            await asyncio.sleep(0)
        await until(lambda: not http.connections)

    asking(scenario, sent)
