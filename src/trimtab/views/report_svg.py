"""Charts of a monitoring report: evidence, quality and distributions, block by block."""

from collections.abc import Callable, Sequence
from typing import TypeVar
from xml.sax.saxutils import escape

from trimtab.views import words
from trimtab.views.report_shapes import (
    CohortView,
    DistributionView,
    EvidenceLine,
    EvidenceStep,
    QualityView,
)
from trimtab.views.svg import LIMIT, LINE, Box, chart, grid, path

MOST_POINTS = 240
"""A line of more points is thinned: a screen shows no more."""

OTHER = "#ee8866"
SMALL = Box(width=320.0, height=118.0, left=34.0)
WIDE = Box(width=640.0, height=180.0, left=48.0)
BARS = Box(width=320.0, height=118.0, left=34.0, bottom=16.0)
MOST_BARS = 16
FEWEST_LETTERS = 4
"""Longer names of bins that have room for fewer letters are left to the pointer."""
LETTER = 5.2
"""Width of a letter below a bar."""

T = TypeVar("T")
Step = EvidenceStep | CohortView
Scale = Callable[[float], float]


def evidence(line: EvidenceLine) -> str:
    """log10 of the evidence after each block, with the threshold; empty without a block."""
    steps = _thinned(line.steps)
    if not steps:
        return ""
    values = [step.evidence_log10 for step in steps]
    limits = [step.threshold_log10 for step in steps]
    low, high = max(min(-1.0, *values), -2.0), max(1.0, *values, *limits) * 1.1
    # Evidence far beyond its threshold would press everything else flat.
    high = min(high, 4.0 * max(limits))

    def y(value: float) -> float:
        return SMALL.y((min(max(value, low), high) - low) / (high - low))

    xs = _places(steps, SMALL)
    body = (
        grid(SMALL, [((0.0 - low) / (high - low), "0")])
        + _limit([(x, y(v)) for x, v in zip(xs, limits, strict=True)])
        + _line([(x, y(v)) for x, v in zip(xs, values, strict=True)])
        + _crossing(steps, xs, y)
        + _ends(_place(steps[0]), _place(steps[-1]), SMALL)
    )
    told = f"evidence {values[-1]:.1f} of {limits[-1]:.1f} (log10)"
    return chart(SMALL, line.signal, told, body)


def quality(view: QualityView) -> str:
    """Quality of each block with its interval, the reference's as a band, and label coverage."""
    shown = [each for each in _thinned(view.cohorts) if each.value is not None]
    if not shown:
        return ""
    ends = [view.lower, view.upper]
    for each in shown:
        ends += [each.lower or 0.0, each.upper or 0.0]
    low, high = min(ends), max(ends)
    spare = (high - low) * 0.06 or 0.05
    low, high = low - spare, high + spare
    xs = _places(shown, WIDE)

    def y(value: float) -> float:
        return WIDE.y((value - low) / (high - low))

    top, height = y(view.upper), y(view.lower) - y(view.upper)
    band = (
        f'<rect class="reference" x="{WIDE.x(0):.1f}" width="{WIDE.x(1) - WIDE.x(0):.1f}" '
        f'y="{top:.1f}" height="{max(height, 1.0):.1f}" fill="{LINE}" fill-opacity=".18"/>'
    )
    marks = "".join(_mark(each, x, y) for each, x in zip(shown, xs, strict=True))
    ticks = [(ratio, f"{low + ratio * (high - low):.3g}") for ratio in (0.05, 0.5, 0.95)]
    body = grid(WIDE, ticks) + band + marks + _ends(_place(shown[0]), _place(shown[-1]), WIDE)
    told = (
        f"reference {view.value:.4g}, last {words.number(shown[-1].value)}; "
        f"labels for {view.coverage_ratio:.0%}"
    )
    return chart(WIDE, view.metric, told, body)


def coverage(view: QualityView) -> str:
    """The share of predictions of each block whose label is known."""
    cohorts = _thinned(view.cohorts)
    if not cohorts:
        return ""
    box = Box(width=640.0, height=70.0, left=48.0)
    shares = [each.labelled / each.predicted if each.predicted else 0.0 for each in cohorts]
    line = [(x, box.y(share)) for x, share in zip(_places(cohorts, box), shares, strict=True)]
    body = grid(box, [(0.0, "0 %"), (1.0, "100 %")]) + _line(line)
    return chart(box, "labels known", f"{view.coverage_ratio:.0%} of all predictions", body)


