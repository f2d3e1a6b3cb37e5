"""Attempts of a spool, in the order in which they were spooled."""

from collections.abc import Sequence
from functools import cached_property
from itertools import chain, repeat
from typing import Any, NamedTuple

import numpy as np

from trimtab.domain.records import Ints
from trimtab.ports.logsink import Attempts, Entry, Texts


class Chunk(NamedTuple):
    """The values of some rows, as in `Entry`; of one attempt, or of some that lie together."""

    rows: int
    inputs: bytes | list[list[Any] | bytes] | None
    key: Texts | None
    outputs: list[bytes | Texts] | None


class AttemptParts:
    """Attempts of one schema: `parts` hold one each, or some that were answered together.

    `rows` are the rows of each attempt, `attempts` the attempts of each part.
    """

    def __init__(self, parts: Sequence[Attempts]) -> None:
        self.parts = parts
        rows = [[part.rows] if isinstance(part, Entry) else part.rows for part in parts]
        self.rows: Ints = np.array(list(chain.from_iterable(rows)), dtype=np.int64)
        self.attempts: Ints = np.array(list(map(len, rows)), dtype=np.int64)
        self._sizes = np.add.reduceat(self.rows, np.cumsum(self.attempts) - self.attempts)

    @property
    def total(self) -> int:
        """Rows of all attempts."""
        return int(self.rows.sum())

    @cached_property
    def by_attempt(self) -> Ints | None:
        """The attempt of each row; None where each attempt has one."""
        alone = self.total == len(self.rows)
        return None if alone else np.repeat(np.arange(len(self.rows)), self.rows)

    @cached_property
    def by_part(self) -> Ints:
        """The part of each row."""
        return np.repeat(np.arange(len(self.parts)), self._sizes)

    def said(self, name: str) -> list[Any]:
        """What each part says of a column: a value, or a list or packed floats of its attempts'."""
        return [getattr(part, name, None) for part in self.parts]

    def each(self, said: Sequence[Any]) -> list[Any]:
        """One value an attempt of what parts say."""
        pairs = zip(said, self.attempts.tolist(), strict=True)
        return list(chain.from_iterable(_told(value, count) for value, count in pairs))

    def chunks(self) -> list[Chunk]:
        """The values of the rows."""
        pairs = zip(self.parts, self._sizes.tolist(), strict=True)
        return [Chunk(rows, part.inputs, part.key, part.outputs) for part, rows in pairs]


def _told(said: Any, count: int) -> Any:
    """The values of a part's attempts."""
    if isinstance(said, bytes):
        return np.frombuffer(said, dtype="<f8").tolist()
    return said if isinstance(said, list) else repeat(said, count)
