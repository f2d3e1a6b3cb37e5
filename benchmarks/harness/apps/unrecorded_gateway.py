"""A gateway of a running system that records nothing: what recording costs is seen beside it.

usage: python unrecorded_gateway.py HOME FD
"""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from trimtab.gateway import main as gateway
from trimtab.gateway.main import GatewayOptions, serve

INDEX = 90
"""Of a gateway that the agent does not know."""


class Unrecorded:
    """In the place of the recorder: answers leave in the same turn, and nothing is kept."""

    def __init__(self, sink: Any, meter: Any, log: Any) -> None:
        self._loop = asyncio.get_running_loop()
        self._answers: list[Callable[[], None]] = []

    def add(self, *row: Any, **more: Any) -> None:
        """Forget a row."""

    def then(self, answer: Callable[[], None]) -> None:
        """Answer with all others of this turn."""
        if not self._answers:
            self._loop.call_soon(self._commit)
        self._answers.append(answer)

    def _commit(self) -> None:
        answers, self._answers = self._answers, []
        for answer in answers:
            answer()

    async def add_labels(self, block: Any) -> None:
        """Forget labels."""

    async def flush(self) -> None:
        """Nothing waits."""

    async def close(self) -> None:
        """Nothing is open."""


class NoLog:
    """A request log that is never written."""

    def recover(self, index: int) -> int:
        """Nothing is left of another process."""
        return 0


if __name__ == "__main__":
    gateway.Recorder = Unrecorded  # type: ignore[assignment, misc]
    home, listener = Path(sys.argv[1]), int(sys.argv[2])
    options = GatewayOptions(home=home, index=INDEX, listener=listener)
    sys.exit(serve(options, lambda folder, writer: NoLog()))  # type: ignore[arg-type, return-value]
