"""Large bodies are read in turns: the same values as at once, while others are answered."""

import asyncio
import contextlib
import gc
import json
import tracemalloc
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.gateway.harness import Harness, running
from tests.unit.gateway.scenarios import STABLE, run, times, worker
from tests.unit.gateway.support import request, target
from tests.unit.gateway.test_mlflow_shapes import (
    CSV,
    MATRIX,
    NAMES,
    PLAN,
    ROWS,
    SAME_ROWS,
    SHAPES,
    split,
    table,
)

from trimtab.domain.signature import Column, Datatype, Output, Signature
from trimtab.gateway import mlflow_shapes, pieces, turns
from trimtab.gateway.faults import Fault
from trimtab.gateway.mlflow_shapes import parse_csv, parse_raw
from trimtab.gateway.pieces import (
    Gathered,
    InTurns,
    csv_pieces,
    json_pieces,
    nulls_for_nan,
    of_tables,
)
from trimtab.gateway.plan import Plan
from trimtab.gateway.tables import Table, inputs_of_table
from trimtab.gateway.turns import Lengthy
from trimtab.gateway.values import Inputs


@pytest.fixture(params=[1, 3])
def turn(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Turns of different sizes."""
    monkeypatch.setattr(pieces, "TURN_CELLS", request.param)
    monkeypatch.setattr(pieces, "TURN_BYTES", request.param * 8)


def gathered(found: Iterator[Table], plan: Plan, key: str | None = None) -> Inputs:
    made = Gathered(plan, key)
    for piece in of_tables(found, plan, key):
        made.add(piece)
    return made.whole()


def of_json(body: Any, plan: Plan = PLAN, key: str | None = None) -> Inputs:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    reading = nulls_for_nan(data) if b"NaN" in data else iter(())
    while True:
        try:
            next(reading)
        except StopIteration as end:
            data = end.value or data
            break
    return gathered(json_pieces(parse_raw(data), plan), plan, key)


def of_csv(text: str, plan: Plan = PLAN, key: str | None = None) -> Inputs:
    return gathered(csv_pieces(text.encode(), plan), plan, key)


def held(inputs: Inputs) -> Any:
    """Everything of a request's values, so that they can be compared."""
    matrix = None if inputs.matrix is None else bytes(inputs.matrix)
    columns = inputs.columns and [list(column) for column in inputs.columns]
    return inputs.rows, matrix, columns, inputs.key


def outcome(read: Callable[[], Inputs]) -> Any:
    """The values, or that they were refused."""
    try:
        return held(read())
    except Fault as fault:
        return fault.status


@pytest.mark.usefixtures("turn")
@pytest.mark.parametrize("body", SAME_ROWS)
def test_all_shapes_mean_the_same_rows(body: Any) -> None:
    assert held(of_json(body)) == held(inputs_of_table(table(split(NAMES, ROWS)), PLAN, None))


@pytest.mark.usefixtures("turn")
@given(SHAPES, st.sampled_from([PLAN, MATRIX]))
def test_in_pieces_a_body_means_what_it_means_at_once(body: Any, plan: Plan) -> None:
    at_once = outcome(lambda: inputs_of_table(table(body), plan, "id"))
    assert outcome(lambda: of_json(body, plan, "id")) == at_once


@pytest.mark.usefixtures("turn")
@given(st.text(alphabet='xnabcarrierlt,"\n\r\0 1.e-é'), st.sampled_from([PLAN, MATRIX]))
def test_in_pieces_csv_means_what_it_means_at_once(text: str, plan: Plan) -> None:
    for csv in (text, "a,b\n" + text, ",".join(NAMES) + "\n" + text):
        at_once = outcome(lambda csv=csv: inputs_of_table(parse_csv(csv.encode()), plan, None))  # type: ignore[misc]
        assert outcome(lambda csv=csv: of_csv(csv, plan)) == at_once  # type: ignore[misc]


@pytest.mark.usefixtures("turn")
def test_a_tensor_is_whole_again() -> None:
    grid = Column("grid", Datatype.FP32, shape=(2, 2))
    plan = Plan(target(1, signature=Signature((grid,), (Output("y", Datatype.FP64),))))
    rows = [[[n, 1], [2, 3]] for n in range(10)]
    for body in ({"instances": rows}, {"inputs": {"grid": rows}}):
        inputs = of_json(body, plan)
        assert inputs.columns is not None
        values: Any = inputs.columns[0]
        assert values.tolist() == [[n, 1, 2, 3] for n in range(10)]


@pytest.mark.usefixtures("turn")
@pytest.mark.parametrize(
    ("read", "said"),
    [
        (lambda: of_csv("a,b\n" + "1,2\n" * 9 + "1,x\n", MATRIX), "row 9: 'x'"),
        (lambda: of_csv("a,b\n" + "1,2\n" * 9 + "1\n", MATRIX), "row 9 is not a list of 2"),
        (lambda: of_json({"inputs": [[1, 2]] * 9 + [[1, None]]}, MATRIX), "row 9: null"),
        (lambda: of_json({"inputs": [[1, 2]] * 9 + [[1]]}, MATRIX), "row 9 is not a list of 2"),
        (lambda: of_json({"inputs": [{"a": 1, "b": 2}] * 9 + [1]}, MATRIX), "row 9 is not an obj"),
        (lambda: of_json({"inputs": [{"a": 1}] * 9}, MATRIX), "row 0: null|missing column 'b'"),
        (lambda: of_json({"inputs": [{"b": 1}] * 9}, MATRIX), "missing column 'a'"),
        (lambda: of_json({"inputs": {"a": [1] * 9, "b": [1]}}, MATRIX), "different numbers"),
        (lambda: of_json({"inputs": 7}, MATRIX), "not a list"),
        (lambda: of_json({"inputs": []}, MATRIX), "no rows"),
        (lambda: of_json({"inputs": {}}, MATRIX), "no rows"),
        (lambda: of_json({"dataframe_split": [1]}, MATRIX), "shape that it names"),
        (lambda: of_csv("a,b\n", MATRIX), "no rows"),
        (lambda: of_csv("", MATRIX), "no header"),
        (lambda: of_json({}, MATRIX), "none of them"),
        (lambda: of_json({"inputs": [1], "instances": [1]}, MATRIX), "not instances, inputs"),
        (lambda: of_json(b"[]", MATRIX), "must be an object"),
        (lambda: of_json(b"{", MATRIX), "not JSON"),
        (lambda: of_json(b'{"inputs":[NaN],"a":"\\""}', MATRIX), "backslash"),
    ],
)
def test_what_does_not_fit_is_named_with_its_place_in_the_whole(
    read: Callable[[], Inputs], said: str
) -> None:
    with pytest.raises(Fault, match=said):
        read()


def test_nan_within_a_text_stays_a_text() -> None:
    body = b'{"inputs":{"x":[NaN,1,NaN],"n":[1,2,3],"carrier":["NaN","a NaN",NaN],"late":%b}}'
    body %= b"[true,true,true]"
    inputs = of_json(body)
    assert inputs.columns is not None
    assert inputs.columns[0] == [None, 1.0, None]
    assert inputs.columns[2] == ["NaN", "a NaN", None]


def test_lines_lists_and_rows_have_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "LONGEST_LINE", 20)
    monkeypatch.setattr(pieces, "MOST_LISTED", 3)
    narrow = Plan(target(2, signature=MATRIX.signature))
    narrow.most_rows = 5
    refusals: list[Callable[[], Inputs]] = [
        lambda: of_csv("a,b\n" + "1" * 40 + ",2\n", MATRIX),
        lambda: of_json({"inputs": [[1, 2]] * 4}, MATRIX),
        lambda: of_csv("a,b\n" + "1,2\n" * 6, narrow),
    ]
    for refused in refusals:
        with pytest.raises(Fault) as caught:
            refused()
        assert caught.value.status == 413


