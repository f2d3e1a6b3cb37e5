"""The clock of events, by what requests say of it."""

import numpy as np

from trimtab.domain.records import Rows
from trimtab.loop.watermark import Watermark

START = 1_356_998_400.0
DAY = 86_400.0


def final(request: str, time: float) -> Rows:
    ids = np.array([request], dtype=object)
    return Rows({"request_id": ids, "event_time": np.array([time])}, {}, {})


def test_the_event_clock_jumps_as_far_as_two_requests_agree() -> None:
    first = Watermark().after(final("a", START))
    assert first.value == 0.0
    second = first.after(final("b", START + 3.0))
    assert second.value == START
    quiet = second.after(final("a", START + 5 * DAY)).after(final("a", START + 9 * DAY))
    assert quiet.value == START + 5 * DAY
    assert quiet.after(final("a", np.nan)) == quiet
