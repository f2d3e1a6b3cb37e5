"""Reading, joining, rolling and querying the request log."""

import datetime
import errno
import os
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from tests.support.request_log import Countdown, Killed, SegmentWriter

from trimtab import errors
from trimtab.backends import requestlog_files as files
from trimtab.backends import rolling
from trimtab.backends.requestlog import FolderRequestLog
from trimtab.backends.rolling import Steps
from trimtab.domain import layout
from trimtab.ports.requestlog import Cursor, Segment

DAY = 86_400.0
ALL = ("flights", Cursor())


@pytest.fixture
def log(tmp_path: Path) -> FolderRequestLog:
    return FolderRequestLog(tmp_path, settle_seconds=0.0)


@pytest.fixture
def writer(tmp_path: Path) -> SegmentWriter:
    return SegmentWriter(tmp_path, "flights")


def read_all(log: FolderRequestLog, after: Cursor | None = None) -> tuple[list[str], Cursor]:
    """Request ids of all row segments in order of reading, and the cursor behind them."""
    cursor = after or Cursor()
    ids: list[str] = []
    for segment in log.segments("flights", cursor):
        if segment.kind == "rows":
            ids.extend(log.rows(segment).fixed["request_id"])
        cursor = cursor.after(segment)
    return ids, cursor


def counted(log: FolderRequestLog) -> list[str]:
    """Request ids as a query sees them."""
    answer = log.query("flights", "SELECT request_id FROM rows ORDER BY request_id")
    return [str(value) for value in answer.column("request_id").to_pylist()]


def test_a_segment_is_decoded_to_columns_with_missing_values(
    log: FolderRequestLog, writer: SegmentWriter
) -> None:
    writer.rows(
        {"request_id": "a", "in.x": None, "in.carrier": None},
        {"request_id": "b", "in.x": 2.5, "out.score": None, "outcome": "failed"},
    )
    (segment,) = log.segments("flights", Cursor())
    rows = log.rows(segment)
    assert list(rows.fixed["request_id"]) == ["a", "b"]
    assert np.isnan(rows.inputs["x"][0])
    assert rows.inputs["x"][1] == 2.5
    assert list(rows.inputs["carrier"]) == [None, "UA"]
    assert rows.outputs["score"].dtype == np.float64
    assert np.isnan(rows.outputs["score"][1])
    assert rows.fixed["final"].dtype == np.bool_
    assert rows.fixed["unit"].dtype == np.uint64


def test_a_reader_sees_each_segment_once_and_writers_by_time(tmp_path: Path) -> None:
    log = FolderRequestLog(tmp_path)
    one, two = (
        SegmentWriter(tmp_path, "flights", "g0-1"),
        SegmentWriter(tmp_path, "flights", "g1-1"),
    )
    two.seconds += 0.5
    one.rows({"request_id": "a"})
    two.rows({"request_id": "b"})
    one.rows({"request_id": "c"})
    ids, cursor = read_all(log)
    assert ids == ["a", "b", "c"]
    two.rows({"request_id": "d"})
    assert read_all(log, cursor)[0] == ["d"]


def test_rows_and_labels_of_a_writer_are_counted_apart(
    log: FolderRequestLog, writer: SegmentWriter
) -> None:
    writer.rows({"request_id": "a"})
    _, cursor = read_all(log)
    writer.labels({"request_id": "a"})
    (segment,) = log.segments("flights", cursor)
    assert (segment.kind, segment.sequence) == ("labels", 0)
    assert list(log.labels(segment).fixed["label"]) == ["1"]


def test_a_torn_segment_is_an_error_for_its_reader_and_left_out_of_queries(
    log: FolderRequestLog, writer: SegmentWriter
) -> None:
    writer.rows({"request_id": "a"})
    torn = writer.rows({"request_id": "b"})
    torn.write_bytes(torn.read_bytes()[:200])
    segments = list(log.segments("flights", Cursor()))
    with pytest.raises(errors.Permanent) as caught:
        log.rows(next(s for s in segments if s.sequence == 1))
    assert caught.value.code == errors.LOG_FAILED
    assert counted(log) == ["a"]
    assert log.roll("flights") == 1
    assert counted(log) == ["a"]


