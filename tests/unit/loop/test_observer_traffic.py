"""What the observer counts of requests, and what it could not read or reads late."""

import pytest
from tests.support.request_log import SegmentWriter
from tests.unit.loop.bench import Bench, at, stable


def test_a_torn_segment_is_counted_and_passed_over(bench: Bench, writer: SegmentWriter) -> None:
    observer = bench.observer()
    observer.follow(stable(), {})
    torn = writer.rows(at("a"))
    torn.write_bytes(b"torn")
    writer.rows(at("b"))
    assert observer.poll() == 2
    assert bench.tapes.monitors.rows == ["b"]
    assert observer.unreadable("flights") == 1
    assert observer.poll() == 0


def test_traffic_counts_each_request_by_its_final_answer(
    bench: Bench, writer: SegmentWriter
) -> None:
    observer = bench.observer()
    observer.follow(stable(), {})
    now = bench.clock.value
    writer.rows(
        at("old", received_at=now - 90.0, total_seconds=9.0),
        at("a", received_at=now - 20.0, total_seconds=0.010),
        at("a", row=1, received_at=now - 20.0, total_seconds=0.010),
        at("b", received_at=now - 10.0, final=False, outcome="failed"),
        at("b", received_at=now - 10.0, attempt=1, total_seconds=0.030),
        at("c", received_at=now - 5.0, outcome="shed", total_seconds=0.020),
        at("d", received_at=now - 5.0, outcome="rejected", total_seconds=0.020),
        at("e", received_at=now - 5.0, lane="batch", total_seconds=30.0),
    )
    observer.poll()
    report = observer.traffic("flights")
    assert (report.total, report.failed) == (6, 1)
    assert report.outcomes == {"ok": 4, "shed": 1, "rejected": 1}
    assert report.rate_per_second == pytest.approx(5 / 20)
    assert report.p50_seconds == pytest.approx(0.020)
    bench.clock.value += 120.0
    later = observer.traffic("flights")
    assert (later.total, later.rate_per_second, later.p99_seconds) == (6, 0.0, None)
    assert observer.traffic("unknown").total == 0


def test_it_says_how_late_requests_are_read_until_nothing_is_left(
    bench: Bench, writer: SegmentWriter
) -> None:
    observer = bench.observer()
    observer.follow(stable(), {})
    assert observer.behind("flights") == 0.0
    assert observer.behind("nobody") == 0.0
    now = bench.clock.value
    writer.rows(at("a", received_at=now - 50.0), at("b", received_at=now - 40.0))
    assert observer.poll() == 1
    assert observer.behind("flights") == pytest.approx(40.0)
    writer.rows(at("c", received_at=now + 5.0))
    assert observer.poll() == 1
    assert observer.behind("flights") == 0.0
    writer.rows(at("d", received_at=now - 7.0))
    assert observer.poll() == 1
    assert observer.poll() == 0
    assert observer.behind("flights") == 0.0
