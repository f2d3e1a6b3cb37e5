"""A gateway as a process of its own, called by gRPC clients that nobody here wrote."""

import asyncio
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
import tritonclient.grpc.aio as triton_aio
from grpc_health.v1 import health_pb2, health_pb2_grpc
from numpy.typing import NDArray
from tests.support.machine import Machine
from tests.unit.gateway.support import NUMERIC, snapshot, target, write_routing
from tritonclient.grpc import service_pb2 as pb
from tritonclient.utils import InferenceServerException

pytestmark = pytest.mark.e2e
INFER = "/inference.GRPCInferenceService/ModelInfer"


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """A machine with a stable release 1, its worker and a gateway."""
    made = Machine(tmp_path)
    release = target(1, "run/w/1.sock", signature=NUMERIC)
    write_routing(tmp_path, snapshot(1, [release], [(1, "stable", 10_000)]))
    try:
        yield made
    finally:
        made.stop()


def matrix(rows: int) -> NDArray[np.float64]:
    """Row i is [i, 1], so its sum is i + 1."""
    return np.stack([np.arange(rows, dtype=float), np.ones(rows)], axis=1)


def tensor(values: NDArray[Any], name: str = "m", datatype: str = "FP64") -> Any:
    made = triton.InferInput(name, list(values.shape), datatype)
    made.set_data_from_numpy(values)
    return made


def message(rows: int = 1) -> bytes:
    request = pb.ModelInferRequest(model_name="d", raw_input_contents=[matrix(rows).tobytes()])
    request.inputs.add(name="m", datatype="FP64", shape=[rows, 2])
    return bytes(request.SerializeToString())


def sums(answer: bytes) -> list[float]:
    raw = pb.ModelInferResponse.FromString(answer).raw_output_contents[0]
    values: list[float] = np.frombuffer(raw, "<f8").tolist()
    return values


def test_tritons_client_passes_unchanged(machine: Machine) -> None:
    machine.worker(1)
    machine.gateway()
    with triton.InferenceServerClient(machine.grpc) as client:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("d")
        assert not client.is_model_ready("nobody")
        assert client.get_server_metadata().name == "trimtab"
        assert client.get_model_metadata("d", as_json=True)["inputs"][0]["name"] == "a"
        assert client.get_model_config("d").config.name == "d"
        columns = [
            tensor(np.array([1.5, 2.5]), "a"),
            tensor(np.array([1, 2], np.int32), "b", "INT32"),
        ]
        wanted = [triton.InferRequestedOutput("sum")]
        answer = client.infer(
            "d", columns, request_id="q", outputs=wanted, priority=2, timeout=9**9
        )
        assert answer.as_numpy("sum").tolist() == [2.5, 4.5]
        assert answer.get_response().id == "q"
        for way in ("gzip", "deflate"):
            answer = client.infer("d", [tensor(matrix(500))], compression_algorithm=way)
            assert answer.as_numpy("sum").tolist() == [n + 1.0 for n in range(500)]
        with pytest.raises(InferenceServerException, match="missing input 'b'"):
            client.infer("d", columns[:1])
        with pytest.raises(InferenceServerException, match="admin API"):
            client.load_model("d")
        assert (
            client.get_inference_statistics("d").model_stats[0].inference_stats.success.count == 3
        )
        answers: list[Any] = []
        client.start_stream(lambda result, error: answers.append((result, error)))
        for number in range(10):
            client.async_stream_infer("d", [tensor(matrix(number + 1))], request_id=str(number))
        client.stop_stream()
        assert [each.get_response().id for each, _ in answers] == [str(n) for n in range(10)]
    assert machine.url


def test_tritons_asyncio_client_passes_unchanged(machine: Machine) -> None:
    machine.worker(1)
    machine.gateway()

    async def scenario() -> None:
        async with triton_aio.InferenceServerClient(machine.grpc) as client:
            assert await client.is_server_ready()
            calls = [client.infer("d", [tensor(matrix(n + 1))]) for n in range(100)]
            answers = await asyncio.gather(*calls)
        lengths = [len(each.as_numpy("sum")) for each in answers]
        assert lengths == [n + 1 for n in range(100)]

    asyncio.run(scenario())


