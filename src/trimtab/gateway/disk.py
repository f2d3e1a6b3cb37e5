"""Work that may have to wait for a disk, beside the event loop.

To rename a file over another can take a quarter of a second: the file system gives the blocks of
the other back to the device, and waits for it. Whatever creates, renames, lists or reads files is
done here, by one thread and so in the order in which it was asked for. What a request itself needs
of the disk is one append to a file that is open.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from trimtab.gateway.logs import Log

T = TypeVar("T")


class Disk:
    """One thread for the files of a gateway. Made and used on the event loop."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._thread = ThreadPoolExecutor(1, "disk")

    async def do(self, work: Callable[[], T]) -> T:
        """What `work` returns or raises, once all that was asked for before is done."""
        return await self._loop.run_in_executor(self._thread, work)

    def later(self, event: str, work: Callable[[], object], **facts: object) -> None:
        """Do `work` when its turn comes; that it failed is logged as `event` with `facts`."""

        def told(done: Future[object]) -> None:
            error = done.exception()
            if error is not None:
                self._log.error(event, error=str(error), **facts)

        self._thread.submit(work).add_done_callback(told)

    def close(self) -> None:
        """Return when everything is done; blocks."""
        self._thread.shutdown()
