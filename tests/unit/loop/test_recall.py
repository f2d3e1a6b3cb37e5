"""What waits for labels is read again beside the control loop, and nothing is judged before."""

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import pytest
from tests.support.control import ANN, GOOD, incident
from tests.support.request_log import ROW, SegmentWriter, table
from tests.unit.loop.bench import START, Bench, StoppedClock, at, stable
from tests.unit.loop.world import World, run

from trimtab.backends.requestlog import FolderRequestLog
from trimtab.backends.requestlog_files import to_rows
from trimtab.domain.records import FIXED_COLUMNS, Rows
from trimtab.judge.reports import MonitorReport
from trimtab.loop import recall
from trimtab.loop.joiner import Joiner, SavedJoiner, Terms
from trimtab.loop.observer import Observer
from trimtab.loop.recall import Recall
from trimtab.ports.requestlog import Segment


def rows_of(segments: Sequence[Segment]) -> Iterator[Rows]:
    """One prediction for each segment."""
    for each in segments:
        yield to_rows(table([{**ROW, "request_id": f"r{each.sequence}"}], FIXED_COLUMNS))


def saved(segments: int) -> SavedJoiner:
    """What a joiner that held so many left."""
    joiner = Joiner(Terms(horizon=10.0))
    every = [Segment("flights", "rows", "g0-1", number, "") for number in range(segments)]
    for segment, rows in zip(every, rows_of(every), strict=True):
        joiner.add(segment, rows)
    return joiner.dump()


def test_a_recall_reads_some_segments_at_a_time() -> None:
    before = saved(5)
    again = Recall(before, rows_of, 0.0)
    assert [again.some(2), again.some(2)] == [None, None]
    joiner = again.some(2)
    assert joiner is not None
    assert joiner.dump() == before
    assert Recall(saved(0), rows_of, 0.0).some() is not None


def test_a_recall_that_fails_begins_anew_and_loses_nothing() -> None:
    before, broken = saved(5), [3]

    def read(segments: Sequence[Segment]) -> Iterator[Rows]:
        for number, rows in enumerate(rows_of(segments)):
            if number in broken:
                raise OSError(24, "too many open files")
            yield rows

    again = Recall(before, read, 0.0)
    for _ in range(2):
        with pytest.raises(OSError, match="too many"):
            again.some()
    broken.clear()
    joiner = again.some()
    assert joiner is not None
    assert joiner.dump() == before


def test_a_recall_under_changed_terms_is_of_the_same_predictions() -> None:
    again = Recall(saved(5), rows_of, 0.0)
    again.some(2)
    terms = Terms(horizon=20.0, inputs=("x",))
    joiner = again.under(terms).some()
    assert joiner is not None
    assert (joiner.terms, joiner.waiting) == (terms, 5)


class Passing(StoppedClock):
    """A clock of which a second passes between two looks."""

    def monotonic(self) -> float:
        self.value += 0.6
        return self.value


def restarted(
    bench: Bench, writer: SegmentWriter, monkeypatch: pytest.MonkeyPatch
) -> tuple[Bench, Observer, bytes]:
    """Four segments of predictions were read before a restart; then comes a label of the first."""
    monkeypatch.setattr(recall.Recall.some, "__defaults__", (1,))
    first = bench.observer()
    first.follow(stable(), {})
    for number in range(4):
        writer.rows(at(f"r{number}", number))
    first.poll()
    kept = first.dump()
    writer.labels({"request_id": "r0", "label": "1", "at": START})
    again = Bench(bench.home, clock=Passing(bench.clock.value))
    observer = again.observer()
    observer.restore(kept)
    observer.follow(stable(), {})
    return again, observer, kept


def whole(observer: Observer) -> None:
    """Let it read everything again, and then what is new."""
    while not asyncio.run(observer.refresh()):
        pass


def test_nothing_is_read_or_lost_while_what_waits_is_read_again(
    bench: Bench, writer: SegmentWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    again, observer, kept = restarted(bench, writer, monkeypatch)
    looks = 0
    while not asyncio.run(observer.refresh()):
        looks += 1
        assert observer.stirred()
        assert observer.poll() == 0
        assert observer.dump() == kept
        assert observer.behind("flights") > looks
        assert observer.trend("flights") == "stopped"
    assert looks > 1
    assert observer.behind("flights") == 0.0
    assert again.tapes.monitors.labels == [("r0", "1")]


def test_changed_terms_are_read_for_again_beside_the_loop(
    bench: Bench, writer: SegmentWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    again, observer, _ = restarted(bench, writer, monkeypatch)
    assert not asyncio.run(observer.refresh())
    spec = stable()["flights"].spec
    plan = msgspec.structs.replace(spec.monitor, segments=("x",))
    changed = stable(msgspec.structs.replace(spec, monitor=plan))
    observer.follow(changed, {})
    whole(observer)
    assert again.tapes.monitors.labels == [("r0", "1")]


def test_a_log_that_fails_while_it_is_read_again_loses_no_label(
    bench: Bench, writer: SegmentWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads, broken = FolderRequestLog.rows_of, [True]

    def refuses(log: FolderRequestLog, segments: Sequence[Segment]) -> Iterator[Rows | None]:
        for rows in reads(log, segments):
            yield rows
            if broken:
                raise OSError(24, "too many open files")

    monkeypatch.setattr(FolderRequestLog, "rows_of", refuses)
    again, observer, kept = restarted(bench, writer, monkeypatch)
    with pytest.raises(OSError, match="too many"):
        whole(observer)
    assert observer.dump() == kept
    broken.clear()
    whole(observer)
    assert again.tapes.monitors.labels == [("r0", "1")]


def test_nothing_is_decided_while_what_waits_for_labels_is_read_again(tmp_path: Path) -> None:
    async def work() -> None:
        world = World(tmp_path)
        controller, control = await world.serving()
        await control.deploy("d", "m@2", ANN)
        world.evidence.guards["d"] = GOOD
        await world.tick(controller)
        world.evidence.recalling = True
        world.evidence.reports["d"] = MonitorReport((), opened=(incident(),))
        state = await world.tick(controller, 5000.0)
        assert state.rollout is not None
        assert (state.rollout.phase, state.incidents) == ("shadow", ())
        assert (await control.abort("d", ANN)).rollout is None
        world.evidence.recalling = False
        assert len((await world.tick(controller)).incidents) == 1

    run(work)
