"""Labels for predictions that are not known, or not any more, by what they say.

Labels of one class alone may come after all that they belong to has been judged: an outcome that is
reported by month from now on. Where it is rare, those are few of all labels, but most of its own.
What is judged in time lacks the class, and looks better than it is. So those of each class are held
against the class's own past.
"""

from collections.abc import Mapping

import msgspec

from trimtab.judge.signals.breaks import FEWEST_ROWS, BreakWatch
from trimtab.judge.signals.denials import Said


class Gathered(msgspec.Struct, frozen=True):
    """Labels of a class since the block that began at `since`: those that name a known prediction
    for the first time, and those that name none."""

    since: float
    given: int = 0
    stray: int = 0

    def plus(self, said: Said) -> "Gathered":
        """With those of another block."""
        return Gathered(self.since, self.given + said.given, self.stray + said.stray)


class Strays(msgspec.Struct):
    """What changes while strays are watched. `gathered` are blocks that brought too few labels of a
    class to judge by."""

    watches: dict[str, BreakWatch] = {}
    gathered: dict[str, Gathered] = {}

    def take(self, start: float, by_class: Mapping[str, Said], log10_threshold: float) -> None:
        """Take in the block that began at `start`, each class once enough labels of it came."""
        for name, said in sorted(by_class.items()):
            both = self.gathered.pop(name, Gathered(start)).plus(said)
            n = both.given + both.stray
            if n < FEWEST_ROWS:
                self.gathered[name] = both
                continue
            watch = self.watches.setdefault(name, BreakWatch(name, "strange", "own past", 0.0))
            watch.take(both.since, both.stray / n, n, log10_threshold)

    @property
    def broken(self) -> list[BreakWatch]:
        """Classes whose labels stray beyond what is usual."""
        return [watch for _, watch in sorted(self.watches.items()) if watch.broken]
