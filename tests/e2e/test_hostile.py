"""What a hostile client can send costs the gateway little, and others notice nothing.

Cost is measured where it arises: CPU time and memory of the gateway's own process.
"""

import contextlib
import gzip
import json
import os
import resource
import socket
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import httpx
import pytest
from tests.support.machine import Machine
from tests.unit.gateway.support import NUMERIC, snapshot, target, tensor, write_routing

pytestmark = pytest.mark.e2e

CPU_SECONDS = 0.25
"""Twice the intended 0.1 s, and the two clock ticks by which a process's time is rounded."""
MEMORY = 100 * 1024 * 1024
TICKS = os.sysconf("SC_CLK_TCK")

PATH = "/v2/models/d/infer"
GOOD = {"inputs": [tensor("a", "FP64", [1.0]), tensor("b", "INT32", [2])]}


class Victim:
    """A gateway under attack."""

    def __init__(self, url: str, pid: int) -> None:
        self.url = url
        self.port = int(url.rpartition(":")[2])
        self._process = Path(f"/proc/{pid}")

    @property
    def cpu(self) -> float:
        """Seconds of CPU that it has used."""
        fields = (self._process / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    @property
    def memory(self) -> int:
        """Resident bytes."""
        return int((self._process / "statm").read_text().split()[1]) * resource.getpagesize()

    def connect(self) -> socket.socket:
        """A raw connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def send(self, *pieces: bytes) -> bytes:
        """Send as much as it takes; all that comes back until it closes or answers once."""
        with self.connect() as line:
            with contextlib.suppress(ConnectionError):
                for piece in pieces:
                    line.sendall(piece)
            return first_answer(line)

    def answers(self) -> bool:
        """Whether a good request is answered."""
        answer = httpx.post(self.url + PATH, json=GOOD, timeout=10)
        return bool(answer.json()["outputs"][0]["data"] == [3.0])


def first_answer(line: socket.socket) -> bytes:
    """Head and body of one answer."""
    data = b""
    with contextlib.suppress(ConnectionError):
        while b"\r\n\r\n" not in data or b"}" not in data:
            more = line.recv(65536)
            if not more:
                break
            data += more
    return data


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victim]:
    """A gateway with one worker, warm."""
    home = tmp_path_factory.mktemp("hostile")
    machine = Machine(home)
    release = target(1, "run/w/1.sock", signature=NUMERIC)
    write_routing(home, snapshot(1, [release], [(1, "stable", 10_000)]))
    try:
        machine.worker(1)
        process = machine.gateway()
        made = Victim(machine.url, process.pid)
        assert made.answers()
        yield made
    finally:
        machine.stop()


@contextlib.contextmanager
def cheap(victim: Victim, cpu: float = CPU_SECONDS) -> Iterator[None]:
    """What happens inside costs little CPU and leaves no memory behind; then all is well."""
    before, memory = victim.cpu, victim.memory
    yield
    assert victim.cpu - before < cpu
    assert victim.memory - memory < MEMORY
    assert victim.answers()


def post(body: bytes, *headers: str, path: str = PATH) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def asked(*inputs: Mapping[str, object]) -> bytes:
    return json.dumps({"inputs": inputs}).encode()


HUGE = {"name": "m", "datatype": "FP64", "shape": [10**9], "data": [1, 2, 3]}
RAW = {
    "name": "m",
    "datatype": "FP64",
    "shape": [2**31, 2],
    "parameters": {"binary_data_size": 16},
}
DEEP = b"[" * 1_000_000

ATTACKS: dict[str, tuple[Callable[[], tuple[bytes, ...]], int]] = {
    "4 GB promised": (lambda: (b"POST / HTTP/1.1\r\nContent-Length: 4294967296\r\n\r\n",), 413),
    "a length beyond 64 bits": (
        lambda: (b"POST / HTTP/1.1\r\nContent-Length: %b\r\n\r\n" % (b"9" * 30),),
        400,
    ),
    "two lengths": (
        lambda: (b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",),
        400,
    ),
    "length and chunks": (
        lambda: (
            b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        400,
    ),
    "a billion elements in the shape": (lambda: (post(asked(HUGE)),), 400),
    "a product of dimensions beyond 64 bits": (
        lambda: (post(asked({**HUGE, "shape": [2**62, 2**62]})),),
        400,
    ),
    "a dimension beyond 64 bits": (lambda: (post(asked({**HUGE, "shape": [10**400]})),), 400),
    "a hundred thousand dimensions": (
        lambda: (post(asked({**HUGE, "shape": [1] * 100_000})),),
        400,
    ),
    "a number of a million digits": (
        lambda: (post(asked(HUGE).replace(b"1, 2, 3", b"9" * 1_000_000)),),
        400,
    ),
    "a million levels": (lambda: (post(b'{"inputs": ' + DEEP),), 400),
    "a million levels of data": (
        lambda: (post(asked({**HUGE, "data": None}).replace(b"null", DEEP)),),
        400,
    ),
    "a million levels of instances": (
        lambda: (post(b'{"instances": ' + DEEP, path="/invocations/d"),),
        400,
    ),
    "a gzip bomb": (
        lambda: (post(gzip.compress(b" " * 300_000_000, 1), "Content-Encoding: gzip"),),
        413,
    ),
    "gzip of gzip": (
        lambda: (post(gzip.compress(gzip.compress(b"{}")), "Content-Encoding: gzip, gzip"),),
        415,
    ),
    "more JSON than there is body": (
        lambda: (post(b"{}", "Inference-Header-Content-Length: 4294967296"),),
        400,
    ),
    "binary sizes that overflow": (
        lambda: (
            post(
                asked(RAW) + bytes(16),
                f"Inference-Header-Content-Length: {len(asked(RAW))}",
            ),
        ),
        400,
    ),
    "texts longer than their tensor": (
        lambda: (
            post(
                struct.pack("<I", 2**32 - 2) + b"a",
                "Inference-Header-Content-Length: 0",
            ),
        ),
        400,
    ),
    "a hundred thousand headers": (
        lambda: (b"GET / HTTP/1.1\r\n", b"a: b\r\n" * 100_000, b"\r\n"),
        431,
    ),
    "one endless header": (lambda: (b"GET / HTTP/1.1\r\na: ", b"a" * 10_000_000), 431),
    "one endless target": (lambda: (b"GET /", b"a" * 10_000_000), 431),
    "a target of NULs": (lambda: (b"GET /\0\0 HTTP/1.1\r\n\r\n",), 400),
    "a boundary of a megabyte": (
        lambda: (post(b"x", "Content-Type: multipart/form-data; boundary=" + "a" * 60_000),),
        415,
    ),
    "a chunk beyond 64 bits": (
        lambda: (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + b"f" * 20 + b"\r\n",),
        400,
    ),
    "a chunk that is no number": (
        lambda: (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",),
        400,
    ),
    "a chunk that is longer than it says": (
        lambda: (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n",),
        400,
    ),
    "TLS": (lambda: (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),), 400),
    "the preface of HTTP/2": (lambda: (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",), 400),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_is_refused_cheaply(victim: Victim, attack: str) -> None:
    made, status = ATTACKS[attack]
    pieces = made()
    with cheap(victim):
        answer = victim.send(*pieces)
    assert answer.startswith(b"HTTP/1.1 %d " % status), answer[:300]
    assert list(json.loads(answer.partition(b"\r\n\r\n")[2])) == ["error"] or b"message" in answer


def test_a_body_of_a_hundred_thousand_chunks_is_a_body(victim: Victim) -> None:
    body = asked(GOOD["inputs"][0], GOOD["inputs"][1]).ljust(100_000)
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body)
    head = f"POST {PATH} HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    with cheap(victim):
        answer = victim.send(head, chunks, b"0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "name", ["\0", "a\0b", "\u202ed", "d\u0301", "../d", "..%2fd", "%00", "d%00", "d/", "D", "ｄ"]
)
def test_names_are_compared_and_never_interpreted(victim: Victim, name: str) -> None:
    quoted = "".join(f"%{byte:02x}" for byte in name.encode())
    with cheap(victim):
        for path in (f"/v2/models/{quoted}/infer", f"/invocations/{quoted}"):
            answer = victim.send(post(b"{}", path=path))
            assert answer.startswith((b"HTTP/1.1 404 ", b"HTTP/1.1 400 ")), answer


def test_a_flood_of_pipelined_requests_is_answered_in_order(victim: Victim) -> None:
    """Ten thousand in one connection; who never reads does not make the gateway hoard answers."""
    one = b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n"
    with cheap(victim, cpu=2.0), victim.connect() as line:
        line.sendall(one * 10_000)
        answers = bytearray()
        while answers.count(b"HTTP/1.1 200") < 10_000:  # one may come in two pieces
            answers += line.recv(1 << 20)
    with cheap(victim, cpu=2.0), victim.connect() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.settimeout(0.5)
        with contextlib.suppress(TimeoutError):
            for _ in range(1000):
                deaf.sendall(one * 1000)
            raise AssertionError("the gateway read a million requests whose answers nobody takes")


def test_idle_and_half_open_connections_cost_nothing(victim: Victim) -> None:
    """As many as this machine lets one process open, ten thousand at most."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    count = min(10_000, hard - 500)
    lines: list[socket.socket] = []
    try:
        with cheap(victim, cpu=5.0):
            for number in range(count):
                lines.append(victim.connect())
                if number % 3 == 1:
                    lines[-1].sendall(b"POST /v2/models/d/infer HTTP/1.1\r\nContent-")
                elif number % 3 == 2:
                    lines[-1].shutdown(socket.SHUT_WR)
            started = time.monotonic()
            assert victim.answers()
            assert time.monotonic() - started < 2
    finally:
        for line in lines:
            line.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_slow_client_is_sent_away(victim: Victim) -> None:
    """A header that trickles ends after its five seconds however steadily it comes."""
    with victim.connect() as line:
        line.settimeout(0.25)
        line.sendall(b"GET / HTTP/1.1\r\n")
        answer = b""
        end = time.monotonic() + 15
        while not answer and time.monotonic() < end:
            with contextlib.suppress(TimeoutError):
                line.sendall(b"a: b\r\n")
                answer = line.recv(4096)
    assert answer.startswith(b"HTTP/1.1 408 ")
