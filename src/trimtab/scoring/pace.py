"""How many requests are under way at once: more while the server takes them, half when it does not.

Additive increase, multiplicative decrease, as in TCP's congestion control (Jacobson, 1988).
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

FIRST = 2.0
LEAST = 1.0


class Pace:
    """Lets up to `limit` threads pass; `most` is what the limit may grow to."""

    def __init__(self, most: int) -> None:
        self.limit = min(FIRST, float(most))
        self._most = most
        self._running = 0
        self._changed = threading.Condition()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for one's turn, and give it back."""
        with self._changed:
            self._changed.wait_for(lambda: self._running < int(self.limit))
            self._running += 1
        try:
            yield
        finally:
            with self._changed:
                self._running -= 1
                self._changed.notify_all()

    def taken(self) -> None:
        """The server answered at once."""
        with self._changed:
            self.limit = min(self.limit + 1 / self.limit, self._most)
            self._changed.notify_all()

    def refused(self) -> None:
        """The server had no room or no time."""
        with self._changed:
            self.limit = max(self.limit / 2, LEAST)
