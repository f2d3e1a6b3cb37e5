"""Told values joined with the answers that they are about, and the segments that keep the pairs."""

import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support.request_log import SegmentWriter

from trimtab import errors
from trimtab.backends.requestlog import FolderRequestLog
from trimtab.domain.records import Comparison, Paired
from trimtab.domain.signature import Column, Datatype, Signature
from trimtab.domain.telling import Telling
from trimtab.ports.requestlog import Cursor

SIGNATURE = Signature((Column("x", Datatype.FP64), Column("carrier", Datatype.BYTES)), ())
NOON = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.UTC)


class Told:
    """A log, and what was told about it."""

    def __init__(self, home: Path) -> None:
        self.log = FolderRequestLog(home, key=lambda deployment: "flight", settle_seconds=0.0)
        self.writer = SegmentWriter(home, "flights")
        self.cursor = Cursor()

    def tell(self, x: list[Any], within: float = 3600.0, **given: Any) -> Comparison:
        """Tell values of the column x."""
        told = Telling({"x": x}, within=within, **given).checked(SIGNATURE, "flight")
        return self.log.compare("flights", told, within)

    def pairs(self) -> list[Paired]:
        """The pairs that were not read yet."""
        found = []
        for segment in self.log.segments("flights", self.cursor):
            self.cursor = self.cursor.after(segment)
            if segment.kind == "parity":
                found.append(self.log.paired(segment))
        return found


@pytest.fixture
def it(tmp_path: Path) -> Told:
    return Told(tmp_path)


def test_rows_are_compared_by_request_and_row(it: Told) -> None:
    it.writer.rows({"request_id": "a", "in.x": 1.0}, {"request_id": "a", "row": 1, "in.x": None})
    made = it.tell([5.0, None, 7.0], id=["a", "a", "b"], row=[0, 1, 0])
    assert made == Comparison(compared=2, unmatched=1)
    (pairs,) = it.pairs()
    np.testing.assert_array_equal(pairs.rows.inputs["x"], [1.0, np.nan])
    np.testing.assert_array_equal(pairs.told["x"], [5.0, np.nan])
    assert pairs.rows.fixed["row"].tolist() == [0, 1]
    assert pairs.rows.fixed["final"].dtype == np.bool_


def test_texts_keep_what_is_missing(it: Told) -> None:
    it.writer.rows({"request_id": "a"}, {"request_id": "b", "in.carrier": None})
    told = Telling({"carrier": [None, "UA"]}, id=["a", "b"]).checked(SIGNATURE, None)
    assert it.log.compare("flights", told, 0.0).compared == 2
    (pairs,) = it.pairs()
    assert pairs.rows.inputs["carrier"].tolist() == ["UA", None]
    assert pairs.told["carrier"].tolist() == [None, "UA"]


def test_only_final_answers_are_compared_and_the_first_of_a_repeated_request(it: Told) -> None:
    it.writer.rows(
        {"request_id": "a", "in.x": 1.0, "outcome": "failed"},
        {"request_id": "b", "in.x": 1.0, "final": False, "mode": "shadow"},
        {"request_id": "c", "in.x": 2.0, "received_at": 5.0},
        {"request_id": "c", "in.x": 1.0, "received_at": 4.0},
    )
    assert it.tell([0.0, 0.0, 0.0], id=["a", "b", "c"]) == Comparison(compared=1, unmatched=2)
    assert it.pairs()[0].rows.inputs["x"].tolist() == [1.0]


def test_an_answer_is_compared_once_with_what_was_told_first(it: Told) -> None:
    it.writer.rows({"request_id": "a"})
    assert it.tell([5.0, 6.0], id=["a", "a"]) == Comparison(compared=1, repeated=1)
    assert it.tell([7.0], id=["a"]) == Comparison(repeated=1)
    assert [pairs.told["x"].tolist() for pairs in it.pairs()] == [[5.0]]


def test_a_key_of_one_answer_needs_no_time(it: Told) -> None:
    it.writer.rows({"request_id": "a", "in.flight": 7.0}, {"request_id": "b", "in.flight": 8.0})
    assert it.tell([5.0, 6.0], key=["7", 8]) == Comparison(compared=2)


