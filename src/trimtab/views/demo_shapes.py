"""What the demonstration shows."""

import msgspec

from trimtab.views.shapes import Fact, IncidentView, ReleaseView


class ActView(msgspec.Struct, frozen=True):
    """One act of the demo and what was measured in it."""

    act: str
    ok: bool
    facts: dict[str, Fact]


class DemoRollbackView(msgspec.Struct, frozen=True):
    """How the bad release was caught: the requests that it was asked, seconds from the first of
    them to the decision, and from there to the last (0 when none came after the decision)."""

    requests_exposed: int
    detect_seconds: float
    restore_seconds: float


class TotalsView(msgspec.Struct, frozen=True):
    """Requests of the whole demo."""

    total: int
    failed: int


class DemoView(msgspec.Struct, frozen=True, kw_only=True):
    """The whole demo. `rollback` is null when no rollback happened."""

    ok: bool
    acts: tuple[ActView, ...]
    requests: TotalsView
    rollback: DemoRollbackView | None
    incidents: tuple[IncidentView, ...]
    false_alarms: int
    releases: tuple[ReleaseView, ...]
    seconds: float