@pytest.mark.parametrize("filler", [b"\0", b"\xff"])
def test_a_block_that_was_never_written_ends_neither_reader_nor_roll(
    log: FolderRequestLog, writer: SegmentWriter, filler: bytes
) -> None:
    """Offsets that lead out of a file would end the process."""
    whole = writer.rows(*({"request_id": f"r{n}"} for n in range(40))).read_bytes()
    schema, footer = (int.from_bytes(each, "little") for each in (whole[12:16], whole[-10:-6]))
    torn = 0
    for start in range(16 + schema, len(whole) - 10 - footer, 192):
        path = writer.rows({"request_id": "a"})
        path.write_bytes(whole[:start] + filler * 64 + whole[start + 64 :])
        *_, segment = log.segments("flights", Cursor())
        try:
            log.rows(segment).fixed["request_id"]
        except errors.Permanent:
            torn += 1
        log.roll("flights")
    counted(log)
    assert torn == log.damaged("flights") > 0


def test_a_torn_footer_is_no_fault_of_the_disk(
    log: FolderRequestLog, writer: SegmentWriter
) -> None:
    """Arrow takes that for a fault of the disk, which would be tried again for ever."""
    path = writer.rows({"request_id": "a"})
    whole = path.read_bytes()
    footer = int.from_bytes(whole[-10:-6], "little")
    path.write_bytes(whole[: -10 - footer] + bytes(footer) + whole[-10:])
    (segment,) = log.segments("flights", Cursor())
    with pytest.raises(errors.Permanent):
        log.rows(segment)
    assert (counted(log), log.roll("flights"), log.damaged("flights")) == ([], 0, 1)


def test_a_query_over_an_empty_log_is_empty(log: FolderRequestLog) -> None:
    assert counted(log) == []
    assert log.labelled("flights", np.inf).num_rows == 0


def test_a_query_cannot_touch_files(
    log: FolderRequestLog, writer: SegmentWriter, tmp_path: Path
) -> None:
    writer.rows({"request_id": "a"})
    for sql in (
        f"COPY rows TO '{tmp_path}/out.csv'",
        f"SELECT * FROM read_text('{tmp_path}/secret')",
        "SET enable_external_access = true",
    ):
        with pytest.raises(errors.Usage):
            log.query("flights", sql)
    assert not (tmp_path / "out.csv").exists()


def test_releases_with_other_columns_share_one_view(
    log: FolderRequestLog, writer: SegmentWriter
) -> None:
    writer.rows({"request_id": "a"})
    writer.rows({"request_id": "b", "in.extra": 3.0})
    log.roll("flights")
    writer.rows({"request_id": "c", "in.extra": 4.0})
    answer = log.query("flights", 'SELECT request_id, "in.extra" AS e FROM rows ORDER BY 1')
    assert answer.column("e").to_pylist() == [None, 3.0, 4.0]


def test_labels_join_final_answers_by_id_and_the_newest_known_counts(
    log: FolderRequestLog, writer: SegmentWriter
) -> None:
    writer.rows(
        {"request_id": "a", "row": 0, "event_time": 1.0},
        {"request_id": "a", "row": 1, "event_time": 1.0},
        {"request_id": "b", "event_time": 2.0, "final": False, "outcome": "failed"},
        {"request_id": "b", "event_time": 2.0, "attempt": 1, "in.x": 7.0},
        {"request_id": "c", "event_time": 3.0, "final": False, "mode": "shadow"},
    )
    writer.labels(
        {"request_id": "a", "row": 1, "label": "0", "at": 10.0},
        {"request_id": "b", "label": "old", "at": 10.0},
        {"request_id": "c", "label": "1", "at": 10.0},
    )
    writer.labels(
        {"request_id": "b", "label": "new", "at": 20.0},
        {"request_id": "b", "label": "future", "at": 40.0},
        {"request_id": "b", "label": "late", "at": 15.0},
    )
    table = log.labelled("flights", until=30.0)
    assert table.column_names == ["x", "carrier", "label", "event_time", "request_id", "row"]
    assert table.select(["request_id", "row", "label", "x"]).to_pylist() == [
        {"request_id": "a", "row": 1, "label": "0", "x": 1.0},
        {"request_id": "b", "row": 0, "label": "new", "x": 7.0},
    ]


