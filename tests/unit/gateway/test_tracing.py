"""The trace of a client goes with its request: to the worker, into the log, and nowhere else."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from tests.unit.gateway.grpc_scenes import Client, matrix, serving
from tests.unit.gateway.harness import Harness, running
from tests.unit.gateway.scenarios import STABLE, canary_at, crash, run, times, waiting, worker
from tests.unit.gateway.support import Answerer, request, scored, tensor

from trimtab.worker.frames import Frame, Tensor

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-00"
OTHER = f"00-{'1' * 32}-{'2' * 16}-01"
INFER = "/v2/models/d/infer"
TWICE = times(2)


def noting(headers: list[dict[str, Any]], answer: Answerer = TWICE) -> Answerer:
    """A release that keeps what it was sent beside the tensors."""

    def noted(frame: Frame) -> list[Tensor]:
        headers.append(frame.header)
        return answer(frame)

    return noted


@pytest.mark.parametrize("path", [INFER, "/v2/models/d/versions/1/infer"])
def test_a_trace_is_handed_to_the_worker_as_it_came_and_is_in_the_log(
    tmp_path: Path, path: str
) -> None:
    async def scenario() -> None:
        seen: list[dict[str, Any]] = []
        await worker(tmp_path, 1, noting(seen))
        async with running(tmp_path, STABLE) as it:
            headers = {"traceparent": PARENT, "tracestate": "a=1, b=2"}
            answer = await it.client.post(path, content=request([1.0, 2.0]), headers=headers)
            assert answer.status_code == 200
            assert [header["traces"] for header in seen] == [
                [{"traceparent": PARENT, "tracestate": "a=1,b=2"}]
            ]
            assert (await it.rows())["trace_id"] == [TRACE] * 2

    run(scenario)


def test_without_a_trace_nothing_is_made_up(tmp_path: Path) -> None:
    async def scenario() -> None:
        seen: list[dict[str, Any]] = []
        await worker(tmp_path, 1, noting(seen))
        async with running(tmp_path, STABLE) as it:
            for headers in ({}, {"traceparent": PARENT[:-1]}, {"tracestate": "a=1"}):
                answer = await it.client.post(INFER, content=request(), headers=headers)
                assert answer.status_code == 200
            assert not any("traces" in header for header in seen)
            assert (await it.rows())["trace_id"] == [None] * 3

    run(scenario)


def test_a_client_that_names_two_traces_is_in_none_and_its_states_are_one_list(
    tmp_path: Path,
) -> None:
    async def scenario() -> None:
        seen: list[dict[str, Any]] = []
        await worker(tmp_path, 1, noting(seen))
        async with running(tmp_path, STABLE) as it:
            for headers in (
                [("traceparent", PARENT), ("traceparent", OTHER)],
                [("traceparent", PARENT), ("tracestate", "a=1"), ("TraceState", "b=2")],
            ):
                answer = await it.client.post(INFER, content=request(), headers=headers)
                assert answer.status_code == 200
            assert "traces" not in seen[0]
            assert seen[1]["traces"] == [{"traceparent": PARENT, "tracestate": "a=1,b=2"}]

    run(scenario)


def test_each_request_on_a_connection_has_its_own_trace(tmp_path: Path) -> None:
    """Heads are recognised by their bytes; a trace must not be recognised with them."""

    async def scenario() -> None:
        seen: list[dict[str, Any]] = []
        await worker(tmp_path, 1, noting(seen))
        async with running(tmp_path, STABLE) as it:
            for parent in (PARENT, OTHER, None, PARENT):
                headers = {"traceparent": parent} if parent else {}
                await it.client.post(INFER, content=request(), headers=headers)
            traces = [header.get("traces", [{"traceparent": None}]) for header in seen]
            assert [each["traceparent"] for (each,) in traces] == [PARENT, OTHER, None, PARENT]
            assert not any(PARENT.encode() in head for head in it.gateway.http.heads)

    run(scenario)


def test_of_a_batch_every_traced_request_is_named(tmp_path: Path) -> None:
    async def scenario() -> None:
        seen: list[dict[str, Any]] = []
        made = await worker(tmp_path, 1, noting(seen))
        async with running(tmp_path, STABLE) as it:
            made.gate.clear()
            first = asyncio.ensure_future(it.infer(request()))
            await made.arrived.wait()
            traced = [
                asyncio.ensure_future(
                    it.client.post(INFER, content=request(), headers={"traceparent": parent})
                )
                for parent in (PARENT, OTHER)
            ]
            plain = asyncio.ensure_future(it.infer(request()))
            await waiting(it, 3)
            made.gate.set()
            answers = await asyncio.gather(first, *traced, plain)
            assert [answer.status_code for answer in answers] == [200] * 4
            assert "traces" not in seen[0]
            parents = {each["traceparent"] for each in seen[1]["traces"]}
            assert parents == {PARENT, OTHER}

    run(scenario)


def test_what_failed_on_the_canary_and_what_answered_are_in_the_same_trace(tmp_path: Path) -> None:
    async def scenario() -> None:
        stable: list[dict[str, Any]] = []
        await worker(tmp_path, 1, noting(stable))
        await worker(tmp_path, 2, crash)
        async with running(tmp_path, canary_at(10_000)) as it:
            answer = await it.client.post(INFER, content=request(), headers={"traceparent": PARENT})
            assert answer.status_code == 200
            rows = await it.rows()
            assert rows["trace_id"] == [TRACE] * 2
            assert stable[0]["traces"] == [{"traceparent": PARENT}]
        lines = [json.loads(line) for line in (tmp_path / "gateway.log").read_text().splitlines()]
        (failed,) = [line for line in lines if line["event"] == "attempt.failed"]
        assert failed["trace_id"] == TRACE

    run(scenario)


def test_a_refused_request_is_logged_in_its_trace(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with running(tmp_path, STABLE) as it:
            body = request(inputs=[tensor("x", "FP64", ["no"])])
            answer = await it.client.post(INFER, content=body, headers={"traceparent": PARENT})
            assert answer.status_code == 400
            assert (await it.rows())["trace_id"] == [TRACE]

    run(scenario)


def test_mlflows_shape_is_traced_as_well(tmp_path: Path) -> None:
    async def scenario() -> None:
        await worker(tmp_path, 1, lambda frame: scored(frame, 2))
        async with running(tmp_path, STABLE) as it:
            row = {"x": 1.0, "n": 1, "carrier": "AA", "late": True}
            answer = await it.client.post(
                "/invocations/d",
                json={"dataframe_records": [row]},
                headers={"traceparent": PARENT},
            )
            assert answer.status_code == 200, answer.text
            assert (await it.rows())["trace_id"] == [TRACE]

    run(scenario)


def test_over_grpc_a_trace_comes_as_metadata(tmp_path: Path) -> None:
    async def scenario(it: Harness, client: Client) -> None:
        metadata = (("traceparent", PARENT), ("tracestate", "a=1"))
        await client.call("ModelInfer", matrix(1, id="q-1"), metadata=metadata)
        await client.call("ModelInfer", matrix(1, id="q-2"), metadata=metadata[1:])
        answers = await asyncio.to_thread(
            lambda: list(client.stub.ModelStreamInfer(iter([matrix(1)]), metadata=metadata))
        )
        assert len(answers) == 1
        assert (await it.rows())["trace_id"] == [TRACE, None, TRACE]

    serving(tmp_path, scenario)
