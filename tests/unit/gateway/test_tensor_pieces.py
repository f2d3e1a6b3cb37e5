"""Large requests in JSON: read in turns they mean what they mean at once."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.unit.gateway.harness import running
from tests.unit.gateway.scenarios import STABLE, run, times, worker
from tests.unit.gateway.support import NUMERIC, request, target

from trimtab.domain.signature import Column, Datatype, Output, Signature
from trimtab.gateway import pieces, turns
from trimtab.gateway.faults import Fault
from trimtab.gateway.json_inputs import inputs_of_json
from trimtab.gateway.oip import LIFTED, Body, InputTensor, parse_body
from trimtab.gateway.pieces import Gathered, InTurns
from trimtab.gateway.plan import Plan
from trimtab.gateway.tensor_pieces import tensor_pieces
from trimtab.gateway.values import Inputs

SCORE = (Output("score", Datatype.FP64),)
MIXED = Plan(target(1))
MATRIX = Plan(target(2, signature=NUMERIC))
PLAIN = Plan(
    target(3, signature=Signature((Column("a", Datatype.FP64), Column("b", Datatype.FP64)), SCORE))
)
GRID = Plan(target(4, signature=Signature((Column("g", Datatype.FP32, shape=(2,)),), SCORE)))


@pytest.fixture(params=[1, 3], autouse=True)
def turn_sizes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Turns of different sizes."""
    monkeypatch.setattr(pieces, "TURN_CELLS", request.param)
    monkeypatch.setattr(pieces, "TURN_BYTES", request.param * 8)


def tensors(given_as: Any) -> list[InputTensor]:
    return parse_body(json.dumps({"inputs": given_as}).encode()).inputs


def in_turns(sent: list[InputTensor], plan: Plan, key: str | None) -> Inputs:
    gathered = Gathered(plan, key)
    for piece in tensor_pieces(sent, plan, key):
        gathered.add(piece)
    return gathered.whole()


def values(inputs: Inputs) -> tuple[Any, ...]:
    columns: list[Any] | None = inputs.columns
    if columns is not None:
        columns = [each.tolist() if isinstance(each, np.ndarray) else each for each in columns]
    matrix = None if inputs.matrix is None else bytes(inputs.matrix)
    return inputs.rows, matrix, repr(columns), inputs.key


def outcome(read: Any) -> tuple[Any, ...]:
    """What is read, or the status that it is refused with."""
    try:
        return values(read())
    except Fault as fault:
        return ("refused", fault.status)


NUMBERS = st.one_of(
    st.floats(-1e6, 1e6), st.integers(-3, 3), st.sampled_from([None, 1e308, True, "x", [1.0]])
)
MOSTLY = st.one_of(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), NUMBERS)


