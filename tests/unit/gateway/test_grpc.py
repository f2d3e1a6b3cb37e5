"""The gRPC listener as clients of gRPC see it."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2
from tests.unit.gateway.frames import HEADERS
from tests.unit.gateway.grpc_scenes import HEADER, Client, Peer, matrix, serving, sums, trailers
from tests.unit.gateway.harness import Harness
from tests.unit.gateway.scenarios import (
    STABLE,
    canary_at,
    crash,
    times,
    waiting,
    worker,
)
from tests.unit.gateway.support import STARTED, until
from tritonclient.grpc import service_pb2 as pb

from trimtab.gateway import grpc_exchange
from trimtab.gateway.http2_frames import DATA, END_STREAM, frame
from trimtab.gateway.schedule import Limits


def test_raw_in_is_raw_out_and_typed_in_is_typed_out(tmp_path: Path) -> None:
    async def scenario(it: Harness, client: Client) -> None:
        raw = await client.call("ModelInfer", matrix(3, id="q-1"))
        assert (raw.model_name, raw.model_version, raw.id) == ("d", "1", "q-1")
        assert sums(raw) == [1.0, 2.0, 3.0]
        (output,) = raw.outputs
        assert (output.name, output.datatype, list(output.shape)) == ("sum", "FP64", [3])
        assert not output.HasField("contents")
        typed = pb.ModelInferRequest(model_name="d")
        typed.inputs.add(name="a", datatype="FP64", shape=[2]).contents.fp64_contents.extend([1, 2])
        typed.inputs.add(name="b", datatype="INT32", shape=[2]).contents.int_contents.extend(
            [3, -4]
        )
        answer = await client.call("ModelInfer", typed)
        assert list(answer.outputs[0].contents.fp64_contents) == [4.0, -2.0]
        assert not answer.raw_output_contents
        assert answer.id

    serving(tmp_path, scenario)


def test_every_kind_of_output_is_typed_and_raw(tmp_path: Path) -> None:
    async def scenario(it: Harness, client: Client) -> None:
        typed = pb.ModelInferRequest(model_name="d")
        typed.inputs.add(name="x", datatype="FP64", shape=[2]).contents.fp64_contents.extend([1, 2])
        typed.inputs.add(name="n", datatype="INT32", shape=[2]).contents.int_contents.extend([3, 4])
        texts = typed.inputs.add(name="carrier", datatype="BYTES", shape=[2])
        texts.contents.bytes_contents.extend([b"AA", "ÜÜ".encode()])
        typed.inputs.add(name="late", datatype="BOOL", shape=[2]).contents.bool_contents.extend(
            [1, 0]
        )
        answer = await client.call("ModelInfer", typed)
        score, label, pair = answer.outputs
        assert list(score.contents.fp64_contents) == [2.0, 4.0]
        assert [each.decode() for each in label.contents.bytes_contents] == ["AA", "ÜÜ"]
        assert list(pair.contents.fp32_contents) == [2.0, -2.0, 4.0, -4.0]
        assert list(pair.shape) == [2, 2]
        typed.outputs.add(name="label")
        (only,) = (await client.call("ModelInfer", typed)).outputs
        assert only.name == "label"
        for each in typed.inputs:
            each.ClearField("contents")
        floats, numbers = np.array([1.0, 2.0]).tobytes(), np.array([3, 4], "<i4").tobytes()
        packed = b"\x02\0\0\0AA\x02\0\0\0BB"
        typed.raw_input_contents.extend([floats, numbers, packed, b"\x01\x00"])
        raw = await client.call("ModelInfer", typed)
        assert list(raw.raw_output_contents) == [packed]

    serving(tmp_path, scenario, times(2), STABLE)


def test_the_answer_names_release_and_request_beside_the_message(tmp_path: Path) -> None:
    async def scenario(it: Harness, client: Client) -> None:
        def ask() -> dict[str, str]:
            _, call = client.stub.ModelInfer.with_call(matrix(id="q ü"), timeout=15)
            return trailers(call)

        told = await asyncio.to_thread(ask)
        assert told == {"x-trimtab-release": "m@1", "x-request-id": "q %C3%BC"}

    serving(tmp_path, scenario)


def test_what_is_wrong_has_its_status(tmp_path: Path) -> None:
    async def scenario(it: Harness, client: Client) -> None:
        nobody = matrix()
        nobody.model_name = "nobody"
        short = matrix()
        short.raw_input_contents[0] = b"short"
        cases = [
            (nobody, grpc.StatusCode.NOT_FOUND, "nobody"),
            (matrix(model_version="9"), grpc.StatusCode.NOT_FOUND, "9"),
            (matrix(model_version="x"), grpc.StatusCode.NOT_FOUND, "x"),
            (short, grpc.StatusCode.INVALID_ARGUMENT, "5 bytes"),
            (pb.ModelInferRequest(model_name="d"), grpc.StatusCode.INVALID_ARGUMENT, "empty"),
            (matrix(id="x" * 300), grpc.StatusCode.INVALID_ARGUMENT, "id"),
        ]
        for request, code, told in cases:
            error = await client.fails("ModelInfer", request)
            assert error.code() is code
            assert told in error.details()
        for name in ("RepositoryIndex", "RepositoryModelLoad", "TraceSetting"):
            method = client.channel.unary_unary(f"/inference.GRPCInferenceService/{name}")

            def ask(method: Any = method) -> Any:
                with pytest.raises(grpc.RpcError) as caught:
                    method(b"", timeout=15)
                return caught.value

            error = await asyncio.to_thread(ask)
            assert error.code() is grpc.StatusCode.UNIMPLEMENTED
        assert sums(await client.call("ModelInfer", matrix())) == [1.0]

    serving(tmp_path, scenario)


def test_a_refusal_names_its_request_and_keeps_details_to_itself(tmp_path: Path) -> None:
    async def scenario(it: Harness, client: Client) -> None:
        error = await client.fails("ModelInfer", matrix(id="q"))
        assert error.code() is grpc.StatusCode.INTERNAL
        assert "boom" not in error.details()
        assert trailers(error) == {"x-trimtab-release": "m@1", "x-request-id": "q"}

    serving(tmp_path, scenario, crash)


def test_full_is_not_broken_and_says_when_to_come_back(tmp_path: Path) -> None:
    async def scenario(it: Harness, client: Client) -> None:
        gate = STARTED[0].gate
        gate.clear()
        first = asyncio.ensure_future(client.call("ModelInfer", matrix()))
        await STARTED[0].arrived.wait()
        second = asyncio.ensure_future(client.call("ModelInfer", matrix()))
        await waiting(it, 1)
        error = await client.fails("ModelInfer", matrix())
        assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert trailers(error)["grpc-retry-pushback-ms"] == "1000"
        gate.set()
        assert [sums(each) for each in await asyncio.gather(first, second)] == [[1.0], [1.0]]

    serving(tmp_path, scenario, limits=Limits(queue=1))


def test_the_deadline_of_a_call_is_kept(tmp_path: Path) -> None:
    async def scenario(it: Harness, client: Client) -> None:
        STARTED[0].gate.clear()
        error = await client.fails("ModelInfer", matrix(id="q"), 0.2)
        assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        message = matrix(id="p")
        message.parameters["timeout"].int64_param = 50_000
        error = await client.fails("ModelInfer", message)
        assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert trailers(error)["x-request-id"] == "p"
        STARTED[0].gate.set()

    serving(tmp_path, scenario)


def test_a_cancelled_call_is_not_worked_for(tmp_path: Path) -> None:
    async def scenario(it: Harness, client: Client) -> None:
        gate = STARTED[0].gate
        gate.clear()
        first = asyncio.ensure_future(client.call("ModelInfer", matrix()))
        await STARTED[0].arrived.wait()
        future = client.stub.ModelInfer.future(matrix(5), timeout=15)
        await waiting(it, 1)
        future.cancel()
        (connection,) = it.gateway.http2.connections
        await until(lambda: len(connection.http2.streams) == 1)
        gate.set()
        await first
        assert sums(await client.call("ModelInfer", matrix(2))) == [1.0, 2.0]
        assert STARTED[0].sizes == [1, 2]

    serving(tmp_path, scenario)


def test_what_a_server_says_of_itself_and_its_models(tmp_path: Path) -> None:
    async def scenario(it: Harness, client: Client) -> None:
        assert (await client.call("ServerLive", pb.ServerLiveRequest())).live
        assert (await client.call("ServerReady", pb.ServerReadyRequest())).ready
        assert (await client.call("ModelReady", pb.ModelReadyRequest(name="d"))).ready
        assert (await client.call("ModelReady", pb.ModelReadyRequest(name="d", version="1"))).ready
        assert not (await client.call("ModelReady", pb.ModelReadyRequest(name="nobody"))).ready
        assert not (
            await client.call("ModelReady", pb.ModelReadyRequest(name="d", version="7"))
        ).ready
        server = await client.call("ServerMetadata", pb.ServerMetadataRequest())
        assert server.name == "trimtab"
        assert "statistics" in server.extensions
        model = await client.call("ModelMetadata", pb.ModelMetadataRequest(name="d"))
        assert (model.name, list(model.versions), model.platform) == ("d", ["1"], "trimtab_release")
        assert [(each.name, each.datatype, list(each.shape)) for each in model.inputs] == [
            ("a", "FP64", [-1]),
            ("b", "INT32", [-1]),
        ]
        config = (await client.call("ModelConfig", pb.ModelConfigRequest(name="d"))).config
        assert (config.name, config.max_batch_size) == ("d", 0)
        assert [(each.name, list(each.dims)) for each in config.output] == [("sum", [-1])]
        await client.call("ModelInfer", matrix())
        await client.fails("ModelInfer", pb.ModelInferRequest(model_name="d"))
        stats = await client.call("ModelStatistics", pb.ModelStatisticsRequest())
        (one,) = stats.model_stats
        assert (one.name, one.version) == ("d", "1")
        assert one.inference_stats.success.count == 1
        assert one.inference_stats.success.ns > 0
        assert (one.inference_count, one.execution_count) == (1, 1)
        assert one.inference_stats.compute_infer.ns == 2_000_000
        assert one.inference_stats.fail.count == 1
        error = await client.fails("ModelStatistics", pb.ModelStatisticsRequest(name="nobody"))
        assert error.code() is grpc.StatusCode.NOT_FOUND

    serving(tmp_path, scenario)


def test_health_is_told_per_service_and_watched(tmp_path: Path) -> None:
    async def scenario(it: Harness, client: Client) -> None:
        serves, rests = (
            health_pb2.HealthCheckResponse.SERVING,
            health_pb2.HealthCheckResponse.NOT_SERVING,
        )

        async def check(service: str) -> int:
            request = health_pb2.HealthCheckRequest(service=service)
            return int((await asyncio.to_thread(client.health.Check, request, timeout=15)).status)

        for service in ("", "inference.GRPCInferenceService", "d"):
            assert await check(service) == serves
        with pytest.raises(grpc.RpcError) as caught:
            await check("nobody")
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND

        request = health_pb2.HealthCheckRequest(service="d")
        watched: Iterator[Any] = client.health.Watch(request, timeout=15)
        assert (await asyncio.to_thread(next, watched)).status == serves
        STARTED[0].die()
        await until(lambda: not any(pool.connected for pool in it.gateway.pools))
        assert (await asyncio.to_thread(next, watched)).status == rests
        unknown = client.health.Watch(health_pb2.HealthCheckRequest(service="x"), timeout=15)
        told = await asyncio.to_thread(next, unknown)
        assert told.status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
        unknown.cancel()
        watched.cancel()  # type: ignore[attr-defined]

    serving(tmp_path, scenario)


def test_a_dialogue_is_answered_in_order_and_goes_on_after_an_error(tmp_path: Path) -> None:
    async def scenario(it: Harness, client: Client) -> None:
        def ask() -> list[Any]:
            requests = [matrix(n + 1, id=f"q{n}") for n in range(20)]
            requests[7].raw_input_contents[0] = b"short"
            return list(client.stub.ModelStreamInfer(iter(requests), timeout=15))

        answers = await asyncio.to_thread(ask)
        assert [each.infer_response.id for each in answers] == [f"q{n}" for n in range(20)]
        assert [bool(each.error_message) for each in answers] == [n == 7 for n in range(20)]
        assert len(sums(answers[19].infer_response)) == 20

    serving(tmp_path, scenario)


def test_a_dialogue_sends_no_more_than_is_worked_on(tmp_path: Path) -> None:
    async def scenario(it: Harness, client: Client) -> None:
        STARTED[0].gate.clear()

        def ask() -> int:
            requests = (matrix(2000) for _ in range(200))
            return sum(1 for _ in client.stub.ModelStreamInfer(requests, timeout=15))

        asking = asyncio.ensure_future(asyncio.to_thread(ask))
        await waiting(it, 10)
        before = sum(pool.depth("realtime") for pool in it.gateway.pools)
        assert before < 100
        STARTED[0].gate.set()
        assert await asking == 200

    serving(tmp_path, scenario)


def test_messages_may_be_compressed(tmp_path: Path) -> None:
    async def scenario(it: Harness, client: Client) -> None:
        for way in (grpc.Compression.Gzip, grpc.Compression.Deflate):
            answer = await client.call("ModelInfer", matrix(1000), compression=way)
            assert len(sums(answer)) == 1000

    serving(tmp_path, scenario)


def test_messages_that_take_long_to_unpack_keep_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grpc_exchange, "PACKED_IN_PLACE", 10)

    async def scenario(it: Harness, client: Client) -> None:
        def ask() -> list[str]:
            requests = (matrix(2000 if n == 3 else n + 1, id=f"q{n}") for n in range(10))
            found = client.stub.ModelStreamInfer(
                requests, timeout=15, compression=grpc.Compression.Gzip
            )
            return [each.infer_response.id for each in found]

        answer = await client.call("ModelInfer", matrix(1000), compression=grpc.Compression.Gzip)
        assert len(sums(answer)) == 1000
        assert await asyncio.to_thread(ask) == [f"q{n}" for n in range(10)]

    serving(tmp_path, scenario)


@pytest.mark.parametrize("method", [b"ModelInfer", b"ModelStreamInfer"])
def test_a_message_that_cannot_be_unpacked_is_refused_beside_others_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: bytes
) -> None:
    monkeypatch.setattr(grpc_exchange, "PACKED_IN_PLACE", 10)

    async def scenario(it: Harness, client: Client) -> None:
        peer = await Peer.connect(it)
        path = b"/inference.GRPCInferenceService/" + method
        headers = [(n, path if n == b":path" else v) for n, v in HEADERS]
        peer.write(peer.speaker.headers(1, headers=[*headers, (b"grpc-encoding", b"gzip")]))
        peer.write(frame(DATA, END_STREAM, 1, b"\x01\0\0\0\x40" + bytes(64)))
        assert b"grpc-status\x013" in (await peer.until(HEADER)).payload
        peer.close()

    serving(tmp_path, scenario)


def test_parameters_choose_lane_and_unit_as_over_rest(tmp_path: Path) -> None:
    async def scenario(it: Harness, client: Client) -> None:
        message = matrix(id="q")
        message.parameters["priority"].int64_param = 2
        message.parameters["event_time"].string_param = "2013-04-01T12:00:00Z"
        await client.call("ModelInfer", message)
        rows = await it.rows()
        assert rows["lane"] == ["batch"]
        assert rows["request_id"] == ["q"]
        assert rows["event_time"] == [1364817600.0]
        message.parameters["priority"].int64_param = -1
        error = await client.fails("ModelInfer", message)
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT

    serving(tmp_path, scenario)


def test_a_canary_that_fails_costs_a_client_of_grpc_nothing(tmp_path: Path) -> None:
    async def scenario(it: Harness, client: Client) -> None:
        await worker(tmp_path, 2, crash)
        await it.route(canary_at(10_000))
        typed = pb.ModelInferRequest(model_name="d")
        typed.inputs.add(name="x", datatype="FP64", shape=[1]).contents.fp64_contents.append(1.5)
        typed.inputs.add(name="n", datatype="INT32", shape=[1]).contents.int_contents.append(1)
        typed.inputs.add(
            name="carrier", datatype="BYTES", shape=[1]
        ).contents.bytes_contents.append(b"A")
        typed.inputs.add(name="late", datatype="BOOL", shape=[1]).contents.bool_contents.append(
            True
        )
        answer = await client.call("ModelInfer", typed)
        assert answer.model_version == "1"
        assert list(answer.outputs[0].contents.fp64_contents) == [4.5]

    serving(tmp_path, scenario, times(3), STABLE)


def test_draining_answers_what_came_and_no_call_is_lost(tmp_path: Path) -> None:
    async def scenario(it: Harness, client: Client) -> None:
        gate = STARTED[0].gate
        gate.clear()
        calls = [asyncio.ensure_future(client.call("ModelInfer", matrix(2))) for _ in range(5)]
        connections = it.gateway.http2.connections
        await until(lambda: sum(len(each.http2.streams) for each in connections) == 5)
        it.gateway.http2.drain()
        assert it.gateway.http2.busy
        gate.set()
        for each in await asyncio.gather(*calls):
            assert sums(each) == [1.0, 2.0]
        await until(lambda: not it.gateway.http2.busy)

    serving(tmp_path, scenario)


def test_one_hundred_calls_at_once_on_one_connection(tmp_path: Path) -> None:
    async def scenario(it: Harness, client: Client) -> None:
        futures = [client.stub.ModelInfer.future(matrix(n + 1), timeout=15) for n in range(100)]
        answers = [await asyncio.to_thread(each.result) for each in futures]
        assert [len(sums(each)) for each in answers] == [n + 1 for n in range(100)]

    serving(tmp_path, scenario)
