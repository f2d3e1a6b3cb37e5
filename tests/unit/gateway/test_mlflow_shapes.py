"""`/invocations`: the bodies that MLflow's server takes, and its answers."""

import contextlib
import json
from pathlib import Path
from typing import Any

import httpx
import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.gateway.harness import Harness, running
from tests.unit.gateway.scenarios import STABLE, crash, run, socket_of, times, worker
from tests.unit.gateway.support import (
    NUMERIC,
    SIGNATURE,
    FakeWorker,
    digest,
    snapshot,
    summed,
    target,
)
from tests.unit.gateway.test_raw_inputs import columns, single

from trimtab.domain.signature import Column, Datatype, Output, Signature
from trimtab.gateway import mlflow_shapes
from trimtab.gateway.faults import Fault
from trimtab.gateway.mlflow_shapes import parse_csv, parse_invocation
from trimtab.gateway.plan import Plan
from trimtab.gateway.tables import Table, inputs_of_table
from trimtab.worker.frames import Frame, Kind, Tensor, encode_texts

PLAN = Plan(target(1))
MATRIX = Plan(target(2, signature=NUMERIC))

NAMES = ["x", "n", "carrier", "late"]
ROWS: list[list[Any]] = [[1.5, 1, "AA", True], [None, 2, None, False]]
CSV = "x,n,carrier,late\n1.5,1,AA,true\n,2,,False\n"


def split(names: list[Any], rows: list[Any]) -> dict[str, Any]:
    return {"dataframe_split": {"columns": names, "index": list(range(len(rows))), "data": rows}}


def table(body: Any) -> Table:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return mlflow_shapes.table_of(parse_invocation(data))


SAME_ROWS: list[Any] = [
    split(NAMES, ROWS),
    split([*NAMES, "more"], [[*row, {"ignored": 1}] for row in ROWS]),
    {"dataframe_records": [dict(zip(NAMES, row, strict=True)) for row in ROWS]},
    {"dataframe_records": [dict(zip(NAMES, ROWS[0], strict=True)), {"n": 2, "late": False}]},
    {"instances": [dict(zip(NAMES, row, strict=True)) for row in ROWS]},
    {"instances": ROWS},
    {"inputs": ROWS},
    {"inputs": {name: [row[i] for row in ROWS] for i, name in enumerate(NAMES)}},
    json.dumps(split(NAMES, ROWS)).replace("null", "NaN").encode(),
]


@pytest.mark.parametrize("body", SAME_ROWS)
def test_all_shapes_mean_the_same_rows(body: Any) -> None:
    taken = inputs_of_table(table(body), PLAN, None)
    assert columns(taken, PLAN) == [[1.5, None], [1, 2], ["AA", None], [True, False]]


@pytest.mark.parametrize("csv", [CSV, "\ufeff" + CSV.replace("\n", "\r\n"), CSV + "\n"])
def test_csv_means_the_same_rows(csv: str) -> None:
    taken = inputs_of_table(parse_csv(csv.encode()), PLAN, None)
    assert columns(taken, PLAN) == [[1.5, None], [1, 2], ["AA", None], [True, False]]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"inputs": {"c": 3}}, [3]),
        ({"instances": [1, 2]}, [1, 2]),
        ({"inputs": [[1], [2]]}, [1, 2]),
        ({"dataframe_split": {"columns": ["c"], "data": [[2]]}}, [2]),
    ],
)
def test_a_single_column_may_be_written_in_short(body: Any, expected: list[Any]) -> None:
    plan = single(Datatype.FP64)
    assert columns(inputs_of_table(table(body), plan, None), plan) == [expected]