def distribution(view: DistributionView) -> str:
    """Shares of the reference and live, side by side; of many bins the heaviest."""
    weight = [max(pair) for pair in zip(view.reference, view.live, strict=True)]
    heaviest = sorted(range(len(weight)), key=lambda i: -weight[i])[:MOST_BARS]
    top = max(*weight, 1e-9)
    width = 0.38 / len(heaviest)
    bars = []
    for place, number in enumerate(sorted(heaviest)):
        left = (place + 0.12) / len(heaviest)
        pair = view.reference[number], view.live[number]
        for side, share in enumerate(pair):
            told = f"{view.bins[number]}: {words.percent(share)}"
            bars.append(_bar(left + side * width, width, share / top, told, side))
    names = _names(view, sorted(heaviest))
    body = grid(BARS, [(0.0, "0"), (1.0, f"{top * 100:.2g}%")]) + "".join(bars) + names
    return chart(BARS, view.column, "share of the reference and live, by bin", body)


def _names(view: DistributionView, shown: Sequence[int]) -> str:
    """Below the bars: categories as far as there is room, or the first and last bin of numbers."""
    if view.kind == "continuous":
        ends = [(0.0, "start", view.bins[shown[0]]), (1.0, "end", view.bins[shown[-1]])]
        return "".join(_name(*each) for each in (ends if len(shown) > 1 else ends[:1]))
    room = int((BARS.x(1.0) - BARS.x(0.0)) / len(shown) / LETTER)
    if room < min(FEWEST_LETTERS, max(len(view.bins[number]) for number in shown)):
        return ""
    return "".join(
        _name((place + 0.5) / len(shown), "middle", _cut(view.bins[number], room))
        for place, number in enumerate(shown)
    )


def _name(place: float, anchor: str, text: str) -> str:
    return (
        f'<text class="tick" x="{BARS.x(place):.1f}" y="{BARS.height - 4.0:.1f}" '
        f'text-anchor="{anchor}" font-size="9">{escape(text)}</text>'
    )


def _cut(text: str, letters: int) -> str:
    return text if len(text) <= letters else f"{text[: letters - 1]}…"


def _bar(left: float, width: float, height: float, told: str, side: int) -> str:
    """A bar whose place, width and height are shares of the drawing area."""
    x, y = BARS.x(left), BARS.y(height)
    return (
        f'<rect class="{("reference", "live")[side]}" x="{x:.1f}" y="{y:.1f}" '
        f'width="{BARS.x(width) - BARS.x(0.0):.1f}" height="{BARS.y(0.0) - y:.1f}" '
        f'fill="{(LINE, OTHER)[side]}"><title>{escape(told)}</title></rect>'
    )


def _thinned(steps: Sequence[T]) -> list[T]:
    """At most `MOST_POINTS` of them, the last one among them."""
    every = -(-len(steps) // MOST_POINTS)
    return [step for i, step in enumerate(steps) if (len(steps) - 1 - i) % max(every, 1) == 0]


def _places(steps: Sequence[Step], box: Box) -> list[float]:
    first, last = steps[0].block, steps[-1].block
    return [box.x((step.block - first) / max(last - first, 1)) for step in steps]


def _place(step: Step) -> str:
    """Where a block begins: its day, and the time where it does not begin with the day."""
    if step.at is None:
        return f"block {step.block}"
    return step.at.strftime("%d %b %Y %H:%M" if step.at.hour or step.at.minute else "%d %b %Y")


def _line(points: list[tuple[float, float]]) -> str:
    dots = path(points, SMALL)
    return f'<path class="line" d="{dots}" fill="none" stroke="{LINE}" stroke-width="2"/>'


def _limit(points: list[tuple[float, float]]) -> str:
    dots = path(points, SMALL)
    return f'<path class="limit" d="{dots}" fill="none" stroke="{LIMIT}" stroke-dasharray="4 3"/>'


def _crossing(steps: Sequence[EvidenceStep], xs: Sequence[float], y: Scale) -> str:
    for step, x in zip(steps, xs, strict=True):
        if step.evidence_log10 >= step.threshold_log10:
            return (
                f'<circle class="crossing" cx="{x:.1f}" cy="{y(step.threshold_log10):.1f}" r="4" '
                f'fill="{LIMIT}"><title>alarm at {_place(step)}</title></circle>'
            )
    return ""


def _mark(each: CohortView, x: float, y: Scale) -> str:
    return (
        f'<line class="range" x1="{x:.1f}" x2="{x:.1f}" y1="{y(each.lower or 0.0):.1f}" '
        f'y2="{y(each.upper or 0.0):.1f}" stroke="{LINE}" stroke-opacity=".45" stroke-width="2"/>'
        f'<circle class="estimate" cx="{x:.1f}" cy="{y(each.value or 0.0):.1f}" r="2.5" '
        f'fill="{LINE}"><title>{_place(each)}: {words.number(each.value)}</title></circle>'
    )


def _ends(first: str, last: str, box: Box) -> str:
    places = ((0.0, "start", first), (1.0, "end", last))
    return "".join(
        f'<text class="tick" x="{box.x(ratio):.1f}" y="{box.height - 7:.1f}" '
        f'text-anchor="{anchor}" font-size="10" fill="#888888">{text}</text>'
        for ratio, anchor, text in places
    )
