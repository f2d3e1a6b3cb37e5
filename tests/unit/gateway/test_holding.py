"""All clients together may have only so much of their requests in a gateway."""

import asyncio
import gc
import gzip
from functools import partial
from pathlib import Path

import pytest
from tests.unit.gateway.frames import HEADERS, START, Speaker
from tests.unit.gateway.grpc_scenes import Client, matrix
from tests.unit.gateway.grpc_scenes import serving as serving_grpc
from tests.unit.gateway.harness import Harness
from tests.unit.gateway.support import STARTED, request, until
from tests.unit.gateway.test_http11 import LIVE, one_answer, post, serving

from trimtab.gateway import grpc_exchange, holding
from trimtab.gateway.faults import Fault
from trimtab.gateway.grpc_exchange import Dialogue, Turn, Unary
from trimtab.gateway.holding import Holding, Share
from trimtab.gateway.http2 import Http2
from trimtab.gateway.http2_frames import DATA, END_STREAM, MAX_FRAME, frame
from trimtab.gateway.http11 import Exchange

LARGE = request() + b" " * 100_000
"""JSON that is large, and yet read at once."""


@pytest.fixture(autouse=True)
def little(monkeypatch: pytest.MonkeyPatch) -> None:
    """Room for two such."""
    monkeypatch.setattr(holding, "MOST_HELD", 250_000)