@pytest.mark.parametrize(
    ("datatype", "cells", "expected"),
    [
        ("INT64", [2**63 - 1, 3.0], [2**63 - 1, 3]),
        ("INT64", [2**63 - 1], [2**63 - 1]),
        ("UINT64", [2**64 - 1], [2**64 - 1]),
        ("INT32", [1, 2.0], [1, 2]),
        ("FP32", [1, 2.5], [1.0, 2.5]),
        ("FP64", [10**300], [1e300]),
    ],
)
def test_numbers_keep_their_value(datatype: str, cells: list[Any], expected: list[Any]) -> None:
    plan = single(Datatype(datatype))
    body = {"inputs": {"c": cells}}
    assert columns(inputs_of_table(table(body), plan, None), plan) == [expected]


@pytest.mark.parametrize(
    ("datatype", "cells", "expected"),
    [
        ("INT64", ["9223372036854775807", "-3", "3.0"], [2**63 - 1, -3, 3]),
        ("FP64", ["1e3", " 2", "NaN", ""], [1000.0, 2.0, None, None]),
        ("BOOL", ["True", "0", "NA"], [True, False, None]),
        ("BYTES", ["NaN", ""], ["NaN", None]),
    ],
)
def test_cells_of_csv_are_read_by_their_column(
    datatype: str, cells: list[str], expected: list[Any]
) -> None:
    plan = single(Datatype(datatype), nullable=True)
    csv = "c,other\n" + "".join(f"{cell},z\n" for cell in cells)
    taken = inputs_of_table(parse_csv(csv.encode()), plan, None)
    assert columns(taken, plan) == [expected]


@pytest.mark.parametrize("rows", [1, 20])
@pytest.mark.parametrize("cell", ["NAN", "-nan", " nan"])
def test_a_cell_of_csv_that_is_not_a_number_is_missing_however_many_rows_there_are(
    cell: str, rows: int
) -> None:
    plan = single(Datatype.FP64, nullable=True)
    csv = "c,other\n" + f"{cell},z\n" * rows
    taken = inputs_of_table(parse_csv(csv.encode()), plan, None)
    assert columns(taken, plan) == [[None] * rows]
    with pytest.raises(Fault, match="null, but it is not nullable"):
        inputs_of_table(parse_csv(csv.encode()), single(Datatype.FP64), None)


def test_an_empty_text_that_may_not_be_missing_is_a_text() -> None:
    plan = single(Datatype.BYTES)
    taken = inputs_of_table(parse_csv(b"c,d\n,1\n"), plan, None)
    assert columns(taken, plan) == [[""]]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "not JSON"),
        (b"[]", "exactly one of"),
        ({}, "not none of them"),
        ({"instances": [], "inputs": []}, "not instances, inputs"),
        ({"inputs": 3}, "exactly one of"),
        ({"instances": []}, "there are no rows"),
        ({"inputs": {}}, "there are no rows"),
        ({"inputs": {"x": [1], "n": [1, 2]}}, "different numbers of rows: [1, 2]"),
        (split(NAMES, [ROWS[0][:3]]), "row 0 is not a list of 4 values"),
        (split(["x", "x"], [[1, 2]]), "given twice"),
        (split(NAMES[:2], [[1, 2]]), "missing column 'carrier', 'late'"),
        ({"instances": [[1, 2]]}, "a row has 2 values, the release takes 4"),
        ({"instances": [[1], 2]}, "a row has 1 values"),
        ({"instances": [{"x": 1}, [2]]}, "a row has 1 values"),
        (split(NAMES, [["1", 1, "AA", True]]), "'x' row 0: '1' is not a value of FP64"),
        (split(NAMES, [[True, 1, "AA", True]]), "'x' row 0: True is not"),
        (split(NAMES, [[10**400, 1, "AA", True]]), "is not a value of FP64"),
        (split(NAMES, [[1, None, "AA", True]]), "'n' row 0: null"),
        (split(NAMES, [[1, 1.5, "AA", True]]), "1.5 is not a value of INT32"),
        (split(NAMES, [[1, 2**31, "AA", True]]), "is not a value of INT32"),
        (split(NAMES, [[1, 2**70, "AA", True]]), "is not a value of INT32"),
        (split(NAMES, [[1, 1, 7, True]]), "7 is not a value of BYTES"),
        (split(NAMES, [[1, 1, "AA", [1]]]), "a list is not a value of BOOL"),
        (b'{"inputs": {"x": [Infinity]}}', "not JSON"),
        (b'{"inputs": {"x": [NaN, Infinity]}}', "Infinity is not JSON"),
        (b'{"inputs": {"x": [NaN]}, "instances": 3}', "exactly one of"),
        (b'{"inputs": {"x": [NaN], "carrier": ["\\ud800"]}}', "surrogates not allowed"),
        (b'{"inputs": {"x": [NaN], "carrier": ["\xed\xa0\x80"]}}', "invalid continuation byte"),
        (b'{"inputs": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
        (b'{"inputs": ' + b"[" * 100_000 + b"NaN" + b"]" * 100_000 + b"}", "nested too deeply"),
    ],
)
def test_bodies_that_do_not_fit_are_named(body: Any, said: str) -> None:
    with pytest.raises(Fault) as caught:
        inputs_of_table(table(body), PLAN, None)
    assert caught.value.status == 400
    assert said in caught.value.text


