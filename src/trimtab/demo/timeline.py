"""The timeline: what a person watches while a year passes in two minutes."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TextIO

from rich.console import Console
from rich.live import Live as LiveScreen
from rich.table import Table
from rich.text import Text

from trimtab.demo.moments import day_of

if TYPE_CHECKING:
    from collections.abc import Sequence

_ICONS = {"good": "✔", "bad": "✖", "busy": "◌", "warn": "⚠", "quiet": "·"}
_STYLES = {"good": "green", "bad": "bold red", "busy": "cyan", "warn": "yellow", "quiet": "dim"}
_DATE_WIDTH = 13


@dataclass(frozen=True, slots=True)
class Note:
    """One line of the timeline and what is told below it. `clock` is event time, None before it
    runs; `tone` is `good`, `bad`, `busy`, `warn` or `quiet`."""

    clock: float | None
    tone: str
    text: str
    details: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Live:
    """What the line at the bottom says: `shares` per release, `words` of the verdicts, `holds`
    the reasons for which the event clock stands."""

    clock: float
    requests: int
    per_second: float
    shares: str
    words: str
    holds: Sequence[str]

    def __str__(self) -> str:
        parts = [
            day_of(self.clock),
            f"{self.requests:,} requests",
            "" if self.holds else f"{self.per_second:,.0f}/s",
            self.shares,
            self.words,
            f"clock stands: {', '.join(self.holds)}" if self.holds else "",
        ]
        return "  │  ".join(part for part in parts if part)


class Narrator(Protocol):
    """Tells the demonstration to somebody."""

    def act(self, number: int, title: str) -> None:
        """An act begins."""
        ...

    def note(self, note: Note) -> None:
        """Something happened."""
        ...

    def live(self, live: Live) -> None:
        """How it stands; told often, and only the newest matters."""
        ...

    def close(self) -> None:
        """Nothing more will be told."""
        ...


class PlainNarrator:
    """Lines of text for a file or a pipe."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def act(self, number: int, title: str) -> None:
        """A heading."""
        self._line(f"== act {number}: {title}")

    def note(self, note: Note) -> None:
        """A line with the date, and one for each detail."""
        self._line(f"{_date(note)} {_ICONS[note.tone]} {note.text}")
        for detail in note.details:
            self._line(f"{'':{_DATE_WIDTH}}   {detail}")

    def live(self, live: Live) -> None:
        """Not told: there is nothing to overwrite."""

    def close(self) -> None:
        """Everything is out already."""

    def _line(self, text: str) -> None:
        print(text.rstrip(), file=self._stream, flush=True)


class ScreenNarrator:
    """The timeline on a terminal, with a live line below it."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._screen = LiveScreen(console=console, refresh_per_second=8, transient=True)
        self._screen.start()

    def act(self, number: int, title: str) -> None:
        """A rule across the screen."""
        self._console.print()
        self._console.rule(Text(f" act {number} · {title} ", style="bold"), align="left")

    def note(self, note: Note) -> None:
        """A row: date, icon, what happened, with details below."""
        style = _STYLES[note.tone]
        row = Table.grid(padding=(0, 1))
        row.add_column(width=_DATE_WIDTH, style="dim")
        row.add_column(width=1)
        row.add_column(ratio=1, overflow="fold")
        told = Text(note.text, style=style if note.tone != "quiet" else "")
        row.add_row(_date(note), Text(_ICONS[note.tone], style=style), told)
        for detail in note.details:
            row.add_row("", "", Text(detail, style="dim"))
        self._console.print(row)

    def live(self, live: Live) -> None:
        """Overwrite the line at the bottom."""
        held = "yellow" if live.holds else "bold"
        self._screen.update(Text(f"▸ {live}", style=held, no_wrap=True, overflow="ellipsis"))

    def close(self) -> None:
        """Take the live line away."""
        self._screen.stop()


def narrator_for(stream: TextIO | None = None) -> Narrator:
    """A narrator on `stream` (default stderr: data goes to stdout), plain unless a terminal."""
    target = sys.stderr if stream is None else stream
    console = Console(file=target, highlight=False)
    return ScreenNarrator(console) if console.is_terminal else PlainNarrator(target)


def bar(evidence: float, threshold: float, cells: int = 12) -> str:
    """Evidence against its threshold, both as log10: `████████░░░░ 10^1.9 of 10^3.2`."""
    full = round(cells * max(0.0, min(1.0, evidence / threshold))) if threshold > 0 else cells
    return f"{'█' * full}{'░' * (cells - full)} evidence 10^{evidence:.1f} of 10^{threshold:.1f}"


def _date(note: Note) -> str:
    """Blank before the first event: the deployment's clock has not begun then."""
    return f"{day_of(note.clock) if note.clock else '':<{_DATE_WIDTH}}"
