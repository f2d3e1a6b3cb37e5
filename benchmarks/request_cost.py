"""What one request costs trimtab's own code: in a gateway, and in the controller behind it.

usage: scripts/bench request_cost [--case NAME ...] [--runs N]

Processor time in one process, the least of some runs: no sockets, no model, everything on.
Monitors have seen a day with ten million rows, so that relations, and what workers answer, are
counted in a sample.
Requests are answered in batches, but for those `alone`, whose figure includes what a turn of the
loop and the worker's stand-in cost; `numbers` are of a model of thirty numbers that go together,
`binary` the same as tensors of bytes, `mixed` of one of ten texts of eight categories and twenty
numbers. What the kernel, the event loop's I/O and the worker cost comes on top
(`scripts/bench serving`).
"""

import argparse
import asyncio
import gc
import io
import itertools
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import uvloop
from numpy.typing import NDArray

from trimtab.backends.publishing import publish
from trimtab.backends.requestlog import FolderRequestLog
from trimtab.backends.spool import SpoolLog
from trimtab.domain.deployment import DeploymentSpec
from trimtab.domain.names import Digest
from trimtab.domain.records import LABEL_COLUMNS, Labels, Rows
from trimtab.domain.routing import DeploymentRoute, Route, RoutingSnapshot, Target
from trimtab.domain.signature import Column, Datatype, Output, Signature
from trimtab.gateway import pool
from trimtab.gateway.logs import Log
from trimtab.gateway.main import COLLECT_EVERY, Gateway, GatewayOptions
from trimtab.gateway.plan import Plan
from trimtab.gateway.table import View
from trimtab.judge.monitors import Monitors
from trimtab.judge.profile import Reference, build_profile
from trimtab.judge.signals.answers import Answers
from trimtab.judge.signals.multivariate import Multivariate
from trimtab.loop.demand import Demands
from trimtab.loop.joiner import Joiner, Terms
from trimtab.loop.traffic import Traffic
from trimtab.loop.watermark import Watermark
from trimtab.ports.requestlog import Cursor
from trimtab.worker.frames import Decoder, Kind, Tensor, decode_all, encode_tensors, encode_texts

WIDTH, TEXTS, CATEGORIES = 30, 10, 8
RUNS, QUESTIONS = 7, 64
REFERENCE, USUAL = 5_000, 10_000_000
RELEASE = Digest(f"sha256:{1:064x}")
OUTPUTS = (Output("score", Datatype.FP64), Output("label", Datatype.BYTES))
LABEL = Labels(
    {
        name: np.array(["nobody" if kind == "string" else 0], object if kind == "string" else kind)
        for name, kind in LABEL_COLUMNS
    }
)
Values = dict[str, NDArray[Any]]


class Case(NamedTuple):
    """Requests of `rows` rows, answered `batch` together; `turns` batches are one run."""

    rows: int
    batch: int
    turns: int
    texts: int = 0
    binary: bool = False

    @property
    def signature(self) -> Signature:
        """That of the model: first the texts, then the numbers."""
        kinds = [Datatype.BYTES] * self.texts + [Datatype.FP64] * (WIDTH - self.texts)
        columns = tuple(Column(f"f{i}", kind) for i, kind in enumerate(kinds))
        return Signature(columns, OUTPUTS, "binary", ("0", "1"))

    def values(self, rows: int, seed: int) -> Values:
        """Rows whose columns have something in common."""
        random = np.random.default_rng(seed)
        common = random.normal(size=(rows, 1))
        data = np.round(0.7 * common + random.normal(size=(rows, WIDTH)), 6)
        made: Values = {f"f{i}": data[:, i] for i in range(self.texts, WIDTH)}
        for i in range(self.texts):
            places = np.clip(data[:, i] * 2.0 + CATEGORIES / 2.0, 0, CATEGORIES - 1)
            named = [f"category-{place:.0f}" for place in np.floor(places).tolist()]
            made[f"f{i}"] = np.array(named, dtype=object)
        return made

    def question(self, seed: int) -> bytes:
        """A request, as a client writes it."""
        values = self.values(self.rows, seed)
        if self.binary:
            return _binary_question(np.column_stack([values[f"f{i}"] for i in range(WIDTH)]))
        if self.texts:
            tensors = [_tensor(name, each, [self.rows]) for name, each in sorted(values.items())]
        else:
            matrix = np.column_stack([values[f"f{i}"] for i in range(WIDTH)])
            tensors = [_tensor("input", matrix, [self.rows, WIDTH])]
        body = json.dumps({"inputs": tensors}).encode()
        head = f"POST /v2/models/m/infer HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
        return f"{head}Content-Type: application/json\r\n\r\n".encode() + body


