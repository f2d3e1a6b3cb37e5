"""The monitoring report as one HTML file that needs nothing else, and as a notebook's output."""

from functools import lru_cache

import jinja2

from trimtab.domain import durations
from trimtab.domain.plurals import many
from trimtab.views import report_svg, words
from trimtab.views.report_shapes import DistributionView, EvidenceLine, ReportView, StreamView

MOST_CHARTS = 24
"""Lines of evidence that are drawn: the gravest streams."""

MOST_DISTRIBUTIONS = 60
"""Distributions that are drawn: those of the gravest streams; the table holds all."""

WORDS = {
    "ok": words.Mark("✔", "good"),
    "watch": words.Mark("◔", "held"),
    "bad": words.Mark("✖", "bad"),
    "unknown": words.Mark("?", "quiet"),
}


def page(view: ReportView) -> str:
    """The whole page; readable from 390 pixels on, in light and dark, without a network."""
    return _rendered("report.html", view)


def notebook(view: ReportView) -> str:
    """The head of the report and its streams, for a notebook's cell."""
    return _rendered("report_cell.html", view)


def _rendered(template: str, view: ReportView) -> str:
    return (
        _templates()
        .get_template(template)
        .render(
            report=view,
            lines=_lines(view),
            columns=_columns(view),
            svg=report_svg,
            words=words,
            many=many,
            marks=WORDS,
            length=length(view),
        )
    )


@lru_cache(maxsize=1)
def _templates() -> jinja2.Environment:
    loader = jinja2.PackageLoader("trimtab.views")
    return jinja2.Environment(
        loader=loader,
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def length(view: ReportView) -> str:
    """How long a block is, in words."""
    if view.block_rows is not None:
        return f"{view.block_rows:,} rows"
    return durations.span(view.block_seconds or 0.0)


def _lines(view: ReportView) -> list[tuple[StreamView | None, EvidenceLine]]:
    """Evidence with the stream's last word (None for one that is over), the gravest first."""
    known = {line.signal: line for line in view.evidence}
    now = [(each, known.pop(each.signal)) for each in view.streams if each.signal in known]
    crossed = [
        line
        for line in known.values()
        if any(step.evidence_log10 >= step.threshold_log10 > 0.0 for step in line.steps)
    ]
    return [*now, *((None, line) for line in crossed)][:MOST_CHARTS]


def _columns(view: ReportView) -> list[DistributionView]:
    """Distributions, those of the gravest streams first."""
    ranks = {each.signal.partition(":")[2]: i for i, each in reversed([*enumerate(view.streams)])}
    ranked = sorted(view.distributions, key=lambda each: ranks.get(each.column, -1))
    return ranked[:MOST_DISTRIBUTIONS]