def test_labels_join_by_business_key_whatever_its_type(
    tmp_path: Path, writer: SegmentWriter
) -> None:
    writer.rows({"request_id": "a", "in.flight": 17.0}, {"request_id": "b", "in.flight": 18.0})
    writer.labels({"request_id": None, "key": "17", "label": "1"})
    log = FolderRequestLog(tmp_path, key=lambda deployment: "flight", settle_seconds=0.0)
    assert log.labelled("flights", 1.0).column("request_id").to_pylist() == ["a"]
    log.roll("flights")
    assert log.labelled("flights", 1.0).column("label").to_pylist() == ["1"]


@pytest.mark.parametrize(
    ("value", "told"), [(np.inf, "inf"), (2.0**63, str(2**63)), (-1e300, "-1e+300"), (0.5, "0.5")]
)
def test_one_key_that_is_no_usual_number_costs_no_label(
    tmp_path: Path, writer: SegmentWriter, value: float, told: str
) -> None:
    writer.rows({"request_id": "a", "in.flight": 17.0}, {"request_id": "b", "in.flight": value})
    writer.labels({"request_id": None, "key": "17"}, {"request_id": None, "key": told})
    log = FolderRequestLog(tmp_path, key=lambda deployment: "flight")
    found = log.labelled("flights", 1.0).column("request_id").to_pylist()
    assert Counter(found) == Counter(["a", "b"])


def test_a_key_that_was_a_number_to_an_older_release_is_still_found(
    tmp_path: Path, writer: SegmentWriter
) -> None:
    writer.rows({"request_id": "a", "in.flight": 17.0})
    writer.rows({"request_id": "b", "in.flight": "18"})
    writer.labels({"request_id": None, "key": "17"}, {"request_id": None, "key": "18"})
    log = FolderRequestLog(tmp_path, key=lambda deployment: "flight")
    found = log.labelled("flights", 1.0).column("request_id").to_pylist()
    assert Counter(found) == Counter(["a", "b"])


def test_an_answer_whose_newest_label_says_nothing_is_not_labelled(
    tmp_path: Path, writer: SegmentWriter
) -> None:
    writer.rows({"request_id": "a"}, {"request_id": "b"})
    writer.labels(
        {"request_id": "a", "label": None, "at": 2.0},
        {"request_id": None, "key": "UA", "label": "1", "at": 1.0},
    )
    log = FolderRequestLog(tmp_path, key=lambda deployment: "carrier")
    found = log.labelled("flights", 3.0).select(["request_id", "label"]).to_pylist()
    assert found == [{"request_id": "b", "label": "1"}]


def test_a_label_by_id_and_one_by_key_compete_by_age(tmp_path: Path, writer: SegmentWriter) -> None:
    writer.rows({"request_id": "a"}, {"request_id": "b"})
    writer.labels(
        {"request_id": "a", "label": "id", "at": 2.0},
        {"request_id": None, "key": "UA", "label": "key", "at": 1.0},
    )
    log = FolderRequestLog(tmp_path, key=lambda deployment: "carrier")
    assert log.labelled("flights", 3.0).column("label").to_pylist() == ["id", "key"]


def test_rolling_keeps_every_row_and_removes_the_segments(
    log: FolderRequestLog, writer: SegmentWriter, tmp_path: Path
) -> None:
    for name in "abc":
        writer.rows({"request_id": name})
        writer.labels({"request_id": name})
    writer.seconds += DAY
    writer.rows({"request_id": "d"})
    before = log.labelled("flights", np.inf)
    assert log.roll("flights") == 7
    assert not list(tmp_path.glob("log/flights/*/*.arrow"))
    days = sorted(path.parent.name for path in tmp_path.glob("log/flights/rows/*/*.parquet"))
    assert days == ["date=2023-11-14", "date=2023-11-15"]
    assert counted(log) == ["a", "b", "c", "d"]
    assert log.labelled("flights", np.inf).equals(before)
    assert log.roll("flights") == 0


