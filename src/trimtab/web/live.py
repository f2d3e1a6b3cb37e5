"""What the pages share: a look at the system, and the recent evidence, sampled by the second."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from trimtab import errors
from trimtab.loop.history import History
from trimtab.views.seen import Seen
from trimtab.web.ports import AdminSource, Control
from trimtab.web.trace import Trace

SAMPLE_SECONDS = 1.0
SAMPLES_KEPT_TOGETHER = 30


class Live:
    """One per listener. Everything runs on its event loop.

    `kept` is the file in which the evidence outlives this process; None for nowhere."""

    def __init__(
        self,
        control: Control,
        source: AdminSource,
        interval: float = SAMPLE_SECONDS,
        kept: Path | None = None,
    ) -> None:
        self.control = control
        self.source = source
        self.interval = interval
        self.trace = Trace()
        self.stopping = asyncio.Event()
        self.history = History(source.past)
        self._kept = kept

    def look(self) -> Seen:
        """A fresh look, which also lengthens the evidence."""
        seen = self.source.seen()
        self.trace.sample(seen)
        return seen

    async def pause(self) -> bool:
        """Wait one interval; False when the listener is stopping."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.stopping.wait(), self.interval)
        return not self.stopping.is_set()

    @contextlib.asynccontextmanager
    async def sampling(self) -> AsyncIterator[None]:
        """Sample evidence for as long as the listener runs."""
        self._recall()
        task = asyncio.create_task(self._sample())
        try:
            yield
        finally:
            self.stopping.set()
            await task
            self._keep()

    async def _sample(self) -> None:
        samples = 0
        while await self.pause():
            # What cannot be seen now is a gap in a chart, and every page says why by itself.
            with contextlib.suppress(errors.TrimtabError):
                self.look()
            samples += 1
            if samples % SAMPLES_KEPT_TOGETHER == 0:
                self._keep()

    def _recall(self) -> None:
        if self._kept is not None:
            # A chart that begins again is no reason not to start.
            with contextlib.suppress(OSError, ValueError):
                self.trace.restore(self._kept.read_bytes())

    def _keep(self) -> None:
        if self._kept is not None:
            unfinished = self._kept.with_suffix(".tmp")
            with contextlib.suppress(OSError):
                unfinished.write_bytes(self.trace.dump())
                unfinished.rename(self._kept)
