"""The clock of events, by what requests say of it."""

import numpy as np

from trimtab.loop.watermark import Watermark

START = 1_356_998_400.0
DAY = 86_400.0


def test_the_event_clock_jumps_as_far_as_two_requests_agree() -> None:
    times, ids = np.array([START]), np.array(["a"], dtype=object)
    first = Watermark().after(times, ids)
    assert first.value == 0.0
    second = first.after(times + 3.0, np.array(["b"], dtype=object))
    assert second.value == START
    quiet = second.after(times + 5 * DAY, ids).after(times + 9 * DAY, ids)
    assert quiet.value == START + 5 * DAY
    assert quiet.after(np.array([np.nan]), ids) == quiet
