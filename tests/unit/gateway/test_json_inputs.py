"""Reading inference requests: what is taken, and exactly what is said about the rest."""

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.gateway.support import NUMERIC, SIGNATURE, target, tensor

from trimtab.domain.signature import Column, Datatype, Output, Signature
from trimtab.gateway.asked import asked
from trimtab.gateway.faults import Fault
from trimtab.gateway.json_inputs import JSON, inputs_of_json
from trimtab.gateway.oip import parse_body
from trimtab.gateway.plan import Plan
from trimtab.gateway.tensors import inputs_of
from trimtab.gateway.values import Inputs

PLAN = Plan(target(1))
MATRIX = Plan(target(2, signature=NUMERIC))


def single(datatype: Datatype, *, nullable: bool = False) -> Plan:
    """A release with one column `c`."""
    signature = Signature((Column("c", datatype, nullable),), (Output("o", Datatype.FP64),))
    return Plan(target(3, signature=signature))


def read(inputs: Any, plan: Plan, key: str | None = None) -> Inputs:
    return inputs_of_json(parse_body(json.dumps({"inputs": inputs}).encode()).inputs, plan, key)


def columns(inputs: Inputs, plan: Plan) -> list[list[Any]]:
    """The values column by column, None for missing, however they are held."""
    if inputs.matrix is None:
        assert inputs.columns is not None
        return inputs.columns
    by_column = np.frombuffer(inputs.matrix, "<f8").reshape(-1, len(plan.columns)).T
    return [[None if math.isnan(value) else value for value in each] for each in by_column.tolist()]


def refused(inputs: Any, plan: Plan) -> str:
    with pytest.raises(Fault) as caught:
        read(inputs, plan)
    assert caught.value.status == 400
    return caught.value.text


def full(**changed: Any) -> list[dict[str, Any]]:
    """All columns of `SIGNATURE` with one row, some replaced; None leaves a column out."""
    columns = {
        "x": tensor("x", "FP64", [1.5]),
        "n": tensor("n", "INT32", [2]),
        "carrier": tensor("carrier", "BYTES", ["AA"]),
        "late": tensor("late", "BOOL", [False]),
    }
    return [each for each in (columns | changed).values() if each is not None]


def test_columns_come_in_the_order_of_the_signature() -> None:
    inputs = read(list(reversed(full())), PLAN)
    assert inputs.rows == 1
    assert columns(inputs, PLAN) == [[1.5], [2], ["AA"], [False]]


@pytest.mark.parametrize(
    ("datatype", "given_as", "values", "expected"),
    [
        ("FP64", "FP64", [1, 2.5], [1.0, 2.5]),
        ("FP64", "INT64", [1, 2], [1.0, 2.0]),
        ("FP32", "FP64", [1.5], [1.5]),
        ("FP16", "FP32", [65504], [65504.0]),
        ("INT8", "INT64", [-128, 127], [-128, 127]),
        ("INT32", "FP64", [3.0], [3]),
        ("INT32", "INT32", [3.0], [3]),
        ("UINT64", "UINT64", [2**64 - 1], [2**64 - 1]),
        ("INT64", "INT64", [-(2**63)], [-(2**63)]),
        ("BOOL", "BOOL", [True, False], [True, False]),
        ("BYTES", "BYTES", ["", "é", "a\0b"], ["", "é", "a\0b"]),
    ],
)
def test_values_that_fit_are_taken(
    datatype: str, given_as: str, values: list[Any], expected: list[Any]
) -> None:
    """Types that float64 holds exactly lie in one matrix, the others as what they are."""
    plan = single(Datatype(datatype))
    taken = read([tensor("c", given_as, values)], plan)
    assert columns(taken, plan) == [expected]
    exact = datatype in ("INT64", "UINT64", "BYTES")
    assert (taken.columns is not None) == exact
    if exact:
        assert list(map(type, columns(taken, plan)[0])) == list(map(type, expected))


