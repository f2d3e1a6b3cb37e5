"""Reading tensors that came as bytes: the same contract as for JSON, and no copy of a matrix."""

import math
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from tests.unit.gateway.support import NUMERIC, SIGNATURE, target

from trimtab.domain.signature import Column, Datatype, Output, Signature
from trimtab.gateway.faults import Fault
from trimtab.gateway.plan import NUMPY_TYPES, Plan
from trimtab.gateway.raw_inputs import RAW, RawTensor
from trimtab.gateway.tensors import inputs_of
from trimtab.gateway.values import Inputs
from trimtab.worker.frames import encode_texts

PLAN = Plan(target(1))
MATRIX = Plan(target(2, signature=NUMERIC))


def single(datatype: Datatype, *, nullable: bool = False) -> Plan:
    """A release with one column `c`."""
    signature = Signature((Column("c", datatype, nullable),), (Output("o", Datatype.FP64),))
    return Plan(target(3, signature=signature))


def wide(columns: int = 3, *, nullable: bool = False) -> Plan:
    """A release that takes FP64 columns only."""
    inputs = tuple(Column(f"c{i}", Datatype.FP64, nullable) for i in range(columns))
    return Plan(target(4, signature=Signature(inputs, (Output("o", Datatype.FP64),))))


def raw(name: str, datatype: str, values: list[Any], shape: list[int] | None = None) -> RawTensor:
    """`values` as the bytes of `datatype`."""
    if datatype == "BYTES":
        data = encode_texts(values)
    else:
        data = np.array(values, NUMPY_TYPES[datatype]).tobytes()
    return RawTensor(name, datatype, [len(values)] if shape is None else shape, data)


def read(tensors: list[RawTensor], plan: Plan, key: str | None = None) -> Inputs:
    return inputs_of(tensors, RAW, plan, key)


def refused(tensors: list[RawTensor], plan: Plan, key: str | None = None) -> str:
    with pytest.raises(Fault) as caught:
        read(tensors, plan, key)
    assert caught.value.status == 400
    return caught.value.text


def columns(inputs: Inputs, plan: Plan) -> list[list[Any]]:
    """The values column by column, None for missing, however they are held."""
    if inputs.matrix is None:
        assert inputs.columns is not None
        return inputs.columns
    by_column = np.frombuffer(inputs.matrix, "<f8").reshape(-1, len(plan.columns)).T
    return [[None if math.isnan(value) else value for value in each] for each in by_column.tolist()]


def full(**changed: RawTensor | None) -> list[RawTensor]:
    """All columns of `SIGNATURE` with one row, some replaced; None leaves a column out."""
    given_columns: dict[str, RawTensor | None] = {
        "x": raw("x", "FP64", [1.5]),
        "n": raw("n", "INT32", [2]),
        "carrier": raw("carrier", "BYTES", ["AA"]),
        "late": raw("late", "BOOL", [False]),
    }
    return [each for each in (given_columns | changed).values() if each is not None]


def test_columns_come_in_the_order_of_the_signature() -> None:
    inputs = read(list(reversed(full())), PLAN)
    assert inputs.rows == 1
    assert columns(inputs, PLAN) == [[1.5], [2], ["AA"], [False]]
    assert list(map(type, [c[0] for c in columns(inputs, PLAN)])) == [float, int, str, bool]


@pytest.mark.parametrize(
    ("datatype", "given_as", "values"),
    [
        ("FP64", "FP64", [1.0, -2.5]),
        ("FP64", "FP16", [1.0, 65504.0]),
        ("FP64", "INT64", [1, -(2**53)]),
        ("FP32", "FP64", [1.5]),
        ("FP16", "FP16", [65504.0, -0.5]),
        ("INT8", "INT64", [-128, 127]),
        ("INT32", "FP64", [3.0]),
        ("INT64", "FP64", [-(2.0**63), 2.0**62]),
        ("INT64", "INT64", [-(2**63), 2**63 - 1]),
        ("UINT64", "UINT64", [2**64 - 1]),
        ("UINT16", "UINT8", [255]),
        ("BOOL", "BOOL", [True, False]),
        ("BYTES", "BYTES", ["", "é", "a\0b"]),
    ],
)
def test_values_that_fit_are_taken(datatype: str, given_as: str, values: list[Any]) -> None:
    plan = single(Datatype(datatype))
    taken = read([raw("c", given_as, values)], plan)
    assert columns(taken, plan) == [values]
    assert (taken.matrix is None) == (datatype in ("INT64", "UINT64", "BYTES"))


