"""Requests that have come and wait until the event loop has read what else has.

What one turn of the loop reads off its sockets is begun together, in one pass: what the requests
have in common is then done once. When thousands of clients ask at once, beginning all of that
takes longer than many a request may: meanwhile answers of workers lie unread, workers idle, and
nobody knows how old the next request is. So a pass begins as many as fit into a few milliseconds.
The rest is read off its sockets, which dates it, and waits here.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from math import inf
from typing import Any, TypeVar

PASS_SECONDS = 0.002
"""How long requests are begun in one pass."""
MOST_BYTES = 64 * 1024 * 1024
"""Bytes of bodies that wait; what comes beyond is begun, and may be refused, at once."""
TOGETHER = 32
"""Requests that are begun together, before the time is looked at."""
TOGETHER_BYTES = 32 * 1024
"""About the bytes of their bodies: those that are long take long."""

T = TypeVar("T")
Begin = Callable[[list[Any]], None]
Step = Callable[[float], None]


class Backlog:
    """Calls each `begin` it is given with what came with it, in order; what came in succession for
    the very same one it is given together."""

    def __init__(self, pass_seconds: float = PASS_SECONDS) -> None:
        self._pass_seconds = pass_seconds
        self._waiting: deque[tuple[Begin, Any, int]] = deque()
        self._bytes = 0
        self._steps: deque[Step] = deque()
        self._last: deque[Step] = deque()
        self._scheduled = False
        self.opened = -inf
        """When something last came, of the monotonic clock."""
        self._loop = asyncio.get_running_loop()
        self.behind = False
        """Whether the last pass left something for the next."""
        self.epoch = time.time() - time.monotonic()
        """What to add to monotonic times in this pass for seconds since 1970."""

    def __len__(self) -> int:
        return len(self._waiting)

    def give(self, begin: Callable[[list[T]], None], what: T, size: int) -> None:
        """Let `begin`, which never raises, have `what`, of `size` bytes, in the next pass."""
        if self._waiting and self._bytes + size > MOST_BYTES:
            begin([what])
            return
        self._waiting.append((begin, what, size))
        self._bytes += size
        if not self._scheduled:
            self._schedule()

    def after(self, step: Step) -> None:
        """Call `step` at the end of the present pass or of the next one, with the time
        (monotonic) when what that pass began was first seen to wait."""
        self._steps.append(step)
        if not self._scheduled:
            self._schedule()

    def last(self, step: Step) -> None:
        """The same, but after all that is called by `after` in that pass, whichever came first."""
        self._last.append(step)
        if not self._scheduled:
            self._schedule()

    def _schedule(self) -> None:
        self._scheduled = True
        self.opened = time.monotonic()
        self._loop.call_soon(self._pass)

    def _pass(self) -> None:
        """Begin what fits, one group at least."""
        now = time.monotonic()
        until = now + self._pass_seconds
        self.epoch = time.time() - now
        waiting, steps, last = self._waiting, self._steps, self._last
        try:
            while waiting:
                self._begin_some()
                if time.monotonic() >= until:
                    break
            while steps or last:
                (steps or last).popleft()(self.opened)
        finally:  # whatever went wrong, what waits goes on
            self._scheduled = False
            self.behind = bool(waiting)
            if waiting or steps or last:
                self._schedule()

    def _begin_some(self) -> None:
        waiting = self._waiting
        begin, what, size = waiting.popleft()
        together, held = [what], size
        while waiting and len(together) < TOGETHER and held < TOGETHER_BYTES:
            following, what, size = waiting[0]
            if following is not begin:
                break
            waiting.popleft()
            together.append(what)
            held += size
        self._bytes -= held
        begin(together)