def test_a_reader_that_was_away_still_reads_what_was_rolled(
    log: FolderRequestLog, writer: SegmentWriter
) -> None:
    writer.rows({"request_id": "a"})
    _, cursor = read_all(log)
    listed: Iterable[Segment] = ()
    writer.rows({"request_id": "b"}, {"request_id": "c"})
    writer.rows({"request_id": "d"})
    listed = list(log.segments("flights", cursor))
    log.roll("flights")
    assert [list(log.rows(s).fixed["request_id"]) for s in listed] == [["b", "c"], ["d"]]
    assert read_all(log, cursor)[0] == ["b", "c", "d"]
    assert read_all(log)[0] == ["a", "b", "c", "d"]


def test_only_settled_segments_are_rolled(tmp_path: Path, writer: SegmentWriter) -> None:
    writer.rows({"request_id": "a"})
    writer.rows({"request_id": "b"})
    log = FolderRequestLog(tmp_path, settle_seconds=60.0, now=lambda: 1_700_000_061.5)
    assert log.roll("flights") == 1
    assert counted(log) == ["a", "b"]


def test_rolling_may_be_killed_at_any_step_without_losing_or_doubling_a_row(
    tmp_path: Path,
) -> None:
    for left in range(20):
        home = tmp_path / str(left)
        writer = SegmentWriter(home, "flights")
        for name in "abc":
            writer.rows({"request_id": name})
            writer.labels({"request_id": name})
        whole = FolderRequestLog(home, settle_seconds=0.0)
        before = whole.labelled("flights", np.inf)
        countdown = Countdown(left)
        steps = Steps(rename=countdown.rename, delete=countdown.delete)
        killed = False
        try:
            FolderRequestLog(home, settle_seconds=0.0, steps=steps).roll("flights")
        except Killed:
            killed = True
        for _ in range(2):
            assert counted(whole) == ["a", "b", "c"]
            assert read_all(whole)[0] == ["a", "b", "c"]
            assert whole.labelled("flights", np.inf).equals(before)
            whole.roll("flights")
        assert not list(home.glob("log/flights/*/*.arrow"))
        if not killed:
            break
    assert left == 8


def test_many_segments_are_read_at_once_as_each_by_itself(tmp_path: Path) -> None:
    """Of several gateways, rolled in part, with columns that some lack, few rows and many."""
    log = FolderRequestLog(tmp_path, settle_seconds=0.0)
    writers = [SegmentWriter(tmp_path, "flights", f"g{number}-1") for number in range(2)]
    for number in range(6):
        more = {"in.late": float(number)} if number > 2 else {}
        size = 700 if number == 4 else 2
        answered = [{"request_id": f"{number}-{place}", **more} for place in range(size)]
        for writer in writers:
            writer.rows(*answered)
        if number == 3:
            log.roll("flights")
    found = list(log.segments("flights", Cursor()))
    gone = msgspec.structs.replace(found[0], sequence=99, path="log/flights/rows/none.arrow")
    torn = tmp_path / next(each.path for each in reversed(found) if each.path.endswith(".arrow"))
    torn.write_bytes(torn.read_bytes()[:200])
    every = list(log.rows_of([*found, gone]))
    assert sum(rows is None for rows in every) == 2
    assert every[-1] is None
    for segment, rows in zip(found, every, strict=False):
        if rows is None:
            assert segment.path == str(torn.relative_to(tmp_path))
            continue
        alone = log.rows(segment)
        for mine, others in ((rows.fixed, alone.fixed), (rows.inputs, alone.inputs)):
            for name in others:
                np.testing.assert_array_equal(mine[name], others[name])


