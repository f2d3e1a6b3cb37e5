"""The event clock: how far the world may go on, who holds it, and who waits for a moment of it."""

import asyncio
import heapq
from itertools import count


class Gate:
    """The event clock of a replay, in epoch seconds of event time.

    `clock` is the newest moment that was let through. A moment passes when it is not after the
    horizon and nobody holds the clock; those that wait pass in the order of their moments.
    """

    def __init__(self, start: float) -> None:
        self.clock = start
        self._horizon = start
        self._holds: set[str] = set()
        self._order = count()
        self._entering: list[tuple[float, int, asyncio.Future[None]]] = []
        self._awaiting: list[tuple[float, int, asyncio.Future[None]]] = []

    @property
    def holds(self) -> frozenset[str]:
        """The reasons for which the clock stands."""
        return frozenset(self._holds)

    @property
    def horizon(self) -> float:
        """The moment up to which the clock may go."""
        return self._horizon

    def allow(self, moment: float) -> None:
        """The clock may go up to `moment`; it never has to come back."""
        self._horizon = max(self._horizon, moment)
        self._let_in()

    def hold(self, reason: str) -> None:
        """Stop the clock until `reason` is released."""
        self._holds.add(reason)

    def release(self, reason: str) -> None:
        """Take `reason` back; the clock goes on when it was the last."""
        self._holds.discard(reason)
        self._let_in()

    async def enter(self, moment: float) -> None:
        """Return once `moment` may happen; the clock is then at least there."""
        if self._entering or moment > self._horizon or self._holds:
            await self._wait(self._entering, moment)
        self._move(moment)

    async def reached(self, moment: float) -> None:
        """Return once the clock has passed `moment`."""
        if self.clock < moment:
            await self._wait(self._awaiting, moment)

    def finish(self, moment: float) -> None:
        """Nothing more will enter: the clock goes to `moment` whoever holds it."""
        self._move(moment)

    async def _wait(
        self, queue: list[tuple[float, int, asyncio.Future[None]]], moment: float
    ) -> None:
        future = asyncio.get_running_loop().create_future()
        heapq.heappush(queue, (moment, next(self._order), future))
        await future

    def _let_in(self) -> None:
        queue = self._entering
        while queue and not self._holds and queue[0][0] <= self._horizon:
            _wake(heapq.heappop(queue)[2])

    def _move(self, moment: float) -> None:
        self.clock = max(self.clock, moment)
        while self._awaiting and self._awaiting[0][0] <= self.clock:
            _wake(heapq.heappop(self._awaiting)[2])


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
