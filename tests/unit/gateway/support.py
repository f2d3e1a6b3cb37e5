"""A worker for tests: real frames over a real Unix socket, inside the test's own process."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from trimtab.domain.names import Digest
from trimtab.domain.routing import DeploymentRoute, Mode, Route, RoutingSnapshot, Target
from trimtab.domain.signature import Column, Datatype, Output, Signature
from trimtab.worker.frames import (
    Decoder,
    Frame,
    Kind,
    Tensor,
    decode_texts,
    encode,
    encode_tensors,
    encode_texts,
    tensors_of,
)

SIGNATURE = Signature(
    inputs=(
        Column("x", Datatype.FP64, nullable=True),
        Column("n", Datatype.INT32),
        Column("carrier", Datatype.BYTES, nullable=True),
        Column("late", Datatype.BOOL),
    ),
    outputs=(
        Output("score", Datatype.FP64),
        Output("label", Datatype.BYTES),
        Output("pair", Datatype.FP32, (2,)),
    ),
)
NUMERIC = Signature(
    inputs=(Column("a", Datatype.FP64, nullable=True), Column("b", Datatype.INT32)),
    outputs=(Output("sum", Datatype.FP64),),
)


def digest(number: int) -> Digest:
    """A digest that belongs to a number."""
    return Digest(f"sha256:{number:064x}")


def target(number: int, *workers: str, signature: Signature = SIGNATURE) -> Target:
    """Release `m@number` with these worker sockets."""
    return Target(digest(number), f"m@{number}", number, signature, workers)


def snapshot(
    version: int,
    targets: list[Target],
    routes: list[tuple[int, Mode, int]],
    **deployment: Any,
) -> RoutingSnapshot:
    """One deployment `d` with `(number, mode, weight)` routes."""
    route = DeploymentRoute(
        "d",
        tuple(Route(digest(number), mode, weight) for number, mode, weight in routes),
        **{"deadline_seconds": 5.0, "rollout": "r1", **deployment},
    )
    return RoutingSnapshot(version, 1, (route,), tuple(targets))


def write_routing(home: Path, routing: RoutingSnapshot) -> None:
    """Put a snapshot where gateways look, by rename."""
    (home / "run").mkdir(parents=True, exist_ok=True)
    temporary = home / "run" / "routing.tmp"
    temporary.write_bytes(msgspec.json.encode(routing))
    temporary.rename(home / "run" / "routing.json")


def tensor(name: str, datatype: str, values: list[Any], **extra: Any) -> dict[str, Any]:
    """One input of a request."""
    return {
        "name": name,
        "datatype": datatype,
        "shape": [len(values)],
        "data": values,
        **extra,
    }


def request(xs: list[Any] | None = None, **fields: Any) -> bytes:
    """A good request of `SIGNATURE` with one row per value of `x`."""
    xs = [1.5] if xs is None else xs
    inputs = [
        tensor("x", "FP64", xs),
        tensor("n", "INT32", list(range(len(xs)))),
        tensor("carrier", "BYTES", ["AA"] * len(xs)),
        tensor("late", "BOOL", [True] * len(xs)),
    ]
    return msgspec.json.encode({"inputs": inputs, **fields})


def scored(frame: Frame, factor: float) -> list[Tensor]:
    """What the release of `SIGNATURE` says: score = factor * x, and the carrier as its label."""
    (inputs,) = tensors_of(frame, "inputs")
    by_name = {each.name: each for each in inputs}
    rows = frame.header["rows"]
    scores = np.frombuffer(by_name["x"].data, dtype="<f8") * factor
    labels = decode_texts(by_name["carrier"].data, rows)
    pairs = np.stack([scores, -scores], axis=1).astype("<f4")
    return [
        Tensor("score", "FP64", (rows,), np.nan_to_num(scores).tobytes()),
        Tensor("label", "BYTES", (rows,), encode_texts(labels)),
        Tensor("pair", "FP32", (rows, 2), np.nan_to_num(pairs).tobytes()),
    ]


def summed(frame: Frame) -> list[Tensor]:
    """What the release of `NUMERIC` says: a + b of the matrix it is sent."""
    (inputs,) = tensors_of(frame, "inputs")
    matrix = np.frombuffer(inputs[0].data, dtype="<f8").reshape(frame.header["rows"], 2)
    return [Tensor("sum", "FP64", (len(matrix),), matrix.sum(axis=1).tobytes())]


STARTED: list["FakeWorker"] = []
"""Workers of the test that runs; `stop_workers` ends them."""


async def until(holds: Callable[[], bool]) -> None:
    """Let the event loop run until a fact holds; the test's own timeout bounds the wait."""
    while not holds():  # noqa: ASYNC110 - what is waited for is inside the code under test
        await asyncio.sleep(0.001)


