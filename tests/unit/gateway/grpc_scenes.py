"""What the tests of the gRPC listener share: a client in threads, and one that says anything."""

import asyncio
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2_grpc
from tests.unit.gateway.frames import START, Seen, Speaker, split
from tests.unit.gateway.harness import Harness, running
from tests.unit.gateway.scenarios import (
    run,
    socket_of,
    worker,
)
from tests.unit.gateway.support import NUMERIC, snapshot, summed, target, until
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc

from trimtab.gateway.http2_frames import (
    GOAWAY,
    HEAD,
    Code,
)
from trimtab.worker.frames import Frame, Tensor

HEADER = 1
MATRIX = snapshot(1, [target(1, socket_of(1), signature=NUMERIC)], [(1, "stable", 10_000)])


class Client:
    """Stubs over one channel, called in threads so that the gateway's loop goes on."""

    def __init__(self, port: int) -> None:
        options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}", options)
        self.stub = service_pb2_grpc.GRPCInferenceServiceStub(self.channel)
        self.health = health_pb2_grpc.HealthStub(self.channel)

    async def call(self, name: str, request: Any, **options: Any) -> Any:
        return await asyncio.to_thread(getattr(self.stub, name), request, timeout=15, **options)

    async def fails(self, name: str, request: Any, timeout: float = 15.0) -> Any:
        """The error of a call that has to fail."""

        def ask() -> Any:
            with pytest.raises(grpc.RpcError) as caught:
                getattr(self.stub, name)(request, timeout=timeout)
            return caught.value

        return await asyncio.to_thread(ask)


Scenario = Callable[[Harness, Client], Awaitable[None]]


def serving(
    home: Path,
    scenario: Scenario,
    answer: Callable[[Frame], list[Tensor]] = summed,
    routing: Any = MATRIX,
    **options: Any,
) -> None:
    """Run a scenario against a gateway with one worker of release 1."""

    async def scene() -> None:
        await worker(home, 1, answer)
        async with running(home, routing, **options) as it:
            await until(lambda: any(pool.connected for pool in it.gateway.pools))
            client = Client(it.grpc_port)
            try:
                await scenario(it, client)
            finally:
                client.channel.close()

    run(scene)


def matrix(rows: int = 1, **fields: Any) -> Any:
    """A raw request of `NUMERIC`: row i is [i, 1]."""
    values = np.stack([np.arange(rows, dtype=float), np.ones(rows)], axis=1)
    message = pb.ModelInferRequest(model_name="d", raw_input_contents=[values.tobytes()], **fields)
    message.inputs.add(name="m", datatype="FP64", shape=[rows, 2])
    return message


def sums(response: Any) -> list[float]:
    values: list[float] = np.frombuffer(response.raw_output_contents[0], "<f8").tolist()
    return values


def trailers(call: Any) -> dict[str, str]:
    return dict(call.trailing_metadata())


class Peer:
    """A client that says what it likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.speaker = Speaker()
        self._writer = writer
        self._seen: list[Seen] = []
        self.write = writer.write
        self.close = writer.close

    @classmethod
    async def connect(cls, it: Harness, start: bytes = START) -> "Peer":
        reader, writer = await asyncio.open_connection("127.0.0.1", it.grpc_port)
        writer.write(start)
        return cls(reader, writer)

    async def frame(self) -> Seen:
        head = await self.reader.readexactly(HEAD.size)
        high, low, *_ = HEAD.unpack(head)
        return split(head + await self.reader.readexactly(high << 16 | low))[0]

    async def until(self, kind: int) -> Seen:
        """The next frame of a kind."""
        while (seen := await self.frame()).kind != kind:
            pass
        return seen


def code(seen: Seen) -> Code:
    return Code(struct.unpack_from(">L", seen.payload, 4 if seen.kind == GOAWAY else 0)[0])
