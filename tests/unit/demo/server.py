"""A small server on the loopback for the replay: answers, forgets, and hangs up when told to."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import httptools
import msgspec

from trimtab.demo.connection import Address

OK = 200


@dataclass(frozen=True)
class Asked:
    """One request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return msgspec.json.decode(self.body)


@dataclass(frozen=True)
class Answer:
    """What is sent back; status 0 hangs up instead, after the request was taken in."""

    status: int = OK
    body: bytes = b"{}"
    release: str = ""


Handler = Callable[[Asked], Answer]


def scored(asked: Asked, release: str = "m@1", score: float = 0.25) -> Answer:
    """An inference answer with the same score for every row."""
    rows = asked.json["inputs"][0]["shape"][0]
    output = {"name": "score", "datatype": "FP64", "shape": [rows], "data": [score] * rows}
    body = {"model_name": "m", "id": asked.json["id"], "outputs": [output]}
    return Answer(OK, msgspec.json.encode(body), release)


def accepted(asked: Asked) -> Answer:
    """An answer to labels."""
    return Answer(OK, msgspec.json.encode({"accepted": len(asked.json["labels"])}))


def by_path(asked: Asked) -> Answer:
    """Scores for what is asked, thanks for labels."""
    return accepted(asked) if asked.path.endswith("/feedback") else scored(asked)


@dataclass
class Server:
    """What arrived, in order, and where."""

    handler: Handler = by_path
    asked: list[Asked] = field(default_factory=list)
    address: Address = field(default_factory=lambda: Address("127.0.0.1", 0))
    connections: set[asyncio.Transport] = field(default_factory=set)

    def bodies(self, ending: str) -> list[Any]:
        """The decoded bodies of requests whose path ends so."""
        return [asked.json for asked in self.asked if asked.path.endswith(ending)]


class _Protocol(asyncio.Protocol):
    def __init__(self, server: Server) -> None:
        self._server = server
        self._parser = httptools.HttpRequestParser(self)
        self._url = b""
        self._headers: dict[str, str] = {}
        self._body = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._server.connections.add(self._transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.connections.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        self._url, self._headers, self._body = b"", {}, b""

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode().lower()] = value.decode()

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        method = self._parser.get_method().decode()
        asked = Asked(method, self._url.decode(), self._headers, self._body)
        self._server.asked.append(asked)
        answer = self._server.handler(asked)
        if not answer.status:
            self._transport.abort()
            return
        release = f"X-Trimtab-Release: {answer.release}\r\n" if answer.release else ""
        head = f"HTTP/1.1 {answer.status} X\r\n{release}Content-Length: {len(answer.body)}\r\n\r\n"
        self._transport.write(head.encode() + answer.body)


@contextmanager
def running(server: Server) -> Iterator[Server]:
    """The server on a free port, in a thread of its own."""
    loop = asyncio.new_event_loop()
    ready = threading.Event()

    async def serve() -> None:
        listener = await loop.create_server(lambda: _Protocol(server), "127.0.0.1", 0)
        server.address = Address(*listener.sockets[0].getsockname()[:2])
        ready.set()
        try:
            await listener.serve_forever()
        except asyncio.CancelledError:
            listener.close()
            while server.connections:
                for connection in server.connections:
                    connection.abort()
                await asyncio.sleep(0)

    task = loop.create_task(serve())
    thread = threading.Thread(target=loop.run_until_complete, args=(task,))
    thread.start()
    ready.wait()
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join()
        loop.close()
