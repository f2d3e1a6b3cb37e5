"""Columns of a CSV file that only go through become numbers where that loses nothing."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from trimtab.scoring import table
from trimtab.scoring.table import Source


def read(tmp_path: Path, *values: str, wanted: pa.DataType | None = None) -> "pa.ChunkedArray[Any]":
    """A column of a CSV file, as it is scored into a Parquet file."""
    path = tmp_path / "in.csv"
    path.write_text("\n".join(["row,it", *(f"{n},{v}" for n, v in enumerate(values))]) + "\n")
    source = Source(path, {} if wanted is None else {"it": wanted})
    (chunk,) = source.chunks(1000)
    assert chunk.schema == source.schema
    assert chunk["row"].type == pa.int64()
    return chunk["it"]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (("1", "-20", "0", ""), pa.int64()),
        (("00501", "10001"), pa.string()),
        (("10001", "00501"), pa.string()),
        (("+49", "50"), pa.string()),
        (("-0", "1"), pa.float64()),
        (("9007199254740993", "1"), pa.int64()),
        (("9007199254740993", "1.5"), pa.string()),
        (("12345678901234567890", "1"), pa.string()),
        (("1.5", "2", "1e-3", "nan", "-inf"), pa.float64()),
        (("1.50", "007.5"), pa.string()),
        (("1", "2.5"), pa.float64()),
        (("true", "false"), pa.bool_()),
        (("2026-11-27", "2026-11-28"), pa.date32()),
        (("2026-11-27", "2026-11-32"), pa.string()),
        (("2026-11-27 10:00:00", ""), pa.timestamp("s")),
        (("", "NA"), pa.null()),
        (("12:30:00", "12:31:00"), pa.string()),
        (("a", "1"), pa.string()),
    ],
)
def test_a_column_is_what_it_looks_like_where_that_loses_nothing(
    tmp_path: Path, values: tuple[str, ...], kind: pa.DataType
) -> None:
    found = read(tmp_path, *values)
    assert found.type == kind
    if kind == pa.string():
        assert found.to_pylist() == list(values)


def test_what_comes_far_below_counts_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "BLOCK_BYTES", 64)
    numbers = [str(number) for number in range(100, 200)]
    assert read(tmp_path, *numbers).type == pa.int64()
    for last, kind in (("2.5", pa.float64()), ("00501", pa.string()), ("none", pa.string())):
        found = read(tmp_path, *numbers, last)
        assert found.type == kind
        assert found.to_pylist()[-1] in (last, 2.5)
    assert read(tmp_path, *[""] * 100, "7").type == pa.int64()


def test_a_column_of_a_wanted_type_is_of_that_type(tmp_path: Path) -> None:
    assert read(tmp_path, "00501", wanted=pa.int64()).to_pylist() == [501]
    assert read(tmp_path, "1", wanted=pa.string()).to_pylist() == ["1"]


def test_numbers_with_a_decimal_comma_lose_nothing_either(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text("zip;price;long\n00501;1,5;9007199254740993\n10001;2;0,5\n")
    (chunk,) = Source(path, {}).chunks(10)
    assert chunk.to_pydict() == {
        "zip": ["00501", "10001"],
        "price": [1.5, 2.0],
        "long": ["9007199254740993", "0,5"],
    }
