"""What every text for a terminal is made of."""

from collections.abc import Iterable, Sequence
from functools import singledispatch

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from trimtab.views import words
from trimtab.views.words import Mark

TONES = {
    "good": "green",
    "busy": "cyan",
    "held": "yellow",
    "bad": "bold red",
    "warn": "yellow",
    "quiet": "dim",
}


@singledispatch
def render(view: object) -> RenderableType:
    """What a person sees of a view."""
    raise TypeError(f"no text for {type(view).__name__}")


def marked(mark: Mark, word: str) -> Text:
    """Icon, word and colour of a state."""
    return Text(f"{mark.icon} {words.plain(word)}", style=TONES[mark.tone])


def quiet(text: str) -> Text:
    """Text that matters less."""
    return Text(text, style="dim")


def table(columns: Sequence[str], rows: Iterable[Sequence[RenderableType]]) -> Table:
    """A table without lines; a column whose name starts with `>` is aligned right.

    A cell that is a `str` is shown as it is written."""
    made = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        justify = "right" if column.startswith(">") else "left"
        made.add_column(column.removeprefix(">"), justify=justify, overflow="fold")  # type: ignore[arg-type]
    for row in rows:
        made.add_row(*map(_literal, row))
    return made


def pairs(items: Iterable[tuple[str, RenderableType]]) -> Table:
    """Names with their values, of which a `str` is shown as it is written."""
    made = Table.grid(padding=(0, 2, 0, 0))
    made.add_column(style="dim", no_wrap=True)
    made.add_column(overflow="fold")
    for name, value in items:
        made.add_row(name, _literal(value))
    return made


def _literal(cell: RenderableType) -> RenderableType:
    """Brackets and colons of a column, a path or a request are text: in a `str`, rich takes them
    for its own markup, which it hides or fails on."""
    return Text(cell) if isinstance(cell, str) else cell
