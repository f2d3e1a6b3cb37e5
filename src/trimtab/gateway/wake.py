"""Asking for the workers of a sleeping deployment: a file that the controller looks for."""

from collections.abc import Callable
from pathlib import Path

from trimtab.domain import layout
from trimtab.gateway.logs import Log

AGAIN_SECONDS = 0.2


class Waker:
    """Leaves `run/wake/<deployment>` (docs/wire.md), at most five times a second for each."""

    def __init__(self, home: Path, clock: Callable[[], float], log: Log) -> None:
        self._home = home
        self._clock = clock
        self._log = log
        self._left_at: dict[str, float] = {}

    def wake(self, deployment: str) -> None:
        """Ask; a request that comes in the meantime finds that it was asked."""
        now = self._clock()
        if now - self._left_at.get(deployment, -AGAIN_SECONDS) < AGAIN_SECONDS:
            return
        self._left_at[deployment] = now
        path = self._home / layout.wake(deployment)
        try:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            path.touch()
        except OSError as error:
            self._log.error("wake.failed", deployment=deployment, error=str(error))
