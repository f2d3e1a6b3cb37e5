"""Charts as SVG text, drawn on the server: the same picture in dashboard, notebook and report.

Colours are presentation attributes with class names beside them, so a style sheet may overrule
them and a notebook needs none. Every chart has a title and a description for those who listen.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from xml.sax.saxutils import escape, quoteattr

from trimtab.views import words
from trimtab.views.shapes import EvidenceSeries, SharePoint, TrafficView, VerdictView

BANDS = ("#4477aa", "#ee8866", "#44bb99", "#bbcc33", "#aa4499", "#77aadd")
"""Fills that differ for the colour-blind too (Paul Tol's bright and light schemes)."""
LINE, LIMIT, GRID = "#4477aa", "#cc3311", "#888888"


@dataclass(frozen=True, slots=True)
class Box:
    """The drawing area inside margins, in SVG units."""

    width: float = 640.0
    height: float = 150.0
    left: float = 44.0
    right: float = 12.0
    top: float = 12.0
    bottom: float = 24.0

    def x(self, ratio: float) -> float:
        """Horizontal place of `ratio` in [0, 1]."""
        return self.left + ratio * (self.width - self.left - self.right)

    def y(self, ratio: float) -> float:
        """Vertical place of `ratio` in [0, 1], 1 on top."""
        return self.top + (1.0 - ratio) * (self.height - self.top - self.bottom)


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time on the horizontal axis."""

    start: datetime
    end: datetime

    def ratio(self, at: datetime) -> float:
        """Where `at` lies, 0 to 1."""
        whole = (self.end - self.start).total_seconds()
        if whole <= 0:
            return 1.0
        return min(1.0, max(0.0, (at - self.start).total_seconds() / whole))

    def label(self, ratio: float) -> str:
        """The time at `ratio`, as exact as the stretch is long."""
        at = self.start + (self.end - self.start) * ratio
        seconds = (self.end - self.start).total_seconds()
        if seconds > 3 * 86_400:
            return at.strftime("%d %b %Y" if seconds > 300 * 86_400 else "%d %b")
        return at.strftime("%H:%M:%S" if seconds < 600 else "%d %b %H:%M")


def traffic(view: TrafficView) -> str:
    """Set share of the traffic by release over time, stacked; empty without a release."""
    if not view.points or view.until is None:
        return ""
    box = Box(width=960.0)
    span = Span(view.points[0].at, view.until)
    releases = list(dict.fromkeys(name for point in view.points for name in point.shares))
    bands = "".join(
        _band(view.points, span, box, releases, place) for place in range(len(releases))
    )
    notes = "".join(_note(point, span, box) for point in view.points if point.note)
    last = view.points[-1].shares
    now = ", ".join(f"{name} {words.percent(share)}" for name, share in last.items())
    body = grid(box, ((0.0, "0 %"), (0.5, "50 %"), (1.0, "100 %"))) + bands + notes
    title = f"Traffic of {view.deployment} by release"
    return chart(box, title, f"now: {now}", body + _time_axis(span, box))


def _band(
    points: Sequence[SharePoint], span: Span, box: Box, releases: Sequence[str], place: int
) -> str:
    lower, upper = [], []
    ends = [*(point.at for point in points[1:]), span.end]
    for point, end in zip(points, ends, strict=True):
        base = sum(point.shares.get(name, 0.0) for name in releases[:place])
        top = base + point.shares.get(releases[place], 0.0)
        first = point is points[0]
        left, right = box.x(0.0 if first else span.ratio(point.at)), box.x(span.ratio(end))
        lower += [(left, box.y(base)), (right, box.y(base))]
        upper += [(left, box.y(top)), (right, box.y(top))]
    outline = " ".join(f"{x:.1f},{y:.1f}" for x, y in (*upper, *reversed(lower)))
    number = place % len(BANDS)
    return (
        f'<polygon class="band band-{number}" fill="{BANDS[number]}" points="{outline}">'
        f"<title>{escape(releases[place])}</title></polygon>"
    )


def _note(point: SharePoint, span: Span, box: Box) -> str:
    x = box.x(span.ratio(point.at))
    tone = LIMIT if point.note == "rolled back" else GRID
    kind = "alarm" if point.note == "rolled back" else "plain"
    return (
        f'<line class="mark {kind}" x1="{x:.1f}" x2="{x:.1f}" y1="{box.y(1.0):.1f}" '
        f'y2="{box.y(0.0):.1f}" stroke="{tone}" stroke-width="1.5" stroke-dasharray="3 2">'
        f"<title>{escape(point.note)} {words.clock(point.at)}</title></line>"
    )


def legend(view: TrafficView) -> tuple[tuple[int, str], ...]:
    """Releases of the chart with the number of their colour, in order of appearance."""
    releases = dict.fromkeys(name for point in view.points for name in point.shares)
    return tuple((place % len(BANDS), name) for place, name in enumerate(releases))


def evidence(series: EvidenceSeries) -> str:
    """log10 of the evidence against its threshold; the moment it was crossed is marked."""
    points = series.points
    if not points:
        return ""
    box = Box(width=270.0, height=112.0, left=30.0)
    span = Span(points[0].at, points[-1].at)
    values = [point.evidence_log10 for point in points]
    limits = [point.threshold_log10 for point in points]
    low, high = min(-1.0, *values), max(1.0, *values, *limits) * 1.1
    low = max(low, -high)

    def y(value: float) -> float:
        return box.y((min(max(value, low), high) - low) / (high - low))

    xs = [box.x(span.ratio(point.at)) for point in points]
    line = path([(x, y(v)) for x, v in zip(xs, values, strict=True)], box)
    limit = path([(x, y(v)) for x, v in zip(xs, limits, strict=True)], box)
    ticks = ((0.0 - low) / (high - low), "0"), ((limits[-1] - low) / (high - low), _tick(limits))
    body = (
        grid(box, ticks)
        + f'<path class="limit" d="{limit}" fill="none" stroke="{LIMIT}" stroke-dasharray="4 3"/>'
        + f'<path class="line" d="{line}" fill="none" stroke="{LINE}" stroke-width="2"/>'
        + _crossing(series, xs, y(limits[-1]))
        + _time_axis(span, box, sparse=True)
    )
    told = f"evidence {values[-1]:.1f} of {limits[-1]:.1f} (log10)"
    return chart(box, f"{series.signal} of {series.release}", told, body)


def _tick(limits: Sequence[float]) -> str:
    return f"{limits[-1]:.1f}"


def _crossing(series: EvidenceSeries, xs: Sequence[float], y: float) -> str:
    for point, x in zip(series.points, xs, strict=True):
        if point.evidence_log10 >= point.threshold_log10:
            return (
                f'<circle class="crossing" cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{LIMIT}">'
                f"<title>decided {words.clock(point.at)}</title></circle>"
            )
    return ""


def interval(view: VerdictView) -> str:
    """Estimate with its interval beside the harm-free zone; empty without an interval."""
    if view.estimate is None or view.lower is None or view.upper is None:
        return ""
    zone = _zone(view)
    low = min(view.lower, view.estimate, *zone)
    high = max(view.upper, view.estimate, *zone)
    width, middle = 120.0, 8.0
    size = (high - low) or 1.0

    def x(value: float) -> float:
        return 4.0 + (value - low) / size * (width - 8.0)

    harmless = "".join(
        f'<line class="zone" x1="{x(edge):.1f}" x2="{x(edge):.1f}" y1="1" y2="15" '
        f'stroke="{LIMIT}" stroke-dasharray="2 2"/>'
        for edge in zone
    )
    body = (
        f'{harmless}<line class="range" x1="{x(view.lower):.1f}" x2="{x(view.upper):.1f}" '
        f'y1="{middle}" y2="{middle}" stroke="{LINE}" stroke-width="4" stroke-opacity=".45"/>'
        f'<circle class="estimate" cx="{x(view.estimate):.1f}" cy="{middle}" r="3.5" '
        f'fill="{LINE}"/>'
    )
    told = f"estimate {words.number(view.estimate)} {words.interval(view.lower, view.upper)}"
    return chart(Box(width=width, height=16.0), f"{view.label}: {told}", "", body)


def _zone(view: VerdictView) -> tuple[float, ...]:
    """Edges of the harm-free zone: around the reference when there is one."""
    if view.tolerance is None:
        return ()
    if view.reference is None:
        return (view.tolerance,)
    return (view.reference - view.tolerance, view.reference + view.tolerance)


def path(points: Sequence[tuple[float, float]], box: Box) -> str:
    """A line through the points; a single one becomes a short stroke at the right edge."""
    if len(points) == 1:
        points = [(box.x(0.97), points[0][1]), (box.x(1.0), points[0][1])]
    return "M" + " L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def grid(box: Box, ticks: Iterable[tuple[float, str]]) -> str:
    """Horizontal lines with their labels, by height in [0, 1]."""
    parts = []
    for ratio, label in ticks:
        y = box.y(ratio)
        parts.append(
            f'<line class="grid" x1="{box.x(0):.1f}" x2="{box.x(1):.1f}" y1="{y:.1f}" '
            f'y2="{y:.1f}" stroke="{GRID}" stroke-opacity=".35"/>'
            f'<text class="tick" x="{box.left - 5:.1f}" y="{y + 3.5:.1f}" text-anchor="end" '
            f'font-size="10" fill="{GRID}">{escape(label)}</text>'
        )
    return "".join(parts)


def _time_axis(span: Span, box: Box, sparse: bool = False) -> str:
    if span.start == span.end:
        places = [(1.0, "end")]
    else:
        places = (
            [(0.0, "start"), (1.0, "end")]
            if sparse
            else [
                (0.0, "start"),
                (0.5, "middle"),
                (1.0, "end"),
            ]
        )
    return "".join(
        f'<text class="tick" x="{box.x(ratio):.1f}" y="{box.height - 7:.1f}" '
        f'text-anchor="{anchor}" font-size="10" fill="{GRID}">{span.label(ratio)}</text>'
        for ratio, anchor in places
    )


def chart(box: Box, title: str, told: str, body: str) -> str:
    """The whole picture; title and what it tells are for those who listen."""
    label = quoteattr(f"{title}; {told}" if told else title)
    return (
        f'<svg class="chart" viewBox="0 0 {box.width:g} {box.height:g}" role="img" '
        f'width="{box.width:g}" height="{box.height:g}" aria-label={label} '
        f'xmlns="http://www.w3.org/2000/svg">{body}</svg>'
    )
