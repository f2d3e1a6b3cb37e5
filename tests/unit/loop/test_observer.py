"""What the observer makes of the log's segments, and that a restart counts nothing twice."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.support.request_log import SegmentWriter

from trimtab.backends.requestlog import FolderRequestLog
from trimtab.domain.deployment import DeploymentSpec, MonitorPlan, RolloutPlan
from trimtab.domain.names import Digest
from trimtab.domain.profile import Coarse, EstimateProfile, LossModel, ReferenceProfile
from trimtab.domain.records import Heard, Labelled, Paired, Rows
from trimtab.domain.release import EnvironmentLock, Golden, Manifest, Release
from trimtab.domain.rollout import Phase, Rollout, Standing
from trimtab.domain.signature import Column, Datatype, Output, Signature
from trimtab.domain.state import DeploymentState
from trimtab.domain.verdicts import Incident, Shown, Verdict
from trimtab.judge.reports import GuardReport, MonitorReport, Surroundings
from trimtab.loop.evidence import Evidence
from trimtab.loop.observer import Judges, Observer, Sources

OLD = Standing(Digest("sha256:aa"), "m@1", 1)
NEW = Standing(Digest("sha256:bb"), "m@2", 2)
DAY = 86_400.0
START = 1_356_998_400.0
SPEC = DeploymentSpec(
    "flights", "m", clock="event", monitor=MonitorPlan(maturity_seconds=DAY, block_seconds=3600.0)
)
PROFILE = ReferenceProfile(rows=10, inputs=())


@dataclass
class Tape:
    """A double of monitors and of a guard: remembers what it was given, in order."""

    of: str
    rows: list[str] = field(default_factory=list)
    labels: list[tuple[str, str]] = field(default_factory=list)
    fates: list[str] = field(default_factory=list)
    columns: list[list[str]] = field(default_factory=list)
    seen: list[Any] = field(default_factory=list)
    reports: list[MonitorReport] = field(default_factory=list)

    def observe(self, rows: Rows) -> None:
        self.rows += rows.fixed["request_id"].tolist()

    def learn(self, labelled: Labelled) -> None:
        ids = labelled.rows.fixed["request_id"].tolist()
        self.columns.append(sorted(labelled.rows.inputs))
        self.labels += list(zip(ids, labelled.label.tolist(), strict=True))

    def dump(self) -> bytes:
        return json.dumps([self.of, self.rows, self.labels]).encode()


class TapeMonitors(Tape):
    notes: tuple[str, ...] = ()

    def hear(self, heard: Heard) -> None:
        self.fates += heard.fate.tolist()

    def compare(self, paired: Paired) -> None:
        ids, told = paired.rows.fixed["request_id"].tolist(), paired.told["x"].tolist()
        self.seen += list(zip(ids, paired.rows.inputs["x"].tolist(), told, strict=True))

    def assess(
        self, clock: float, open_incidents: tuple[Incident, ...], surroundings: Surroundings
    ) -> MonitorReport:
        self.seen.append((clock, [incident.id for incident in open_incidents], surroundings))
        return self.reports.pop(0) if self.reports else MonitorReport(())


class TapeGuard(Tape):
    says = GuardReport("ok", "unknown", ())

    def assess(self, phase: Phase, step: int, clock: float) -> GuardReport:
        self.seen.append((phase, step, clock))
        return self.says


class Tapes:
    """Starts and reads back doubles, and keeps the newest of each."""

    def __init__(self) -> None:
        self.profile = PROFILE
        self.monitors = TapeMonitors("none")
        self.guard = TapeGuard("none")
        self.started: list[tuple[str, float]] = []

    def judges(self) -> Judges:
        return Judges(self.start_monitors, self.load_monitors, self.start_guard, self.load_guard)

    def start_monitors(
        self,
        spec: DeploymentSpec,
        signature: Signature,
        profile: ReferenceProfile | None,
        release: str,
        started: float,
    ) -> TapeMonitors:
        assert profile == self.profile
        self.started.append((release, started))
        self.monitors = TapeMonitors(release)
        return self.monitors

    def load_monitors(self, data: bytes) -> TapeMonitors:
        self.monitors = TapeMonitors(*_tape(data))
        return self.monitors

    def start_guard(
        self,
        plan: RolloutPlan,
        spec: DeploymentSpec,
        candidate: Standing,
        stable: Standing,
        told: tuple[Signature, ReferenceProfile | None],
    ) -> TapeGuard:
        assert told[1] == self.profile
        self.guard = TapeGuard(f"{candidate.name} against {stable.name}")
        return self.guard

    def load_guard(self, data: bytes) -> TapeGuard:
        self.guard = TapeGuard(*_tape(data))
        return self.guard


def _tape(data: bytes) -> tuple[str, list[str], list[tuple[str, str]]]:
    of, rows, labels = json.loads(data)
    return of, rows, [(request, label) for request, label in labels]


class Releases:
    """A catalog that holds one manifest for every digest, and its profile as a blob."""

    def __init__(self, profile: ReferenceProfile) -> None:
        self._profile = profile

    def get(self, digest: Digest) -> Any:
        if digest == "sha256:profile":
            return msgspec.json.encode(self._profile)
        return Release(digest, "m", 1, 0.0, MANIFEST)


class StoppedClock:
    """The host's clock, standing still."""

    def __init__(self, now: float) -> None:
        self.value = now

    def now(self) -> float:
        return self.value

    def monotonic(self) -> float:
        return self.value

    async def sleep(self, seconds: float) -> None:
        self.value += seconds