async def told(it: Harness, *pieces: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A client that has sent something."""
    reader, writer = await asyncio.open_connection("127.0.0.1", it.port)
    writer.writelines(pieces)
    return reader, writer


def test_what_is_held_is_let_go_with_whoever_held_it() -> None:
    room = Holding()
    share, other = Share(room), Share(room)
    share.become(200_000)
    with pytest.raises(Fault, match="too much") as caught:
        other.become(60_000)
    assert (caught.value.status, room.held) == (429, 200_000)
    share.become(100_000)
    other.become(60_000)
    assert room.held == 160_000
    del share
    assert room.held == 60_000


def test_a_large_body_finds_no_room_while_others_wait_and_a_small_one_does(tmp_path: Path) -> None:
    async def scenario(it: Harness) -> None:
        gate, room = STARTED[0].gate, it.gateway.http.holding
        gate.clear()
        packed = gzip.compress(LARGE)
        waiting = [
            await told(it, post(LARGE)),
            await told(it, post(packed, "Content-Encoding: gzip")),
        ]
        await until(lambda: room.held > 200_000)
        for body in (LARGE, packed):
            coding = ["Content-Encoding: gzip"] if body is packed else []
            reader, writer = await told(it, post(body, *coding))
            assert (await one_answer(reader))[0] == 429
            writer.close()
        small, writer = await told(it, post(request()))
        gate.set()
        assert (await one_answer(small))[0] == 200
        writer.close()
        for reader, writer in waiting:
            assert (await one_answer(reader))[0] == 200
            writer.close()
        assert room.held == 0

    serving(tmp_path, scenario)


def test_what_has_not_arrived_whole_is_held_until_its_client_goes(tmp_path: Path) -> None:
    async def scenario(it: Harness) -> None:
        room, whole = it.gateway.http.holding, post(LARGE)
        clients = [await told(it, whole[:-1]) for _ in range(2)]
        await until(lambda: room.held > 200_000)
        reader, third = await told(it, whole[:-1])
        assert (await one_answer(reader))[0] == 429
        for _, writer in (*clients, (reader, third)):
            writer.close()
        await until(lambda: room.held == 0)

    serving(tmp_path, scenario)


def test_a_large_body_behind_an_offered_upgrade_is_refused_like_any_other(tmp_path: Path) -> None:
    async def scenario(it: Harness) -> None:
        it.gateway.http.holding.held = 200_000
        upgrade = post(LARGE, "Connection: Upgrade", "Upgrade: h2c")
        reader, writer = await told(it, upgrade)
        assert (await one_answer(reader))[0] == 429
        writer.close()

    serving(tmp_path, scenario)


def test_what_was_refused_is_not_held_while_its_answer_waits_for_others(tmp_path: Path) -> None:
    """Pipelined behind a slow answer: 5 MB on the wire were 766 MiB of memory."""

    async def scenario(it: Harness) -> None:
        gate, room = STARTED[0].gate, it.gateway.http.holding
        gate.clear()
        bomb = post(gzip.compress(b"{" + b" " * 100_000), "Content-Encoding: gzip")
        handle, came = it.gateway.http.handle, []

        def noted(exchange: Exchange, size: int) -> None:
            came.append(size)
            handle(exchange, size)

        it.gateway.http.handle = noted
        reader, writer = await told(it, post(request()))
        await until(lambda: len(came) == 1)
        for piece in (*[bomb] * 19, LIVE):
            sent = len(came)
            writer.write(piece)
            await until(partial(lambda before: len(came) > before and room.held == 0, sent))
        gate.set()
        assert [(await one_answer(reader))[0] for _ in range(21)] == [200, *[400] * 19, 200]
        writer.close()

    serving(tmp_path, scenario)


def test_messages_of_grpc_count_with_the_bodies_of_http(tmp_path: Path) -> None:
    async def scenario(it: Harness, client: Client) -> None:
        large = matrix(rows=8000)
        it.gateway.http.holding.held = 200_000
        error = await client.fails("ModelInfer", large)
        assert error.code().name == "RESOURCE_EXHAUSTED"
        await client.call("ModelInfer", matrix())
        it.gateway.http.holding.held = 0
        await client.call("ModelInfer", large)
        await until(lambda: it.gateway.http.holding.held == 0)

    serving_grpc(tmp_path, scenario)


def test_a_question_of_a_dialogue_finds_no_room_either() -> None:
    sent, speaker = bytearray(), Speaker()
    turns: list[object] = []
    http2 = Http2(
        lambda stream: Dialogue(stream, lambda *turn: turns.append(turn), None, Turn), sent.extend
    )
    http2.receive(START)
    packed = gzip.compress(bytes(100_000))
    message = b"\x01" + len(packed).to_bytes(4) + packed
    headers = [*HEADERS, (b"grpc-encoding", b"gzip")]
    http2.receive(speaker.headers(1, headers=headers))
    for _ in range(3):
        http2.receive(frame(DATA, 0, 1, message))
    assert len(turns) == 2
    assert not http2.streams
    turns.clear()
    assert http2.holding.held == 0


def test_a_call_that_was_given_up_holds_nothing_once_nobody_works_for_it() -> None:
    taken: list[object] = []
    sent, speaker = bytearray(), Speaker()
    http2 = Http2(lambda stream: Unary(stream, lambda *call: taken.append(call), None), sent.extend)
    http2.receive(START + speaker.headers(1))
    message = b"\0" + (100_000).to_bytes(4) + bytes(100_000)
    for start in range(0, len(message), MAX_FRAME):
        http2.receive(frame(DATA, 0, 1, message[start : start + MAX_FRAME]))
    http2.receive(frame(DATA, END_STREAM, 1, b""))
    assert http2.holding.held == 100_000
    http2.lose()
    assert http2.holding.held == 100_000
    gc.disable()
    try:
        taken.clear()
        assert http2.holding.held == 0
    finally:
        gc.enable()


def test_a_message_of_grpc_that_waits_for_its_end_counts_without_its_compression(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(holding, "MOST_HELD", 2**30)
    monkeypatch.setattr(grpc_exchange, "MAX_GATHERED", 1_500_000)
    sent, speaker = bytearray(), Speaker()
    http2 = Http2(lambda stream: Unary(stream, lambda *_: None, None), sent.extend)
    http2.receive(START)
    packed = gzip.compress(bytes(500_000))
    message = b"\x01" + len(packed).to_bytes(4) + packed
    headers = [*HEADERS, (b"grpc-encoding", b"gzip")]
    for number in (1, 3, 5):
        http2.receive(speaker.headers(number, headers=headers) + frame(DATA, 0, number, message))
    assert list(http2.streams) == [1, 3]
    assert http2.holding.held == http2.gathered > 1_000_000
    http2.lose()
    assert http2.holding.held == http2.gathered == 0
