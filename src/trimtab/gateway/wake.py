"""Asking for the workers of a sleeping deployment: a file that the controller looks for."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from trimtab.domain import layout
from trimtab.gateway.disk import Disk

AGAIN_SECONDS = 0.2


class Waker:
    """Leaves `run/wake/<deployment>` (docs/wire.md), at most five times a second for each."""

    def __init__(self, home: Path, clock: Callable[[], float], disk: Disk) -> None:
        self._home = home
        self._clock = clock
        self._disk = disk
        self._left_at: dict[str, float] = {}

    def wake(self, deployment: str) -> None:
        """Ask; a request that comes in the meantime finds that it was asked."""
        now = self._clock()
        if now - self._left_at.get(deployment, -AGAIN_SECONDS) < AGAIN_SECONDS:
            return
        self._left_at[deployment] = now
        leave = partial(_leave, self._home / layout.wake(deployment))
        self._disk.later("wake.failed", leave, deployment=deployment)


def _leave(path: Path) -> None:
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.touch()