MANIFEST = Manifest(
    model="m",
    format="skops",
    model_path="model.skops",
    features=None,
    frame="pandas",
    tree=Digest("sha256:tree"),
    environment=EnvironmentLock("3.11.7", "linux", ()),
    data=None,
    signature=Signature((Column("x", Datatype.FP64),), (Output("score", Datatype.FP64),)),
    execution={},
    profile=Digest("sha256:profile"),
    golden=Golden(Digest("sha256:golden"), 1, 0.0, True),
)


@dataclass
class Bench:
    """An observer over a folder of segments, with doubles for what it feeds."""

    home: Path
    tapes: Tapes = field(default_factory=Tapes)
    clock: StoppedClock = field(default_factory=lambda: StoppedClock(1_700_000_100.0))

    def observer(self, saved: bytes | None = None) -> Observer:
        releases: Any = Releases(self.tapes.profile)
        log = FolderRequestLog(self.home, settle_seconds=0.0)
        observer = Observer(Sources(log, releases, releases, self.clock), self.tapes.judges())
        if saved is not None:
            observer.restore(saved)
        return observer


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def writer(tmp_path: Path) -> SegmentWriter:
    return SegmentWriter(tmp_path, "flights")


def stable(spec: DeploymentSpec = SPEC, **changes: Any) -> dict[str, DeploymentState]:
    return {"flights": DeploymentState(spec=spec, stable=OLD, **changes)}


def canary(phase: Phase = "canary") -> dict[str, DeploymentState]:
    rollout = Rollout(
        id="ro-1",
        candidate=NEW,
        previous=OLD,
        strategy="canary",
        phase=phase,
        step=1,
        weight=500,
        paused=False,
        started_clock=START,
        phase_clock=START,
    )
    return stable(rollout=rollout)


def at(request: str, seconds: float = 0.0, **changes: Any) -> dict[str, Any]:
    """A row; a keyword `in_x` is the input column `in.x`."""
    named = {name.replace("in_", "in."): value for name, value in changes.items()}
    return {"request_id": request, "event_time": START + seconds, **named}


def test_monitors_get_what_stable_answered_as_stable(bench: Bench, writer: SegmentWriter) -> None:
    observer = bench.observer()
    observer.follow(stable(), {})
    writer.rows(
        at("a"),
        at("b", release="sha256:bb", mode="canary"),
        at("c", mode="shadow", final=False),
    )
    assert observer.poll() == 1
    assert bench.tapes.monitors.rows == ["a"]
    assert observer.poll() == 0
    assert bench.tapes.monitors.rows == ["a"]


def test_the_guard_gets_the_rows_of_its_rollout_only(bench: Bench, writer: SegmentWriter) -> None:
    observer = bench.observer()
    observer.follow(canary(), {})
    writer.rows(
        at("a", rollout="ro-1"),
        at("b", rollout="ro-1", release="sha256:bb", mode="canary"),
        at("c", rollout="ro-0", release="sha256:bb", mode="canary"),
        at("d", rollout=None),
    )
    writer.labels({"request_id": "b", "label": "1", "at": START}, {"request_id": "c", "at": START})
    observer.poll()
    assert bench.tapes.guard.of == "m@2 against m@1"
    assert bench.tapes.guard.rows == ["a", "b"]
    assert bench.tapes.guard.labels == [("b", "1")]
    assert observer.guard("flights") == GuardReport("ok", "unknown", ())
    assert bench.tapes.guard.seen == [("canary", 1, START)]


