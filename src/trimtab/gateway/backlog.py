"""Requests that have come and wait until the event loop has time to begin them.

In one pass the loop hands over all that its sockets hold. When thousands of clients ask at once,
beginning all of that takes longer than many a request may: meanwhile answers of workers lie unread,
workers idle, and nobody knows how old the next request is. So a pass begins as many as fit into a
few milliseconds. The rest is read off its sockets, which dates it, and waits here.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

PASS_SECONDS = 0.002
"""How long requests are begun in one pass of the event loop."""
MOST_BYTES = 64 * 1024 * 1024
"""Bytes of bodies that wait; what comes beyond is begun, and may be refused, at once."""

T = TypeVar("T")
Begin = Callable[[Any], None]


class Backlog:
    """Calls each `begin` it is given once with what came with it, in order, at once while the
    present pass has time."""

    def __init__(self, pass_seconds: float = PASS_SECONDS) -> None:
        self._pass_seconds = pass_seconds
        self._waiting: deque[tuple[Begin, Any, int]] = deque()
        self._bytes = 0
        self._until = 0.0
        self._in_pass = False
        self._loop = asyncio.get_running_loop()

    def __len__(self) -> int:
        return len(self._waiting)

    def give(self, begin: Callable[[T], None], what: T, size: int) -> None:
        """Call `begin` now or in a later pass; it never raises. `what` has `size` bytes."""
        if not self._in_pass:
            self._open()
        busy = self._waiting or time.monotonic() >= self._until
        if busy and self._bytes + size <= MOST_BYTES:
            self._waiting.append((begin, what, size))
            self._bytes += size
        else:
            begin(what)

    def _open(self) -> None:
        self._in_pass = True
        self._until = time.monotonic() + self._pass_seconds
        self._loop.call_soon(self._close)

    def _close(self) -> None:
        """The next pass, should anything wait, begins with that, and with one request at least."""
        self._in_pass = False
        if not self._waiting:
            return
        self._open()
        while self._waiting:
            begin, what, size = self._waiting.popleft()
            self._bytes -= size
            begin(what)
            if time.monotonic() >= self._until:
                return
