"""Parquet files of the request log: which there are, and which of them count.

A file `date=YYYY-MM-DD/<writer>-<first>-<last>.parquet` holds the segments `first` … `last` of a
writer, and hides whatever else holds some of them: Arrow segments that it was rolled from, and
smaller Parquet files that it was merged from. The name is the whole manifest, so one rename both
shows a file and hides what it replaces. Ranges of one writer are disjoint or within each other.
"""

import os
import time
from bisect import bisect_left
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from operator import attrgetter
from pathlib import Path

from trimtab.domain import layout

RACY_NS = 1_000_000_000
"""A folder that changed as recently as this may change again without a newer time of change."""


@dataclass(frozen=True, slots=True, order=True)
class Roll:
    """One Parquet file, holding the segments `first` … `last` of a writer."""

    writer: str
    first: int
    last: int
    path: Path


@dataclass(frozen=True, slots=True)
class Listing:
    """The Parquet files of a log folder. `rolls` count, by writer and sequence; `inside` are those
    that a larger one replaced, `unfinished` is what a killed process left, and `aside` are those
    that were damaged."""

    rolls: tuple[Roll, ...] = ()
    inside: tuple[Roll, ...] = ()
    unfinished: tuple[Path, ...] = ()
    aside: tuple[Path, ...] = ()
    _of: Mapping[str, tuple[Roll, ...]] = field(default_factory=dict)

    def covering(self, writer: str, sequence: int) -> Roll | None:
        """The file that stands for a segment, None while there is none."""
        mine = self._of.get(writer, ())
        place = bisect_left(mine, sequence, key=attrgetter("last"))
        found = mine[place] if place < len(mine) else None
        return found if found is not None and found.first <= sequence else None

    def beyond(self, seen: Mapping[str, int]) -> Iterator[Roll]:
        """Files with segments after the last sequence that `seen` has for their writer."""
        for writer, mine in self._of.items():
            yield from mine[bisect_left(mine, seen.get(writer, -1) + 1, key=attrgetter("last")) :]


@dataclass(frozen=True, slots=True)
class _Day:
    """What a `date=` folder held when it had this `stamp`; `sure` when it still does."""

    stamp: tuple[int, int]
    sure: bool
    rolls: tuple[Roll, ...]
    unfinished: tuple[Path, ...]
    aside: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class _Kept:
    days: Mapping[str, _Day]
    listing: Listing


class Rolls:
    """Lists folders again only where they changed. Threads may share one; `now` is the clock of
    the file system."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._kept: dict[Path, _Kept] = {}

    def below(self, folder: Path) -> Listing:
        """The Parquet files below a folder of the log."""
        kept = self._kept.get(folder, _Kept({}, Listing()))
        days = {
            name: day
            for name in _day_names(folder)
            if (day := self._day(folder / name, kept.days.get(name))) is not None
        }
        if days != kept.days:
            kept = self._kept[folder] = _Kept(days, _listing(days.values()))
        return kept.listing

    def _day(self, folder: Path, before: _Day | None) -> _Day | None:
        """The folder as it is, None when it is gone."""
        try:
            stamp = _stamp(folder)
            if before is not None and before.sure and before.stamp == stamp:
                return before
            sure = abs(self._now() * 1e9 - stamp[1]) > RACY_NS
            names = _stable_names(folder)
        except FileNotFoundError:
            return None
        parsed = [_parse(folder, name) for name in names if name.endswith(".parquet")]
        rolls = tuple(roll for roll in parsed if roll is not None)
        unfinished = tuple(folder / name for name in names if name.endswith(".tmp"))
        aside = tuple(folder / name for name in names if name.endswith(layout.UNREADABLE))
        day = _Day(stamp, sure, rolls, unfinished, aside)
        return before if day == before else day


def stamp(folder: str, now: float) -> tuple[int, int] | None:
    """What tells whether files came to a folder or went; None while it may change without a newer
    time of change. `now` is the clock of the file system."""
    try:
        status = os.stat(folder)  # noqa: PTH116 - a quarter of the time
    except FileNotFoundError:
        return (0, 0)
    sure = abs(now * 1e9 - status.st_mtime_ns) > RACY_NS
    return (status.st_ino, status.st_mtime_ns) if sure else None


def _day_names(folder: Path) -> list[str]:
    try:
        return [name for name in _names(folder) if name.startswith("date=")]
    except FileNotFoundError:
        return []


def _stamp(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_ino, status.st_mtime_ns


def _stable_names(folder: Path) -> tuple[str, ...]:
    """Names in a folder, listed until two listings agree.

    While files are replaced, one listing may show neither what replaces nor what is replaced."""
    names = _names(folder)
    while (again := _names(folder)) != names:
        names = again
    return names


def _names(folder: Path) -> tuple[str, ...]:
    with os.scandir(folder) as entries:
        return tuple(sorted(each.name for each in entries))


def _parse(folder: Path, name: str) -> Roll | None:
    parts = name.removesuffix(".parquet").rsplit("-", 2)
    if len(parts) == 3 and parts[1].isdigit() and parts[2].isdigit():
        return Roll(parts[0], int(parts[1]), int(parts[2]), folder / name)
    return None


def _listing(days: Collection[_Day]) -> Listing:
    rolls = [roll for day in days for roll in day.rolls]
    rolls.sort(key=lambda roll: (roll.writer, roll.first, -roll.last))
    shown: list[Roll] = []
    inside: list[Roll] = []
    for roll in rolls:
        last = shown[-1] if shown and shown[-1].writer == roll.writer else None
        (inside if last is not None and roll.last <= last.last else shown).append(roll)
    unfinished = tuple(path for day in days for path in day.unfinished)
    aside = tuple(path for day in days for path in day.aside)
    of = {writer: tuple(mine) for writer, mine in groupby(shown, attrgetter("writer"))}
    return Listing(tuple(shown), tuple(inside), unfinished, aside, of)
