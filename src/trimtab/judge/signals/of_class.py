"""A share of the labels of one class that rises above the class's own past.

What is wrong with the labels of one class may be few of all labels where it is rare, but is most of
its own. So those of each class are held against the class's own past. Two shares are watched so:

- *Strays*, labels for predictions that are not known, or not any more. Labels of one class alone
  may come after all that they belong to has been judged: an outcome that is reported by month from
  now on. What is judged in time lacks the class, and looks better than it is.
- *Corrections*, labels that contradict what was said first of their prediction. Where all that is
  not known yet is recorded as the usual outcome, those of the others come as corrections, and what
  was learned until then lacks the class.
"""

from collections.abc import Mapping

import msgspec

from trimtab.judge.signals.breaks import FEWEST_ROWS, JUMP, BreakWatch
from trimtab.judge.signals.counts import Tally


class Gathered(msgspec.Struct, frozen=True):
    """Labels of a class since the block that began at `since`, and how many of them are meant."""

    since: float
    labels: Tally = Tally()


class OfClass(msgspec.Struct):
    """What changes while a share is watched, which may rise by `jump` over its recent past.
    `gathered` are blocks that brought too few labels of a class to judge by."""

    jump: float = JUMP
    watches: dict[str, BreakWatch] = {}
    gathered: dict[str, Gathered] = {}

    def take(self, start: float, by_class: Mapping[str, Tally], log10_threshold: float) -> None:
        """Take in the block that began at `start`, each class once enough labels of it came."""
        for name, came in sorted(by_class.items()):
            before = self.gathered.pop(name, Gathered(start))
            both = before.labels.merge(came)
            if both.n < FEWEST_ROWS:
                self.gathered[name] = Gathered(before.since, both)
                continue
            watch = self.watches.setdefault(name, BreakWatch(name, "strange", "own past", 0.0))
            share = both.hits / both.n
            watch.take(before.since, share, both.n, log10_threshold, self.jump)

    @property
    def broken(self) -> list[BreakWatch]:
        """Classes of whose labels the share is beyond what is usual."""
        return [watch for _, watch in sorted(self.watches.items()) if watch.broken]