@pytest.mark.parametrize(
    ("datatype", "given_as", "values", "said"),
    [
        ("FP64", "FP64", ["1"], "'c' row 0: '1' is not a value of FP64"),
        ("FP64", "FP64", [1, True], "'c' row 1: True is not"),
        ("FP64", "BYTES", ["1"], "datatype BYTES, the release takes FP64"),
        ("FP64", "BOOL", [True], "datatype BOOL"),
        ("FP64", "FP16", [1], "FP16 cannot travel as JSON"),
        ("FP64", "BF16", [1], "unknown datatype 'BF16'"),
        ("FP64", "fp64", [1], "unknown datatype"),
        ("FP64", "FP64", [10**400], "is not a value of FP64"),
        ("FP32", "FP32", [1e39], "is not a value of FP32"),
        ("FP16", "FP32", [65520], "is not a value of FP16"),
        ("INT32", "INT32", [1.5], "1.5 is not a value of INT32"),
        ("INT8", "INT8", [128], "128 is not"),
        ("UINT8", "UINT8", [-1], "-1 is not"),
        ("UINT64", "UINT64", [2**64], "does not fit UINT64"),
        ("INT64", "INT64", [2**63], "is not a value of INT64"),
        ("BOOL", "BOOL", [1], "1 is not a value of BOOL"),
        ("BOOL", "INT8", [1], "datatype INT8"),
        ("BYTES", "BYTES", [1], "1 is not a value of BYTES"),
        ("BYTES", "BYTES", [{}], "an object is not"),
        ("FP64", "FP64", [None], "row 0: null, but it is not nullable"),
        ("FP64", "FP64", [[1]], "row 0 is a list"),
    ],
)
def test_values_that_do_not_fit_are_named(
    datatype: str, given_as: str, values: list[Any], said: str
) -> None:
    assert said in refused([tensor("c", given_as, values)], single(Datatype(datatype)))


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ([], "inputs is empty"),
        (full(x=None), "missing input 'x'"),
        (full(x=None, n=None), "missing input 'x', 'n'"),
        (full(x=tensor("carier", "BYTES", ["A"])), "did you mean 'carrier'"),
        (full(x=tensor("zzz", "BYTES", ["A"])), "it has 'x', 'n'"),
        ([*full(), tensor("x", "FP64", [1])], "'x' is given twice"),
        (full(x=tensor("x", "FP64", [1, 2])), "has 1 rows, 'x' has 2"),
        (full(x=tensor("x", "FP64", [1], shape=[2])), "has 1 elements, its shape [2] needs 2"),
        (full(x=tensor("x", "FP64", [1], shape=[1, 2])), "a column has [rows]"),
        (full(x=tensor("x", "FP64", [1], shape=[])), "a column has [rows]"),
        (full(x=tensor("x", "FP64", [], shape=[0])), "at least one is needed"),
        (full(x=tensor("x", "FP64", [], shape=[-1])), "at least one is needed"),
        (full(x=tensor("x", "FP64", [1], shape=[10**18])), "has 1 elements"),
        (full(x={"name": "x", "datatype": "FP64", "shape": [1]}), "has no data"),
        (full(x=tensor("x", "FP64", [1], data={"a": 1})), "data must be a list"),
        ([tensor("m", "FP64", [1, 2], shape=[1, 2])], "every input to be numeric"),
    ],
)
def test_requests_that_do_not_fit_are_named(inputs: Any, said: str) -> None:
    assert said in refused(inputs, PLAN)


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ([tensor("m", "FP64", [1, 2, 3], shape=[1, 3])], "has 3 columns, the release takes 2"),
        ([tensor("m", "FP64", [1, 2, 3], shape=[2, 2])], "has 3 elements"),
        ([tensor("m", "FP64", [[1, 2], [3]], shape=[2, 2])], "row 1 is not a list of 2 values"),
        ([tensor("m", "FP64", [], shape=[0, 2])], "at least one is needed"),
        ([tensor("m", "BYTES", ["a", "b"], shape=[1, 2])], "a matrix is FP64"),
        ([tensor("m", "FP64", [1, 2.5], shape=[1, 2])], "'b' row 0: 2.5 is not a value of INT32"),
        ([tensor("m", "FP64", [1, None], shape=[1, 2])], "'b' row 0: null"),
        ([tensor("m", "FP64", [True, 1], shape=[1, 2])], "'a' row 0: True is not"),
    ],
)
def test_matrices_that_do_not_fit_are_named(inputs: Any, said: str) -> None:
    assert said in refused(inputs, MATRIX)


def test_a_column_may_be_nested_as_its_shape_says() -> None:
    nested = tensor("c", "FP64", [[1], [2.5], [None]], shape=[3, 1])
    plan = single(Datatype.FP64, nullable=True)
    assert columns(read([nested], plan), plan) == [[1.0, 2.5, None]]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[1]", "not an inference request"),
        (b'{"inputs": 1}', "not an inference request"),
        (b'{"inputs": [{"name": "x", "shape": [1], "datatype": "FP64", "data": [NaN]}]}', "NaN"),
        (b'{"inputs": [], "id": 3}', "$.id"),
        (b'{"inputs": [], "parameters": {"a": []}}', "$.parameters"),
        (b'{"inputs": [], "id": "' + b"a" * 257 + b'"}', "longer than 256"),
        (b'{"inputs": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "not an inference request"),
        (b'{"z": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
    ],
)
def test_bodies_that_are_no_request_are_refused(body: bytes, said: str) -> None:
    with pytest.raises(Fault) as caught:
        parse_body(body)
    assert caught.value.status == 400
    assert said in caught.value.text


def test_infinity_in_disguise_is_refused() -> None:
    body = b'{"inputs": [{"name": "c", "shape": [1], "datatype": "FP64", "data": [1e999]}]}'
    with pytest.raises(Fault, match="out of range"):
        inputs_of_json(parse_body(body).inputs, single(Datatype.FP64), None)


def test_parameters_are_read() -> None:
    body = parse_body(
        b'{"inputs": [], "parameters": {"event_time": "1970-01-01T01:00:00+01:00", "unit": 7,'
        b' "priority": 2, "timeout": 1500000, "other": true}}'
    )
    found = asked(body.parameters)
    assert (found.event_time, found.unit, found.lane, found.timeout) == (0.0, "7", "batch", 1.5)


