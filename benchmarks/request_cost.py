"""What one request costs trimtab's own code: in a gateway, and in the controller behind it.

usage: scripts/bench request_cost [--batch N] [--rows N]

Processor time in one process, the least of some runs: no sockets, no model, a release of thirty
numbers with everything on. `--batch` requests are answered together, each with `--rows` rows. What
the kernel, the event loop's I/O and the worker cost comes on top (`scripts/bench serving`).
"""

import argparse
import asyncio
import io
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import uvloop

from trimtab.backends.publishing import publish
from trimtab.backends.requestlog import FolderRequestLog
from trimtab.backends.spool import SpoolLog
from trimtab.domain.deployment import DeploymentSpec
from trimtab.domain.names import Digest
from trimtab.domain.routing import DeploymentRoute, Route, RoutingSnapshot, Target
from trimtab.domain.signature import Column, Datatype, Output, Signature
from trimtab.gateway import pool
from trimtab.gateway.logs import Log
from trimtab.gateway.main import Gateway, GatewayOptions
from trimtab.gateway.table import View
from trimtab.judge.monitors import Monitors
from trimtab.judge.profile import Reference, build_profile
from trimtab.loop.demand import Demands
from trimtab.loop.joiner import Joiner, Terms
from trimtab.loop.traffic import Traffic
from trimtab.ports.requestlog import Cursor
from trimtab.worker.frames import Decoder, Kind, Tensor, decode_all, encode_tensors, encode_texts

WIDTH, RUNS, REQUESTS = 30, 7, 6_000
RELEASE = Digest(f"sha256:{1:064x}")
OUTPUTS = (Output("score", Datatype.FP64), Output("label", Datatype.BYTES))
INPUTS = tuple(Column(f"f{i}", Datatype.FP64) for i in range(WIDTH))
SIGNATURE = Signature(INPUTS, OUTPUTS, "binary", ("0", "1"))
ROUTING = RoutingSnapshot(
    1,
    1,
    (DeploymentRoute("m", (Route(RELEASE, "stable", 10_000),)),),
    (Target(RELEASE, "m@1", 1, SIGNATURE, ("run/w/a-0.sock",)),),
)


class Echo:
    """Stands for the link to a worker: every batch is answered in the next turn of the loop."""

    def __init__(self, path: str, release: str, owner: Any, log: Log) -> None:
        self.path, self.worker, self.owner = path, "a-0", owner
        self.ready, self.busy, self.idle_at = True, False, 0.0
        self.decoder = Decoder(loads=msgspec.json.decode)
        asyncio.get_running_loop().call_soon(owner.link_idle, self)

    def send(self, number: int, frame: list[Any], give_up_after: float) -> None:
        """Answer a frame with a constant."""
        rows = decode_all(b"".join(map(bytes, frame)))[0].header["rows"]
        tensors = [
            Tensor("score", "FP64", (rows,), np.full(rows, 0.25).tobytes()),
            Tensor("label", "BYTES", (rows,), encode_texts(["0"] * rows)),
        ]
        seconds = {"features_seconds": 0.0, "model_seconds": 2e-4, "ended_at": time.monotonic()}
        header = {"id": number, "rows": rows, **seconds}
        answer = encode_tensors(Kind.RESULT, header, {"outputs": tensors})
        asyncio.get_running_loop().call_soon(self._answer, b"".join(map(bytes, answer)))

    def _answer(self, data: bytes) -> None:
        for frame in self.decoder.feed(data):
            self.owner.link_answered(self, frame)
            self.owner.link_idle(self)


class Client:
    """Stands for the transport of one client."""

    def __init__(self) -> None:
        self.answers: list[bytes] = []
        self.write = self.answers.append

    def is_closing(self) -> bool:
        """Never."""
        return False


def question(rows: int) -> bytes:
    """A request of `rows` rows in one tensor."""
    values = [round(float(v), 6) for v in np.random.default_rng(0).normal(size=rows * WIDTH)]
    tensor = {"name": "input", "datatype": "FP64", "shape": [rows, WIDTH], "data": values}
    body = json.dumps({"inputs": [tensor]}).encode()
    head = f"POST /v2/models/m/infer HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Content-Type: application/json\r\n\r\n".encode() + body


