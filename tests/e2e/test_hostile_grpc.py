"""What a hostile client of gRPC can send costs the gateway little, and others notice nothing."""

import contextlib
import gzip
import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest
from tests.e2e.test_hostile import CPU_SECONDS, MEMORY, Victim
from tests.support.machine import Machine
from tests.unit.gateway.frames import HEADERS, START, Speaker
from tests.unit.gateway.support import NUMERIC, snapshot, target, write_routing

from trimtab.gateway import http2_frames as frames
from trimtab.gateway.http2_frames import END_HEADERS, END_STREAM, MAX_FRAME, Code, frame
from trimtab.gateway.protobuf import integers, nested, text

pytestmark = pytest.mark.e2e

INFER = b"/inference.GRPCInferenceService/ModelInfer"
TO_INFER = [(name, INFER if name == b":path" else value) for name, value in HEADERS]


class GrpcVictim(Victim):
    """A gateway under attack on its gRPC port."""

    def answers(self) -> bool:
        """Whether a good call is answered."""
        with grpc.insecure_channel(f"127.0.0.1:{self.port}") as channel:
            infer = channel.unary_unary(INFER.decode())
            answer = infer(message(tensor(struct.pack("<4d", 1, 2, 3, 4), [2, 2])), timeout=10)
            return bool(answer.endswith(struct.pack("<2d", 3, 7)))

    def send(self, *pieces: bytes) -> bytes:
        """Send as much as it takes; all that comes back until a status or the end."""
        with self.connect() as line:
            with contextlib.suppress(ConnectionError):
                for piece in pieces:
                    line.sendall(piece)
            return until_status(line)


def until_status(line: socket.socket) -> bytes:
    data = b""
    with contextlib.suppress(ConnectionError):
        while b"grpc-status" not in data and (more := line.recv(65536)):
            data += more
    return data


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GrpcVictim]:
    """A gateway with one worker, warm."""
    home: Path = tmp_path_factory.mktemp("hostile")
    machine = Machine(home)
    release = target(1, "run/w/1.sock", signature=NUMERIC)
    write_routing(home, snapshot(1, [release], [(1, "stable", 10_000)]))
    try:
        machine.worker(1)
        process = machine.gateway()
        made = GrpcVictim(f"http://{machine.grpc}", process.pid)
        assert made.answers()
        yield made
    finally:
        machine.stop()


def tensor(raw: bytes, shape: list[int]) -> bytes:
    declared = text(1, "m") + text(2, "FP64") + integers(3, shape)
    return nested(5, declared) + nested(7, raw)


def message(*parts: bytes) -> bytes:
    return text(1, "d") + b"".join(parts)


def call(body: bytes, encoding: bytes | None = None) -> tuple[bytes, ...]:
    """A ModelInfer within what the windows allow at once."""
    headers = TO_INFER + ([(b"grpc-encoding", encoding)] if encoding else [])
    data = struct.pack(">BL", encoding is not None, len(body)) + body
    assert len(data) < 1024 * 1024
    pieces = [data[at : at + MAX_FRAME] for at in range(0, len(data), MAX_FRAME)]
    last = len(pieces) - 1
    bodies = (frame(0, END_STREAM * (i == last), 1, piece) for i, piece in enumerate(pieces))
    return (START, Speaker().headers(1, headers=headers), *bodies)


def flood(make: Callable[[Speaker, int], bytes], count: int = 20_000) -> tuple[bytes, ...]:
    speaker = Speaker()
    return (START, b"".join(make(speaker, number) for number in range(count)))


def rapid_reset(speaker: Speaker, number: int) -> bytes:
    stream = 2 * number + 1
    return speaker.headers(stream, headers=TO_INFER) + frames.reset(stream, Code.CANCEL)


BAD, FULL = b"grpc-status\x013", b"grpc-status\x018"
CALM = struct.pack(">L", Code.ENHANCE_YOUR_CALM)
LARGE = [*HEADERS, (b"x", b"y" * 3000)]

ATTACKS: dict[str, tuple[Callable[[], tuple[bytes, ...]], bytes]] = {
    "4 GB promised": (
        lambda: (
            START,
            Speaker().headers(1, headers=TO_INFER) + frame(0, 0, 1, b"\0\xff\xff\xff\xff"),
        ),
        FULL,
    ),
    "a bomb of gzip": (lambda: call(gzip.compress(bytes(1 << 29), 9), b"gzip"), FULL),
    "rapid reset": (lambda: flood(rapid_reset), CALM),
    "pings": (lambda: flood(lambda _, i: frame(frames.PING, 0, 0, bytes(8))), CALM),
    "settings": (lambda: flood(lambda _, i: frames.settings({})), CALM),
    "empty data": (
        lambda: flood(lambda s, i: frame(0, 0, 1) if i else s.headers(1, headers=TO_INFER)),
        CALM,
    ),
    "headers without end": (
        lambda: flood(
            lambda _, i: frame(frames.CONTINUATION if i else frames.HEADERS, 0, 1, bytes(1000)), 99
        ),
        CALM,
    ),
    "headers that unpack to megabytes": (
        lambda: (
            START,
            frame(
                frames.HEADERS,
                END_HEADERS,
                1,
                (speaker := Speaker()).encoder.encode(LARGE)
                + speaker.encoder.encode([(b"x", b"y" * 3000)]) * 9000,
            ),
        ),
        CALM,
    ),
    "half a million unknown fields": (lambda: call(b"\x48\x00" * 500_000), BAD),
    "half a million fields in a tensor": (
        lambda: call(message(nested(5, b"\x48\x00" * 500_000))),
        BAD,
    ),
    "a million dimensions": (lambda: call(message(nested(5, nested(3, b"\x01" * 1_000_000)))), BAD),
    "thirty thousand inputs": (lambda: call(message(nested(5, text(1, "m")) * 30_000)), BAD),
    "thirty thousand parameters": (
        lambda: call(message(*(nested(4, text(1, f"p{n}")) for n in range(30_000)))),
        BAD,
    ),
    "a product of dimensions beyond 64 bits": (
        lambda: call(message(tensor(bytes(16), [2**62, 2**62]))),
        BAD,
    ),
    "a negative dimension": (lambda: call(message(tensor(bytes(16), [-1, 2]))), BAD),
    "numbers that do not end": (
        lambda: call(
            message(nested(5, text(2, "INT64") + nested(5, nested(3, b"\xff" * 900_000))))
        ),
        BAD,
    ),
    "noise": (
        lambda: (START, np.random.default_rng(1).bytes(100_000)),
        struct.pack(">L", Code.FRAME_SIZE_ERROR),
    ),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_is_answered_and_costs_little(victim: GrpcVictim, name: str) -> None:
    make, told = ATTACKS[name]
    pieces = make()
    before, memory = victim.cpu, victim.memory
    answer = victim.send(*pieces)
    assert victim.cpu - before < CPU_SECONDS
    assert victim.memory - memory < MEMORY
    assert told in answer
    assert victim.answers()
