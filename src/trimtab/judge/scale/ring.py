"""Counts by the time they belong to, for as long as they matter."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from trimtab.domain.records import Floats


class Ring:
    """The newest `size` slots of `width` seconds, each holding numbers of `shape`."""

    def __init__(self, width: float, size: int, shape: tuple[int, ...] = ()) -> None:
        self.width = width
        self.size = size
        self.last = 0
        """Number of the newest slot; slot k begins at k · width, epoch seconds."""
        self._held: NDArray[np.float64] = np.zeros((size, *shape))

    def turn(self, now: float) -> None:
        """Let time pass up to `now`; times up to two seconds later may then be added.

        A clock that went back by more than is held begins anew: what it held has not been yet."""
        last = int((now + 2.0) / self.width)
        if last <= self.last - self.size:
            self._held[:] = 0.0
            self.last = last
        elif last > self.last:
            gone = np.arange(max(self.last, last - self.size) + 1, last + 1)
            self._held[gone % self.size] = 0.0
            self.last = last

    def add(self, times: Floats, values: Floats | float | None = None, where: Any = 0) -> None:
        """Add `values`, or one, at each of `times`, at the places `where` within a slot:
        (times, places), or what numpy makes that of. Times must not be newer than `turn` allows;
        what is too old to be held is left out."""
        slots = (times / self.width).astype(np.int64)
        oldest = self.last - self.size + 1
        if not slots.size or (last := int(slots.max())) < oldest:
            return
        earliest = int(slots.min())
        first, inner = max(earliest, oldest), self._held[0].size
        places = (slots - first)[:, None] * inner + where
        weights = None if values is None else np.broadcast_to(values, places.shape)
        if earliest < oldest:
            held = slots >= oldest
            places, weights = places[held], None if weights is None else weights[held]
        # Times of one call lie together: they are counted in the few slots that they span.
        span = last - first + 1
        flat = None if weights is None else weights.ravel()
        found = np.bincount(places.ravel(), flat, span * inner)
        into = np.arange(first, first + span) % self.size
        self._held[into] += found.reshape(span, *self._held.shape[1:])

    def before(self, until: float, seconds: float) -> NDArray[np.float64]:
        """The slots of the last `seconds` up to that of `until`, oldest first; at least one.

        Of a time so long ago that nothing is held of it, that one is empty."""
        last = int(until / self.width)
        first = last - max(1, int(seconds / self.width)) + 1
        held = np.arange(max(first, self.last - self.size + 1), last + 1)
        return self._held[held % self.size] if held.size else np.zeros_like(self._held[:1])

    def dump(self) -> tuple[int, tuple[float, ...]]:
        """The number of the newest slot, and all slots up to it, oldest first."""
        slots = np.arange(self.last - self.size + 1, self.last + 1)
        return self.last, tuple(self._held[slots % self.size].tolist())

    def load(self, last: int, held: tuple[float, ...]) -> None:
        """Go on from a dump."""
        self.last = last
        slots = np.arange(last - len(held) + 1, last + 1)[-self.size :]
        self._held[slots % self.size] = held[-self.size :]
