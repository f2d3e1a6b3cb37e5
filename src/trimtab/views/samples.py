"""Requests that show what an incident is about: shape and text."""

from collections.abc import Iterator
from datetime import datetime

import msgspec
from rich.console import Group, RenderableType
from rich.text import Text

from trimtab.views import words
from trimtab.views.text import quiet, render, table


class SampleView(msgspec.Struct, frozen=True):
    """A row that shows it: `value` is what the signal is about."""

    request_id: str
    row: int
    at: datetime
    value: str


class SignalSamplesView(msgspec.Struct, frozen=True, kw_only=True):
    """A bad signal in rows. `share` of the `of` rows are concerned; null where it cannot be told of
    single rows."""

    signal: str
    said: str
    column: str
    of: int
    share: float | None
    samples: tuple[SampleView, ...]


class SamplesView(msgspec.Struct, frozen=True, kw_only=True):
    """An incident in the request log, from its first evidence to its end (null while it lasts)."""

    incident: str
    deployment: str
    release: str
    since: datetime
    until: datetime | None
    signals: tuple[SignalSamplesView, ...]


@render.register
def _(view: SamplesView) -> RenderableType:
    until = words.clock(view.until) if view.until else "now"
    head = Text.assemble((view.incident, "bold"), f"  {view.deployment} {view.release}  ")
    head.append(f"{words.clock(view.since)} to {until} (UTC)", style="dim")
    parts: list[RenderableType] = [head]
    for signal in view.signals:
        parts += _signal(signal)
    return Group(*parts)


def _signal(view: SignalSamplesView) -> Iterator[RenderableType]:
    share = "" if view.share is None else f"{words.percent(view.share)} of "
    yield Text.assemble("\n", (view.signal, "bold"), f"  {view.said}")
    yield quiet(f"{share}{view.of:,} rows")
    if view.samples:
        rows = (
            (words.clock(each.at), each.request_id, str(each.row), each.value)
            for each in view.samples
        )
        yield table(("at (UTC)", "request", ">row", view.column or "value"), rows)
