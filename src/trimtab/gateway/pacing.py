"""Refusals leave no faster than answers can bear: under a flood they would cost more than the work.

To read a request and refuse it costs about half of what it costs to answer it. Whoever asks again
at once when it is refused – or asks from thousands of connections – could so take all of the
gateway's time for refusals. Beyond a rate they therefore wait for their turn, and a connection
whose refusal waits asks nothing else. The rate is lower while the gateway itself is behind.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable

RATE = 3000.0
"""Refusals a second; about a tenth of a core."""
RATE_BEHIND = 1000.0
"""Refusals a second while requests wait for the gateway, which has nothing to spare."""
BURST = 300.0
"""Refusals that leave at once after a time without any."""
TICK_SECONDS = 0.01

Leave = Callable[[], None]


class Pacer:
    """Calls each `leave` it is given once, in order, beyond a burst at a rate.

    `rate` tells how many a second may leave at present."""

    def __init__(self, rate: Callable[[], float], burst: float = BURST) -> None:
        self._rate = rate
        self._burst = burst
        self._left = burst
        self._filled_at = time.monotonic()
        self._waiting: deque[Leave] = deque()
        self._loop = asyncio.get_running_loop()

    def __len__(self) -> int:
        return len(self._waiting)

    def give(self, leave: Leave) -> None:
        """Call `leave` now, or when it is its turn."""
        if not self._waiting and self._take():
            leave()
            return
        self._waiting.append(leave)
        if len(self._waiting) == 1:
            self._loop.call_later(TICK_SECONDS, self._release)

    def _take(self) -> bool:
        if self._left < 1.0:
            now = time.monotonic()
            self._left = min(self._left + (now - self._filled_at) * self._rate(), self._burst)
            self._filled_at = now
            if self._left < 1.0:
                return False
        self._left -= 1.0
        return True

    def _release(self) -> None:
        try:
            while self._waiting and self._take():
                self._waiting.popleft()()
        finally:
            if self._waiting:
                self._loop.call_later(TICK_SECONDS, self._release)
