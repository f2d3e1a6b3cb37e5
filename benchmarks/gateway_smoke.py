"""Requests per second of one-row requests through a gateway process with one echo worker.

usage: python benchmarks/gateway_smoke.py [--seconds S] [--runs N] [--connections C]
Client, gateway and worker share the machine; the client is a bare asyncio protocol so that it
costs less than what it measures.
"""

import argparse
import asyncio
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from trimtab.domain.names import Digest
from trimtab.domain.routing import DeploymentRoute, Route, RoutingSnapshot, Target
from trimtab.domain.signature import Column, Datatype, Output, Signature

ROOT = Path(__file__).resolve().parents[1]
RELEASE = Digest(f"sha256:{1:064x}")
SIGNATURE = Signature(
    (Column("a", Datatype.FP64), Column("b", Datatype.INT32)), (Output("sum", Datatype.FP64),)
)


class Client(asyncio.Protocol):
    """One connection that sends the next request when the answer to the last is there."""

    def __init__(self, request: bytes) -> None:
        self.request = request
        self.latencies: list[float] = []
        self.errors = 0
        self._sent = 0.0
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        """Count an answer once it is whole."""
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.partition(b"Content-Length: ")[2].split(b"\r\n", 1)[0])
        if len(body) < length:
            return
        self.latencies.append(time.perf_counter() - self._sent)
        self.errors += not head.startswith(b"HTTP/1.1 200")
        self._buffer = b""
        self._send()

    def _send(self) -> None:
        assert self._transport is not None
        self._sent = time.perf_counter()
        self._transport.write(self.request)


async def measure(port: int, connections: int, seconds: float) -> tuple[float, float, float, int]:
    """Requests per second, p50 and p99 in ms, and the number of answers that were no 200."""
    body = json.dumps(
        {
            "inputs": [
                {"name": "a", "datatype": "FP64", "shape": [1], "data": [1.5]},
                {"name": "b", "datatype": "INT32", "shape": [1], "data": [2]},
            ]
        }
    ).encode()
    head = f"POST /v2/models/d/infer HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    request = head.encode() + body
    loop = asyncio.get_running_loop()
    made = [
        await loop.create_connection(lambda: Client(request), "127.0.0.1", port)
        for _ in range(connections)
    ]
    await asyncio.sleep(seconds)
    for transport, _ in made:
        transport.abort()
    times = sorted(value for _, client in made for value in client.latencies)
    errors = sum(client.errors for _, client in made)
    rate = len(times) / seconds
    return rate, 1e3 * times[len(times) // 2], 1e3 * times[int(len(times) * 0.99)], errors


def prepare(home: Path) -> None:
    """A state folder that routes deployment `d` to the echo worker."""
    (home / "run" / "w").mkdir(parents=True)
    deployment = DeploymentRoute("d", (Route(RELEASE, "stable", 10_000),))
    target = Target(RELEASE, "m@1", 1, SIGNATURE, ("run/w/1.sock",))
    snapshot = RoutingSnapshot(1, 1, (deployment,), (target,))
    (home / "run" / "routing.json").write_bytes(msgspec.json.encode(snapshot))


def started(
    home: Path, listener: socket.socket, grpc: socket.socket | None = None
) -> list[subprocess.Popen[str]]:
    """Worker and gateway, ready."""
    sockets = {"--fd": listener.fileno()} | ({"--grpc-fd": grpc.fileno()} if grpc else {})
    echo = [sys.executable, str(ROOT / "tests/e2e/echo_worker.py"), str(home / "run/w/1.sock")]
    worker = subprocess.Popen([*echo, RELEASE, "sum"], stdout=subprocess.PIPE, text=True)
    assert worker.stdout is not None
    worker.stdout.readline()
    gateway = subprocess.Popen(
        [
            *(sys.executable, "-m", "trimtab.gateway", "--home", str(home), "--index", "0"),
            *(text for name, number in sockets.items() for text in (name, str(number))),
        ],
        pass_fds=[*sockets.values()],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert gateway.stderr is not None
    while "gateway.started" not in (line := gateway.stderr.readline()):
        if not line:
            raise SystemExit("the gateway did not start")
    return [gateway, worker]


def resident_mebibytes(process: subprocess.Popen[str]) -> float:
    """Resident memory of a process."""
    pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--connections", type=int, default=16)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as server:
        home = Path(folder)
        prepare(home)
        processes = started(home, server)
        port = server.getsockname()[1]
        idle = resident_mebibytes(processes[0])
        try:
            runs = [
                asyncio.run(measure(port, given.connections, given.seconds))
                for _ in range(given.runs)
            ]
            loaded = resident_mebibytes(processes[0])
        finally:
            for process in processes:
                process.terminate()
                process.wait()
    rate, p50, p99 = (statistics.median(run[i] for run in runs) for i in range(3))
    result = {
        "requests_per_second": round(rate),
        "p50_ms": round(p50, 3),
        "p99_ms": round(p99, 3),
        "errors": sum(run[3] for run in runs),
        "gateway_idle_mib": round(idle, 1),
        "gateway_loaded_mib": round(loaded, 1),
        "connections": given.connections,
        "runs": given.runs,
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "python": platform.python_version(),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
