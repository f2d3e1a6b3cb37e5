"""What the observer reports of incidents, and the requests that it shows with them."""

from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from tests.support.request_log import SegmentWriter
from tests.unit.loop.bench import OLD, START, Bench, at, canary, stable, told

from trimtab.backends.requestlog import FolderRequestLog
from trimtab.domain.records import Rows
from trimtab.domain.verdicts import Incident, Shown, Verdict
from trimtab.judge.reports import GuardReport, MonitorReport, Surroundings


def incident(name: str, severity: str = "mild") -> Incident:
    return Incident(
        id=name,
        deployment="flights",
        release=OLD.digest,
        tier="page",
        opened_at=START,
        first_evidence_at=START,
        signals=("quality",),
        severity=severity,
        causes=(),
    )


def test_incidents_are_reported_until_they_are_settled(bench: Bench) -> None:
    observer = bench.observer()
    assert told(observer).monitors is None
    around = Surroundings(boundary=START, candidate=True)
    observer.follow(stable(), {"flights": around})
    worse = incident("i1", "severe")
    bench.tapes.monitors.reports = [
        MonitorReport((), opened=(incident("i1"),)),
        MonitorReport((), updated=(worse,)),
    ]
    assert told(observer).monitors == MonitorReport((), opened=(incident("i1"),))
    assert told(observer).monitors == MonitorReport((), opened=(worse,))
    again = bench.observer(observer.dump())
    again.follow(stable(), {"flights": around})
    bench.tapes.monitors.reports = [MonitorReport((), closed=("i1",))]
    assert told(again).monitors == MonitorReport((), opened=(worse,), closed=("i1",))
    assert bench.tapes.monitors.seen == [(0.0, ["i1"], around)]
    again.settled("flights")
    assert told(again).monitors == MonitorReport(())
    again.follow(stable(incidents=(incident("i2"),)), {})
    bench.tapes.monitors.reports = [MonitorReport((), updated=(incident("i2", "severe"),))]
    report = told(again).monitors
    assert report is not None
    assert [each.severity for each in report.updated] == ["severe"]
    assert bench.tapes.monitors.seen[-1] == (0.0, ["i2"], Surroundings())


def failing(since: float | None = START) -> Verdict:
    return Verdict(
        signal="errors",
        tier="page",
        verdict="bad",
        reason="requests fail",
        release=OLD.digest,
        since=since,
    )


def shown_ids(shown: tuple[Shown, ...]) -> list[list[str]]:
    return [[sample.request_id for sample in each.samples] for each in shown]


def test_an_incident_that_is_news_brings_requests_that_show_it(
    bench: Bench, writer: SegmentWriter
) -> None:
    observer = bench.observer()
    observer.follow(stable(), {})
    bad = {"outcome": "failed", "error": "boom"}
    names = [at(f"r{n}", n, **bad) for n in range(8)]
    writer.rows(*names, at("fine", 9.0), at("other", 9.0, release="sha256:bb", **bad))
    observer.poll()
    found = msgspec.structs.replace(incident("i1"), verdicts=(failing(),))
    bench.tapes.monitors.reports = [
        MonitorReport((), opened=(found,)),
        MonitorReport((), updated=(found,)),
    ]
    report = told(observer).monitors
    assert report is not None
    (opened,) = report.opened
    assert shown_ids(opened.shown) == [["r7", "r6", "r5", "r4", "r3"]]
    assert opened.shown[0].share == pytest.approx(8 / 9)
    assert told(observer).monitors == report
    later = msgspec.structs.replace(incident("i2"), verdicts=(failing(None),))
    bench.tapes.monitors.reports = [MonitorReport((), opened=(later,))]
    again = told(observer).monitors
    assert again is not None
    assert (again.opened[0], shown_ids(again.opened[1].shown)) == (opened, [[]])


def test_a_log_that_cannot_be_read_keeps_no_incident_back(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def torn(*asked: object) -> Iterator[Rows]:
        raise OSError("the disk is gone")

    monkeypatch.setattr(FolderRequestLog, "rows_between", torn)
    observer = bench.observer()
    observer.follow(stable(), {})
    found = msgspec.structs.replace(incident("i1"), verdicts=(failing(),))
    bench.tapes.monitors.reports = [MonitorReport((), opened=(found,))]
    assert told(observer).monitors == MonitorReport((), opened=(found,))


def test_a_guard_that_condemns_shows_requests_and_reads_them_once(
    bench: Bench, writer: SegmentWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    observer = bench.observer()
    observer.follow(canary(), {})
    mine: dict[str, Any] = {"rollout": "ro-1", "release": "sha256:bb", "outcome": "failed"}
    writer.rows(at("a", mode="canary", **mine), at("b", mode="shadow", **mine), at("c"))
    observer.poll()
    bench.tapes.guard.says = GuardReport("bad", "unknown", (failing(),))
    report = told(observer).guard
    assert report is not None
    assert shown_ids(report.shown) == [["b", "a"]]
    monkeypatch.delattr(FolderRequestLog, "rows_between")
    assert told(observer).guard == report
