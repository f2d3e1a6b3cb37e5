"""Attempts of a spool, in the order in which they were spooled."""

from collections.abc import Sequence
from functools import cached_property
from itertools import chain, groupby, repeat
from typing import Any, NamedTuple

import msgspec
import numpy as np

from trimtab.domain.records import Ints
from trimtab.ports.logsink import Attempts, Bytes, Entry, Texts

PACKED = (bytes, memoryview)
"""What numbers are packed into."""


class Chunk(NamedTuple):
    """The values of some rows, as in `Entry`; of one attempt, or of some that lie together."""

    rows: int
    inputs: Bytes | list[list[Any] | Bytes] | None
    key: Texts | None
    outputs: list[Bytes | Texts] | None


class AttemptParts:
    """Attempts of one schema: `parts` hold one each, or some that were answered together.

    `rows` are the rows of each attempt, `attempts` the attempts of each part.
    """

    def __init__(self, parts: Sequence[Attempts]) -> None:
        self._columns = _columns(parts)
        rows = [[said] if isinstance(said, int) else said for said in self._columns["rows"]]
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
        return np.repeat(np.arange(len(self.attempts)), self._sizes)

    def said(self, name: str) -> list[Any]:
        """What each part says of a column: a value, or a list or packed floats of its attempts'."""
        return self._columns[name]

    def each(self, said: Sequence[Any]) -> list[Any]:
        """One value an attempt of what parts say."""
        pairs = zip(said, self.attempts.tolist(), strict=True)
        return list(chain.from_iterable(_told(value, count) for value, count in pairs))

    def chunks(self) -> list[Chunk]:
        """The values of the rows."""
        held = (self._columns[name] for name in Chunk._fields[1:])
        return list(map(Chunk, self._sizes.tolist(), *held))


def _columns(parts: Sequence[Attempts]) -> dict[str, list[Any]]:
    """What parts say, by the fields of `Entry`; None of what one of their kind never says."""
    columns: dict[str, list[Any]] = {name: [] for name in Entry.__struct_fields__}
    for _, group in groupby(parts, type):
        alike = list(group)
        said = zip(*map(msgspec.structs.astuple, alike), strict=True)
        by_name = dict(zip(alike[0].__struct_fields__, said, strict=True))
        for name in columns:
            columns[name] += by_name.get(name) or repeat(None, len(alike))
    return columns


def _told(said: Any, count: int) -> Any:
    """The values of a part's attempts."""
    if isinstance(said, PACKED):
        return np.frombuffer(said, dtype="<f8").tolist()
    return said if isinstance(said, list) else repeat(said, count)