def test_a_text_may_be_escaped_beside_nan() -> None:
    body = rb'{"inputs": {"x": [NaN], "n": [1], "carrier": ["\ud83d\ude00"], "late": [true]}}'
    found = inputs_of_table(table(body), PLAN, None)
    assert found.columns == [[None], [1], ["\U0001f600"], [True]]


@pytest.mark.parametrize(
    ("csv", "said"),
    [
        (b"", "no header line"),
        (b"x,n,carrier,late\n", "there are no rows"),
        (b"\xff", "not CSV"),
        (b'x,n\n"1,2\n', "not CSV"),
        (b"x,n,carrier,late\n1,2,AA\n", "row 0 is not a list of 4"),
        (b"x,n,carrier,late\none,2,AA,true\n", "'x' row 0: 'one' is not a value of FP64"),
        (b"x,n,carrier,late\ninf,2,AA,true\n", "'inf' is not a value of FP64"),
        (b"x,n,carrier,late\n1,inf,AA,true\n", "'inf' is not a value of INT32"),
        (b"x,n,carrier,late\n1,2.5,AA,true\n", "2.5 is not a value of INT32"),
        (b"x,n,carrier,late\n1,2,AA,maybe\n", "'maybe' is not a value of BOOL"),
        (b"x,n,carrier,late\n1,,AA,true\n", "'n' row 0: null"),
        (b"x,x,carrier,late\n1,,AA,true\n", "given twice"),
        (b"x,n,carrier,late\n" + b"9" * 5000 + b",1,AA,true\n", "is not a value of FP64"),
        (b"x,n,carrier,late\n1," + b"9" * 5000 + b",AA,true\n", "is not a value of INT32"),
    ],
)
def test_csv_that_does_not_fit_is_named(csv: bytes, said: str) -> None:
    with pytest.raises(Fault) as caught:
        inputs_of_table(parse_csv(csv), PLAN, None)
    assert caught.value.status == 400
    assert said in caught.value.text


def test_infinity_in_a_long_column_is_named_too() -> None:
    plan = single(Datatype.FP64)
    for cells in (["1"] * 20 + ["inf"], ["1"] * 20 + ["x"]):
        csv = "c,other\n" + "".join(f"{cell},z\n" for cell in cells)
        with pytest.raises(Fault, match=r"row 20: .*(inf|x).* is not a value of FP64"):
            inputs_of_table(parse_csv(csv.encode()), plan, None)


@pytest.mark.parametrize(
    ("cells", "keys"), [(["a", None], ["a", None]), ([7, True], ["7", "true"])]
)
def test_a_business_key_is_taken_as_text(cells: list[Any], keys: list[Any]) -> None:
    body = {"inputs": {"a": [1, 2], "b": [3, 4], "id": cells}}
    assert inputs_of_table(table(body), MATRIX, "id").key == keys
    assert inputs_of_table(table(body), MATRIX, None).key is None
    body["inputs"]["id"] = [[1], [2]]
    with pytest.raises(Fault, match="texts or numbers"):
        inputs_of_table(table(body), MATRIX, "id")