def test_of_several_answers_of_a_key_the_nearest_is_meant_and_none_without_a_time(
    it: Told,
) -> None:
    for hour, name in enumerate("abc"):
        at = NOON.timestamp() + 3600.0 * hour
        it.writer.rows({"request_id": name, "in.flight": "k", "event_time": at})
    assert it.tell([5.0], key=["k"]) == Comparison(unmatched=1)
    near, far = NOON + datetime.timedelta(minutes=70), NOON + datetime.timedelta(hours=9)
    assert it.tell([5.0], key=["k"], at=[far]) == Comparison(unmatched=1)
    assert it.tell([5.0], key=["k"], at=[near]) == Comparison(compared=1)
    assert it.pairs()[0].rows.fixed["request_id"].tolist() == ["b"]


def test_values_of_another_time_are_not_those_of_the_answer(it: Told) -> None:
    it.writer.rows({"request_id": "a", "event_time": NOON.timestamp()})
    late = NOON + datetime.timedelta(minutes=2)
    assert it.tell([5.0], within=60.0, id=["a"], at=[late]) == Comparison(unmatched=1)
    assert it.tell([5.0], within=120.0, id=["a"], at=[late]) == Comparison(compared=1)


def test_a_deployment_without_a_log_has_no_answers(it: Told) -> None:
    assert it.tell([5.0], id=["a"]) == Comparison(unmatched=1)
    assert it.pairs() == []


def test_a_column_that_was_never_logged_is_not_part_of_a_pair(it: Told) -> None:
    it.writer.rows({"request_id": "a"})
    wider = Signature((*SIGNATURE.inputs, Column("new", Datatype.FP64)), ())
    told = Telling({"x": [5.0], "new": [1.0]}, id=["a"]).checked(wider, None)
    assert it.log.compare("flights", told, 0.0) == Comparison(compared=1)
    assert list(it.pairs()[0].told) == ["x"]


def test_a_column_whose_type_changed_with_the_release_is_compared_as_it_is_told(it: Told) -> None:
    it.writer.rows({"request_id": "a", "in.x": "1.5"})
    it.writer.rows({"request_id": "b", "in.x": "many"})
    assert it.tell([1.5, 2.0], id=["a", "b"]) == Comparison(compared=2)
    np.testing.assert_array_equal(it.pairs()[0].rows.inputs["x"], [1.5, np.nan])


def test_pairs_are_read_once_also_after_they_were_rolled(it: Told) -> None:
    it.writer.rows({"request_id": "a"}, {"request_id": "b"})
    it.tell([5.0], id=["a"])
    assert len(it.pairs()) == 1
    it.tell([6.0], id=["b"])
    it.log.roll("flights")
    (pairs,) = it.pairs()
    assert pairs.told["x"].tolist() == [6.0]
    assert it.tell([6.0], id=["b"]) == Comparison(repeated=1)
    assert it.pairs() == []


def test_segments_go_on_in_order_whatever_the_clock_does(tmp_path: Path) -> None:
    """And are not read as old ones after what came before has expired."""
    now = [1_767_268_800.0]
    it = Told(tmp_path)
    it.log = FolderRequestLog(tmp_path, settle_seconds=0.0, now=lambda: now[0])
    it.writer.rows(*({"request_id": name} for name in "abc"))
    it.tell([5.0], id=["a"])
    now[0] -= 100.0
    it.tell([5.0], id=["b"])
    assert len(it.pairs()) == 2
    it.log.roll("flights")
    it.log.expire("flights", datetime.date(2999, 1, 1))
    it.writer.rows({"request_id": "c"})
    now[0] += 200.0
    it.tell([5.0], id=["c"])
    assert len(it.pairs()) == 1


def test_a_torn_segment_is_an_error_for_its_reader_and_costs_no_other(it: Told) -> None:
    it.writer.rows({"request_id": "a"}, {"request_id": "b"})
    it.tell([5.0], id=["a"])
    (path,) = (it.log.home / "log/flights/parity").glob("*.arrow")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(errors.Permanent):
        it.pairs()
    assert it.tell([5.0, 6.0], id=["a", "b"]).compared == 2


def test_nothing_is_compared_where_nothing_can_be_written(it: Told) -> None:
    it.writer.rows({"request_id": "a"})
    (it.log.home / "log/flights/parity").write_text("in the way")
    with pytest.raises(OSError, match="exists"):
        it.tell([5.0], id=["a"])
    (it.log.home / "log/flights/parity").unlink()
    assert it.tell([5.0], id=["a"]).compared == 1
