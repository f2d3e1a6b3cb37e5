"""Labels that others deny, by what they say: a source that takes back one class alone.

Where a class is rare, a source may deny all of its labels and contradict few labels in all. So
those of each class are held against the class's own past. One class denied is also what moves
quality most: positives that are said to be none are errors wherever the model finds them.
"""

from collections.abc import Mapping

import msgspec
import numpy as np
from numpy.typing import NDArray

from trimtab.domain.records import Fate, Heard, Texts
from trimtab.judge.signals.breaks import FEWEST_ROWS, JUMP, RECENT, BreakWatch, settle_all
from trimtab.judge.signals.counts import Tally

CLASSES = 16
"""Classes that are watched, the first of the signature."""

DENIERS = 16
"""Senders of denials that are told apart."""

DENIED = 0.05
"""Share of the labels of a class that may always be denied."""

MARGIN = JUMP / 2.0
"""By so much it may rise over its recent past: a denial names the label that it takes back, and is
no hour in which nothing came."""


class Said(msgspec.Struct, frozen=True):
    """Labels of one class that were the first of their prediction, those of any time that a later
    one denied, who sent these, labels that name no prediction that is known, and those that
    corrected one of another class."""

    given: int = 0
    denied: int = 0
    sources: dict[str, int] = {}
    stray: int = 0
    corrected: int = 0

    def merge(self, other: "Said") -> "Said":
        """The counts of both; of too many sources the first by the alphabet are exact."""
        names = {*self.sources, *other.sources}
        both = {name: self.sources.get(name, 0) + other.sources.get(name, 0) for name in names}
        return Said(
            self.given + other.given,
            self.denied + other.denied,
            _first(both),
            self.stray + other.stray,
            self.corrected + other.corrected,
        )

    @property
    def strays(self) -> Tally:
        """Strays, among all labels of the class that others did not go before."""
        return Tally(self.stray, self.given + self.stray)

    @property
    def corrections(self) -> Tally:
        """Corrections, among all labels that say the class of a known prediction for the first
        time."""
        return Tally(self.corrected, self.given + self.corrected)

    @property
    def denier(self) -> str:
        """Who sent more than half of the denials; empty where nobody did, or gave no name."""
        return next((name for name, n in self.sources.items() if 2 * n > self.denied), "")


def _first(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items())[:DENIERS])


def said(classes: tuple[str, ...], heard: Heard) -> dict[str, Said]:
    """Count labels by class: those that were first, those that deny one that was, strays, and those
    that deny one of another class."""
    fates = (Fate.FRESH, Fate.CONTRADICTED, Fate.UNKNOWN)
    fresh, denial, stray = (heard.fate == each for each in fates)
    found = {}
    for name in classes[:CLASSES]:
        mine = np.asarray(heard.first == name, dtype=np.bool_)
        denied, given, strays = denial & mine, int((fresh & mine).sum()), int((stray & mine).sum())
        corrected = int((denial & np.asarray(heard.label == name, dtype=np.bool_)).sum())
        if given or strays or corrected or denied.any():
            sources = _sources(heard.source, denied)
            found[name] = Said(given, int(denied.sum()), sources, strays, corrected)
    return found


def _sources(source: Texts, denied: NDArray[np.bool_]) -> dict[str, int]:
    names, counts = np.unique(source[denied].astype(np.str_), return_counts=True)
    return _first(dict(zip(names.tolist(), counts.tolist(), strict=True)))


class Gathered(msgspec.Struct, frozen=True):
    """Labels of a class in some blocks, the first of which began at `since`."""

    since: float
    blocks: int = 0
    said: Said = Said()


class Denials(msgspec.Struct):
    """What changes while denials are watched. `gathered` are blocks that brought too few labels of
    a class to judge by, `last` is what each was judged by last, `given` how many labels of it came
    in each of the last blocks.

    A label is denied some time after it came, and some days bring many labels, some few. So denials
    are a share of as many labels as would have come had each block been the largest of late:
    whenever those that are denied came, its mean is no larger than the chance to be denied.
    """

    watches: dict[str, BreakWatch] = {}
    gathered: dict[str, Gathered] = {}
    last: dict[str, Said] = {}
    given: dict[str, list[int]] = {}

    def take(self, start: float, by_class: Mapping[str, Said], log10_threshold: float) -> None:
        """Take in the block that began at `start`, each class once enough labels of it came."""
        staked = []
        for name, came in sorted(by_class.items()):
            self.given[name] = [*self.given.get(name, []), came.given][-RECENT:]
            before = self.gathered.pop(name, Gathered(start))
            both = Gathered(before.since, before.blocks + 1, before.said.merge(came))
            most = both.blocks * max(self.given[name])
            if most < FEWEST_ROWS:
                self.gathered[name] = both
                continue
            watch = self.watches.setdefault(name, BreakWatch(name, "strange", "", DENIED))
            share = min(both.said.denied / most, 1.0)
            if watch.meet(both.since, share, most, MARGIN):
                staked.append(watch)
            self.last[name] = both.said
        settle_all(staked, log10_threshold)

    @property
    def evidence(self) -> float:
        """The largest of the classes, as log10."""
        return max((watch.evidence for watch in self.watches.values()), default=0.0)

    @property
    def broken(self) -> list[BreakWatch]:
        """Classes whose labels are denied beyond what is usual."""
        return [watch for watch in self.watches.values() if watch.broken]

    def words(self, name: str) -> str:
        """What is said of the labels of a class in alarm."""
        denier = self.last[name].denier
        by = f", mostly from {denier}" if denier else ""
        return f"that say {name} are contradicted by later ones{by}"