async def ask(it: Harness, body: Any, path: str = "/invocations/d", **headers: str) -> Any:
    return await it.client.post(path, json=body, headers=headers)


def test_an_invocation_is_a_request_like_any_other(tmp_path: Path) -> None:
    async def scenario() -> None:
        await worker(tmp_path, 1, times(2))
        async with running(tmp_path, STABLE) as it:
            body = split(NAMES, ROWS) | {"params": {"event_time": "2013-04-01T12:00:00Z"}}
            answer = await ask(it, body, **{"X-Request-Id": "q1"})
            assert answer.headers["x-trimtab-release"] == "m@1"
            assert answer.headers["x-request-id"] == "q1"
            assert answer.json() == {
                "predictions": [
                    {"score": 3.0, "label": "AA", "pair": [3.0, -3.0]},
                    {"score": 0.0, "label": None, "pair": [0.0, 0.0]},
                ]
            }
            chosen = await ask(it, body | {"params": {"outputs": "score"}}, "/invocations")
            assert chosen.json() == {"predictions": [3.0, 0.0]}
            both = await ask(it, body | {"params": {"outputs": ["pair", "score"]}})
            assert both.json()["predictions"][0] == {"pair": [3.0, -3.0], "score": 3.0}
            csv = await it.client.post(
                "/invocations", content=CSV, headers={"Content-Type": "text/csv"}
            )
            assert csv.json()["predictions"] == answer.json()["predictions"]
            rows = await it.rows()
            assert rows["request_id"][:2] == ["q1", "q1"]
            assert rows["event_time"][:2] == [1364817600.0] * 2
            assert rows["in.carrier"] == ["AA", None] * 4
            assert rows["out.score"] == [3.0, 0.0] * 4

    run(scenario)


def classifier(classes: tuple[str, ...], task: Any) -> Signature:
    outputs = (Output("score", Datatype.FP64), Output("label", Datatype.BYTES))
    return Signature((Column("a", Datatype.FP64),), outputs, task, classes)


def labelled(label: str) -> Any:
    def answer(frame: Frame) -> list[Tensor]:
        rows = frame.header["rows"]
        assert frame.kind is Kind.PREDICT
        return [
            Tensor("score", "FP64", (rows,), np.full(rows, 0.7).tobytes()),
            Tensor("label", "BYTES", (rows,), encode_texts([label] * rows)),
        ]

    return answer


@pytest.mark.parametrize(
    ("classes", "label", "task", "expected"),
    [
        (("0", "1"), "1", "binary", 1),
        (("false", "true"), "true", "binary", True),
        (("no", "yes"), "yes", "binary", "yes"),
        (("01", "1"), "1", "binary", "1"),
        (("-1", "0", "12"), "12", "multiclass", 12),
    ],
)
def test_the_prediction_of_a_classifier_is_its_label(
    tmp_path: Path, classes: tuple[str, ...], label: str, task: str, expected: Any
) -> None:
    async def scenario() -> None:
        release = target(1, socket_of(1), signature=classifier(classes, task))
        await FakeWorker(str(tmp_path / socket_of(1)), digest(1), labelled(label)).start()
        async with running(tmp_path, snapshot(1, [release], [(1, "stable", 10_000)])) as it:
            answer = await ask(it, {"inputs": {"a": [1, 2]}})
            assert answer.json() == {"predictions": [expected, expected]}
            scores = await ask(it, {"inputs": {"a": [1]}, "params": {"outputs": ["score"]}})
            assert scores.json() == {"predictions": [0.7]}

    run(scenario)


