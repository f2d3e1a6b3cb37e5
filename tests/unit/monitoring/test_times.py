"""`trimtab.monitor` on tables of other times, and in no order."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tests.support.tables import MEANING, table

import trimtab
from trimtab.monitoring.sources import BATCH_ROWS

REFERENCE = table(seed=1)
FLIPPED = table(seed=3, first_day=30, flip=0.4)


def put(data: pa.Table, name: str, column: "pa.Array[Any]") -> pa.Table:
    """The table with another column in this place."""
    return data.set_column(data.column_names.index(name), name, column)


def test_times_before_1970_are_judged_as_any_others() -> None:
    weeks = 60 * 52 * 7 * 86_400 * 1_000_000

    def earlier(data: pa.Table) -> pa.Table:
        micros = data["when"].cast(pa.timestamp("us")).cast(pa.int64()).to_numpy()
        return put(data, "when", pa.array(micros - weeks).cast(pa.timestamp("us")))

    late = trimtab.monitor(REFERENCE, FLIPPED, **MEANING)
    early = trimtab.monitor(earlier(REFERENCE), earlier(FLIPPED), **MEANING)
    for one, other in zip(late.streams, early.streams, strict=True):
        assert (one.signal, one.verdict, one.evidence_log10, one.since_block, one.estimate) == (
            (other.signal, other.verdict, other.evidence_log10, other.since_block, other.estimate)
        )
    assert "since 19" in early["quality"].reason


def test_no_row_is_lost_of_a_table_in_no_order_with_more_blocks_than_a_service_has_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("trimtab.monitoring.judging.MOST_OPEN", 3)
    data = table(days=12, per_day=200, seed=9, first_day=30)
    mixed = data.take(np.random.default_rng(0).permutation(data.num_rows))
    reports = [trimtab.monitor(REFERENCE, each, **MEANING) for each in (data, mixed)]
    for signal in ("input:size", "prediction", "quality", "quality:error"):
        assert reports[0][signal].n == reports[1][signal].n > 0


def test_blocks_close_late_but_surely_where_rows_are_out_of_order() -> None:
    """More rows than one batch, of which the last belong to the first day."""
    n = BATCH_ROWS + 1000
    data = table(days=n // 1000 + 1, per_day=1000, seed=9, first_day=30)
    mixed = pa.concat_tables([data.slice(500), data.slice(0, 500)])
    report = trimtab.monitor(REFERENCE, mixed, **MEANING)
    assert report["input:size"].n == trimtab.monitor(REFERENCE, data, **MEANING)["input:size"].n
    assert any("not in the order of their time" in note for note in report.notes)