CASES = {
    "numbers-1": Case(1, 32, 200),
    "numbers-1-alone": Case(1, 1, 2_000),
    "numbers-100": Case(100, 8, 12),
    "numbers-1000": Case(1_000, 4, 8),
    "binary-100": Case(100, 8, 24, binary=True),
    "mixed-1": Case(1, 32, 200, TEXTS),
    "mixed-100": Case(100, 8, 12, TEXTS),
}


def _binary_question(matrix: NDArray[Any]) -> bytes:
    """The same as tensors of bytes, the answer too."""
    size = {"binary_data_size": matrix.nbytes}
    tensor = {"name": "input", "datatype": "FP64", "shape": matrix.shape, "parameters": size}
    asked = {"inputs": [tensor], "parameters": {"binary_data_output": True}}
    body = json.dumps(asked).encode()
    head = (
        f"POST /v2/models/m/infer HTTP/1.1\r\nHost: x\r\n"
        f"Content-Length: {len(body) + matrix.nbytes}\r\n"
        f"Inference-Header-Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body + matrix.tobytes()


def _tensor(name: str, values: NDArray[Any], shape: list[int]) -> dict[str, Any]:
    kind = "BYTES" if values.dtype == object else "FP64"
    return {"name": name, "datatype": kind, "shape": shape, "data": values.ravel().tolist()}


def routing(case: Case) -> RoutingSnapshot:
    """One deployment with one release."""
    return RoutingSnapshot(
        1,
        1,
        (DeploymentRoute("m", (Route(RELEASE, "stable", 10_000),)),),
        (Target(RELEASE, "m@1", 1, case.signature, ("run/w/a-0.sock",)),),
    )


class Echo:
    """Stands for the link to a worker: every batch is answered in the next turn of the loop."""

    def __init__(self, path: str, release: str, crew: Any, owner: Any, log: Log) -> None:
        self.path, self.worker, self.crew, self.owner = path, "a-0", crew, owner
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


async def gateway_seconds(case: Case) -> float:
    """Seconds of a gateway's own code for a request; its spool is left in the working folder."""
    gateway = Gateway(GatewayOptions(Path(), 0, 0), SpoolLog(Path(), "g0-1"), Log(io.StringIO()))
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_EVERY)
    gateway.http.tick(0.0)
    snapshot = routing(case)
    plans = {str(target.release): Plan(target) for target in snapshot.releases}
    gateway.table.view = view = View(snapshot, plans)
    gateway.pools.apply(view.plans, view.targets)
    await asyncio.sleep(0)
    clients = [(gateway.http.connection(), Client()) for _ in range(case.batch)]
    for connection, client in clients:
        connection.connection_made(client)  # type: ignore[arg-type]
    asked = itertools.cycle([case.question(seed) for seed in range(QUESTIONS)])
    await _turn(clients, asked)
    started = time.process_time()
    for _ in range(case.turns):
        await _turn(clients, asked)
    spent = (time.process_time() - started) / (case.turns * case.batch)
    await gateway.recorder.flush()
    return spent


