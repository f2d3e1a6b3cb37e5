"""Verdicts of many signals, each put into words when somebody reads it.

Most ticks of a control loop close no block, and of most verdicts nothing is asked but how they go.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import overload

from trimtab.domain.verdicts import Verdict


@dataclass(frozen=True)
class Unsaid:
    """A verdict that nobody has read yet. `words` puts it into words; it must go by nothing that
    may change until then."""

    signal: str
    bad: bool
    evidence_log10: float
    threshold_log10: float
    words: Callable[[], Verdict]

    @cached_property
    def verdict(self) -> Verdict:
        """The verdict in words, which are made once."""
        return self.words()


Entry = Verdict | Unsaid


def _said(entry: Entry) -> Verdict:
    return entry.verdict if isinstance(entry, Unsaid) else entry


def _bad(entry: Entry) -> bool:
    return entry.bad if isinstance(entry, Unsaid) else entry.verdict == "bad"


class Verdicts(Sequence[Verdict]):
    """Verdicts in order; `entries` tell how each goes without putting it into words."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        """Hold them; other verdicts of this kind stay as they are."""
        held = entries.entries if isinstance(entries, Verdicts) else entries
        self.entries: tuple[Entry, ...] = tuple(held)

    @property
    def bad(self) -> list[Verdict]:
        """Those that are bad."""
        return [_said(entry) for entry in self.entries if _bad(entry)]

    def where(self, wanted: Callable[[str], bool]) -> "Verdicts":
        """Those of signals that are wanted."""
        return Verdicts(entry for entry in self.entries if wanted(entry.signal))

    def __len__(self) -> int:
        """How many there are."""
        return len(self.entries)

    def __iter__(self) -> Iterator[Verdict]:
        """All in words."""
        return map(_said, self.entries)

    @overload
    def __getitem__(self, place: int) -> Verdict: ...
    @overload
    def __getitem__(self, place: slice) -> "Verdicts": ...
    def __getitem__(self, place: int | slice) -> "Verdict | Verdicts":
        """One of them in words, or some of them as they are."""
        if isinstance(place, slice):
            return Verdicts(self.entries[place])
        return _said(self.entries[place])

    def __eq__(self, other: object) -> bool:
        """Whether the same is said."""
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]
