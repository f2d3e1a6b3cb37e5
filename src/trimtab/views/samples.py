"""Requests that show what an incident is about, as text."""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.text import Text

from trimtab.views import words
from trimtab.views.sample_shapes import SamplesView, SignalSamplesView
from trimtab.views.terminal import quiet, render, table


@render.register
def _(view: SamplesView) -> RenderableType:
    until = words.clock(view.until) if view.until else "now"
    head = Text.assemble((view.incident, "bold"), f"  {view.deployment} {view.release}  ")
    head.append(f"{words.clock(view.since)} to {until} (UTC)", style="dim")
    parts: list[RenderableType] = [head]
    if view.concentration is not None:
        parts.append(Text(words.concentrated(view.concentration)))
    for signal in view.signals:
        parts += _signal(signal)
    return Group(*parts)


def _signal(view: SignalSamplesView) -> Iterator[RenderableType]:
    yield Text.assemble("\n", (view.signal, "bold"), f"  {view.said}")
    yield quiet(words.concerned(view))
    if view.samples:
        rows = (
            (words.clock(each.at), each.request_id, str(each.row), each.value)
            for each in view.samples
        )
        yield table(("at (UTC)", "request", ">row", view.column or "value"), rows)