@pytest.mark.parametrize(
    ("datatype", "given_as", "values", "said"),
    [
        ("FP64", "FP64", [1, math.inf], "'c' row 1: inf is not a value of FP64"),
        ("FP64", "FP64", [math.nan], "'c' row 0: null, but it is not nullable"),
        ("FP64", "FP16", [-math.inf], "-inf is not a value"),
        ("FP64", "BYTES", ["1"], "datatype BYTES, the release takes FP64"),
        ("FP64", "BOOL", [True], "datatype BOOL"),
        ("FP32", "FP64", [1e39], "1e+39 is not a value of FP32"),
        ("FP16", "FP32", [65520], "is not a value of FP16"),
        ("INT32", "FP64", [1.5], "1.5 is not a value of INT32"),
        ("INT32", "FP64", [math.nan], "row 0: null"),
        ("INT8", "INT16", [128], "128 is not"),
        ("UINT8", "INT8", [-1], "-1 is not"),
        ("INT64", "UINT64", [2**63], "is not a value of INT64"),
        ("INT64", "FP64", [2.0**63], "is not a value of INT64"),
        ("UINT64", "FP64", [2.0**64], "is not a value of UINT64"),
        ("UINT64", "INT64", [-1], "-1 is not"),
        ("BOOL", "UINT8", [1], "datatype UINT8"),
        ("BYTES", "BYTES", [None], "row 0: null"),
        ("BYTES", "FP64", [1], "datatype FP64, the release takes BYTES"),
    ],
)
def test_values_that_do_not_fit_are_named(
    datatype: str, given_as: str, values: list[Any], said: str
) -> None:
    assert said in refused([raw("c", given_as, values)], single(Datatype(datatype)))


@pytest.mark.parametrize("datatype", ["FP64", "FP32", "INT32", "INT64"])
def test_nan_is_a_missing_number_where_one_may_be_missing(datatype: str) -> None:
    plan = single(Datatype(datatype), nullable=True)
    taken = read([raw("c", "FP64", [math.nan, 2.0])], plan)
    assert columns(taken, plan) == [[None, 2]]


def test_a_text_may_be_missing_by_its_length() -> None:
    plan = single(Datatype.BYTES, nullable=True)
    assert columns(read([raw("c", "BYTES", [None, "a"])], plan), plan) == [[None, "a"]]


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        ([], "inputs is empty"),
        (full(x=None), "missing input 'x'"),
        (full(x=raw("carier", "BYTES", ["A"])), "did you mean 'carrier'"),
        ([*full(), raw("x", "FP64", [1])], "'x' is given twice"),
        (full(x=raw("x", "FP64", [1, 2])), "has 1 rows, 'x' has 2"),
        (full(x=raw("x", "FP64", [1], shape=[2])), "has 8 bytes, FP64 of shape [2] needs 16"),
        (full(x=raw("x", "FP64", [1], shape=[1, 2])), "a column has [rows]"),
        (full(x=raw("x", "FP64", [1], shape=[])), "a column has [rows]"),
        (full(x=raw("x", "FP64", [], shape=[0])), "at least one is needed"),
        (full(x=raw("x", "FP64", [1], shape=[-1])), "at least one is needed"),
        (full(x=raw("x", "FP64", [1], shape=[2**63 - 1])), "has 8 bytes"),
        (full(x=RawTensor("x", "BF16", [1], b"ab")), "unknown datatype 'BF16'"),
        (full(late=RawTensor("late", "BOOL", [1], b"\2")), "bytes other than 0 and 1"),
        (full(carrier=RawTensor("carrier", "BYTES", [1], b"\1\0\0")), "cannot be read"),
        (full(carrier=RawTensor("carrier", "BYTES", [1], b"\1\0\0\0\xff")), "cannot be read"),
        (full(carrier=RawTensor("carrier", "BYTES", [1], b"\2\0\0\0a")), "longer than its tensor"),
        (full(carrier=RawTensor("carrier", "BYTES", [1], b"\0\0\0\0a")), "1 bytes after its last"),
        ([RawTensor("carrier", "BYTES", [2**31], b"")], "cannot be read"),
        ([raw("m", "FP64", [1, 2], shape=[1, 2])], "every input to be numeric"),
    ],
)
def test_requests_that_do_not_fit_are_named(tensors: list[RawTensor], said: str) -> None:
    assert said in refused(tensors, PLAN)


@pytest.mark.parametrize(
    ("tensor", "said"),
    [
        (raw("m", "FP64", [1, 2, 3], shape=[1, 3]), "has 3 columns, the release takes 2"),
        (raw("m", "FP64", [1, 2, 3], shape=[2, 2]), "has 24 bytes"),
        (raw("m", "FP64", [], shape=[0, 2]), "at least one is needed"),
        (raw("m", "BYTES", ["a", "b"], shape=[1, 2]), "a matrix is FP64"),
        (raw("m", "BOOL", [True, True], shape=[1, 2]), "datatype BOOL, the release takes FP64"),
        (raw("m", "FP64", [1, 2.5], shape=[1, 2]), "'b' row 0: 2.5 is not a value of INT32"),
        (raw("m", "FP64", [1, math.nan], shape=[1, 2]), "'b' row 0: null"),
        (raw("m", "FP32", [math.inf, 1], shape=[1, 2]), "'a' row 0: inf is not"),
    ],
)
def test_matrices_that_do_not_fit_are_named(tensor: RawTensor, said: str) -> None:
    assert said in refused([tensor], MATRIX)