def data(count: int, of: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(of, min_size=max(0, count - 1), max_size=count + 1) | st.lists(
        of, min_size=count, max_size=count
    )


@st.composite
def of_mixed(draw: st.DrawFn) -> list[dict[str, Any]]:
    rows = draw(st.integers(0, 9))
    columns = {
        "x": ("FP64", MOSTLY),
        "n": ("INT32", st.integers(-9, 9) | MOSTLY),
        "carrier": ("BYTES", st.sampled_from(["AA", "", '],"[', "B", "C", "D"])),
        "late": ("BOOL", st.booleans()),
        "key": ("BYTES", st.sampled_from(["k", None, 3])),
    }
    return [
        {"name": name, "shape": [rows], "datatype": kind, "data": draw(data(rows, of))}
        for name, (kind, of) in columns.items()
    ]


@st.composite
def of_matrix(draw: st.DrawFn) -> list[dict[str, Any]]:
    rows, width = draw(st.integers(0, 9)), draw(st.sampled_from([2, 2, 2, 3]))
    flat: list[Any] = draw(data(rows * width, MOSTLY))
    if draw(st.booleans()):
        flat = [flat[at : at + width] for at in range(0, len(flat), width)]
    kind = draw(st.sampled_from(["FP64", "FP32", "INT64"]))
    return [{"name": draw(st.sampled_from("qg")), "shape": [rows, width], "datatype": kind,
             "data": flat}]  # fmt: skip


def agrees(sent: list[dict[str, Any]], plan: Plan, key: str | None) -> None:
    parsed = tensors(sent)
    at_once = outcome(lambda: inputs_of_json(parsed, plan, key))
    assert outcome(lambda: in_turns(parsed, plan, key)) == at_once


EVERY_TURN = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@EVERY_TURN
@given(of_mixed(), st.sampled_from([None, "key"]))
def test_columns_in_turns_are_those_at_once(sent: list[dict[str, Any]], key: str | None) -> None:
    agrees(sent if key else sent[:-1], MIXED, key)


@EVERY_TURN
@example([{"name": "q", "shape": [3, 2], "datatype": "FP64", "data": [1, 2.5, 3, 4, 5, 6]}], PLAIN)
@given(of_matrix(), st.sampled_from([MATRIX, PLAIN, GRID]))
def test_a_matrix_in_turns_is_that_at_once(sent: list[dict[str, Any]], plan: Plan) -> None:
    agrees(sent, plan, None)


def test_a_value_that_does_not_fit_is_found_with_its_place() -> None:
    ten = {"shape": [10], "data": [1.0] * 10}
    sent = [
        {"name": "x", "datatype": "FP64", **ten},
        {"name": "n", "datatype": "INT32", "shape": [10], "data": [1] * 9 + [2**40]},
        {"name": "carrier", "datatype": "BYTES", "shape": [10], "data": ["AA"] * 10},
        {"name": "late", "datatype": "BOOL", "shape": [10], "data": [True] * 10},
    ]
    with pytest.raises(Fault, match=r"in rows 9 to 9, counted from 9: input 'n' row 0: 1099511627"):
        in_turns(tensors(sent), MIXED, None)


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ([], "inputs is empty"),
        ([{"name": "a", "shape": [], "datatype": "FP64", "data": [1]}], "no rows"),
        ([{"name": "a", "shape": [0], "datatype": "FP64", "data": []}], "no rows"),
        ([{"name": "a", "shape": [1], "datatype": "FP64"}], "has no data"),
        ([{"name": "a", "shape": [1], "datatype": "FP64", "data": {}}], "data must be a list"),
        ([{"name": "a", "shape": [2], "datatype": "FP64", "data": [1, 2, 3]}], "has 3 elements"),
        (
            [
                {"name": "a", "shape": [2], "datatype": "FP64", "data": [1, 2]},
                {"name": "b", "shape": [1], "datatype": "FP64", "data": [1]},
            ],
            "'b' has 1 rows, 'a' has 2",
        ),
    ],
)
def test_what_fits_no_rows_is_refused_before_anything_is_read(sent: Any, said: str) -> None:
    with pytest.raises(Fault, match=said):
        in_turns(tensors(sent), PLAIN, None)


def test_numbers_that_are_no_json_are_refused() -> None:
    broken = InputTensor("q", [2, 2], "FP64", msgspec.Raw(b"[1,2,NaN,4]"))
    with pytest.raises(Fault, match=r"are not JSON.*send null"):
        in_turns([broken], PLAIN, None)


@pytest.mark.parametrize("data", ["[1,2,3,4,]", "[,1,2,3,4]", "[1,2,,3,4]", "[1,2,3,4],"])
def test_a_comma_too_many_is_refused(data: str) -> None:
    broken = InputTensor("q", [2, 2], "FP64", msgspec.Raw(data.encode()))
    with pytest.raises(Fault, match=r"not JSON|elements"):
        in_turns([broken], PLAIN, None)


def test_more_rows_than_fit_are_refused_before_their_values_are_read() -> None:
    broken = InputTensor("q", [10**9, 2], "FP64", msgspec.Raw(b"[1,2,3,4]"))
    with pytest.raises(Fault, match="rows are too many for one request"):
        in_turns([broken], PLAIN, None)


