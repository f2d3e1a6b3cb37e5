"""Verdicts on a terminal: what can be said line by line, what cannot by its reason."""

from collections.abc import Iterable, Sequence

from rich.console import Group, RenderableType
from rich.table import Table

from trimtab.views import words
from trimtab.views.shapes import VerdictView
from trimtab.views.terminal import marked, quiet, table

LISTED = 2
"""Signals of a group with the same reason are named up to this many."""


def judged(verdicts: Sequence[VerdictView]) -> RenderableType:
    """All verdicts of a deployment: a new one has dozens that wait for the same thing."""
    known = [each for each in verdicts if each.verdict != "unknown"]
    unknown = [(each.label, each.reason) for each in verdicts if each.verdict == "unknown"]
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
    """Signals of which nothing is known, with why: a line for each reason.

    `told` holds signal and reason.
    """
    reasons: dict[str, list[str]] = {}
    for signal, reason in told:
        reasons.setdefault(reason, []).append(signal)
    unknown = words.VERDICT["unknown"]
    return table(
        ("unknown", "why"),
        (
            (quiet(f"{unknown.icon} {', '.join(_named(signals))}"), quiet(reason))
            for reason, signals in reasons.items()
        ),
    )


def _named(signals: Sequence[str]) -> Iterable[str]:
    groups: dict[str, list[str]] = {}
    for signal in signals:
        groups.setdefault(signal.partition(":")[0], []).append(signal)
    for group, members in groups.items():
        yield from members if len(members) <= LISTED else (f"{group}:* ({len(members)})",)