def test_a_promoted_candidate_starts_with_no_rows_of_its_canary(
    bench: Bench, writer: SegmentWriter
) -> None:
    observer = bench.observer()
    observer.follow(canary(), {})
    writer.rows(at("a", rollout="ro-1", release="sha256:bb", mode="canary"))
    observer.poll()
    promoted = msgspec.structs.replace(stable()["flights"], stable=NEW, serving_since=START + 5.0)
    observer.follow({"flights": promoted}, {})
    writer.rows(at("b", release="sha256:bb"))
    writer.labels({"request_id": "a"}, {"request_id": "b"})
    observer.poll()
    assert bench.tapes.started == [("sha256:aa", 0.0), ("sha256:bb", START + 5.0)]
    assert bench.tapes.monitors.rows == ["b"]
    assert bench.tapes.monitors.labels == [("b", "1")]
    assert observer.guard("flights") is None


def test_labels_may_come_before_late_twice_and_out_of_order(
    bench: Bench, writer: SegmentWriter
) -> None:
    observer = bench.observer()
    observer.follow(stable(), {})
    writer.labels(
        {"request_id": "early", "label": "second", "at": 2.0},
        {"request_id": "early", "label": "first", "at": 1.0},
    )
    observer.poll()
    writer.labels({"request_id": "early", "label": "older still", "at": 0.5})
    writer.rows(at("early"), at("late"), at("failed", outcome="failed"))
    observer.poll()
    assert bench.tapes.monitors.labels == [("early", "second")]
    writer.labels({"request_id": "late", "label": "0", "at": 5.0}, {"request_id": "failed"})
    writer.labels({"request_id": "late", "label": "1", "at": 9.0}, {"request_id": "early"})
    observer.poll()
    assert bench.tapes.monitors.labels == [("early", "second"), ("late", "0")]


def test_a_shadow_copy_logged_after_the_label_of_its_request_is_joined(
    bench: Bench, writer: SegmentWriter
) -> None:
    observer = bench.observer()
    observer.follow(canary("shadow"), {})
    writer.rows(at("a", rollout="ro-1"), at("b", rollout=None))
    writer.labels({"request_id": "a"}, {"request_id": "b"})
    observer.poll()
    again = bench.observer(observer.dump())
    again.follow(canary("shadow"), {})
    shadow: dict[str, Any] = {
        "mode": "shadow",
        "release": "sha256:bb",
        "final": False,
        "rollout": "ro-1",
    }
    writer.rows(at("a", **shadow), at("b", **shadow))
    again.poll()
    assert bench.tapes.guard.labels == [("a", "1"), ("a", "1")]
    assert bench.tapes.monitors.labels == [("a", "1"), ("b", "1")]


def test_labels_by_business_key_join_every_prediction_of_the_key(
    bench: Bench, writer: SegmentWriter
) -> None:
    spec = msgspec.structs.replace(SPEC, monitor=MonitorPlan(key="flight"))
    observer = bench.observer()
    observer.follow(stable(spec), {})
    writer.rows(at("a", in_flight=7.0), at("b", in_flight=8.0), at("c", in_flight=7.0))
    writer.labels({"request_id": None, "key": "7", "label": "1"})
    observer.poll()
    assert bench.tapes.monitors.labels == [("a", "1"), ("c", "1")]


def test_a_key_set_later_joins_the_predictions_that_wait(
    bench: Bench, writer: SegmentWriter
) -> None:
    observer = bench.observer()
    observer.follow(stable(), {})
    writer.rows(at("a", in_flight="UA1"))
    observer.poll()
    plan = msgspec.structs.replace(SPEC.monitor, key="flight")
    observer.follow(stable(msgspec.structs.replace(SPEC, monitor=plan)), {})
    writer.labels({"request_id": None, "key": "UA1"})
    observer.poll()
    assert bench.tapes.monitors.labels == [("a", "1")]
    assert len(bench.tapes.started) == 2


def test_labels_bring_the_inputs_that_a_regressions_loss_is_expected_from(
    bench: Bench, writer: SegmentWriter
) -> None:
    columns = (Coarse(name="level"), Coarse(name=""))
    model = LossModel(columns=columns, base=0.1, feature=(), above=(), leaf=())
    learned = EstimateProfile(
        metrics=("squared_error",),
        sides=("",),
        cuts=(),
        chance=(0.1,),
        rows=((1,),),
        hits=((0.1,),),
        group=(0,),
        loss=model,
    )
    bench.tapes.profile = msgspec.structs.replace(PROFILE, estimate=learned)
    observer = bench.observer()
    plan = msgspec.structs.replace(SPEC.monitor, segments=("side",))
    observer.follow(stable(msgspec.structs.replace(SPEC, monitor=plan)), {})
    writer.rows(at("a", in_level=1.0, in_side="left", in_other=2.0))
    writer.labels({"request_id": "a"})
    observer.poll()
    assert bench.tapes.monitors.columns == [["level", "side"]]


