"""Small Parquet files become larger ones: nothing lost, nothing twice, nothing in the way."""

import errno
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.support.request_log import Countdown, Killed, SegmentWriter

from trimtab import errors
from trimtab.backends import requestlog_query, roll_reading, rolling
from trimtab.backends.pace import Pace
from trimtab.backends.requestlog import FolderRequestLog
from trimtab.backends.rolling import Steps
from trimtab.backends.rolls import Roll
from trimtab.ports.requestlog import Cursor

HOUR = 1_699_999_200
"""Epoch seconds at which the hour begins in which `SegmentWriter` starts."""
LATER = HOUR + 7200.0


class Bench:
    """A log whose clock is set by hand: minutes are rolled one by one."""

    def __init__(self, home: Path, **options: Any) -> None:
        self.home = home
        self.writer = SegmentWriter(home, "flights")
        self.now = HOUR + 1.0
        self.log = self.another(**options)

    def another(self, **options: Any) -> FolderRequestLog:
        """The log as another process has it."""
        return FolderRequestLog(self.home, settle_seconds=0.0, now=lambda: self.now, **options)

    def minute(self, *rows: dict[str, Any]) -> None:
        """One segment for each row, rolled."""
        for row in rows:
            self.writer.rows(row)
        self.now = self.writer.seconds + 1.0
        self.log.roll("flights")

    def later(self) -> None:
        """The hour is over, and rolled."""
        self.now = LATER
        self.log.roll("flights")

    def files(self, kind: str = "rows", ending: str = "parquet") -> list[Path]:
        return sorted(self.home.glob(f"log/flights/{kind}/date=*/*.{ending}"))

    def names(self) -> list[str]:
        return [path.name.removeprefix("g0-1700000000000-") for path in self.files()]

    def counted(self) -> list[str]:
        """Request ids as a query sees them."""
        answer = self.log.query("flights", "SELECT request_id FROM rows ORDER BY request_id")
        return [str(value) for value in answer.column("request_id").to_pylist()]

    def read(self, after: Cursor | None = None) -> Iterator[str]:
        """Request ids in the order of reading."""
        for segment in list(self.log.segments("flights", after or Cursor())):
            if segment.kind == "rows":
                yield from self.log.rows(segment).fixed["request_id"]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def ids(*names: str) -> list[dict[str, Any]]:
    return [{"request_id": name} for name in names]


