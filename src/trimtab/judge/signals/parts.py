"""Feeds in parts of the rows that nobody named: the common categories of every column of texts.

There are as many streams as columns times parts, and nearly all are quiet: nothing of theirs is
missing or strange beyond what is usual for the column, and numbers move. So only the others are
kept. A stream that is not kept would hold no evidence, and a recent past in which nothing was
unusual.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from trimtab.domain.profile import Coarse, ReferenceProfile
from trimtab.domain.records import Ints
from trimtab.judge.sameness import part_names, parted
from trimtab.judge.signals.breaks import JUMP, RECENT, BreakWatch, Kind, bases, settle_all
from trimtab.judge.signals.counts import merged
from trimtab.judge.signals.still import Moving, Still

FEWEST_ROWS = 8
"""Rows of a part in a block that is judged."""

UNUSUAL = JUMP / 2.0
"""By so much a share must be above what is usual for the column to be looked at in a part."""


class Odd(msgspec.Struct, frozen=True):
    """How many rows of a part have a column missing, and strange."""

    missing: int = 0
    strange: int = 0

    def merge(self, other: "Odd") -> "Odd":
        """The counts of both."""
        return Odd(self.missing + other.missing, self.strange + other.strange)

    def share(self, kind: Kind, n: int) -> float:
        """How many of `n` rows are missing, or strange."""
        return (self.missing if kind == "missing" else self.strange) / n


class Brought(msgspec.Struct, frozen=True):
    """What the parts of a block brought: the rows of each, by `COLUMN\\nPART` what was missing or
    strange, where anything was, and what stood still."""

    rows: dict[str, int] = {}
    odd: dict[str, Odd] = {}
    still: Still = Still()

    def merge(self, other: "Brought") -> "Brought":
        """The counts of both."""
        names = dict.fromkeys([*self.rows, *other.rows])
        rows = {name: self.rows.get(name, 0) + other.rows.get(name, 0) for name in names}
        return Brought(rows, merged(self.odd, other.odd), self.still.merge(other.still))


@dataclass(frozen=True, slots=True)
class Unnamed:
    """The parts that are watched, by column of texts, what is usual of each column, and where its
    numbers move. A part is called `column=value`. What is missing or strange in the categories of
    `named` columns is watched by name, not here."""

    columns: tuple[Coarse, ...]
    named: frozenset[str]
    usual: Mapping[str, Mapping[Kind, float]]
    moving: Moving

    @classmethod
    def of(cls, profile: ReferenceProfile, named: Collection[str]) -> "Unnamed":
        """`named` are the columns whose categories are watched by name."""
        columns = parted(profile.inputs)
        usual = {each.name: bases(each) for each in profile.inputs}
        return cls(columns, frozenset(named), usual, Moving.of(profile.sameness, columns))

    @property
    def names(self) -> list[str]:
        """The parts, column by column."""
        return list(part_names(self.columns))

    @property
    def streams(self) -> int:
        """How many there would be if all were kept; at least one. A column is not watched in its
        own categories."""
        odd = sum(
            len(column.categories) * len(kinds)
            for column in self.columns
            for name, kinds in self.usual.items()
            if column.name not in {name, *self.named}
        )
        return max(odd + self.moving.streams, 1)

    def kinds(self, column: str, part: str) -> dict[Kind, float]:
        """What is usual of a column in a part, by the kinds of break that can be told of it."""
        alike = self.moving.share(column, part)
        odd = {} if part.partition("=")[0] in self.named else self.usual[column]
        return {**odd, **({"stuck": alike} if alike < 1.0 else {})}

    def count(self, places: Sequence[Ints]) -> list[int]:
        """How many rows are in each part, in the order of `names`. `places` are the bins of rows in
        each column."""
        found: list[int] = []
        for column, bins in zip(self.columns, places, strict=True):
            counts = np.bincount(bins, minlength=column.size)
            found += counts[: len(column.categories)].tolist()
        return found


def odd_parts(
    column: str, names: Sequence[str], missing: Sequence[int], strange: Sequence[int]
) -> dict[str, Odd]:
    """What is missing or strange of a column, given by part, but for its own categories."""
    found = {}
    for part, gone, odd in zip(names, missing, strange, strict=True):
        if (gone or odd) and part.partition("=")[0] != column:
            found[f"{column}\n{part}"] = Odd(gone, odd)
    return found


class Parts(msgspec.Struct):
    """What changes while parts are watched: in how many blocks each was judged, up to as many as
    are remembered, the streams that are not quiet, by column, part and kind, and the numbers that
    parts held last, up to the block that began at `at`.

    A number stands still where all rows hold what those of the block before held too: a batch of
    copies fills one block, and the next one brings another number.
    """

    known: dict[str, int] = {}
    watches: dict[str, BreakWatch] = {}
    held: Still = Still()
    at: float = 0.0

    def take(
        self, start: float, unnamed: Unnamed, brought: Brought, log10_threshold: float
    ) -> None:
        """Take in the block that began at `start`."""
        told = self._told(start, unnamed, brought)
        settle_all([watch for watch, staked in told if staked], log10_threshold)
        for watch, _ in told:
            if watch.quiet:
                self.watches.pop(watch.name, None)
            else:
                self.watches[watch.name] = watch
        self.held, self.at = brought.still.after(self.held), start
        for part, n in brought.rows.items():
            if n >= FEWEST_ROWS:
                self.known[part] = min(self.known.get(part, 0) + 1, RECENT)

    def _told(
        self, start: float, unnamed: Unnamed, brought: Brought
    ) -> list[tuple[BreakWatch, bool]]:
        """The streams that are kept, or would not be quiet, with whether they bet on the block."""
        kept = {watch.key for watch in self.watches.values()}
        stuck = set(unnamed.moving.stuck(brought.still.lasting(self.held)))
        found = []
        for key in sorted(kept | brought.odd.keys() | stuck):
            column, _, part = key.partition("\n")
            rows, odd = brought.rows.get(part, 0), brought.odd.get(key, Odd())
            for kind, usual in unnamed.kinds(column, part).items():
                watch = self._watch(column, part, kind, usual + UNUSUAL)
                n = rows - odd.missing if kind == "stuck" else rows
                if n >= FEWEST_ROWS:
                    share = float(key in stuck) if kind == "stuck" else odd.share(kind, n)
                    # What lasts began with the block before.
                    since = self.at if kind == "stuck" else start
                    if watch.name in self.watches or share > watch.base:
                        found.append((watch, watch.meet(since, share, n)))
        return found

    def _watch(self, column: str, part: str, kind: Kind, base: float) -> BreakWatch:
        held = self.watches.get(f"{column}\n{part}\n{kind}")
        past = [0.0] * self.known.get(part, 0)
        return BreakWatch(column, kind, part, base, recent=past) if held is None else held

    @property
    def broken(self) -> list[BreakWatch]:
        """The streams that are broken."""
        return [watch for watch in self.watches.values() if watch.broken]
