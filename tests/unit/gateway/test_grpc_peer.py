"""The gRPC listener and clients that break rules, stall, or never read."""

import asyncio
import gzip
import struct
import zlib
from pathlib import Path

import hpack
import pytest
from tests.unit.gateway.frames import HEADERS, START
from tests.unit.gateway.grpc_scenes import HEADER, Client, Peer, code, matrix, serving, sums
from tests.unit.gateway.harness import Harness
from tests.unit.gateway.support import STARTED, until
from tritonclient.grpc import service_pb2 as pb

from trimtab.gateway import grpc_exchange, http2_server
from trimtab.gateway.http2_frames import (
    DATA,
    END_STREAM,
    GOAWAY,
    RST_STREAM,
    Code,
    Setting,
    frame,
    reset,
    settings,
    window_update,
)


def test_what_is_not_grpc_is_told_so(tmp_path: Path) -> None:
    async def scenario(it: Harness, client: Client) -> None:
        peer = await Peer.connect(it)
        headers = [(n, b"text/html" if n == b"content-type" else v) for n, v in HEADERS]
        peer.write(peer.speaker.headers(1, headers=headers))
        assert b"415" in (await peer.until(HEADER)).payload
        assert code(await peer.until(RST_STREAM)) is Code.NO_ERROR
        peer.close()
        http1 = await Peer.connect(it, b"GET /v2 HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = await http1.reader.read()
        assert b"HTTP/1.1 400" in answer
        assert b"speaks gRPC" in answer
        http1.close()

    serving(tmp_path, scenario)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"", b"3"),
        (b"\0\0\0\0\x05abc", b"3"),
        (b"\0\0\0\0\0\0\0\0\0\0", b"3"),
        (b"\x01\0\0\0\0", b"3"),
        (b"\0\xff\xff\xff\xff", b"8"),
        (b"\0\0\0\0\x01\xff", b"3"),
    ],
)
def test_what_is_no_message_is_refused(tmp_path: Path, data: bytes, status: bytes) -> None:
    async def scenario(it: Harness, client: Client) -> None:
        peer = await Peer.connect(it)
        peer.write(peer.speaker.request(1, data, b"/inference.GRPCInferenceService/ModelInfer"))
        assert b"grpc-status\x01" + status in (await peer.until(HEADER)).payload
        peer.write(peer.speaker.request(3))
        assert b"grpc-status\x010" in (await peer.until(DATA), await peer.until(HEADER))[1].payload
        peer.close()

    serving(tmp_path, scenario)


def test_a_broken_message_ends_a_dialogue_after_the_answers_before_it(tmp_path: Path) -> None:
    async def scenario(it: Harness, client: Client) -> None:
        path = b"/inference.GRPCInferenceService/ModelStreamInfer"
        headers = [(n, path if n == b":path" else v) for n, v in HEADERS]
        raw = matrix().SerializeToString()
        good = struct.pack(">BL", 0, len(raw)) + raw
        for first, broken in ((b"", b"\xff\0\0\0\0"), (good, b"\0\xff\xff\xff\xff"), (good, b"\0")):
            peer = await Peer.connect(it)
            peer.write(peer.speaker.headers(1, headers=headers))
            if first:
                peer.write(frame(DATA, 0, 1, first))
                assert (await peer.until(DATA)).payload
            peer.write(frame(DATA, END_STREAM, 1, broken))
            ending = await peer.until(HEADER)
            assert b"grpc-status" in ending.payload
            assert ending.flags & END_STREAM
            peer.close()

    serving(tmp_path, scenario)


def test_unfinished_messages_of_one_connection_have_a_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grpc_exchange, "MAX_GATHERED", 3000)

    async def scenario(it: Harness, client: Client) -> None:
        peer = await Peer.connect(it)
        for stream in (1, 3, 5):
            peer.write(peer.speaker.headers(stream))
            peer.write(frame(DATA, 0, stream, struct.pack(">BL", 0, 5000) + bytes(1200)))
        refused = await peer.until(HEADER)
        assert (refused.stream, b"grpc-status\x018" in refused.payload) == (5, True)
        await until(lambda: connections_gather(it) == [2410])
        peer.write(reset(1, Code.CANCEL) + reset(3, Code.CANCEL))
        await until(lambda: connections_gather(it) == [0])
        peer.close()

    serving(tmp_path, scenario)


def connections_gather(it: Harness) -> list[int]:
    return [each.http2.gathered for each in it.gateway.http2.connections]


def test_a_compressed_bomb_is_not_unpacked(tmp_path: Path) -> None:
    async def scenario(it: Harness, client: Client) -> None:
        peer = await Peer.connect(it)
        bomb = gzip.compress(bytes(65 * 1024 * 1024))
        path = b"/inference.GRPCInferenceService/ModelInfer"
        headers = [(n, path if n == b":path" else v) for n, v in HEADERS]
        peer.write(peer.speaker.headers(1, headers=[*headers, (b"grpc-encoding", b"gzip")]))
        data = struct.pack(">BL", 1, len(bomb)) + bomb
        for at in range(0, len(data), 16_384):
            peer.write(frame(DATA, 0, 1, data[at : at + 16_384]))
        assert b"grpc-status\x018" in (await peer.until(HEADER)).payload
        peer.close()

    serving(tmp_path, scenario)


