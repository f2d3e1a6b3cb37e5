"""How states are said."""

import pytest
from rich.console import Console
from tests.support.scenes import NAME, serving

from trimtab.views import text, words
from trimtab.views.seen import TrafficCounts
from trimtab.views.shapes import Trend
from trimtab.views.status import build_status


@pytest.mark.parametrize(
    ("seconds", "trend", "state", "told"),
    [
        (4.9, "growing", "healthy", ""),
        (12.0, "", "healthy", "judged 12 s late: the control loop lacks processor time"),
        (12.0, "growing", "degraded", "lacks processor time, and falls behind further"),
        (29.0, "shrinking", "healthy", "judged 29 s late: the control loop catches up"),
        (41.0, "shrinking", "degraded", "judged 41 s late: the control loop catches up"),
        (41.0, "stopped", "degraded", "what came before is read first"),
    ],
)
def test_it_is_told_how_late_requests_are_judged_and_what_becomes_of_that(
    seconds: float, trend: Trend, state: str, told: str
) -> None:
    system = serving()
    system.traffic[NAME] = TrafficCounts(1, behind_seconds=seconds, behind_trend=trend)
    status = build_status(system.seen())
    (view,) = status.deployments
    assert (view.state, view.requests.behind_trend) == (state, trend)
    assert (told in view.reason) == (state == "degraded" or not told)
    shown = words.judged_late(view.requests)
    assert (told in shown, bool(shown)) == (True, bool(told))
    console = Console(width=400, no_color=True)
    with console.capture() as screen:
        console.print(text.render(status))
    assert told in screen.get()
