"""Large bodies are read and written in turns, between which the event loop answers the others."""

import asyncio
from collections.abc import Callable, Iterator

LENGTHY = 256 * 1024
"""Bytes of a body from which on it is read in turns, where reading takes Python's own time."""

TURN_CELLS = 4096
"""Values of a turn, which takes a few milliseconds."""


class Lengthy(Exception):
    """The values of a call have to be read in turns first; after the last one they are there.

    Every step of `turns` is one turn; it never raises.
    """

    def __init__(self, turns: Iterator[None]) -> None:
        super().__init__("the values have to be read in turns")
        self.turns = turns


def sent_in_turns(
    parts: Iterator[bytes], send: Callable[[bytes, bytes], None], headers: bytes
) -> asyncio.Task[None]:
    """Make a body part by part, then `send` it with `headers`; its task, to be kept meanwhile."""
    return asyncio.get_running_loop().create_task(_sent(parts, send, headers))


async def _sent(
    parts: Iterator[bytes], send: Callable[[bytes, bytes], None], headers: bytes
) -> None:
    made: list[bytes] = []
    for part in parts:
        made.append(part)
        await asyncio.sleep(0)
    send(b"".join(made), headers)
