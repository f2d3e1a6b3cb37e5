"""A gateway of a running system that records nothing: what recording costs is seen beside it.

usage: python unrecorded_gateway.py HOME FD
"""

import sys
from pathlib import Path
from typing import Any

from trimtab.gateway import main as gateway
from trimtab.gateway.main import GatewayOptions, serve
from trimtab.gateway.record import Recorder

INDEX = 90
"""Of a gateway that the agent does not know."""


class Unrecorded(Recorder):
    """In the place of the recorder: answers leave in the same turn, and nothing is kept."""

    def add(self, *row: Any, **more: Any) -> None:
        """Forget a row."""

    def add_answered(self, *rows: Any, **more: Any) -> None:
        """Forget rows."""

    async def add_labels(self, block: Any) -> None:
        """Forget labels."""

    async def flush(self) -> None:
        """Nothing waits."""

    def close(self) -> None:
        """Nothing is open."""


class NoLog:
    """A request log that is never written."""

    def recover(self, index: int) -> int:
        """Nothing is left of another process."""
        return 0


if __name__ == "__main__":
    gateway.Recorder = Unrecorded  # type: ignore[misc]
    home, listener = Path(sys.argv[1]), int(sys.argv[2])
    options = GatewayOptions(home=home, index=INDEX, listener=listener)
    sys.exit(serve(options, lambda folder, writer: NoLog()))  # type: ignore[arg-type, return-value]