def test_labels_come_with_what_a_loss_names(bench: Bench, writer: SegmentWriter) -> None:
    observer = bench.observer()
    plan = msgspec.structs.replace(SPEC.monitor, loss='column("level") * score + number(side)')
    observer.follow(stable(msgspec.structs.replace(SPEC, monitor=plan)), {})
    writer.rows(at("a", in_level=1.0, in_side="left", in_other=2.0))
    writer.labels({"request_id": "a"})
    observer.poll()
    assert bench.tapes.monitors.columns == [["level", "side"]]


def test_the_event_clock_ignores_one_request_from_the_future(
    bench: Bench, writer: SegmentWriter
) -> None:
    observer = bench.observer()
    observer.follow(stable(), {})
    assert observer.clock("flights") == 0.0
    writer.rows(at("a"), at("b", 5.0), at("c", 400 * DAY), at("d", 10.0, final=False))
    observer.poll()
    assert observer.clock("flights") == START + 0.0
    writer.rows(at("e", 60.0))
    observer.poll()
    assert observer.clock("flights") == START + 60.0
    writer.rows(at("f", 90 * DAY))
    observer.poll()
    assert observer.clock("flights") == START + 60.0
    writer.rows(at("g", 30.0))
    observer.poll()
    assert observer.clock("flights") == START + 60.0


def test_a_wall_clock_deployment_runs_on_the_hosts_clock(bench: Bench) -> None:
    observer = bench.observer()
    assert observer.clock("unknown") == 1_700_000_100.0
    observer.follow(stable(msgspec.structs.replace(SPEC, clock="wall")), {})
    assert observer.clock("flights") == 1_700_000_100.0


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
    )
    observer.poll()
    report = observer.traffic("flights")
    assert (report.total, report.failed) == (5, 1)
    assert report.outcomes == {"ok": 3, "shed": 1, "rejected": 1}
    assert report.rate_per_second == pytest.approx(4 / 20)
    assert report.p50_seconds == pytest.approx(0.020)
    bench.clock.value += 120.0
    later = observer.traffic("flights")
    assert (later.total, later.rate_per_second, later.p99_seconds) == (5, 0.0, None)
    assert observer.traffic("unknown").total == 0


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
    assert observer.monitors("flights") is None
    around = Surroundings(boundary=START, candidate=True)
    observer.follow(stable(), {"flights": around})
    worse = incident("i1", "severe")
    bench.tapes.monitors.reports = [
        MonitorReport((), opened=(incident("i1"),)),
        MonitorReport((), updated=(worse,)),
    ]
    assert observer.monitors("flights") == MonitorReport((), opened=(incident("i1"),))
    assert observer.monitors("flights") == MonitorReport((), opened=(worse,))
    again = bench.observer(observer.dump())
    again.follow(stable(), {"flights": around})
    bench.tapes.monitors.reports = [MonitorReport((), closed=("i1",))]
    assert again.monitors("flights") == MonitorReport((), opened=(worse,), closed=("i1",))
    assert bench.tapes.monitors.seen == [(0.0, ["i1"], around)]
    again.settled("flights")
    assert again.monitors("flights") == MonitorReport(())
    again.follow(stable(incidents=(incident("i2"),)), {})
    bench.tapes.monitors.reports = [MonitorReport((), updated=(incident("i2", "severe"),))]
    report = again.monitors("flights")
    assert report is not None
    assert [each.severity for each in report.updated] == ["severe"]
    assert bench.tapes.monitors.seen[-1] == (0.0, ["i2"], Surroundings())


def test_a_dump_that_cannot_be_read_means_reading_the_log_again(
    bench: Bench, writer: SegmentWriter
) -> None:
    writer.rows(at("a"))
    observer = bench.observer(b"of another version")
    assert observer.poll() == 0
    observer.follow(stable(), {})
    asyncio.run(observer.refresh())
    assert bench.tapes.monitors.rows == ["a"]


def test_nothing_is_read_after_a_restart_before_the_state_is_known(
    bench: Bench, writer: SegmentWriter
) -> None:
    first = bench.observer()
    first.follow(stable(), {})
    saved = first.dump()
    writer.rows(at("a", rollout="ro-1"))
    second = bench.observer(saved)
    assert second.poll() == 0
    second.follow(canary(), {})
    assert second.poll() == 1
    assert bench.tapes.guard.rows == ["a"]


