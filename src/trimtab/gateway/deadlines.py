"""When attempts expire: one timer for all of them, since most end long before."""

import asyncio
import heapq
from collections.abc import Callable, Sequence

from trimtab.gateway.call import Call

GRAIN = 0.002
"""Seconds within which attempts expire together."""


class Deadlines:
    """Calls `expire` for every call whose `due` passes before it is `done` or given another.

    Expiry is late by up to two grains, never early."""

    def __init__(self, expire: Callable[[Call], None]) -> None:
        self._expire = expire
        self._loop = asyncio.get_running_loop()
        self._buckets: dict[int, dict[Call, None]] = {}
        self._order: list[int] = []
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return sum(map(len, self._buckets.values()))

    def set(self, call: Call, due: float) -> None:
        """Let the present attempt of a call expire at `due`, of the event loop's clock."""
        call.due = due
        self.set_all((call,))

    def set_all(self, calls: Sequence[Call]) -> None:
        """Let the present attempts of calls expire when they are `due`."""
        number, bucket = -1, {}
        for call in calls:
            if call.expiry is not None:
                del call.expiry[call]
            due = int(call.due / GRAIN) + 1
            if due != number:
                number, bucket = due, self._bucket(due)
            bucket[call] = None
            call.expiry = bucket

    def clear(self, call: Call) -> None:
        """The call needs no expiry any more."""
        self.clear_all((call,))

    def clear_all(self, calls: Sequence[Call]) -> None:
        """None of these calls needs one any more."""
        for call in calls:
            if call.expiry is not None:
                del call.expiry[call]
                call.expiry = None
                call.due = 0.0

    def _bucket(self, number: int) -> dict[Call, None]:
        bucket = self._buckets.get(number)
        if bucket is None:
            bucket = self._buckets[number] = {}
            heapq.heappush(self._order, number)
            if self._order[0] == number:
                self._arm()
        return bucket

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._order:
            self._timer = self._loop.call_at(self._order[0] * GRAIN, self._pass)

    def _pass(self) -> None:
        now = self._loop.time()
        expired: list[Call] = []
        while self._order and self._order[0] * GRAIN <= now:
            expired += self._buckets.pop(heapq.heappop(self._order))
        self._arm()
        for call in expired:
            call.expiry = None
            call.due = 0.0
            if not call.done:
                self._expire(call)
