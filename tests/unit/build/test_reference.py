"""Reference data is understood column by column, or refused with the reason."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trimtab import errors
from trimtab.build.reference import read_reference
from trimtab.build.request import ReferenceData
from trimtab.domain.signature import Datatype


def written(folder: Path, **columns: Any) -> Path:
    path = folder / "reference.parquet"
    pq.write_table(pa.table(columns), path)
    return path


def test_types_nulls_ranges_and_categories_make_the_signature(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        carrier=["UA", "AA", "UA", None],
        distance=[100, 200, 300, 400],
        temp=[1.5, None, -3.0, 2.0],
        rush=[True, False, True, True],
    )
    carrier, distance, temp, rush = read_reference(ReferenceData(path)).columns
    assert (carrier.datatype, carrier.nullable) == (Datatype.BYTES, True)
    assert carrier.categories == ("UA", "AA")
    assert (distance.datatype, distance.nullable) == (Datatype.INT64, False)
    assert (distance.minimum, distance.maximum) == (100, 400)
    assert (temp.datatype, temp.nullable, temp.minimum) == (Datatype.FP64, True, -3.0)
    assert rush.datatype is Datatype.BOOL


def test_target_time_and_key_are_no_inputs(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        x=[1.0, 2.0],
        late=[0, 1],
        at=[datetime(2013, 1, 1, tzinfo=UTC), datetime(2013, 1, 2, tzinfo=UTC)],
        key=["a", "b"],
    )
    reference = read_reference(ReferenceData(path, target="late", time="at", key="key"))
    assert [column.name for column in reference.columns] == ["x"]
    assert reference.labels is not None
    assert reference.labels.tolist() == ["0", "1"]
    assert reference.times is not None
    assert reference.times.tolist() == [1356998400.0, 1357084800.0]
    assert reference.manifest.since == "2013-01-01 00:00:00+00:00"


def test_a_target_of_several_values_is_no_input_and_no_label(tmp_path: Path) -> None:
    path = written(tmp_path, x=[1.0, 2.0], both=[[1.0, 2.0], [3.0, 4.0]])
    reference = read_reference(ReferenceData(path, target="both"))
    assert [column.name for column in reference.columns] == ["x"]
    assert reference.labels is None


def test_whole_numbers_are_the_same_label_however_stored(tmp_path: Path) -> None:
    path = written(tmp_path, x=[1.0, 2.0], late=[0.0, 1.0])
    labels = read_reference(ReferenceData(path, target="late")).labels
    assert labels is not None
    assert labels.tolist() == ["0", "1"]


def test_a_csv_file_is_read_too(tmp_path: Path) -> None:
    path = tmp_path / "reference.csv"
    path.write_text("x,late,at\n1,yes,2013-01-01T00:00:00Z\n2,no,2013-01-02T00:00:00Z\n")
    reference = read_reference(ReferenceData(path, target="late", time="at"))
    assert reference.times is not None
    assert np.isfinite(reference.times).all()
    assert reference.rows == 2


def test_an_empty_field_of_a_csv_file_is_missing_in_texts_and_numbers(tmp_path: Path) -> None:
    path = tmp_path / "reference.csv"
    path.write_text("plan,age,spend\nbasic,31,1.5\n,,2.5\n")
    reference = read_reference(ReferenceData(path))
    assert [column.nullable for column in reference.columns] == [True, True, False]
    assert reference.columns[0].categories == ("basic",)
    assert reference.inputs["plan"].tolist() == ["basic", None]


def test_dictionary_columns_are_texts(tmp_path: Path) -> None:
    path = written(tmp_path, c=pa.array(["a", "b", "a"]).dictionary_encode())
    assert read_reference(ReferenceData(path)).columns[0].categories == ("a", "b")


@pytest.mark.parametrize(
    ("columns", "data", "problem"),
    [
        ({"x": pa.array([], pa.float64())}, {}, "no rows"),
        ({"x": [1.0]}, {"target": "y"}, "no column 'y'"),
        ({"x": [1.0]}, {"groups": ("y",)}, "no column 'y'"),
        ({"x": [1.0], "y": [1]}, {"target": "y", "groups": ("y",)}, "'y' is no input"),
        ({"x": [datetime(2013, 1, 1, tzinfo=UTC)]}, {}, "is of type timestamp.*give --time x"),
        (
            {"x": [1.0], "y": [{"a": 1}]},
            {"target": "y"},
            "'y' is of type struct.*a label is a text",
        ),
        ({"x": [1.0], "at": ["soon"]}, {"time": "at"}, "'at' is of type string.*ISO 8601"),
        ({"x": pa.nulls(1)}, {}, "'x' holds no value at all.*write the file without it"),
    ],
)
def test_what_cannot_be_used_says_why(
    tmp_path: Path, columns: dict[str, Any], data: dict[str, Any], problem: str
) -> None:
    path = written(tmp_path, **columns)
    with pytest.raises(errors.Usage, match=problem) as caught:
        read_reference(ReferenceData(path, **data))
    assert caught.value.code == errors.BAD_REFERENCE


def test_a_reference_of_which_no_row_has_a_time_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, a=[1.0, 2.0], at=pa.array([None, None], pa.timestamp("us")))
    with pytest.raises(errors.Usage, match="every time in 'at' is missing"):
        read_reference(ReferenceData(path, time="at"))


def test_whole_labels_beyond_what_doubles_hold_exactly_are_read(tmp_path: Path) -> None:
    path = written(tmp_path, a=[1.0, 2.0], late=[-(2.0**63), 2.0**60])
    labels = read_reference(ReferenceData(path, target="late")).labels
    assert labels is not None
    assert labels.tolist() == [str(-(2**63)), str(2**60)]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(errors.Usage) as caught:
        read_reference(ReferenceData(tmp_path / "none.parquet"))
    assert caught.value.code == errors.MISSING_FILE


@pytest.mark.parametrize("name", ["data.parquet", "data.xlsx"])
def test_a_file_of_another_kind_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"not a table")
    with pytest.raises(errors.Usage) as caught:
        read_reference(ReferenceData(tmp_path / name))
    assert caught.value.code == errors.BAD_REFERENCE


def test_a_csv_file_may_have_semicolons_and_decimal_commas(tmp_path: Path) -> None:
    path = tmp_path / "reference.csv"
    path.write_text("carrier;distance\nUA;1,5\nAA;2,5\n", encoding="utf-8-sig")
    found = read_reference(ReferenceData(path))
    assert found.inputs["distance"].tolist() == [1.5, 2.5]
    assert [column.name for column in found.columns] == ["carrier", "distance"]


@pytest.mark.parametrize(
    ("written_as", "told"),
    [
        ("plan\ngröße\n".encode("cp1252"), "column 'plan' holds texts that are not UTF-8"),
        ("plan\na\n".encode("utf-16"), "it is written in UTF-16; save it as UTF-8"),
        (b"age,age,plan\n1,2,a\n", "several columns are named 'age'"),
    ],
)
def test_a_csv_file_that_cannot_be_understood_says_what_to_change(
    tmp_path: Path, written_as: bytes, told: str
) -> None:
    path = tmp_path / "reference.csv"
    path.write_bytes(written_as)
    with pytest.raises(errors.Usage, match=told):
        read_reference(ReferenceData(path))


def test_values_between_tabs_may_be_called_so(tmp_path: Path) -> None:
    path = tmp_path / "reference.tsv"
    path.write_text("plan\tage\na\t1.5\n")
    assert read_reference(ReferenceData(path)).inputs["age"].tolist() == [1.5]


def test_times_as_text_are_utc_where_no_zone_is_named(tmp_path: Path) -> None:
    texts = [
        "2024-01-01",
        "2024-01-01T10:30",
        "2024-01-01 10:30:00+02:00",
        "2024-01-01T10:30Z",
        None,
    ]
    path = written(tmp_path, x=[1.0] * 5, at=texts)
    times = read_reference(ReferenceData(path, time="at")).times
    assert times is not None
    midnight = datetime(2024, 1, 1, tzinfo=UTC).timestamp()
    assert (times[:4] - midnight).tolist() == [0.0, 37_800.0, 30_600.0, 37_800.0]
    assert np.isnan(times[4])


def test_whole_numbers_beyond_float64_and_decimals_are_numbers(tmp_path: Path) -> None:
    big = 2**62 + 1
    price = pa.array([Decimal("1.50"), None], pa.decimal128(9, 2))
    found = read_reference(ReferenceData(written(tmp_path, account=[1, big], price=price)))
    assert [column.datatype for column in found.columns] == [Datatype.INT64, Datatype.FP64]
    assert found.columns[0].maximum == float(big)
    assert found.inputs["price"][0] == 1.5


def test_times_to_the_nanosecond_are_read(tmp_path: Path) -> None:
    at = pa.array([1_700_000_000_123_456_789], pa.timestamp("ns", "Europe/Berlin"))
    times = read_reference(ReferenceData(written(tmp_path, x=[1.0], at=at), time="at")).times
    assert times is not None
    assert times[0] == 1_700_000_000.123456


def test_the_index_that_pandas_writes_is_no_input(tmp_path: Path) -> None:
    path = tmp_path / "reference.csv"
    path.write_text(",x\n0,1.5\n1,2.5\n")
    with pytest.raises(errors.Usage, match="a column has no name, as the index that pandas writes"):
        read_reference(ReferenceData(path))
