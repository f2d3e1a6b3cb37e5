"""What the observer makes of the log's segments, and that a restart counts nothing twice."""

import asyncio
import errno
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.support.request_log import SegmentWriter
from tests.unit.loop.bench import (
    DAY,
    NEW,
    PROFILE,
    SPEC,
    START,
    Bench,
    Releases,
    TapeMonitors,
    at,
    canary,
    stable,
)

from trimtab.backends.requestlog import FolderRequestLog
from trimtab.domain.deployment import MonitorPlan
from trimtab.domain.names import Digest
from trimtab.domain.profile import Coarse, EstimateProfile, LossModel
from trimtab.judge.reports import GuardReport
from trimtab.loop.evidence import Evidence
from trimtab.loop.observer import Observer
from trimtab.loop.profiles import PATIENCE


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


def test_a_release_whose_profile_cannot_be_read_is_watched_without_one(
    bench: Bench, writer: SegmentWriter, caplog: pytest.LogCaptureFixture
) -> None:
    """It serves all the same, and nobody could be routed to anything else otherwise."""
    bench.tapes.profile = None
    observer = bench.observer()
    for _ in range(2):
        observer.follow(canary(), {})
    writer.rows(at("a", rollout="ro-1"))
    observer.poll()
    assert (bench.tapes.monitors.rows, bench.tapes.guard.rows) == (["a"], ["a"])
    assert caplog.text.count("is watched without its reference profile") == 1


def test_a_profile_that_cannot_be_read_for_a_while_is_waited_for(
    bench: Bench, writer: SegmentWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files that run out for a moment do not leave a release without its reference, and what was
    answered meanwhile is read once it is there."""
    observer = bench.observer()
    with monkeypatch.context() as patch:
        patch.setattr(Releases, "get", _out_of_files)
        observer.follow(canary(), {})
        writer.rows(at("a", rollout="ro-1"))
        assert observer.poll() == 0
        assert observer.guard(SPEC.name) is None
    observer.follow(canary(), {})
    observer.poll()
    assert (bench.tapes.monitors.rows, bench.tapes.guard.rows) == (["a"], ["a"])


def test_a_profile_that_can_never_be_read_is_waited_for_a_minute(
    bench: Bench,
    writer: SegmentWriter,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    observer = bench.observer()
    monkeypatch.setattr(Releases, "get", _out_of_files)
    observer.follow(canary(), {})
    bench.tapes.profile = None
    bench.clock.value += PATIENCE
    observer.follow(canary(), {})
    writer.rows(at("a", rollout="ro-1"))
    observer.poll()
    assert (bench.tapes.monitors.rows, bench.tapes.guard.rows) == (["a"], ["a"])
    assert caplog.text.count("is watched without its reference profile") == 1


def _out_of_files(releases: Releases, digest: Digest, get: Any = Releases.get) -> Any:
    if digest == "sha256:profile":
        raise OSError(errno.EMFILE, "Too many open files")
    return get(releases, digest)


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
    asyncio.run(observer.refresh())
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


@pytest.mark.parametrize(
    "dump", [b"of another version", b"\x81\xabdeployments\x81\xa1\xff\xc4\x00"]
)
def test_a_dump_that_cannot_be_read_means_reading_the_log_again(
    bench: Bench, writer: SegmentWriter, caplog: pytest.LogCaptureFixture, dump: bytes
) -> None:
    writer.rows(at("a"))
    observer = bench.observer(dump)
    assert "the log is read anew" in caplog.text
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


def test_the_log_stirs_until_it_was_read(bench: Bench, writer: SegmentWriter) -> None:
    observer = bench.observer()
    observer.follow(stable(), {})
    long_ago = 1_600_000_000
    writer.rows(at("a"))
    os.utime(bench.home / "log/flights/rows", (long_ago, long_ago))
    assert observer.stirred()
    asyncio.run(observer.refresh())
    assert not observer.stirred()
    writer.rows(at("b"))
    assert observer.stirred()


def test_a_log_that_cannot_be_read_goes_on_stirring(
    bench: Bench, writer: SegmentWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    observer = bench.observer()
    observer.follow(stable(), {})
    asyncio.run(observer.refresh())
    assert not observer.stirred()

    def refuses(log: FolderRequestLog) -> int:
        raise OSError(28, "full")

    monkeypatch.setattr(FolderRequestLog, "publish", refuses)
    with pytest.raises(OSError, match="full"):
        asyncio.run(observer.refresh())
    assert observer.stirred()
