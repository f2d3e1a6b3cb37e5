"""The gRPC listener and clients that break rules, stall, or never read."""

import asyncio
import gzip
import struct
from pathlib import Path

import pytest
from tests.unit.gateway.frames import HEADERS, START
from tests.unit.gateway.grpc_scenes import HEADER, Client, Peer, code, matrix, serving
from tests.unit.gateway.harness import Harness
from tests.unit.gateway.support import STARTED, until

from trimtab.gateway import grpc_exchange, http2_server
from trimtab.gateway.http2_frames import (
    DATA,
    END_STREAM,
    GOAWAY,
    RST_STREAM,
    Code,
    frame,
    reset,
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
