"""Requests that show what is news, drawn from the log beside the control loop.

How much is read is bounded by `samples.Bound`; how long that takes is up to a disk or an object
store. The loop waits a moment, so that usually an incident opens with its requests; what is drawn
later is added to it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping

from trimtab.loop.samples import Told
from trimtab.ports.clock import Clock

log = logging.getLogger(__name__)

PATIENCE = 0.5
"""Seconds that a tick waits for what is drawn for one deployment."""

Key = tuple[str, ...]
"""What is drawn for: the deployment first."""
Draw = Callable[[], Told]
Apart = Callable[[Draw], Awaitable[Told]]


class Drawings:
    """One is drawn at a time, by `apart`, so that a slow log takes one thread and no more."""

    def __init__(self, clock: Clock, apart: Apart = asyncio.to_thread) -> None:
        self._clock = clock
        self._apart = apart
        self._alone = asyncio.Semaphore(1)
        self._tasks: dict[Key, asyncio.Future[Told]] = {}

    async def begin(self, wanted: Mapping[Key, Draw]) -> None:
        """Draw what was not begun before, and wait for that, but not for long."""
        fresh = [key for key in wanted if key not in self._tasks]
        for key in fresh:
            self._tasks[key] = asyncio.ensure_future(self._drawn(key, wanted[key]))
        if not fresh:
            return
        every = asyncio.ensure_future(asyncio.wait([self._tasks[key] for key in fresh]))
        pause = asyncio.ensure_future(self._clock.sleep(PATIENCE))
        try:
            await asyncio.wait((every, pause), return_when=asyncio.FIRST_COMPLETED)
        finally:
            every.cancel()
            pause.cancel()

    async def _drawn(self, key: Key, draw: Draw) -> Told:
        """Nothing when it fails, as where the log cannot be read: news is news without as well."""
        async with self._alone:
            try:
                return await self._apart(draw)
            except Exception as error:
                log.warning("%s: no requests can be shown: %s", key[0], error, exc_info=True)
                return Told()

    def of(self, key: Key) -> Told | None:
        """What was drawn; None while it is not."""
        task = self._tasks.get(key)
        return task.result() if task is not None and task.done() else None

    def keep(self, deployment: str, keys: Collection[Key]) -> None:
        """Forget what was drawn for a deployment besides `keys`; what is being drawn ends first."""
        self._tasks = {
            key: task
            for key, task in self._tasks.items()
            if key[0] != deployment or key in keys or not task.done()
        }