async def _turn(clients: list[tuple[Any, Client]], asked: Iterator[bytes]) -> None:
    for connection, _ in clients:
        connection.data_received(next(asked))
    while not all(client.answers for _, client in clients):  # noqa: ASYNC110 - no event tells
        await asyncio.sleep(0)
    for _, client in clients:
        if not client.answers.pop().startswith(b"HTTP/1.1 200"):
            raise SystemExit("a request was not answered 200")


def started(case: Case) -> Monitors:
    """Monitors of a release, as they are after a day with `USUAL` rows."""
    spec = DeploymentSpec(name="m", model="m")
    score = {"score": np.random.default_rng(2).uniform(size=REFERENCE)}
    label = np.array([str(int(each > 0.5)) for each in score["score"]], dtype=object)
    profile = build_profile(Reference(case.signature, case.values(REFERENCE, 1), score, label))
    monitors = Monitors.start(spec, case.signature, profile, RELEASE, 0.0)
    for family in monitors.families:
        if isinstance(family, Multivariate | Answers):
            family.state.sizes = [USUAL]
    return monitors


def controller_seconds(monitors: Monitors) -> dict[str, float]:
    """Seconds per row of each step with a segment made of the spool of the working folder."""
    found: dict[str, float] = {}
    log = FolderRequestLog(Path(), settle_seconds=0.0)

    def timed(name: str, step: Callable[[], Any]) -> Any:
        began = time.process_time()
        made = step()
        found[name] = time.process_time() - began
        return made

    timed("segment", lambda: publish(Path()))
    (segment,) = log.segments("m", Cursor())
    rows = timed("read", lambda: log.rows(segment))
    timed("clock, traffic and demand", lambda: _observed(rows))
    timed("monitors", lambda: monitors.observe(rows))
    joiner = Joiner(Terms(86_400.0))
    timed("joiner", lambda: joiner.add(segment, rows))
    timed("of it when a label comes", lambda: joiner.learn(LABEL, 0.0))
    for family in monitors.families:
        timed(f"of monitors: {family.name}", lambda family=family: family.count(rows))
    timed("roll", lambda: log.roll("m"))
    return {name: seconds / len(rows) for name, seconds in found.items()}


TRAFFIC, DEMANDS = Traffic(), Demands()


def _observed(rows: Rows) -> None:
    Watermark(float(rows.fixed["received_at"][0])).after(rows.take(rows.fixed["final"]))
    TRAFFIC.observe(rows)
    now = float(rows.fixed["received_at"][-1]) + 1.0
    DEMANDS.observe(DeploymentSpec(name="m", model="m"), rows, now)


def measured(case: Case, runs: int) -> tuple[float, dict[str, float]]:
    """The gateway's seconds a request, and the controller's seconds a row by step."""
    steps: list[dict[str, float]] = []
    gateway = float("inf")
    for _ in range(runs):
        with tempfile.TemporaryDirectory(prefix="trimtab-cost-") as folder:
            os.chdir(folder)
            gateway = min(gateway, uvloop.run(gateway_seconds(case)))
            steps.append(controller_seconds(started(case)))
            os.chdir("/")
    return gateway, {name: min(step[name] for step in steps) for name in steps[0]}


def main() -> None:
    """Measure and tell."""
    parser = argparse.ArgumentParser(description="The cost of a request in trimtab's own code.")
    parser.add_argument("--case", choices=list(CASES), nargs="*", default=list(CASES))
    parser.add_argument("--runs", type=int, default=RUNS)
    given = parser.parse_args()
    pool.Link = Echo  # type: ignore[assignment, misc]
    for name in given.case:
        gateway, steps = measured(CASES[name], given.runs)
        print(f"{name}: {gateway * 1e6:.2f} µs a request in the gateway; in the controller")
        whole = sum(seconds for step, seconds in steps.items() if not step.startswith("of "))
        for step, seconds in {**steps, "in all": whole}.items():
            print(f"  {seconds * 1e9:8.0f} ns a row: {step}")


if __name__ == "__main__":
    main()
