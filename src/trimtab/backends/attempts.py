"""Attempts of a spool as columns: one value an attempt, and the values of their rows in chunks."""

from collections.abc import Sequence
from operator import attrgetter
from typing import Any, NamedTuple

from trimtab.domain.records import FIXED_COLUMNS
from trimtab.ports.logsink import Answered, Entry, Texts

OF_ATTEMPT = tuple(name for name, _ in FIXED_COLUMNS if name not in ("row", "release"))
"""Fixed columns that have one value for all the rows of an attempt."""


class Chunk(NamedTuple):
    """The values of some rows, as in `Entry`; of one attempt, or of some that lie together."""

    rows: int
    inputs: bytes | list[list[Any] | bytes] | None
    key: Texts | None
    outputs: list[bytes | Texts] | None


class AttemptColumns:
    """Attempts of one schema in the order in which they were spooled.

    `rows` is the number of rows of each attempt, `fixed` has a list of as many values for each of
    `OF_ATTEMPT`.
    """

    def __init__(self) -> None:
        self.rows: list[int] = []
        self.fixed: dict[str, list[Any]] = {name: [] for name in OF_ATTEMPT}
        self.chunks: list[Chunk] = []

    def add_entries(self, entries: Sequence[Entry]) -> None:
        """Append single attempts."""
        self.rows += [entry.rows for entry in entries]
        for name, values in self.fixed.items():
            values.extend(map(attrgetter(name), entries))
        self.chunks += [Chunk(e.rows, e.inputs, e.key, e.outputs) for e in entries]

    def add_answered(self, answered: Answered) -> None:
        """Append attempts that were answered together; what they have in common is repeated."""
        rows = answered.rows
        self.rows += rows
        for name, values in self.fixed.items():
            value = getattr(answered, name, None)
            values.extend(value if isinstance(value, list) else [value] * len(rows))
        chunk = Chunk(sum(rows), answered.inputs, answered.key, answered.outputs)
        self.chunks.append(chunk)
