"""Verdicts on a terminal: what can be said line by line, what cannot by its reason."""

from collections.abc import Iterable, Sequence

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table

from trimtab.views import words
from trimtab.views.shapes import VerdictView
from trimtab.views.terminal import marked, quiet, table

WIDE = 120
"""Characters of a line from which on every number of a verdict has a column."""


def judged(verdicts: Sequence[VerdictView]) -> RenderableType:
    """All verdicts of a deployment: a new one has dozens that wait for the same thing."""
    known = [each for each in verdicts if each.verdict != "unknown"]
    unknown = words.unknown(verdicts)
    parts = [_Known(known)] if known else []
    return Group(*parts, unjudged(unknown)) if unknown else Group(*parts)


class _Known:
    """Verdicts with their numbers in columns, where there is room for them. Elsewhere the reason,
    which holds them too, takes the room: beside them it would be a word a line."""

    def __init__(self, verdicts: Sequence[VerdictView]) -> None:
        self._verdicts = verdicts

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> RenderResult:
        yield (_wide if options.max_width >= WIDE else _narrow)(self._verdicts)


def _wide(verdicts: Iterable[VerdictView]) -> Table:
    return table(
        ("signal", "verdict", ">estimate", "interval", ">evidence", ">n", "sees", "reason"),
        (
            (
                view.label,
                marked(words.VERDICT[view.verdict], view.verdict),
                words.number(view.estimate),
                words.interval(view.lower, view.upper),
                _evidence(view),
                str(view.n),
                _sees(view),
                quiet(view.reason),
            )
            for view in verdicts
        ),
    )


def _narrow(verdicts: Iterable[VerdictView]) -> Table:
    return table(
        ("signal", "verdict", ">evidence", "reason"),
        (
            (
                view.label,
                marked(words.VERDICT[view.verdict], view.verdict),
                _evidence(view),
                quiet("; sees ".join(filter(None, (view.reason, _sees(view))))),
            )
            for view in verdicts
        ),
    )


def _evidence(view: VerdictView) -> str:
    return f"{view.evidence_log10:.1f}/{view.threshold_log10:.1f}"


def _sees(view: VerdictView) -> str:
    return words.sees(view.detectable, view.detectable_seconds)


def unjudged(told: Iterable[tuple[str, str]]) -> Table:
    """Signals of which nothing is known: `told` holds signal and reason."""
    icon = words.VERDICT["unknown"].icon
    return table(
        ("unknown", "why"),
        ((quiet(f"{icon} {signals}"), quiet(reason)) for signals, reason in words.waiting(told)),
    )
