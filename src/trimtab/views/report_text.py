"""The monitoring report on a terminal."""

from rich.console import Group, RenderableType
from rich.text import Text

from trimtab.domain.plurals import many
from trimtab.views import words
from trimtab.views.page import WORDS, length
from trimtab.views.report_shapes import FindingView, ReportView, StreamView
from trimtab.views.terminal import marked, quiet, render, table
from trimtab.views.verdicts_text import unjudged

SHOWN_OK = 12
"""Streams that are ok are listed up to this many."""


@render.register
def _(view: ReportView) -> RenderableType:
    head = Text.assemble((view.name, "bold"), "  ", marked(WORDS[view.verdict], view.verdict))
    head.append(f"  {view.summary}")
    against = f" of {view.release}" if view.release else ""
    about = quiet(
        f"{view.rows:,} rows in {many(view.blocks, 'block')} of {length(view)}, "
        f"against {view.reference_rows:,} rows of reference{against}"
    )
    loud = [each for each in view.streams if each.verdict in ("bad", "watch")]
    calm = [each for each in view.streams if each.verdict == "ok"]
    rows = [_stream(each) for each in [*loud, *calm[:SHOWN_OK]]]
    parts: list[RenderableType] = [head, about, *map(_finding, view.incidents), Text()]
    parts.append(table((">evidence", "stream", "verdict", "why"), rows))
    if len(calm) > SHOWN_OK:
        parts.append(quiet(f"{many(len(calm) - SHOWN_OK, 'more stream')} ok"))
    unknown = [(each.signal, each.reason) for each in view.streams if each.verdict == "unknown"]
    if unknown:
        parts += [Text(), unjudged(unknown)]
    return Group(*parts, *(quiet(note) for note in view.notes))


def _stream(each: StreamView) -> tuple[RenderableType, ...]:
    limit = each.threshold_log10
    evidence = f"{each.evidence_log10:.1f} / {limit:.1f}" if limit else words.number(None)
    return evidence, each.signal, marked(WORDS[each.verdict], each.verdict), each.reason


def _finding(each: FindingView) -> RenderableType:
    cause = words.plain(each.causes[0].cause) if each.causes else "unknown cause"
    ended = f"to {each.closed_block}" if each.closed_block is not None else "to the end"
    text = Text.assemble(
        "\n", marked(words.TIER[each.tier], each.tier), "  ", (cause, "bold"), f"  {each.severity}"
    )
    lines = [f"blocks {each.first_block} {ended}"]
    lines += [f"{words.plain(c.cause)}: {'; '.join(c.evidence)}" for c in each.causes[1:]]
    lines += [f"not {words.plain(ruled.cause)}: {ruled.by}" for ruled in each.ruled_out]
    return Group(text, *(quiet(f"  {line}") for line in lines))