def test_slow_and_silent_clients_are_ended(tmp_path: Path) -> None:
    async def scenario(it: Harness, client: Client) -> None:
        loop, server = asyncio.get_running_loop(), it.gateway.http2
        silent = await Peer.connect(it, b"PRI")
        half = await Peer.connect(it, START + b"\0\0\x08\x06")
        body = await Peer.connect(it)
        body.write(body.speaker.headers(1))
        await until(lambda: sum(bool(each.http2.streams) for each in server.connections) == 1)
        await until(lambda: sum(each.http2.receiving for each in server.connections) == 2)
        server.tick(loop.time())
        server.tick(loop.time() + http2_server.FRAME_SECONDS)
        for peer in (silent, half):
            assert code(await peer.until(GOAWAY)) is Code.SETTINGS_TIMEOUT
            peer.close()
        server.tick(loop.time() + http2_server.BODY_IDLE_SECONDS)
        assert b"grpc-status\x014" in (await body.until(HEADER)).payload
        server.tick(loop.time() + http2_server.IDLE_SECONDS)
        assert code(await body.until(GOAWAY)) is Code.NO_ERROR
        server.tick(loop.time() + http2_server.IDLE_SECONDS + http2_server.LINGER_SECONDS)
        assert await body.reader.read() == b""
        body.close()

    serving(tmp_path, scenario)


def test_a_client_that_never_reads_its_answer_is_left(tmp_path: Path) -> None:
    async def scenario(it: Harness, client: Client) -> None:
        loop, server = asyncio.get_running_loop(), it.gateway.http2
        peer = await Peer.connect(it, START + b"\0\0\x06\x04\0\0\0\0\0\0\x04\0\0\0\0")
        peer.write(peer.speaker.request(1))
        await until(lambda: any(each.http2.outlet.stuck for each in server.connections))
        server.tick(loop.time())
        server.tick(loop.time() + http2_server.STALL_SECONDS)
        assert code(await peer.until(GOAWAY)) is Code.ENHANCE_YOUR_CALM
        peer.close()

    serving(tmp_path, scenario)


def test_a_timeout_header_bounds_the_call_at_the_server_too(tmp_path: Path) -> None:
    async def scenario(it: Harness, client: Client) -> None:
        STARTED[0].gate.clear()
        path = b"/inference.GRPCInferenceService/ModelInfer"
        raw = matrix().SerializeToString()
        headers = [(n, path if n == b":path" else v) for n, v in HEADERS]
        for limit, status in ((b"100m", b"4"), (b"1x", b"3"), (b"123456789S", b"3")):
            peer = await Peer.connect(it)
            start = peer.speaker.headers(1, headers=[*headers, (b"grpc-timeout", limit)])
            peer.write(start + frame(DATA, END_STREAM, 1, struct.pack(">BL", 0, len(raw)) + raw))
            assert b"grpc-status" + b"\x01" + status in (await peer.until(HEADER)).payload
            peer.close()
        STARTED[0].gate.set()

    serving(tmp_path, scenario)


@pytest.mark.parametrize(
    ("headers", "coding"),
    [
        ({}, None),
        ({b"grpc-accept-encoding": b"identity, deflate, gzip"}, None),
        ({b"grpc-accept-encoding": b"gzip"}, b"gzip"),
        ({b"grpc-accept-encoding": b"identity,deflate"}, b"deflate"),
        ({b"grpc-accept-encoding": b"identity,snappy"}, None),
        ({b"grpc-encoding": b"gzip", b"grpc-accept-encoding": b"identity,gzip,x"}, b"gzip"),
        ({b"grpc-encoding": b"identity"}, None),
    ],
)
@pytest.mark.parametrize("rows", [1, 1000, 20_000])
@pytest.mark.parametrize("stream", [False, True])
def test_answers_are_compressed_for_who_asks(
    tmp_path: Path, headers: dict[bytes, bytes], coding: bytes | None, rows: int, stream: bool
) -> None:
    """A client asks by compressing its own message, or by naming a single coding."""

    async def scenario(it: Harness, _: Client) -> None:
        peer = await Peer.connect(it)
        path = b"ModelStreamInfer" if stream else b"ModelInfer"
        given = {**dict(HEADERS), b":path": b"/inference.GRPCInferenceService/" + path, **headers}
        asked = matrix(rows).SerializeToString()
        message = b"\0" + len(asked).to_bytes(4, "big") + asked
        peer.write(window_update(0, 1 << 24) + settings({Setting.INITIAL_WINDOW_SIZE: 1 << 24}))
        peer.write(peer.speaker.headers(1, headers=list(given.items())))
        for start in range(0, len(message), 16384):
            end = start + 16384 >= len(message)
            piece = message[start : start + 16384]
            peer.write(frame(DATA, END_STREAM if end else 0, 1, piece))
        said = await peer.until(HEADER)
        told = dict(hpack.Decoder().decode(said.payload, raw=True))
        data = b""
        while (seen := await peer.frame()).kind != HEADER:
            data += seen.payload if seen.kind == DATA else b""
        peer.close()
        assert told.get(b"grpc-encoding") == (coding if stream or rows > 1 else None)
        packed = bool(coding) and rows > 1 and not (stream and rows > 16_384)
        assert data[0] == packed
        plain = zlib.decompress(data[5:], zlib.MAX_WBITS | 32) if packed else data[5:]
        if stream:
            answer = pb.ModelStreamInferResponse.FromString(plain).infer_response
        else:
            answer = pb.ModelInferResponse.FromString(plain)
        assert sums(answer) == [row + 1.0 for row in range(rows)]

    serving(tmp_path, scenario)
