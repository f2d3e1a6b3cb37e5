"""Calls per second of one-row ModelInfer through a gateway process with one echo worker.

usage: python benchmarks/grpc_smoke.py [--seconds S] [--runs N] [--connections C] [--typed]
Gateway and worker share one core, the client has another. It replays frames of HTTP/2 as a client
in the steady state sends them, so that it costs less than what it measures.
"""

import argparse
import asyncio
import json
import os
import platform
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import gateway_smoke
import hpack

from trimtab.gateway.http2_frames import HEAD, PREFACE
from trimtab.gateway.protobuf import integers, nested, text

HEADERS = [
    (":scheme", "http"),
    (":method", "POST"),
    (":authority", "127.0.0.1:8081"),
    (":path", "/inference.GRPCInferenceService/ModelInfer"),
    ("te", "trailers"),
    ("content-type", "application/grpc"),
    ("user-agent", "grpc-python/1.85 grpc-c/53.0"),
    ("grpc-accept-encoding", "identity, deflate, gzip"),
]
DATA, HEADER, SETTINGS, PING, WINDOW = 0, 1, 4, 6, 8
OK_STATUS = b"\x0bgrpc-status\x010"


def message(typed: bool) -> bytes:
    """A ModelInferRequest of one row for `gateway_smoke.SIGNATURE`."""
    values = struct.pack("<d", 1.5), struct.pack("<i", 2)
    inputs = []
    for name, datatype, packed in zip("ab", ("FP64", "INT32"), values, strict=True):
        contents = nested(7, packed) if datatype == "FP64" else integers(2, (2,))
        tensor = text(1, name) + text(2, datatype) + integers(3, (1,))
        inputs.append(nested(5, tensor + (nested(5, contents) if typed else b"")))
    raw = () if typed else (nested(7, packed) for packed in values)
    return b"".join((text(1, "d"), *inputs, *raw))


class Client(asyncio.Protocol):
    """One connection that makes the next call when the answer to the last is there."""

    def __init__(self, body: bytes) -> None:
        self.latencies: list[float] = []
        self.errors = 0
        encoder = hpack.Encoder()
        self._first = encoder.encode(HEADERS)
        self._block = encoder.encode(HEADERS)
        self._data = struct.pack(">BL", 0, len(body)) + body
        self._stream = -1
        self._sent = 0.0
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet and make the first call."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(PREFACE + HEAD.pack(0, 0, SETTINGS, 0, 0))
        transport.write(HEAD.pack(0, 4, WINDOW, 0, 0) + struct.pack(">L", 2**30))
        self._call(self._first)

    def data_received(self, data: bytes) -> None:
        """Count an answer once its trailers are there."""
        data = self._buffer + data
        at = 0
        while len(data) - at >= HEAD.size:
            high, low, kind, flags, _ = HEAD.unpack_from(data, at)
            stop = at + HEAD.size + (high << 16 | low)
            if stop > len(data):
                break
            if kind == HEADER and flags & 1:
                self.latencies.append(time.perf_counter() - self._sent)
                self.errors += OK_STATUS not in data[at:stop]
                self._call(self._block)
            at = stop
        self._buffer = data[at:]

    def _call(self, block: bytes) -> None:
        assert self._transport is not None
        self._stream += 2
        self._sent = time.perf_counter()
        head = HEAD.pack(0, len(block), HEADER, 4, self._stream) + block
        data = HEAD.pack(0, len(self._data), DATA, 1, self._stream) + self._data
        self._transport.write(head + data)


async def measure(
    port: int, connections: int, seconds: float, typed: bool
) -> tuple[float, float, float, int]:
    """Calls per second, p50 and p99 in ms, and the number of answers that were not OK."""
    loop = asyncio.get_running_loop()
    body = message(typed)
    made = [
        await loop.create_connection(lambda: Client(body), "127.0.0.1", port)
        for _ in range(connections)
    ]
    await asyncio.sleep(seconds)
    for transport, _ in made:
        transport.abort()
    times = sorted(value for _, client in made for value in client.latencies)
    errors = sum(client.errors for _, client in made)
    rate = len(times) / seconds
    return rate, 1e3 * times[len(times) // 2], 1e3 * times[int(len(times) * 0.99)], errors


def started(home: Path, listeners: list[socket.socket]) -> list[subprocess.Popen[str]]:
    """Worker and gateway, ready, on the last core."""
    processes = gateway_smoke.started(home, *listeners)
    for process in processes:
        os.sched_setaffinity(process.pid, {max(os.sched_getaffinity(0))})
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    return processes


def processor_seconds(pid: int) -> float:
    """User and system time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--typed", action="store_true", help="typed contents instead of raw bytes")
    given = parser.parse_args()
    local = ("127.0.0.1", 0)
    with (
        tempfile.TemporaryDirectory() as folder,
        socket.create_server(local) as rest,
        socket.create_server(local) as grpc,
    ):
        home = Path(folder)
        gateway_smoke.prepare(home)
        processes = started(home, [rest, grpc])
        port = grpc.getsockname()[1]
        before = [processor_seconds(process.pid) for process in processes]
        try:
            runs = [
                asyncio.run(measure(port, given.connections, given.seconds, given.typed))
                for _ in range(given.runs)
            ]
            after = [processor_seconds(process.pid) for process in processes]
        finally:
            for process in processes:
                process.terminate()
                process.wait()
    calls = sum(run[0] for run in runs) * given.seconds
    gateway, worker = (1e6 * (b - a) / calls for a, b in zip(before, after, strict=True))
    rate, p50, p99 = (statistics.median(run[i] for run in runs) for i in range(3))
    result = {
        "calls_per_second": round(rate),
        "p50_ms": round(p50, 3),
        "p99_ms": round(p99, 3),
        "gateway_cpu_us_per_call": round(gateway, 1),
        "worker_cpu_us_per_call": round(worker, 1),
        "errors": sum(run[3] for run in runs),
        "connections": given.connections,
        "runs": given.runs,
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "python": platform.python_version(),
    }
    print(json.dumps(result))
    sys.exit(bool(result["errors"]))


if __name__ == "__main__":
    main()