MANY = json.dumps([0.5] * 2_000)
BODIES = (
    '{"inputs":[{"name":"q","shape":[1000,2],"datatype":"FP64","data":%s}]}',
    '{"id":"7", "inputs": [{"data" : %s,"name":"q","shape":[1000,2],"datatype":"FP64"}]}',
    '{"inputs":[{"name":"\\"data\\":[1]","shape":[1000,2],"datatype":"FP64","data":%s}]}',
    '{"inputs":[{"name":"data","shape":[1000,2],"datatype":"FP64","data":%s}],"id":"]"}',
    '{"inputs":[{"data":%s,"name":"q","shape":[1],"datatype":"FP64","data":[2]}]}',
    '{"inputs":[{"data":[2],"name":"q","shape":[1],"datatype":"FP64","data":%s}]}',
    '{"inputs":[{"data":[ \t ],"name":"q","shape":[1],"datatype":"FP64"}],"more":{"data":%s}}',
    '{"more":{"data":%s},"inputs":[{"name":"q","shape":[1],"datatype":"FP64","data":[1]}]}',
    '{"inputs":[{"name":"q","shape":[1,2],"datatype":"FP64","data":[%s]}]}',
    '{"inputs":[{"name":"q","shape":[1],"datatype":"BYTES","data":["]",%s]}]}',
)


@pytest.mark.parametrize("body", BODIES)
def test_a_large_body_means_the_same_with_its_values_left_aside(body: str) -> None:
    sent = (body % MANY).encode()
    assert len(sent) > LIFTED
    read, plain = parse_body(sent), msgspec.json.decode(sent, type=Body)
    assert list(shown(read)) == list(shown(plain))


def shown(body: Body) -> Iterator[Any]:
    yield body.id
    for tensor in body.inputs:
        yield tensor.name, tensor.shape, tensor.datatype, json.loads(bytes(tensor.data))


@pytest.mark.parametrize("end", ["", "]", "]}", "]}]", "]}]}x"])
def test_half_of_a_large_body_is_refused(end: str) -> None:
    whole = BODIES[0] % MANY
    with pytest.raises(Fault, match="the body is not JSON"):
        parse_body((whole[: -len("]}]}")] + end).encode())


def test_values_that_are_no_json_are_refused_by_those_who_read_them() -> None:
    sent = (BODIES[0] % MANY.replace("0.5]", "NaN]")).encode()
    with pytest.raises(Fault, match=r"'q': its data is not JSON: .*send null"):
        inputs_of_json(parse_body(sent).inputs, PLAIN, None)


def test_a_large_request_is_answered_like_a_small_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        await worker(tmp_path, 1, times(2))
        async with running(tmp_path, STABLE) as it:
            asked = request([1.5, None, 2.5], id="7")
            small = await it.infer(asked)
            monkeypatch.setattr(turns, "LENGTHY", 1)
            monkeypatch.setattr(turns, "TURN_CELLS", 2)
            assert small.json()["outputs"][0]["data"] == [3.0, 0.0, 5.0]
            assert (await it.infer(asked)).json() == small.json()
            size = {"Inference-Header-Content-Length": str(len(asked))}
            path = "/v2/models/d/infer"
            framed = await it.client.post(path, content=asked, headers=size)
            assert framed.json() == small.json()
            wrong = await it.infer(request(["far", 1.0]))
            assert (wrong.status_code, "row 0: 'far'" in wrong.json()["error"]) == (400, True)

    run(scenario)


def test_a_realtime_body_is_read_while_one_of_the_batch_lane_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long that takes: here for as long as the realtime request does."""
    begun, answered = asyncio.Event(), asyncio.Event()
    taken = InTurns._turns

    def endless(self: InTurns, plan: Plan, key: str | None) -> Iterator[None]:
        if not begun.is_set():
            begun.set()
            while not answered.is_set():
                yield
        yield from taken(self, plan, key)

    monkeypatch.setattr(InTurns, "_turns", endless)
    monkeypatch.setattr(turns, "LENGTHY", 1)

    async def scenario() -> None:
        await worker(tmp_path, 1, times(2))
        async with running(tmp_path, STABLE) as it:
            batch = asyncio.create_task(it.infer(request(parameters={"priority": 2})))
            await begun.wait()
            assert (await it.infer(request())).status_code == 200
            assert not batch.done()
            answered.set()
            assert (await batch).status_code == 200

    run(scenario)