@pytest.mark.parametrize(
    "parameters",
    [
        {"event_time": "1970-01-01T00:00:00"},
        {"event_time": 0},
        {"timeout": -1},
        {"timeout": 1.5},
        {"priority": "high"},
        {"priority": True},
    ],
)
def test_wrong_parameters_are_named(parameters: dict[str, Any]) -> None:
    body = parse_body(json.dumps({"inputs": [], "parameters": parameters}).encode())
    with pytest.raises(Fault, match=f"parameters.{next(iter(parameters))}"):
        asked(body.parameters)


VALUE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=12,
)
TENSORS = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["x", "n", "carrier", "late", "a", "b", "m"]) | st.text(),
        "datatype": st.sampled_from([d.value for d in Datatype]) | st.text(),
        "shape": st.lists(st.integers(-2, 4), max_size=3),
        "data": st.lists(VALUE, max_size=5) | VALUE,
    }
)


@given(st.lists(TENSORS, max_size=5), st.sampled_from([PLAN, MATRIX]))
def test_whatever_comes_is_taken_whole_or_refused(inputs: Any, plan: Plan) -> None:
    """No input raises anything but a `Fault`, and taken columns are of equal length."""
    body = json.dumps({"inputs": inputs}).encode()
    try:
        taken = inputs_of_json(parse_body(body).inputs, plan, None)
    except Fault:
        return
    held = columns(taken, plan)
    assert {len(column) for column in held} == {taken.rows}
    assert len(held) == len(SIGNATURE.inputs if plan is PLAN else NUMERIC.inputs)


WIDE = Signature(
    (
        Column("x", Datatype.FP64, True),
        Column("n", Datatype.INT8),
        Column("who", Datatype.BYTES, True),
        Column("big", Datatype.INT64, True),
    ),
    (Output("o", Datatype.FP64),),
)
ODD: st.SearchStrategy[Any] = st.sampled_from(
    [None, 1, 1.0, 2.5, -1, 300, 10**30, "a", "1", True, [1], {}, ""]
)
USUAL: dict[str, st.SearchStrategy[Any]] = {
    "x": st.floats(allow_nan=False, allow_infinity=False) | st.none(),
    "n": st.integers(-128, 127),
    "who": st.text(max_size=3) | st.none(),
    "big": st.integers(-(2**63), 2**63 - 1) | st.none(),
}


@st.composite
def questions(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Tensors for `WIDE`, in any order, most of them as they should be."""
    rows = draw(st.integers(1, 3))
    made = []
    for column in draw(st.permutations(WIDE.inputs)):
        lengths = st.just(rows) if draw(st.integers(0, 9)) else st.integers(0, 4)
        values = USUAL[column.name] if draw(st.integers(0, 9)) else ODD
        length = draw(lengths)
        data = draw(st.lists(values, min_size=length, max_size=length))
        kinds = st.just(str(column.datatype))
        if not draw(st.integers(0, 9)):
            kinds = st.sampled_from(["FP64", "INT64", "BYTES", "FP16", "nonsense"])
        shape = draw(st.sampled_from([[rows]] * 6 + [[rows, 1], [0], [], [-1], [rows, 2]]))
        name = column.name if draw(st.integers(0, 19)) else draw(st.sampled_from(["x", "y"]))
        made.append({"name": name, "datatype": draw(kinds), "shape": shape, "data": data})
    return made[: draw(st.sampled_from([4, 4, 4, 3]))]


def said(take: Callable[[], Inputs]) -> Any:
    try:
        taken = take()
    except Fault as fault:
        return fault.status
    return taken.rows, repr(taken.columns), taken.matrix


@given(questions(), st.booleans())
def test_columns_read_at_once_are_those_read_one_by_one(
    tensors: list[dict[str, Any]], same_shape: bool
) -> None:
    if same_shape:
        tensors = [{**each, "shape": tensors[0]["shape"]} for each in tensors]
    plan = Plan(target(4, signature=WIDE))
    declared = parse_body(json.dumps({"inputs": tensors}).encode()).inputs
    at_once = said(lambda: inputs_of_json(declared, plan, None))
    assert at_once == said(lambda: inputs_of(declared, JSON, plan, None))


@pytest.mark.parametrize("shape", [[2], [2, 1]])
def test_what_is_missing_is_read_with_the_rest(shape: list[int]) -> None:
    plan = Plan(target(4, signature=WIDE))
    data = {"big": [2**53 + 1, None], "who": [None, "b"], "n": [1, 2], "x": [None, 1]}
    kinds = {column.name: str(column.datatype) for column in WIDE.inputs}
    tensors = [
        {"name": name, "datatype": kinds[name], "shape": shape, "data": values}
        for name, values in data.items()
    ]
    assert read(tensors, plan).columns == [[None, 1.0], [1, 2], [None, "b"], [2**53 + 1, None]]
