"""Processes that a signal has stopped: they keep their place and do nothing.

Nothing else notices one. It has not ended, its socket still takes connections, no timer of its own
runs out, and what it was asked is only given up when its time is over.
"""

from collections.abc import Iterable

from trimtab.agent.usage import is_stopped

LATE = 2.0
"""A look that comes after so many times the time between two of them: who looks was stopped."""


class Stopped:
    """Which processes were stopped at the last look; whoever does so for a moment is let be.

    Looks are `every` so many seconds apart. Where the agent itself was held, by Ctrl-Z or whoever
    stops a whole tree of processes, the others may go on a moment after it: looking begins anew.
    """

    def __init__(self, every: float) -> None:
        self._every = every
        self._before: frozenset[int] = frozenset()
        self._looked_at: float | None = None

    def still(self, pids: Iterable[int], now: float) -> frozenset[int]:
        """Those that were stopped at the look before this one too; `now` in monotonic seconds."""
        if self._looked_at is not None and now - self._looked_at > LATE * self._every:
            self._before = frozenset()
        self._looked_at = now
        stopped = frozenset(filter(is_stopped, pids))
        found = stopped & self._before
        self._before = stopped
        return found
