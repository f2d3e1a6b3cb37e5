"""Large bodies are read in turns, between which the event loop answers everybody else."""

from collections.abc import Iterator

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