def test_ten_thousand_rows_and_sixty_four_mebibytes_pass_and_more_is_refused(
    machine: Machine,
) -> None:
    machine.worker(1)
    machine.gateway()
    with triton.InferenceServerClient(machine.grpc) as client:
        answer = client.infer("d", [tensor(matrix(10_000))]).as_numpy("sum")
        assert answer.tolist() == [n + 1.0 for n in range(10_000)]
        rows = 64 * 1024 * 1024 // 16 - 8
        answer = client.infer("d", [tensor(matrix(rows))], client_timeout=60).as_numpy("sum")
        assert len(answer) == rows
        assert answer[-1] == rows
        with pytest.raises(InferenceServerException, match="larger than"):
            client.infer("d", [tensor(matrix(rows + 100))])
        assert client.infer("d", [tensor(matrix(1))]).as_numpy("sum").tolist() == [1.0]


def test_sixty_four_connections_get_their_own_answers(machine: Machine) -> None:
    machine.worker(1)
    machine.gateway()

    def ask(number: int) -> bool:
        alone = [("grpc.use_local_subchannel_pool", 1)]
        with grpc.insecure_channel(machine.grpc, alone) as channel:
            infer = channel.unary_unary(INFER)
            lengths = [len(sums(infer(message(number + n + 1), timeout=60))) for n in range(20)]
        return lengths == [number + n + 1 for n in range(20)]

    with ThreadPoolExecutor(64) as threads:
        assert all(threads.map(ask, range(64)))


def load(machine: Machine, stop: threading.Event, codes: list[Any]) -> None:
    """Call until told to stop; a client as it comes, without a retry policy.

    What it repeats then is only a call that no server took: one that meets a GOAWAY on its way out
    (gRFC A6, "transparent retries")."""
    options = [("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(machine.grpc, options) as channel:
        infer = channel.unary_unary(INFER)
        while not stop.is_set():
            try:
                codes.append(sums(infer(message(3), timeout=30)) == [1.0, 2.0, 3.0])
            except grpc.RpcError as error:
                codes.append(error)


def loading(
    machine: Machine, count: int
) -> tuple[threading.Event, list[Any], list[threading.Thread]]:
    stop, codes = threading.Event(), list[Any]()
    threads = [threading.Thread(target=load, args=(machine, stop, codes)) for _ in range(count)]
    for thread in threads:
        thread.start()
    return stop, codes, threads


def after(stop: threading.Event, codes: list[Any], more: int) -> None:
    """Wait until so many further calls were answered."""
    wanted = len(codes) + more
    while len(codes) < wanted:
        stop.wait(0.005)


def test_killing_a_worker_under_load_fails_no_call(machine: Machine) -> None:
    victim = machine.worker(1)
    machine.gateway()
    stop, codes, threads = loading(machine, 2)
    for _ in range(3):
        after(stop, codes, 20)
        victim.kill()
        victim.wait()
        victim = machine.worker(1)
    after(stop, codes, 20)
    stop.set()
    for thread in threads:
        thread.join()
    assert set(codes) == {True}


def test_restarting_a_gateway_under_load_fails_no_call(machine: Machine) -> None:
    """It says that it goes; the next one accepts on the same socket."""
    machine.worker(1)
    gateway = machine.gateway()
    stop, codes, threads = loading(machine, 4)
    for index in (1, 2):
        after(stop, codes, 50)
        gateway.send_signal(signal.SIGTERM)
        assert gateway.wait(15) == 0
        gateway = machine.gateway(index=index)
    after(stop, codes, 50)
    stop.set()
    for thread in threads:
        thread.join()
    assert set(codes) == {True}


def test_health_follows_the_worker(machine: Machine) -> None:
    worker = machine.worker(1)
    machine.gateway()
    with grpc.insecure_channel(machine.grpc) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        watched = health.Watch(health_pb2.HealthCheckRequest(service="d"), timeout=30)
        assert next(watched).status == health_pb2.HealthCheckResponse.SERVING
        worker.kill()
        worker.wait()
        assert next(watched).status == health_pb2.HealthCheckResponse.NOT_SERVING
        machine.worker(1)
        assert next(watched).status == health_pb2.HealthCheckResponse.SERVING
        assert health.Check(health_pb2.HealthCheckRequest(), timeout=5).status == 1
        watched.cancel()
