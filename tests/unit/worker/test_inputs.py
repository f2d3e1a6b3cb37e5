"""Tensors become columns, frames and matrices of exactly the declared types."""

from typing import Any

import numpy as np
import pytest

from trimtab.worker.config import Column, Signature
from trimtab.worker.failures import StageFailure
from trimtab.worker.inputs import cast, giver
from trimtab.worker.tensors import tensor_of

SIGNATURE = Signature(
    inputs=(
        Column("count", "INT32", False),
        Column("age", "INT64", True),
        Column("carrier", "BYTES", True),
    ),
    outputs=(),
    task="other",
    classes=(),
    threshold=0.5,
)
NUMBERS = Signature(SIGNATURE.inputs[:2], (), "other", (), 0.5)


def given(frame: str, signature: Signature, tensors: list[Any], rows: int) -> Any:
    return giver(frame, signature)(tensors, rows)


def texts(*values: str | None) -> Any:
    return np.array(values, dtype=object)


def columns() -> list[Any]:
    return [
        tensor_of("carrier", texts("AA", None)),
        tensor_of("age", np.array([3.0, np.nan])),
        tensor_of("count", np.array([1.0, 2.0])),
    ]


def test_columns_have_the_order_and_types_of_the_signature() -> None:
    got = given("columns", SIGNATURE, columns(), 2)
    assert list(got) == ["count", "age", "carrier"]
    assert got["count"].dtype == np.int32
    assert got["carrier"].tolist() == ["AA", None]


def test_a_nullable_whole_number_has_one_type_whether_or_not_one_is_missing() -> None:
    without = [*columns()[::2], tensor_of("age", np.array([3, 4]))]
    assert given("columns", SIGNATURE, columns(), 2)["age"].dtype == np.float64
    assert given("columns", SIGNATURE, without, 2)["age"].dtype == np.float64


def test_a_data_frame_has_texts_as_pandas_reads_them() -> None:
    frame = given("pandas", SIGNATURE, columns(), 2)
    assert frame.dtypes.astype(str).to_dict() == {
        "count": "int32",
        "age": "float64",
        "carrier": "str",
    }
    assert frame["carrier"].isna().tolist() == [False, True]


def test_a_matrix_and_its_columns_are_the_same_rows() -> None:
    matrix = tensor_of("", np.array([[1.0, 3.0], [2.0, np.nan]]))
    for frame in ("matrix", "columns"):
        one = given(frame, NUMBERS, [matrix], 2)
        other = given(frame, NUMBERS, columns()[1:], 2)
        np.testing.assert_equal(one, other)


@pytest.mark.parametrize(
    ("datatype", "nullable", "values", "words"),
    [
        ("INT64", False, [1.5], "no INT64"),
        ("UINT8", False, [300.0], "no UINT8"),
        ("INT8", False, [np.inf], "no INT8"),
        ("BOOL", False, [2.0], "no BOOL"),
        ("INT64", False, [np.nan], "may not be missing"),
        ("BYTES", False, [1.0], "must be BYTES"),
    ],
)
def test_a_value_that_does_not_fit_is_never_made_to(
    datatype: str, nullable: bool, values: list[float], words: str
) -> None:
    with pytest.raises(StageFailure, match=words):
        cast(Column("x", datatype, nullable), np.array(values))


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        ([tensor_of("nobody", np.array([1.0]))], "unknown columns"),
        ([tensor_of("count", np.array([1.0, 2.0])), *columns()[:2]], "shape"),
        ([tensor_of("count", np.array([1.0]))] * 2, "twice"),
        ([tensor_of("", np.array([[1.0]]))], "matrix"),
    ],
)
def test_tensors_that_are_not_the_signature_are_refused(tensors: list[Any], words: str) -> None:
    with pytest.raises(StageFailure, match=words) as failure:
        given("columns", SIGNATURE, tensors, 1)
    assert failure.value.stage == "input"


def test_text_fits_into_no_matrix() -> None:
    with pytest.raises(StageFailure, match="text"):
        given("matrix", SIGNATURE, columns(), 2)


def test_feature_code_may_change_what_it_is_given() -> None:
    got = given("columns", SIGNATURE, columns(), 2)
    got["count"][0] = 7
    assert given("columns", SIGNATURE, columns(), 2)["count"][0] == 1


@pytest.mark.parametrize(
    ("datatype", "nullable", "value", "words"),
    [
        ("INT64", False, 1.5, "'x' holds what is no INT64"),
        ("UINT8", False, 300.0, "no UINT8"),
        ("BOOL", False, 2.0, "no BOOL"),
        ("INT8", False, np.nan, "may not be missing"),
    ],
)
def test_a_matrix_is_held_to_the_datatypes_as_columns_are(
    datatype: str, nullable: bool, value: float, words: str
) -> None:
    signature = Signature(
        (Column("y", "FP64", False), Column("x", datatype, nullable)), (), "other", (), 0.5
    )
    with pytest.raises(StageFailure, match=words):
        given("matrix", signature, [tensor_of("", np.array([[0.0, value]]))], 1)


def test_a_matrix_rounds_to_narrower_floats_and_keeps_missing_whole_numbers() -> None:
    inputs = (Column("f", "FP32", False), Column("i", "INT16", True))
    got = given(
        "matrix",
        Signature(inputs, (), "other", (), 0.5),
        [tensor_of("", np.array([[0.1, np.nan], [0.5, 3.0]]))],
        2,
    )
    np.testing.assert_equal(got, [[np.float32(0.1), np.nan], [0.5, 3.0]])


def test_a_frame_of_numbers_alone_is_made_of_one_matrix() -> None:
    numbers = Signature(
        (Column("b", "FP64", True), Column("a", "FP64", True)), (), "other", (), 0.5
    )
    tensors = [tensor_of("b", np.array([1.0, np.nan])), tensor_of("a", np.array([2.0, 3.0]))]
    for sent in (tensors, tensors[::-1], [tensor_of("", np.array([[1.0, 2.0], [np.nan, 3.0]]))]):
        frame = given("pandas", numbers, sent, 2)
        assert list(frame) == ["b", "a"]
        np.testing.assert_equal(frame.to_numpy(), [[1.0, 2.0], [np.nan, 3.0]])


GRID = Column("grid", "UINT8", False, (2, 3))


def test_a_lone_tensor_is_given_as_it_is_and_others_by_name() -> None:
    values = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    alone = Signature((GRID,), (), "other", (), 0.5)
    tensor = tensor_of("grid", values)
    got = given("matrix", alone, [tensor], 2)
    assert (got.dtype, got.tolist()) == (np.uint8, values.tolist())
    beside = Signature((GRID, SIGNATURE.inputs[0]), (), "other", (), 0.5)
    both = given("columns", beside, [tensor, tensor_of("count", np.array([1.0, 2.0]))], 2)
    assert both["grid"].shape == (2, 2, 3)
    with pytest.raises(ValueError, match="one array"):
        giver("matrix", beside)
    with pytest.raises(StageFailure, match=r"not \[2, 2, 3\]"):
        given("matrix", alone, [tensor_of("grid", values.reshape(2, 6))], 2)