async def gateway_seconds(batch: int, rows: int) -> float:
    """Seconds of a gateway's own code for a request; its spool is left in the working folder."""
    gateway = Gateway(GatewayOptions(Path(), 0, 0), SpoolLog(Path(), "g0-1"), Log(io.StringIO()))
    gateway.http.tick(0.0)
    gateway.table.view = view = View(ROUTING, {})
    gateway.pools.apply(view.plans, view.workers)
    await asyncio.sleep(0)
    clients = [(gateway.http.connection(), Client()) for _ in range(batch)]
    for connection, client in clients:
        connection.connection_made(client)  # type: ignore[arg-type]
    asked, turns = question(rows), max(1, REQUESTS // batch // rows)
    best = float("inf")
    for _ in range(RUNS + 1):  # the first one warms up
        started = time.process_time()
        for _ in range(turns):
            await _turn(clients, asked)
        best = min(best, (time.process_time() - started) / (turns * batch))
    await gateway.recorder.flush()
    return best


async def _turn(clients: list[tuple[Any, Client]], asked: bytes) -> None:
    for connection, _ in clients:
        connection.data_received(asked)
    while not all(client.answers for _, client in clients):  # noqa: ASYNC110 - no event tells
        await asyncio.sleep(0)
    for _, client in clients:
        if not client.answers.pop().startswith(b"HTTP/1.1 200"):
            raise SystemExit("a request was not answered 200")


def controller_seconds() -> dict[str, float]:
    """Seconds per row of each step with a segment made of the spool of the working folder."""
    data = np.random.default_rng(1).normal(size=(5_000, WIDTH))
    columns = {column.name: data[:, i] for i, column in enumerate(INPUTS)}
    score = {"score": np.full(len(data), 0.25)}
    spec = DeploymentSpec(name="m", model="m")
    profile = build_profile(Reference(SIGNATURE, columns, score))
    monitors = Monitors.start(spec, SIGNATURE, profile, RELEASE, 0.0)
    found: dict[str, float] = {}

    def timed(name: str, step: Callable[[], Any]) -> Any:
        started = time.process_time()
        made = step()
        found[name] = time.process_time() - started
        return made

    timed("segment", lambda: publish(Path()))
    (segment,) = FolderRequestLog(Path()).segments("m", Cursor())
    rows = timed("read", lambda: FolderRequestLog(Path()).rows(segment))
    timed("traffic and demand", lambda: (Traffic().observe(rows), _demand(spec, rows)))
    timed("monitors", lambda: monitors.observe(rows))
    timed("joiner", lambda: Joiner(Terms(86_400.0)).add(segment, rows))
    return {name: seconds / len(rows) for name, seconds in found.items()}


def _demand(spec: DeploymentSpec, rows: Any) -> None:
    Demands().observe(spec, rows, float(rows.fixed["received_at"][-1]) + 1.0)


def main() -> None:
    """Measure and tell."""
    parser = argparse.ArgumentParser(description="The cost of a request in trimtab's own code.")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rows", type=int, default=1)
    given = parser.parse_args()
    pool.Link = Echo  # type: ignore[assignment, misc]
    steps: list[dict[str, float]] = []
    gateway = float("inf")
    for _ in range(RUNS):
        with tempfile.TemporaryDirectory(prefix="trimtab-cost-") as folder:
            os.chdir(folder)
            gateway = min(gateway, uvloop.run(gateway_seconds(given.batch, given.rows)))
            steps.append(controller_seconds())
            os.chdir("/")
    print(f"gateway     {gateway * 1e6:8.2f} µs a request of {given.rows} rows")
    least = {name: min(step[name] for step in steps) for name in steps[0]}
    for name, seconds in least.items():
        print(f"controller  {seconds * 1e6:8.2f} µs a row: {name}")
    print(f"controller  {sum(least.values()) * 1e6:8.2f} µs a row in all")


if __name__ == "__main__":
    main()