def test_errors_can_be_read_by_both_kinds_of_clients(tmp_path: Path) -> None:
    async def scenario() -> None:
        await worker(tmp_path, 1, crash)
        async with running(tmp_path, STABLE) as it:
            good = split(NAMES, ROWS)
            post = it.client.post
            answers: list[tuple[httpx.Response, int, str]] = [
                (await ask(it, {}), 400, "BAD_REQUEST"),
                (await ask(it, good | {"params": {"outputs": 3}}), 400, "BAD_REQUEST"),
                (await ask(it, good | {"params": {"outputs": ["z"]}}), 400, "BAD_REQUEST"),
                (await ask(it, good, "/invocations/z"), 404, "RESOURCE_DOES_NOT_EXIST"),
                (await ask(it, good, "/invocations/d/e"), 404, "RESOURCE_DOES_NOT_EXIST"),
                (await ask(it, good), 500, "INTERNAL_ERROR"),
                (await it.client.get("/invocations/d"), 405, "BAD_REQUEST"),
                (
                    await post(
                        "/invocations",
                        content=b"",
                        headers={"Content-Type": "application/octet-stream"},
                    ),
                    415,
                    "BAD_REQUEST",
                ),
            ]
            for answer, status, code in answers:
                assert answer.status_code == status
                said = answer.json()
                assert said["error_code"] == code
                assert said["error"] == said["message"]

    run(scenario)


def test_a_path_without_a_name_needs_a_single_deployment(tmp_path: Path) -> None:
    async def scenario() -> None:
        await FakeWorker(str(tmp_path / socket_of(1)), digest(1), summed).start()
        release = target(1, socket_of(1), signature=NUMERIC)
        routing = snapshot(1, [release], [(1, "stable", 10_000)])
        second = msgspec.structs.replace(routing.deployments[0], name="e")
        both = msgspec.structs.replace(routing, deployments=(*routing.deployments, second))
        async with running(tmp_path, both) as it:
            body = {"inputs": [[1, 2]]}
            answer = await ask(it, body, "/invocations")
            assert answer.status_code == 404
            assert "the deployments are 'd', 'e'" in answer.json()["error"]
            assert (await ask(it, body, "/invocations/e")).json() == {"predictions": [3.0]}
            for path, text in (("/ping", "\n"), ("/health", "\n")):
                ping = await it.client.get(path)
                assert (ping.status_code, ping.text) == (200, text)
            assert (await it.client.get("/version")).text.count(".") >= 1

    run(scenario)


CELL = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=3)
    | st.lists(st.none(), max_size=1)
)
NAME = st.sampled_from([*NAMES, "a", "b", "id"]) | st.text(max_size=2)
SHAPES = st.one_of(
    st.fixed_dictionaries({"instances": st.lists(CELL | st.lists(CELL, max_size=4))}),
    st.fixed_dictionaries({"inputs": st.dictionaries(NAME, CELL | st.lists(CELL, max_size=3))}),
    st.fixed_dictionaries({"dataframe_records": st.lists(st.dictionaries(NAME, CELL))}),
    st.builds(split, st.lists(NAME, max_size=4), st.lists(st.lists(CELL, max_size=4), max_size=3)),
)


@given(SHAPES, st.sampled_from([PLAN, MATRIX]))
def test_whatever_comes_is_taken_whole_or_refused(body: Any, plan: Plan) -> None:
    try:
        taken = inputs_of_table(table(body), plan, "id")
    except Fault:
        return
    held = columns(taken, plan)
    assert {len(column) for column in held} == {taken.rows}
    assert len(held) == len(SIGNATURE.inputs if plan is PLAN else NUMERIC.inputs)


@given(st.text(alphabet='xnabcarrierlt,"\n\r\0 1.e-é'), st.sampled_from([PLAN, MATRIX]))
def test_whatever_text_comes_as_csv_is_taken_or_refused(text: str, plan: Plan) -> None:
    for csv in (text, "a,b\n" + text, ",".join(NAMES) + "\n" + text):
        with contextlib.suppress(Fault):
            assert inputs_of_table(parse_csv(csv.encode()), plan, None).rows > 0
