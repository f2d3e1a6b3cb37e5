"""Verdicts on a terminal: what can be said line by line, what cannot by its reason."""

from collections.abc import Iterable, Sequence

from rich.console import Group, RenderableType
from rich.table import Table

from trimtab.views import words
from trimtab.views.shapes import VerdictView
from trimtab.views.terminal import marked, quiet, table


def judged(verdicts: Sequence[VerdictView]) -> RenderableType:
    """All verdicts of a deployment: a new one has dozens that wait for the same thing."""
    known = [each for each in verdicts if each.verdict != "unknown"]
    unknown = words.unknown(verdicts)
    parts = [_known(known)] if known else []
    return Group(*parts, unjudged(unknown)) if unknown else Group(*parts)


def _known(verdicts: Iterable[VerdictView]) -> Table:
    return table(
        ("signal", "verdict", ">estimate", "interval", ">evidence", ">n", "sees", "reason"),
        (
            (
                view.label,
                marked(words.VERDICT[view.verdict], view.verdict),
                words.number(view.estimate),
                words.interval(view.lower, view.upper),
                f"{view.evidence_log10:.1f}/{view.threshold_log10:.1f}",
                str(view.n),
                words.sees(view.detectable, view.detectable_seconds),
                quiet(view.reason),
            )
            for view in verdicts
        ),
    )


def unjudged(told: Iterable[tuple[str, str]]) -> Table:
    """Signals of which nothing is known: `told` holds signal and reason."""
    icon = words.VERDICT["unknown"].icon
    return table(
        ("unknown", "why"),
        ((quiet(f"{icon} {signals}"), quiet(reason)) for signals, reason in words.waiting(told)),
    )
