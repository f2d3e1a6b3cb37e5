"""Connections of the load generator: one request out at a time, nothing parsed that is not needed.

A general HTTP client costs more than the servers it would measure. These read sizes and statuses
only; what an answer holds is judged in `answers`.
"""

import re
import select
import socket
from typing import Protocol

READ = 262_144
_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
_READ_ONLY = select.EPOLLIN
_BOTH = select.EPOLLIN | select.EPOLLOUT


class Broken(ConnectionError):
    """The other side ended the connection, or did not speak the protocol."""


class Line(Protocol):
    """One connection. `due` and `number` are the generator's notes on the request that is out."""

    due: float
    number: int
    counted: bool

    def fileno(self) -> int:
        """The socket's descriptor."""
        ...

    def ask(self, request: bytes) -> None:
        """Send a request. Raises `OSError`."""
        ...

    def received(self, event: int) -> tuple[str, bytes] | None:
        """Status and answer once it is whole, after a socket event. Raises `OSError`."""
        ...

    def close(self) -> None:
        """End the connection."""
        ...


class Wire:
    """A non-blocking socket that finishes what it could not send at once."""

    def __init__(self, port: int, poll: select.epoll) -> None:
        self.due = 0.0
        self.number = 0
        self.counted = False
        self._socket = socket.create_connection(("127.0.0.1", port), 5.0)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        self._socket.setblocking(False)
        self._send = self._socket.send
        self._recv = self._socket.recv
        self._left = memoryview(b"")
        self._poll = poll
        poll.register(self._socket, _READ_ONLY)

    def fileno(self) -> int:
        """The socket's descriptor."""
        return self._socket.fileno()

    def write(self, data: bytes) -> None:
        """Send all of it, now or when the socket takes more."""
        try:
            sent = self._send(data)
        except BlockingIOError:
            sent = 0
        if sent < len(data):
            self._left = memoryview(data)[sent:]
            self._poll.modify(self._socket, _BOTH)

    def read(self, event: int) -> bytes:
        """What came; empty when the event was about sending only. Raises `Broken`."""
        if event & select.EPOLLOUT:
            self._left = self._left[self._send(self._left) :]
            if not self._left:
                self._poll.modify(self._socket, _READ_ONLY)
            if not event & select.EPOLLIN:
                return b""
        data = self._recv(READ)
        if not data:
            raise Broken("closed by the server")
        return data

    def close(self) -> None:
        """End the connection."""
        self._socket.close()


class HttpLine(Wire):
    """HTTP/1.1 with Content-Length, as every server here answers."""

    def __init__(self, port: int, poll: select.epoll) -> None:
        super().__init__(port, poll)
        self._buffer = b""
        self._size = 0
        self.ask = self.write

    def received(self, event: int) -> tuple[str, bytes] | None:
        """Status and the whole answer, head included."""
        data = self.read(event)
        if self._buffer:
            data = self._buffer + data
        if not self._size:
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self._buffer = data
                return None
            found = _LENGTH.search(data, 0, end)
            if found is None:
                raise Broken("an answer without Content-Length")
            self._size = end + 4 + int(found[1])
        if len(data) < self._size:
            self._buffer = data
            return None
        self._buffer, self._size = b"", 0
        return data[9:12].decode(), data