def tear(path: Path, place: int) -> None:
    """Other bytes from `place` on, as a disk does it: the file is as old as it was."""
    status, data = path.stat(), bytearray(path.read_bytes())
    data[place : place + 40] = b"\xa5" * len(data[place : place + 40])
    path.write_bytes(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_the_files_of_an_hour_become_one_when_it_is_over(bench: Bench) -> None:
    for minute in ("ab", "cd", "ef"):
        bench.minute(*ids(*minute))
    cursor = Cursor({bench.writer.writer: 2})
    assert bench.names() == ["0-1.parquet", "2-3.parquet", "4-5.parquet"]
    bench.later()
    assert bench.names() == ["0-5.parquet"]
    assert bench.counted() == list(bench.read()) == list("abcdef")
    assert list(bench.read(cursor)) == list("def")
    assert bench.files()[0].stat().st_mtime == bench.writer.seconds
    bench.later()
    assert bench.names() == ["0-5.parquet"]


def test_only_times_tell_their_range_and_numbers_have_no_dictionary(bench: Bench) -> None:
    bench.minute({"request_id": "a", "in.x": 1.5}, {"request_id": "b", "in.x": 2.5})
    group = pq.ParquetFile(bench.files()[0]).metadata.row_group(0)
    columns = {group.column(i).path_in_schema: group.column(i) for i in range(group.num_columns)}
    ranged = {name for name, each in columns.items() if each.statistics is not None}
    assert ranged == {"event_time", "received_at"}
    assert "BYTE_STREAM_SPLIT" in columns["in.x"].encodings
    coded = {name for name, each in columns.items() if each.has_dictionary_page}
    assert {"outcome", "worker", "in.carrier"} <= coded
    assert not coded & {"request_id", "in.x", "total_seconds"}


def test_rolling_rests_between_groups_of_rows(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    rests: list[float] = []
    monkeypatch.setattr(rolling, "ROW_GROUP", 2)
    monkeypatch.setattr(Pace, "rest", lambda self: rests.append(self.share))
    bench.log = bench.another(share=0.25)
    bench.minute(*ids(*"abcde"))
    assert rests == [0.25] * 3


def test_the_present_hour_is_left_alone(bench: Bench) -> None:
    bench.minute(*ids("a"))
    bench.minute(*ids("b"))
    bench.now = HOUR + 3599.0
    bench.log.roll("flights")
    assert bench.names() == ["0-0.parquet", "1-1.parquet"]


def test_hours_and_writers_stay_apart(bench: Bench) -> None:
    first, second = bench.writer, SegmentWriter(bench.home, "flights", "g1-1")
    for name in "ab":
        second.rows({"request_id": "2" + name})
        bench.minute(*ids("1" + name))
    first.seconds += 3600.0
    bench.minute(*ids("1c"))
    bench.minute(*ids("1d"))
    bench.now = first.seconds + 3600.0
    bench.log.roll("flights")
    assert bench.names() == ["0-1.parquet", "2-3.parquet", "g1-1-0-1.parquet"]
    assert bench.counted() == ["1a", "1b", "1c", "1d", "2a", "2b"]


def test_columns_that_a_release_lacks_are_null_and_those_of_another_type_keep_files_apart(
    bench: Bench,
) -> None:
    bench.minute({"request_id": "a"})
    bench.minute({"request_id": "b", "in.extra": 3.0})
    bench.minute({"request_id": "c"})
    bench.minute({"request_id": "d", "in.extra": "text"})
    bench.minute({"request_id": "e", "in.extra": "more"})
    bench.later()
    assert bench.names() == ["0-2.parquet", "3-4.parquet"]
    found = pa.concat_tables(
        [
            pq.read_table(path).select(["in.extra"]).cast(pa.schema([("in.extra", pa.string())]))
            for path in bench.files()
        ]
    )
    assert found.column(0).to_pylist() == [None, "3", None, "text", "more"]
    assert list(bench.read()) == list("abcde")


def test_files_do_not_grow_beyond_the_rows_and_bytes_of_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = Bench(tmp_path / "rows", roll_rows=3)
    for minute in ("ab", "c", "d", "e"):
        rows.minute(*ids(*minute))
    rows.later()
    assert rows.names() == ["0-2.parquet", "3-4.parquet"]
    monkeypatch.setattr(rolling, "MERGED_BYTES", 1)
    size = Bench(tmp_path / "size")
    size.minute(*ids("a"))
    size.minute(*ids("b"))
    size.later()
    assert size.names() == ["0-0.parquet", "1-1.parquet"]


def test_hours_in_which_nothing_fits_are_not_opened_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.minute({"request_id": "a", "in.extra": 1.0})
    bench.minute({"request_id": "b", "in.extra": "text"})
    bench.later()

    def opened(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(rolling, "_roll_part", opened)
    bench.later()
    assert len(bench.names()) == 2


def test_an_old_log_is_merged_a_part_at_a_time(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as before:
        before.setattr(rolling, "MERGED_BYTES", 1)
        for _ in range(3):
            bench.minute(*ids("a"))
            bench.minute(*ids("b"))
            bench.writer.seconds += 3600.0
    monkeypatch.setattr(rolling, "MOST_MERGED", 1)
    upgraded = bench.another()
    bench.now = bench.writer.seconds + 7200.0
    left = []
    for _ in range(4):
        upgraded.roll("flights")
        left.append(len(bench.names()))
    assert left == [5, 4, 3, 3]


def test_segments_are_found_in_whichever_row_group_they_are(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rolling, "ROW_GROUP", 3)
    for minute in ("ab", "cd", "ef"):
        for name in minute:
            bench.writer.rows(*ids(name + "1", name + "2"))
        bench.minute()
    bench.later()
    assert pq.ParquetFile(bench.files()[0]).num_row_groups > 2
    whole = [f"{name}{n}" for name in "abcdef" for n in (1, 2)]
    assert list(bench.read()) == whole
    segments = list(bench.log.segments("flights", Cursor()))
    backwards = [list(bench.log.rows(each).fixed["request_id"]) for each in segments[::-1]]
    assert backwards == [whole[n : n + 2] for n in range(10, -1, -2)]


def test_an_empty_segment_is_kept(bench: Bench) -> None:
    path = bench.writer.rows({"request_id": "a"})
    table = pa.ipc.open_file(path.read_bytes()).read_all().slice(0, 0)
    with pa.ipc.new_file(str(path), table.schema) as sink:
        sink.write_table(table)
    bench.now = LATER * 2
    assert bench.log.roll("flights") == 1
    (segment,) = bench.log.segments("flights", Cursor())
    assert len(bench.log.rows(segment)) == 0


def test_merging_may_be_killed_at_any_step_without_losing_or_doubling_a_row(
    tmp_path: Path,
) -> None:
    for left in range(30):
        bench = Bench(tmp_path / str(left))
        for name in "abc":
            bench.writer.labels({"request_id": name})
            bench.minute(*ids(name))
        before = bench.log.labelled("flights", np.inf)
        bench.now = LATER
        countdown = Countdown(left)
        steps = Steps(rename=countdown.rename, delete=countdown.delete)
        killed = False
        try:
            bench.another(steps=steps).roll("flights")
        except Killed:
            killed = True
        for _ in range(2):
            assert bench.counted() == list(bench.read()) == list("abc")
            assert bench.log.labelled("flights", np.inf).equals(before)
            bench.log.roll("flights")
        assert [len(bench.files(kind)) for kind in ("rows", "labels")] == [1, 1]
        assert not bench.files("*", "tmp")
        if not killed:
            break
    assert left == 8


def test_a_full_disk_loses_nothing_and_leaves_nothing(bench: Bench) -> None:
    def full(*_: Path) -> None:
        raise OSError(errno.ENOSPC, "no space left on device")

    bench.minute(*ids("a"))
    bench.minute(*ids("b"))
    bench.writer.rows({"request_id": "c"})
    bench.now = LATER
    for _ in range(2):
        with pytest.raises(OSError, match="no space"):
            bench.another(steps=Steps(rename=full)).roll("flights")
    assert not bench.files(ending="tmp")
    assert bench.counted() == list(bench.read()) == ["a", "b", "c"]
    bench.later()
    assert bench.names() == ["0-2.parquet"]


@pytest.mark.parametrize("place", [0, -60, 8])
def test_a_damaged_file_is_set_aside_once_and_the_others_are_merged(
    bench: Bench, place: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Damaged where it begins, in its footer, or in a page that the footer tells of."""
    for name in "abc":
        bench.minute(*ids(name))
    torn = bench.files()[1]
    tear(torn, place if place >= 0 else torn.stat().st_size + place)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            bench.later()
    (warned,) = caplog.messages
    assert f"is set aside as {torn.stem}.unreadable, its rows are lost" in warned
    assert bench.counted() == list(bench.read()) == ["a", "c"]
    assert len(bench.files()) == 1


def test_a_damaged_footer_does_not_stop_readers(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.minute(*ids("a"))
    bench.minute(*ids("b"))
    bench.files()[0].write_bytes(b"PAR1 and nothing else")
    assert list(bench.read()) == ["b"]
    assert "its rows are lost" in caplog.text
    bench.files()[0].write_bytes(b"")
    assert bench.counted() == []


def test_a_damaged_page_is_an_error_for_its_reader(bench: Bench) -> None:
    bench.minute(*ids("a"))
    (segment,) = bench.log.segments("flights", Cursor())
    tear(bench.files()[0], 8)
    with pytest.raises(errors.Permanent) as caught:
        bench.log.rows(segment)
    assert caught.value.code == errors.LOG_FAILED


def tear_a_value(path: Path, value: bytes) -> None:
    """Change a value inside a page; the file can be decoded all the same, but for its checksum."""
    data = path.read_bytes()
    assert data.count(value)
    path.write_bytes(data.replace(value, b"?" * len(value)))


@pytest.mark.parametrize("kind", ["rows", "labels"])
def test_damage_inside_a_merged_file_is_set_aside_by_the_question_that_meets_it(
    bench: Bench, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    for name in "abc":
        bench.writer.labels({"request_id": name})
        bench.minute(*ids(name))
    bench.later()
    bench.minute(*ids("d"))
    (merged, *_) = bench.files(kind)
    tear(merged, 8)
    assert bench.log.damaged("flights") == 0
    asked = bench.log.query("flights", f"SELECT count(request_id) AS n FROM {kind}")
    assert asked.column("n").to_pylist() == [1 if kind == "rows" else 0]
    assert f"{merged.name} is set aside" in caplog.text
    assert not merged.exists()
    assert bench.log.damaged("flights") == 1
    assert bench.another().damaged("flights") == 1
    assert bench.counted() == (["d"] if kind == "rows" else list("abcd"))
    assert bench.log.labelled("flights", np.inf).num_rows == 0


def test_a_value_that_changed_on_the_disk_is_damage(bench: Bench) -> None:
    bench.minute(*ids("an-id-that-changes"))
    path = bench.files()[0]
    table = pq.read_table(path)
    with pq.ParquetWriter(path, table.schema, compression="none", write_page_checksum=True) as out:
        out.write_table(table)
        out.add_key_value_metadata({"trimtab.segments": "[[0, 1, 0]]"})
    tear_a_value(path, b"an-id-that-changes")
    assert bench.counted() == []
    assert bench.log.damaged("flights") == 1


def test_a_question_that_is_wrong_looks_for_no_damage(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.minute(*ids("a"))
    monkeypatch.delattr(roll_reading, "read_whole")
    for wrong in ("SELEC", "SELECT nothing FROM rows", "SELECT * FROM nowhere"):
        with pytest.raises(errors.Usage):
            bench.log.query("flights", wrong)
    assert bench.counted() == ["a"]


def test_a_disk_that_does_not_answer_is_no_damage(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, "input/output error")

    bench.minute(*ids("a"))
    monkeypatch.setattr(pq, "ParquetFile", broken)
    with pytest.raises(OSError, match="input/output"):
        list(bench.log.segments("flights", Cursor()))
    assert bench.names() == ["0-0.parquet"]


def test_files_that_say_something_else_than_their_name_are_left_alone(bench: Bench) -> None:
    bench.minute(*ids("a"))
    bench.minute(*ids("b"))
    foreign = bench.files()[0].with_name("g0-1700000000000-2-3.parquet")
    pq.write_table(pq.read_table(bench.files()[0]).replace_schema_metadata(None), foreign)
    bench.now = foreign.stat().st_mtime + 7200.0
    bench.log.roll("flights")
    assert bench.names() == ["0-1.parquet", "2-3.parquet"]


def test_a_question_is_asked_again_when_its_files_were_merged_meanwhile(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    query: Callable[..., pa.Table] = requestlog_query.query
    asked: list[int] = []

    def merged_meanwhile(views: requestlog_query.Views, *others: Any) -> pa.Table:
        asked.append(len(bench.names()))
        if len(asked) == 1:
            bench.now = LATER
            bench.another().roll("flights")
        return query(views, *others)

    bench.minute(*ids("a"))
    bench.minute(*ids("b"))
    monkeypatch.setattr(requestlog_query, "query", merged_meanwhile)
    assert bench.counted() == ["a", "b"]
    assert asked == [2, 1]
    with pytest.raises(errors.Usage):
        bench.log.query("flights", "SELECT nonsense")
    assert len(asked) == 3


def test_a_reader_finds_what_was_merged_after_it_had_listed_it(bench: Bench) -> None:
    bench.minute(*ids("a"))
    bench.minute(*ids("b"))
    listed = list(bench.log.segments("flights", Cursor()))
    assert list(bench.log.rows(listed[0]).fixed["request_id"]) == ["a"]
    bench.now = LATER
    bench.another().roll("flights")
    assert [list(bench.log.rows(each).fixed["request_id"]) for each in listed] == [["a"], ["b"]]


def test_a_reader_of_an_old_log_opens_only_what_it_reaches(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abcd":
        bench.minute(*ids(name))
    opened: list[Path] = []
    held_by = roll_reading.held_by

    def counted(roll: Roll) -> list[roll_reading.Held]:
        opened.append(roll.path)
        return held_by(roll)

    monkeypatch.setattr(roll_reading, "held_by", counted)
    first = next(bench.log.segments("flights", Cursor()))
    assert (first.sequence, len(opened)) == (0, 1)


def test_a_writer_is_read_in_its_order_after_the_clock_went_back(bench: Bench) -> None:
    bench.minute(*ids("a"))
    bench.writer.seconds -= 600.0
    bench.writer.rows({"request_id": "b"})
    assert list(bench.read()) == ["a", "b"]


def test_a_reader_goes_on_where_a_file_was_merged_under_its_hands(bench: Bench) -> None:
    for name in "abc":
        bench.minute(*ids(name))
    reading = bench.log.segments("flights", Cursor())
    found = [next(reading).sequence]
    bench.now = LATER
    bench.another().roll("flights")
    assert [*found, *(segment.sequence for segment in reading)] == [0, 1, 2]


def test_rows_of_a_time_are_found_where_they_were_merged_meanwhile(bench: Bench) -> None:
    for minute in ("ab", "cd"):
        bench.minute(*ids(*minute))
    bench.writer.rows({"request_id": "e"})
    parts = bench.log.rows_between("flights", 0.0, 9.0)
    found = [list(next(parts).fixed["request_id"])]
    bench.now = LATER
    bench.another().roll("flights")
    found += [list(part.fixed["request_id"]) for part in parts]
    assert found == [["e"], ["d"], ["c"], ["b"], ["a"]]


def test_rows_of_a_time_are_found_but_in_damaged_and_deleted_files(bench: Bench) -> None:
    for name in "abc":
        bench.minute(*ids(name))
    tear(bench.files()[1], 8)
    bench.writer.rows({"request_id": "d"})
    parts = bench.log.rows_between("flights", 0.0, 9.0)
    found = [list(next(parts).fixed["request_id"])]
    bench.files()[0].unlink()
    found += [list(part.fixed["request_id"]) for part in parts]
    assert found == [["d"], ["c"]]
    assert bench.names() == ["2-2.parquet"]
