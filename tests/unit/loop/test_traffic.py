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


def test_segments_that_nobody_asks_for_are_let_go_after_a_minute() -> None:
    traffic = Traffic()
    for second in range(500):
        traffic.observe(rows(1, received_at=1000.0 + second, total_seconds=0.02, final=True))
    assert len(traffic._window) == traffic._held == 60
    report = traffic.report(1499.5)
    assert (report.total, round(report.rate_per_second, 1)) == (500, 1.0)
    traffic.observe(rows(2, received_at=1000.0, final=False))
    traffic.observe(rows(3, received_at=1010.0, total_seconds=0.02, final=True))
    assert traffic._held == 63


def test_there_is_no_latency_without_an_answer() -> None:
    traffic = Traffic()
    traffic.observe(rows(3, outcome="rejected", total_seconds=0.0, received_at=1000.0))
    assert traffic.report(1001.0).p50_seconds is None