def test_a_file_that_is_merged_while_many_segments_are_read_is_found_again(tmp_path: Path) -> None:
    log = FolderRequestLog(tmp_path, settle_seconds=0.0)
    writer = SegmentWriter(tmp_path, "flights")
    for number in range(4):
        writer.rows({"request_id": f"r{number}"})
        log.roll("flights")
    found = list(log.segments("flights", Cursor()))
    reading = log.rows_of(found)
    assert next(reading) is not None
    writer.seconds += DAY
    other = FolderRequestLog(tmp_path, settle_seconds=0.0, now=lambda: writer.seconds)
    other.roll("flights")
    assert len({each.path for each in other.segments("flights", Cursor())}) == 1
    rest = [rows.fixed["request_id"].tolist() for rows in reading if rows is not None]
    assert rest == [["r1"], ["r2"], ["r3"]]


def test_memory_that_runs_out_damages_no_segment(
    log: FolderRequestLog, writer: SegmentWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kernel that maps no more files says so of a file that is whole; it is not set aside."""
    writer.rows({"request_id": "a"})

    def no_room(path: str) -> None:
        raise OSError(f"Memory mapping file failed: {os.strerror(errno.ENOMEM)}")

    with monkeypatch.context() as patch:
        patch.setattr(pa, "memory_map", no_room)
        with pytest.raises(OSError, match="memory"):
            log.roll("flights")
    assert counted(log) == ["a"]


def test_retention_deletes_whole_days(
    log: FolderRequestLog, writer: SegmentWriter, tmp_path: Path
) -> None:
    writer.rows({"request_id": "a"})
    writer.seconds += DAY
    writer.rows({"request_id": "b"})
    assert log.newest_day() is None
    log.roll("flights")
    (tmp_path / "log" / "flights" / "rows" / "date=yesterday").mkdir()
    assert log.newest_day() == datetime.date(2023, 11, 15)
    assert log.expire("flights", datetime.date(2023, 11, 15)) == 1
    assert counted(log) == ["b"]
    assert log.deployments() == ("flights",)


def test_a_vector_output_stays_a_list_per_row(log: FolderRequestLog, writer: SegmentWriter) -> None:
    writer.rows({"out.scores": [0.1, 0.9]}, {"out.scores": None})
    (segment,) = log.segments("flights", Cursor())
    assert list(log.rows(segment).outputs["scores"]) == [[0.1, 0.9], None]


def test_segments_from_before_there_were_traces_are_read_queried_and_rolled(
    log: FolderRequestLog, writer: SegmentWriter
) -> None:
    old = writer.rows({"request_id": "a"})
    table = pa.ipc.open_file(old.read_bytes()).read_all().drop_columns(["trace_id"])
    with pa.ipc.new_file(str(old), table.schema) as sink:
        sink.write_table(table)
    writer.rows({"request_id": "b", "trace_id": "t"})
    for _ in range(2):
        read = [log.rows(segment).fixed["trace_id"].tolist() for segment in log.segments(*ALL)]
        assert read == [[None], ["t"]]
        answer = log.query("flights", "SELECT trace_id FROM rows ORDER BY request_id")
        assert answer.column("trace_id").to_pylist() == [None, "t"]
        log.roll("flights")


def test_texts_that_repeat_are_read_queried_and_rolled_as_before_and_after_they_were_coded(
    log: FolderRequestLog, writer: SegmentWriter
) -> None:
    """Segments of other dictionaries, of none, and plain ones of an older version."""
    writer.rows({"request_id": "a", "worker": None}, {"request_id": "b", "outcome": "failed"})
    for names in ("cd", "ef"):
        rows = [{"request_id": each, "worker": f"w{each}", "rollout": None} for each in names]
        path = writer.rows(*rows, {"request_id": f"{names}0", "worker": None})
        coded(path)
    for _ in range(2):
        read = [log.rows(segment) for segment in log.segments(*ALL)]
        workers = [each for rows in read for each in rows.fixed["worker"].tolist()]
        assert workers == [None, "aa-0", "wc", "wd", None, "we", "wf", None]
        assert [rows.has("outcome", "ok").sum() for rows in read] == [1, 3, 3]
        answer = log.query(
            "flights",
            "SELECT worker, count(*) AS n FROM rows WHERE outcome = 'ok' AND rollout IS NULL "
            "GROUP BY worker ORDER BY worker",
        )
        assert answer.column("worker").to_pylist() == ["wc", "wd", "we", "wf"]
        assert answer.column("n").to_pylist() == [1, 1, 1, 1]
        log.roll("flights")


def coded(path: Path) -> None:
    """Make of a segment one as the controller makes it."""
    table = pa.ipc.open_file(path.read_bytes()).read_all()
    for name in files.FEW:
        place = table.schema.get_field_index(name)
        table = table.set_column(place, name, table.column(name).dictionary_encode())
    status = path.stat()
    with pa.ipc.new_file(str(path), table.schema) as sink:
        sink.write_table(table)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def between(log: FolderRequestLog, since: float, until: float) -> list[list[str]]:
    """Request ids of the parts between two times, as they are read."""
    parts = log.rows_between("flights", since, until)
    return [list(part.fixed["request_id"]) for part in parts]


def test_rows_between_two_times_are_read_newest_first_rolled_or_not(
    log: FolderRequestLog, writer: SegmentWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rolling, "ROW_GROUP", 2)
    for day in range(3):
        writer.rows(
            *({"request_id": f"{day}{hour}", "event_time": day * 10.0 + hour} for hour in range(3))
        )
    fresh = [["20", "21"], ["10", "11", "12"], ["02"]]
    assert between(log, 2.0, 21.0) == fresh
    assert log.roll("flights") == 3
    writer.rows({"request_id": "30", "event_time": 21.0})
    assert between(log, 2.0, 21.0) == [["30"], ["20", "21"], ["11", "12"], ["02", "10"]]
    assert between(log, 99.0, 999.0) == []


def test_labels_since_a_time_are_read_newest_first(
    log: FolderRequestLog, writer: SegmentWriter
) -> None:
    writer.labels({"request_id": "a", "at": 1.0}, {"request_id": "b", "at": 5.0})
    assert log.roll("flights") == 1
    writer.labels({"request_id": "c", "at": 6.0})
    found = [list(part.fixed["request_id"]) for part in log.labels_since("flights", 5.0)]
    assert found == [["c"], ["b"]]


def test_what_cannot_be_read_of_a_time_is_left_out(
    log: FolderRequestLog, writer: SegmentWriter, tmp_path: Path
) -> None:
    writer.rows({"request_id": "a", "event_time": 1.0})
    log.roll("flights")
    torn = writer.rows({"request_id": "b", "event_time": 1.0})
    torn.write_bytes(torn.read_bytes()[:200])
    assert between(log, 0.0, 9.0) == [["a"]]
    parts = log.rows_between("flights", 0.0, 9.0)
    gone = FolderRequestLog(tmp_path / "elsewhere")
    assert between(gone, 0.0, 9.0) == []
    assert len(list(parts)) == 1


def test_a_log_is_marked_by_what_comes_to_it(tmp_path: Path) -> None:
    now = time.time()
    log = FolderRequestLog(tmp_path, now=lambda: now + 3.0)
    empty = log.mark(["d"])
    assert empty is not None
    for kind in ("rows", "labels", "parity"):
        before = log.mark(["d"])
        (tmp_path / layout.segments("d", kind)).mkdir(parents=True)
        assert log.mark(["d"]) not in (before, None)
    known = log.mark(["d"])
    assert log.mark(["d"]) == known
    assert log.mark(["d", "e"]) != known


def test_a_log_that_has_just_changed_may_change_unseen(tmp_path: Path) -> None:
    (tmp_path / layout.segments("d", "rows")).mkdir(parents=True)
    assert FolderRequestLog(tmp_path).mark(["d"]) is None


@pytest.mark.parametrize("ending", [".live", ".log"])
def test_a_spool_that_waits_leaves_a_log_unmarked(tmp_path: Path, ending: str) -> None:
    log = FolderRequestLog(tmp_path)
    (tmp_path / layout.SPOOL).mkdir()
    assert log.mark(["d"]) is not None
    (tmp_path / layout.SPOOL / f"g0-1.0{ending}").write_bytes(b"rows")
    assert log.mark(["d"]) is None
