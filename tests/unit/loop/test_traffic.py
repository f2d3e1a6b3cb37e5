"""The counters of the status screen."""

import numpy as np
from tests.support.traffic import rows

from trimtab.loop.traffic import Traffic


def test_requests_that_no_release_was_asked_for_do_not_make_it_look_fast() -> None:
    outcome = np.array(["ok"] * 4 + ["rejected"] * 5 + ["shed"], dtype=object)
    seconds = np.where(outcome == "ok", 0.02, 0.0)
    traffic = Traffic()
    traffic.observe(
        rows(10, outcome=outcome, total_seconds=seconds, received_at=1000.0, final=True)
    )
    report = traffic.report(1001.0)
    assert (report.total, report.failed) == (10, 1)
    assert (report.p50_seconds, report.p99_seconds) == (0.02, 0.02)


def test_there_is_no_latency_without_an_answer() -> None:
    traffic = Traffic()
    traffic.observe(rows(3, outcome="rejected", total_seconds=0.0, received_at=1000.0))
    assert traffic.report(1001.0).p50_seconds is None
