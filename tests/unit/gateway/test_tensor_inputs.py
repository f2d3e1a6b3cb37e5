"""Inputs with a shape per row: from JSON, bytes and tables to arrays, frames and log columns."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.gateway.harness import running
from tests.unit.gateway.scenarios import run, socket_of, waiting
from tests.unit.gateway.support import FakeWorker, digest, snapshot, target

from trimtab.domain.signature import MOST_LOGGED, SUMMARY, Column, Datatype, Output, Signature
from trimtab.gateway.binary import lone_tensor
from trimtab.gateway.faults import Fault
from trimtab.gateway.json_inputs import inputs_of_json
from trimtab.gateway.lane import held_bytes
from trimtab.gateway.oip import InputTensor, parse_body
from trimtab.gateway.plan import Plan
from trimtab.gateway.raw_inputs import RAW, RawTensor
from trimtab.gateway.tables import inputs_of_table, table_of_columns, table_of_rows
from trimtab.gateway.tensors import inputs_of
from trimtab.gateway.values import Inputs
from trimtab.gateway.wire import predict_frame
from trimtab.worker.frames import Frame, Tensor, decode_all, tensors_of

OUTPUTS = (Output("y", Datatype.FP64),)


def plan(*columns: Column) -> Plan:
    return Plan(target(1, signature=Signature(columns, OUTPUTS)))


GRID = Column("grid", Datatype.FP32, shape=(2, 3))
BOTH = plan(GRID, Column("gain", Datatype.FP64))
GAPS = plan(Column("grid", Datatype.FP32, nullable=True, shape=(2,)))


def one(datatype: Datatype, *shape: int) -> Plan:
    return plan(Column("grid", datatype, shape=shape))


def sent(data: Any, shape: list[int], datatype: str = "FP32", name: str = "grid") -> InputTensor:
    tensor = {"name": name, "shape": shape, "datatype": datatype, "data": data}
    return parse_body(json.dumps({"inputs": [tensor]}).encode()).inputs[0]


def taken(inputs: Inputs, position: int = 0) -> Any:
    assert inputs.columns is not None
    return inputs.columns[position]


NESTED: Any = [[[1, 2, 3], [4, 5, 6]], [[7, 8, 9], [10, 11, 12.5]]]
FLAT = [float(value) for value in np.ravel(NESTED)]


@pytest.mark.parametrize("data", [NESTED, FLAT])
def test_flat_and_nested_json_are_the_same_rows_in_the_datatype_of_the_input(data: Any) -> None:
    tensors = [sent(data, [2, 2, 3]), sent([1.0, 2.0], [2], "FP64", "gain")]
    inputs = inputs_of_json(tensors, BOTH, None)
    assert inputs.rows == 2
    assert taken(inputs).dtype == np.float32
    assert taken(inputs).tolist() == np.reshape(NESTED, (2, 6)).tolist()
    assert taken(inputs, 1) == [1.0, 2.0]


def test_bytes_of_another_datatype_are_converted_when_they_fit() -> None:
    values = np.arange(12, dtype="<i8")
    raw = [RawTensor("grid", "INT64", [2, 2, 3], values.tobytes())]
    raw.append(RawTensor("gain", "FP64", [2], np.ones(2).tobytes()))
    assert taken(inputs_of(raw, RAW, BOTH, None)).tolist() == values.reshape(2, 6).tolist()


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=2, max_size=8))
def test_whole_numbers_of_64_bits_stay_exact_in_every_encoding(numbers: list[int]) -> None:
    values = numbers[: len(numbers) // 2 * 2]
    rows = len(values) // 2
    wanted = np.array(values, dtype=np.int64)
    raw = RawTensor("grid", "INT64", [rows, 2], wanted.tobytes())
    asked = one(Datatype.INT64, 2)
    assert np.array_equal(taken(inputs_of([raw], RAW, asked, None)).ravel(), wanted)
    mixed = [float(value) if value == 0 else value for value in values]
    got = inputs_of_json([sent(mixed, [rows, 2], "INT64")], asked, None)
    assert np.array_equal(taken(got).ravel(), wanted)


@pytest.mark.parametrize(
    ("datatype", "data", "said"),
    [
        ("FP32", [1e39, 0], "row 0: 1e+39"),
        ("FP32", [0, 10**400], "is not a value of FP32"),
        ("FP32", [0, -(10**400)], "is not a value of FP32"),
        ("FP32", [0, None], "row 0: null"),
        ("FP32", [0, "1"], "row 0: '1' is not a value"),
        ("FP32", [0, True], "row 0: True is not a value"),
        ("FP32", [0, {}], "an object is not a value"),
        ("UINT8", [0, 1, 2, 256], "row 1: 256 is not a value of UINT8"),
        ("UINT8", [0, -1], "row 0: -1"),
        ("UINT8", [0, 1.5], "row 0: 1.5"),
        ("UINT8", [0, None], "row 0: null"),
        ("UINT64", [0, 2**64], "is not a value of UINT64"),
        ("INT64", [0, 2**63], "is not a value of INT64"),
        ("BOOL", [True, 1], "row 0: 1 is not a value of BOOL"),
        ("FP32", [[1, 2], [3]], "row 1 is not of shape [2]"),
        ("FP32", [[1, 2], 3], "row 1 is not of shape [2]"),
        ("FP32", [[[1], [2]]], "a list is not a value"),
        ("FP32", [1, 2, 3], "3 values, 1 rows of shape [2] need 2"),
        ("FP32", {}, "data must be a list"),
    ],
)
def test_what_does_not_fit_is_named_by_row(datatype: str, data: Any, said: str) -> None:
    nested = not data or isinstance(data[0], list)
    tensor = sent(data, [max(len(data) if nested else len(data) // 2, 1), 2], datatype)
    with pytest.raises(Fault) as caught:
        inputs_of_json([tensor], one(Datatype(datatype), 2), None)
    assert (caught.value.status, said in caught.value.text) == (400, True), caught.value.text


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ([1, 3, 2], "it takes [rows, 2, 3]"),
        ([6], "it takes [rows, 2, 3]"),
        ([], "it takes [rows, 2, 3]"),
        ([0, 2, 3], "at least one is needed"),
        ([-1, 2, 3], "at least one is needed"),
        ([2**62, 2, 3], "need"),
    ],
)
def test_a_shape_that_is_not_of_the_input_is_refused(shape: list[int], said: str) -> None:
    tensor = RawTensor("grid", "FP32", shape, bytes(24))
    with pytest.raises(Fault, match=re.escape(said)):
        inputs_of([tensor], RAW, plan(GRID), None)
    with pytest.raises(Fault, match="unknown input"):
        inputs_of_json([sent([[1, 2]], [1, 2], name="other")], plan(GRID), None)


def test_numbers_may_be_missing_where_the_release_does_without_them() -> None:
    got = taken(inputs_of_json([sent([1, None, None, None], [2, 2])], GAPS, None))
    assert np.isnan(got).tolist() == [[False, True], [True, True]]


def test_truth_values_are_a_tensor_too() -> None:
    got = inputs_of_json([sent([True, False], [1, 2], "BOOL")], one(Datatype.BOOL, 2), None)
    assert taken(got).tolist() == [[True, False]]


def test_more_than_fits_into_a_frame_is_refused_before_it_is_converted() -> None:
    wide = one(Datatype.FP64, 1 << 20)
    data = bytes(17 << 20)
    with pytest.raises(Fault, match="too many for one request; 16 fit") as caught:
        inputs_of([RawTensor("grid", "UINT8", [17, 1 << 20], data)], RAW, wide, None)
    assert caught.value.status == 413


def test_a_body_without_json_is_the_only_tensor() -> None:
    tensor = lone_tensor(plan(GRID), bytes(48))
    assert tensor.shape == [2, 2, 3]
    with pytest.raises(Fault, match="a row of 'grid' has 24"):
        lone_tensor(plan(GRID), bytes(25))


def test_tables_hold_tensors_in_their_cells_or_as_their_rows() -> None:
    named = inputs_of_table(table_of_columns({"grid": NESTED, "gain": [1, 2]}), BOTH, None)
    assert taken(named).tolist() == np.reshape(NESTED, (2, 6)).tolist()
    bare = inputs_of_table(table_of_rows(NESTED), plan(GRID), None)
    assert taken(bare).tolist() == np.reshape(NESTED, (2, 6)).tolist()
    with pytest.raises(Fault, match="CSV cannot hold"):
        inputs_of_table(table_of_rows([["1"]], ["grid"], texts=True), plan(GRID), None)


def test_parts_of_several_callers_are_one_tensor_in_a_frame() -> None:
    parts = [
        inputs_of_json([sent(NESTED, [2, 2, 3]), sent([1.0, 2.0], [2], "FP64", "gain")], BOTH, None)
        for _ in range(2)
    ]
    data = b"".join(predict_frame(BOTH, 1, parts, 1.0, 1.0))
    ((grid, gain),) = tensors_of(decode_all(data)[0], "inputs")
    assert (grid.datatype, grid.shape, gain.shape) == ("FP32", (4, 2, 3), (4,))
    assert np.frombuffer(grid.data, "<f4").tolist() == FLAT * 2
    assert held_bytes(parts[0], ()) == 48 + 2 * 64


def test_the_log_has_a_summary_of_every_tensor_and_the_small_ones_whole() -> None:
    large = plan(Column("big", Datatype.UINT8, shape=(MOST_LOGGED + 1,)), GRID)
    schema = large.log_schema("d", None)
    assert schema.inputs == (
        *((f"big.{name}", "number") for name in SUMMARY),
        *((f"grid.{name}", "number") for name in SUMMARY),
        ("grid", "vector"),
    )
    width = MOST_LOGGED + 1
    raw = [
        RawTensor("big", "UINT8", [2, width], bytes([7]) * 2 * width),
        RawTensor("grid", "FP32", [2, 2, 3], np.array(FLAT, "<f4").tobytes()),
    ]
    inputs = inputs_of(raw, RAW, large, None)
    logged = inputs.logged
    assert logged is inputs.logged
    assert isinstance(logged, list)
    assert logged[:2] == [[7.0, 7.0], [0.0, 0.0]]
    assert logged[6] == [np.mean(FLAT[:6]), np.mean(FLAT[6:])]
    assert np.frombuffer(logged[12]).tolist() == FLAT


def numbered(frame: Frame) -> list[Tensor]:
    rows = frame.header["rows"]
    return [Tensor("y", "FP64", (rows,), np.arange(rows, dtype=float).tobytes())]


def test_what_was_answered_is_in_the_log_row_by_row(tmp_path: Path) -> None:
    """Also where several callers were answered together."""

    async def scenario() -> None:
        signature = Signature((GRID, Column("gain", Datatype.FP64)), OUTPUTS)
        release = target(1, socket_of(1), signature=signature)
        worker = await FakeWorker(str(tmp_path / socket_of(1)), digest(1), numbered).start()
        worker.gate.clear()
        async with running(tmp_path, snapshot(1, [release], [(1, "stable", 10_000)])) as it:
            bodies = []
            for number in range(3):
                grid = {"name": "grid", "shape": [1, 2, 3], "datatype": "FP32"}
                gain = {"name": "gain", "shape": [1], "datatype": "FP64", "data": [number]}
                data = [[[number] * 3] * 2]
                bodies.append(json.dumps({"inputs": [{**grid, "data": data}, gain]}).encode())
            asking = [asyncio.create_task(it.infer(bodies[0]))]
            await worker.arrived.wait()
            asking += [asyncio.create_task(it.infer(body)) for body in bodies[1:]]
            await waiting(it, 2)
            worker.gate.set()
            assert [answer.status_code for answer in await asyncio.gather(*asking)] == [200] * 3
            rows = await it.rows()
            assert sorted(rows["in.grid.mean"]) == [0.0, 1.0, 2.0]
            assert rows["in.grid"] == [[gain] * 6 for gain in rows["in.gain"]]
            assert rows["in.grid.std"] == [0.0] * 3

    run(scenario)
