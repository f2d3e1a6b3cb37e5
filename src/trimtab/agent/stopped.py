"""Processes that a signal has stopped: they keep their place and do nothing.

Nothing else notices one. It has not ended, its socket still takes connections, no timer of its own
runs out, and what it was asked is only given up when its time is over.
"""

from collections.abc import Iterable

from trimtab.agent.usage import is_stopped


class Stopped:
    """Which processes were stopped at the last look; whoever does so for a moment is let be."""

    def __init__(self) -> None:
        self._before: frozenset[int] = frozenset()

    def still(self, pids: Iterable[int]) -> frozenset[int]:
        """Those that were stopped at the look before this one too."""
        now = frozenset(filter(is_stopped, pids))
        found = now & self._before
        self._before = now
        return found