def test_reading_holds_the_numbers_and_not_the_cells() -> None:
    rows = 100_000
    body = "a,b\n" + "1,2\n" * rows
    data = body.encode()
    tracemalloc.start()
    try:
        inputs = gathered(csv_pieces(data, MATRIX), MATRIX)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert inputs.rows == rows
    assert peak < 3 * rows * 16


@pytest.fixture
def lengthy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every body is a large one."""
    monkeypatch.setattr(turns, "LENGTHY", 1)


@pytest.mark.usefixtures("lengthy")
def test_a_large_invocation_is_answered_like_a_small_one(tmp_path: Path) -> None:
    async def scenario() -> None:
        await worker(tmp_path, 1, times(2))
        async with running(tmp_path, STABLE) as it:
            for body in SAME_ROWS:
                content = body if isinstance(body, bytes) else json.dumps(body).encode()
                answer = await it.client.post(
                    "/invocations", content=content, headers={"Content-Type": "application/json"}
                )
                assert [row["score"] for row in answer.json()["predictions"]] == [3.0, 0.0]
            csv = await posted(it, CSV)
            assert csv.json() == answer.json()
            batch = await posted(it, CSV, **{"X-Trimtab-Priority": "2"})
            assert batch.json() == answer.json()
            wrong = await posted(it, "x,n\n1,2\n")
            assert (wrong.status_code, "missing column" in wrong.json()["error"]) == (400, True)

    run(scenario)


async def posted(it: Harness, csv: str, **headers: str) -> Any:
    return await it.client.post(
        "/invocations", content=csv, headers={"Content-Type": "text/csv", **headers}
    )


def test_others_are_answered_while_a_large_body_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "TURN_CELLS", 8)

    async def scenario() -> None:
        await worker(tmp_path, 1, times(2))
        async with running(tmp_path, STABLE) as it:
            body = ",".join(NAMES) + "\n" + "1.5,1,AA,true\n" * 40_000
            large = asyncio.create_task(posted(it, body))
            for _ in range(20):
                answer = await it.infer(request([1.5]))
                assert answer.status_code == 200
                assert not large.done()
            assert len((await large).json()["predictions"]) == 40_000

    run(scenario)


@pytest.mark.usefixtures("lengthy")
def test_an_answer_of_many_rows_is_that_of_its_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        await worker(tmp_path, 1, times(2))
        async with running(tmp_path, STABLE) as it:
            whole = await posted(it, CSV + "3.5,1,BB,true\n")
            monkeypatch.setattr(turns, "TURN_CELLS", 2)
            parts = await posted(it, CSV + "3.5,1,BB,true\n")
            assert parts.json() == whole.json()
            assert len(parts.json()["predictions"]) == 3

    run(scenario)


@pytest.mark.usefixtures("lengthy")
def test_a_deadline_ends_the_reading(tmp_path: Path) -> None:
    async def scenario() -> None:
        await worker(tmp_path, 1, times(2))
        async with running(tmp_path, STABLE) as it:
            body = ",".join(NAMES) + "\n" + "1.5,1,AA,true\n" * 200_000
            late = await posted(it, body, **{"X-Trimtab-Timeout-Ms": "1"})
            assert late.status_code == 504
            assert (await it.rows())["outcome"] == ["shed"]

    run(scenario)


def test_a_bug_while_a_large_body_is_read_costs_one_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> Iterator[Table]:
        yield from ()
        raise RuntimeError("broken")

    async def scenario() -> None:
        await worker(tmp_path, 1, times(2))
        async with running(tmp_path, STABLE) as it:
            monkeypatch.setattr(turns, "LENGTHY", 1)
            monkeypatch.setattr(mlflow_shapes, "csv_pieces", broken)
            assert (await posted(it, CSV)).status_code == 500
            monkeypatch.undo()
            assert (await posted(it, CSV)).status_code == 200

    run(scenario)


def test_nothing_of_a_body_is_kept_once_it_was_refused() -> None:
    """Without a run of the collector, which comes after hundreds of them."""

    def pieces_of(plan: Plan, key: str | None) -> Iterator[Inputs]:
        yield from ()
        raise Fault(400, "no such rows")

    def refused() -> "weakref.ref[InTurns]":
        values = InTurns(pieces_of)
        try:
            values.inputs(PLAN, None)
        except Lengthy as reading:
            for _ in reading.turns:
                pass
        for _ in range(2):
            with contextlib.suppress(Fault):
                values.inputs(PLAN, None)
                raise AssertionError("what was refused is refused again")
        return weakref.ref(values)

    gc.disable()
    try:
        assert refused()() is None
    finally:
        gc.enable()