def test_what_monitors_could_not_read_back_is_logged(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    first = bench.observer()
    first.follow(stable(), {})
    monkeypatch.setattr(TapeMonitors, "notes", ("moods is no longer watched",))
    bench.observer(first.dump())
    assert "moods is no longer watched" in caplog.text


def test_the_clock_does_not_go_back_with_the_host(bench: Bench) -> None:
    observer = bench.observer()
    observer.follow(stable(msgspec.structs.replace(SPEC, clock="wall")), {})
    before = observer.clock("flights")
    bench.clock.value -= 3600.0
    assert observer.clock("flights") == before


def test_a_deployment_that_is_gone_is_not_watched(bench: Bench, writer: SegmentWriter) -> None:
    observer = bench.observer()
    observer.follow(stable(), {})
    observer.follow({}, {})
    writer.rows(at("a"))
    assert observer.poll() == 0


def _script(writer: SegmentWriter) -> None:
    """Segments in which labels are early, late and doubled, and two releases answer."""
    writer.labels({"request_id": "r3", "label": "early", "at": START})
    for number in range(8):
        writer.rows(
            at(f"r{number}", number * 60.0, rollout="ro-1"),
            at(f"c{number}", number * 60.0, rollout="ro-1", release="sha256:bb", mode="canary"),
        )
        if number >= 2:
            writer.labels(
                {"request_id": f"r{number - 2}", "label": "1", "at": START},
                {"request_id": f"c{number - 1}", "label": "0", "at": START},
                {"request_id": f"r{number - 1}", "label": "1", "at": START},
            )


def test_a_kill_between_any_two_steps_gives_the_same_evidence(tmp_path: Path) -> None:
    plain = Bench(tmp_path)
    _script(SegmentWriter(tmp_path, "flights"))
    whole = plain.observer()
    whole.follow(canary(), {})
    asyncio.run(whole.refresh())
    segments = 15
    for saved_after in range(segments + 1):
        bench = Bench(tmp_path)
        before = bench.observer()
        before.follow(canary(), {})
        _poll_some(before, saved_after)
        saved = before.dump()
        asyncio.run(before.refresh())
        if saved_after == 7:
            FolderRequestLog(tmp_path, settle_seconds=0.0).roll("flights")
        after = bench.observer(saved)
        after.follow(canary(), {})
        assert after.poll() == segments - saved_after
        for mine, expected in (
            (bench.tapes.monitors, plain.tapes.monitors),
            (bench.tapes.guard, plain.tapes.guard),
        ):
            assert (mine.of, mine.rows, mine.labels) == (
                expected.of,
                expected.rows,
                expected.labels,
            )
        assert after.clock("flights") == whole.clock("flights")
        assert after.traffic("flights").outcomes == whole.traffic("flights").outcomes


def _poll_some(observer: Observer, segments: int) -> None:
    """Read exactly so many segments."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("trimtab.loop.observer.SEGMENTS_PER_POLL", segments)
        assert observer.poll() == segments


def test_the_observer_is_the_evidence_of_the_loop(bench: Bench) -> None:
    evidence: Evidence = bench.observer()
    assert evidence.guard("flights") is None


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
    report = observer.monitors("flights")
    assert report is not None
    (opened,) = report.opened
    assert shown_ids(opened.shown) == [["r7", "r6", "r5", "r4", "r3"]]
    assert opened.shown[0].share == pytest.approx(8 / 9)
    assert observer.monitors("flights") == report
    bench.tapes.monitors.reports = [
        MonitorReport((), opened=(msgspec.structs.replace(found, verdicts=(failing(None),)),))
    ]
    assert observer.monitors("flights") != report


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
    assert observer.monitors("flights") == MonitorReport((), opened=(found,))


def test_a_guard_that_condemns_shows_requests_and_reads_them_once(
    bench: Bench, writer: SegmentWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    observer = bench.observer()
    observer.follow(canary(), {})
    mine: dict[str, Any] = {"rollout": "ro-1", "release": "sha256:bb", "outcome": "failed"}
    writer.rows(at("a", mode="canary", **mine), at("b", mode="shadow", **mine), at("c"))
    observer.poll()
    bench.tapes.guard.says = GuardReport("bad", "unknown", (failing(),))
    report = observer.guard("flights")
    assert report is not None
    assert shown_ids(report.shown) == [["b", "a"]]
    monkeypatch.delattr(FolderRequestLog, "rows_between")
    assert observer.guard("flights") == report