async def stop_workers() -> None:
    """End every worker of this test, and let their connections close.

    One that is accepted in the last turn is made, aborted and closed in five more.
    """
    while STARTED:
        STARTED.pop().die()
    for _ in range(20):
        await asyncio.sleep(0)


async def _closed(server: asyncio.Server) -> None:
    """End a server whose path is gone, once what it has accepted is made.

    One that is closed between the two makes no transport of it, and nobody closes the socket
    (python/cpython#109564).
    """
    for _ in range(4):
        await asyncio.sleep(0)
    server.close()


Answerer = Callable[[Frame], list[Tensor]]


@dataclass
class FakeWorker:
    """Answers with `answer`; a `ValueError` of it is a FAILURE, an `EOFError` kills the worker.

    While `gate` is cleared, batches wait; `sizes` are the rows of the batches that came. `kept` is
    for how many seconds its answers seem to have waited for the gateway, `model_seconds` what it
    says of its model.
    """

    path: str
    release: str
    answer: Answerer
    kept: float = 0.0
    model_seconds: float = 0.002
    sizes: list[int] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    _server: asyncio.Server | None = None
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _serving: set[asyncio.Task[None]] = field(default_factory=set)

    async def start(self) -> "FakeWorker":
        """Listen."""
        self.gate.set()
        STARTED.append(self)
        Path(self.path).parent.mkdir(parents=True, exist_ok=True)
        self._server = await asyncio.start_unix_server(self._connected, self.path)
        return self

    def die(self) -> None:
        """Take the socket away and close every connection at once."""
        Path(self.path).unlink(missing_ok=True)
        for writer in self._writers:
            writer.transport.abort()
        server, self._server = self._server, None
        if server is not None:
            self._keep(_closed(server))

    def _keep(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._server is None:
            writer.transport.abort()
            return
        self._writers.add(writer)
        self._keep(self._serve(reader, writer))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        facts = {"release": self.release, "name": "m", "worker": "w", "pid": 1, "protocol": 1}
        writer.writelines(encode(Kind.HELLO, facts))
        decoder = Decoder()
        with contextlib.suppress(ConnectionError, EOFError):
            while data := await reader.read(65536):
                for frame in decoder.feed(data):
                    await self._reply(frame, writer)
        self._writers.discard(writer)
        writer.close()

    async def _reply(self, frame: Frame, writer: asyncio.StreamWriter) -> None:
        self.sizes.append(frame.header["rows"])
        self.arrived.set()
        await self.gate.wait()
        number = frame.header["id"]
        try:
            outputs = self.answer(frame)
        except EOFError:
            writer.transport.abort()
            raise
        except ValueError as error:
            failure = {"id": number, "stage": "model", "message": str(error)}
            writer.writelines(encode(Kind.FAILURE, failure))
            return
        header = {
            "id": number,
            "rows": frame.header["rows"],
            "features_seconds": 0.001,
            "model_seconds": self.model_seconds,
            "ended_at": time.monotonic() - self.kept,
        }
        writer.writelines(encode_tensors(Kind.RESULT, header, {"outputs": outputs}))
