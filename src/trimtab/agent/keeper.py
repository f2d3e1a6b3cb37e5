"""Keeping one gateway or the controller alive."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from trimtab import errors
from trimtab.agent.backoff import Backoff
from trimtab.agent.options import AgentEvent, Patience, Report
from trimtab.agent.process import Child, Launch

CANNOT_START = 3
"""Exit code of a process that would fail the same way again."""
NOT_YET = 4
"""Exit code of a process that says why it cannot start, and that it may be able to later."""


class Keeper:
    """Starts a process, and again whenever it ends, until it is stopped."""

    def __init__(
        self,
        launch: Callable[[], Launch],
        start: Callable[[Launch], Awaitable[Child]],
        patience: Patience,
        report: Report,
    ) -> None:
        self._launch = launch
        self._start = start
        self._patience = patience
        self._report = report
        self._backoff = Backoff(patience)
        self._stopping = asyncio.Event()
        self._settled = False
        self.child: Child | None = None

    async def run(self) -> None:
        """Keep it alive. Raises `Unavailable` TT-701 when its first start ends with code 3, and
        what the system says where it refuses that one."""
        while not self._stopping.is_set():
            launch, started = self._launch(), time.monotonic()
            child = await self._started(launch)
            if child is None:
                await self._sleep(self._backoff.pause(0.0))
                continue
            self.child = child
            self._report(AgentEvent("started", launch.name, "started", child.pid))
            if self._stopping.is_set():
                await child.stop(self._patience.drain)
            code = await child.wait()
            lived = time.monotonic() - started
            self._settled = self._settled or lived >= self._patience.settled
            if self._stopping.is_set():
                return
            if code == CANNOT_START and not self._settled:
                raise _cannot_start(launch.name, child.last_lines)
            text = f"ended with {code} and is started again"
            if code == NOT_YET:
                text = f"cannot start yet and is tried again: {' · '.join(child.last_lines[-3:])}"
            self._report(AgentEvent("ended", launch.name, text, child.pid))
            await self._sleep(self._backoff.pause(lived))

    async def _started(self, launch: Launch) -> Child | None:
        """A new process; None where the system has no room for another one beside what runs, or
        it is to be stopped."""
        try:
            return await self._start(launch)
        except (errors.TrimtabError, OSError) as problem:
            if self._stopping.is_set():  # What it would have served is closed.
                return None
            if self.child is None:
                raise
            text = f"cannot be started now and is tried again: {problem}"
            self._report(AgentEvent("failed", launch.name, text))
            return None

    async def _sleep(self, seconds: float) -> None:
        if seconds > 0:
            try:
                await asyncio.wait_for(self._stopping.wait(), seconds)
            except TimeoutError:
                return

    async def stop(self) -> None:
        """Drain it and do not start it again."""
        self._stopping.set()
        if self.child is not None:
            await self.child.stop(self._patience.drain)


def _cannot_start(name: str, lines: tuple[str, ...]) -> errors.Unavailable:
    return errors.Unavailable(
        errors.SPAWN_FAILED,
        "start",
        name,
        "\n".join(lines[-10:]) or "it ended at once and said nothing",
        unchanged="everything that had been started was stopped again",
        hint="trimtab check",
    )