def test_a_matrix_of_float64_is_the_bytes_that_arrived() -> None:
    body = b"1234" + np.arange(6.0).tobytes()
    data = memoryview(body)[4:]
    for plan in (wide(), wide(nullable=True)):
        taken = read([RawTensor("m", "FP64", [2, 3], data)], plan)
        assert taken.matrix is data
        assert taken.rows == 2


def test_numbers_whose_squares_are_endless_are_taken() -> None:
    tensor = raw("m", "FP64", [1e200, -1.7e308, 1e-320], shape=[1, 3])
    assert read([tensor], wide()).matrix is tensor.data
    assert "'c2' row 0" in refused([raw("m", "FP64", [1, 2, math.inf], shape=[1, 3])], wide())


def test_missing_values_in_a_matrix_stay_where_they_may_be() -> None:
    tensor = raw("m", "FP64", [1, math.nan, 3], shape=[1, 3])
    assert read([tensor], wide(nullable=True)).matrix is tensor.data
    assert "'c1' row 0: null" in refused([tensor], wide())


def test_other_numbers_in_a_matrix_become_float64() -> None:
    taken = read([raw("m", "INT8", [1, 2, 3, 4], shape=[2, 2])], MATRIX)
    assert columns(taken, MATRIX) == [[1, 3], [2, 4]]


def test_a_matrix_with_whole_numbers_that_float64_cannot_hold_keeps_them() -> None:
    inputs = (Column("a", Datatype.INT64), Column("b", Datatype.BOOL))
    plan = Plan(target(5, signature=Signature(inputs, (Output("o", Datatype.FP64),))))
    taken = read([raw("m", "INT64", [2**63 - 1, 1], shape=[1, 2])], plan)
    assert columns(taken, plan) == [[2**63 - 1], [True]]
    assert "'b' row 0: 2 is not" in refused([raw("m", "INT64", [1, 2], shape=[1, 2])], plan)


@pytest.mark.parametrize(
    ("tensor", "expected"),
    [
        (raw("id", "BYTES", ["a", None]), ["a", None]),
        (raw("id", "INT64", [7, 8]), ["7", "8"]),
        (raw("id", "FP64", [math.nan, 1.5]), [None, "1.5"]),
        (raw("id", "BOOL", [True, False]), ["true", "false"]),
    ],
)
def test_a_business_key_is_taken_as_text(tensor: RawTensor, expected: list[str | None]) -> None:
    matrix = raw("m", "FP64", [1, 2, 3, 4], shape=[2, 2])
    assert read([matrix, tensor], MATRIX, key="id").key == expected


def test_a_business_key_must_be_of_the_rows() -> None:
    matrix = raw("m", "FP64", [1, 2, 3, 4], shape=[2, 2])
    assert "has 1 rows" in refused([matrix, raw("id", "INT64", [7])], MATRIX, key="id")
    odd = RawTensor("id", "TEXT", [2], b"")
    assert "unknown datatype" in refused([matrix, odd], MATRIX, key="id")


def test_signalling_nans_warn_nobody() -> None:
    signalling = struct.pack("<Q", 0x7FF0000000000001) + struct.pack("<Q", 0xFFF0000000000001)
    narrow = struct.pack("<I", 0x7F800001)
    assert "null" in refused([RawTensor("m", "FP64", [1, 2], signalling)], MATRIX)
    assert "null" in refused([RawTensor("c", "FP32", [1], narrow)], single(Datatype.FP64))


@given(
    arrays.arrays("<f8", st.tuples(st.integers(1, 4), st.just(2))),
    st.sampled_from([MATRIX, wide(2), wide(2, nullable=True)]),
)
def test_a_matrix_and_its_columns_mean_the_same(matrix: Any, plan: Plan) -> None:
    whole = RawTensor("m", "FP64", list(matrix.shape), matrix.tobytes())
    parts = [
        RawTensor(c.name, "FP64", [len(matrix)], matrix[:, c.position].tobytes())
        for c in plan.columns
    ]
    assert _outcome([whole], plan) == _outcome(parts, plan)


def _outcome(tensors: list[RawTensor], plan: Plan) -> Any:
    try:
        return columns(read(tensors, plan), plan)
    except Fault as fault:
        return fault.text


TENSORS = st.builds(
    RawTensor,
    st.sampled_from(["x", "n", "carrier", "late", "a", "b", "m"]) | st.text(),
    st.sampled_from([d.value for d in Datatype]) | st.text(),
    st.lists(st.integers(-2, 4), max_size=3),
    st.binary(max_size=40) | st.sampled_from([bytes(n) for n in (1, 2, 4, 8, 16)]),
)


@given(st.lists(TENSORS, max_size=5), st.sampled_from([PLAN, MATRIX]))
def test_whatever_comes_is_taken_whole_or_refused(tensors: list[RawTensor], plan: Plan) -> None:
    try:
        taken = read(tensors, plan)
    except Fault:
        return
    held = columns(taken, plan)
    assert {len(column) for column in held} == {taken.rows}
    assert len(held) == len(SIGNATURE.inputs if plan is PLAN else NUMERIC.inputs)
