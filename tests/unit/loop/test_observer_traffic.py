"""What the observer counts of requests, and what it could not read or reads late."""

import pytest
from tests.support.request_log import SegmentWriter
from tests.unit.loop.bench import Bench, at, stable

from trimtab.domain.deployment import Objective, ScalePlan
from trimtab.judge.scale.cost import Cost
from trimtab.judge.scale.policy import Room, Situation, size
from trimtab.judge.scale.service import Work


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
    writer.rows(
        at("a", received_at=now - 50.0, total_seconds=0.5),
        at("b", received_at=now - 41.0, total_seconds=1.0),
    )
    assert observer.poll() == 1
    assert observer.behind("flights") == pytest.approx(40.0)
    writer.rows(at("c", received_at=now + 5.0))
    assert observer.poll() == 1
    assert observer.behind("flights") == 0.0
    writer.rows(at("d", received_at=now - 7.0))
    assert observer.poll() == 1
    assert observer.poll() == 0
    assert observer.behind("flights") == 0.0


def test_a_request_that_took_long_is_not_judged_late_for_that(
    bench: Bench, writer: SegmentWriter
) -> None:
    observer = bench.observer()
    observer.follow(stable(), {})
    now = bench.clock.value
    writer.rows(at("a", received_at=now - 60.0, total_seconds=59.0, lane="batch"))
    observer.poll()
    assert observer.behind("flights") == pytest.approx(1.0)


def test_what_came_before_the_loop_began_is_late_because_it_was_stopped(
    bench: Bench, writer: SegmentWriter
) -> None:
    before = bench.observer()
    before.follow(stable(), {})
    saved, came = before.dump(), bench.clock.value
    bench.clock.value += 60.0
    observer = bench.observer(saved)
    observer.follow(stable(), {})
    assert (observer.trend("flights"), observer.trend("nobody")) == ("", "")
    writer.rows(at("a", received_at=came, total_seconds=0.0))
    observer.poll()
    assert (observer.behind("flights"), observer.trend("flights")) == (60.0, "stopped")
    observer.poll()
    assert (observer.behind("flights"), observer.trend("flights")) == (0.0, "")


@pytest.mark.parametrize(
    ("rate", "trend"), [(0.5, "growing"), (0.95, ""), (1.0, ""), (1.05, ""), (2.0, "shrinking")]
)
def test_whether_it_is_judged_ever_later_shows_within_seconds(
    bench: Bench, writer: SegmentWriter, rate: float, trend: str
) -> None:
    observer = bench.observer()
    observer.follow(stable(), {})
    began = bench.clock.value
    for second in range(12):
        bench.clock.value = began + 20.0 + second
        writer.rows(at(f"r{second}", received_at=began + 1.0 + rate * second, total_seconds=0.0))
        assert observer.poll() == 1
        assert second >= 5 or observer.trend("flights") == ""
    assert observer.trend("flights") == trend


@pytest.mark.parametrize("leap", [3600.0, -3600.0])
def test_a_clock_that_leaps_takes_no_worker_away(
    bench: Bench, writer: SegmentWriter, leap: float
) -> None:
    """Nobody was quiet for an hour: the time did not pass."""
    observer = bench.observer()
    observer.follow(stable(), {})
    began = bench.clock.now()
    observer.demand(("flights",), 10.0, 300.0)
    bench.clock.value += 400.0
    writer.rows(*(at(f"{n}", received_at=began + n) for n in range(400)))
    observer.poll()
    plan = ScalePlan(min=1, max=8, idle="zero", idle_after_seconds=600.0)

    def workers() -> int:
        demand, work = observer.demand(("flights",), 10.0, 300.0), Work(0.01, Cost(0.01, 0.0))
        seen = Situation(
            now=bench.clock.now(),
            workers=4,
            ready=4,
            changed_at=began,
            plan=plan,
            objective=Objective(),
            demand=demand,
            work=work,
            room=Room(),
            may_sleep=True,
        )
        return size(seen).workers

    assert observer.demand(("flights",), 10.0, 300.0).known == 400.0
    bench.clock.leapt = leap
    assert workers() == 4
    bench.clock.value += 250.0
    assert workers() == 4
    bench.clock.value += 100.0
    assert (workers() < 4) == (leap > 0.0), "once the patience has passed, it is quiet"
