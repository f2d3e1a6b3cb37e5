"""HTTP as clients really speak it, good and bad, over raw sockets."""

import asyncio
import gzip
import json
import threading
import zlib
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from tests.unit.gateway.harness import Harness, running
from tests.unit.gateway.scenarios import STABLE, times, worker
from tests.unit.gateway.support import STARTED, request, stop_workers, until

from trimtab.gateway import coding, http11
from trimtab.gateway.faults import Fault

LIVE = b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n"


def serving(tmp_path: Path, scenario: Callable[[Harness], Awaitable[None]]) -> None:
    """Run `scenario` against a gateway with one worker."""

    async def bounded() -> None:
        try:
            async with asyncio.timeout(20):
                await worker(tmp_path, 1, times(1))
                async with running(tmp_path, STABLE) as it:
                    await scenario(it)
        finally:
            await stop_workers()

    asyncio.run(bounded())


async def exchange(it: Harness, *pieces: bytes, answers: int = 1) -> list[tuple[int, bytes]]:
    """Send the pieces one by one; returns status and body of the answers, in order."""
    reader, writer = await asyncio.open_connection("127.0.0.1", it.port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        return [await one_answer(reader) for _ in range(answers)]
    finally:
        writer.close()
        await writer.wait_closed()


async def one_answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    length = 0
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    return int(head.split()[1]), await reader.readexactly(length)


def post(body: bytes, *headers: str, path: str = "/v2/models/d/infer") -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def test_pipelined_requests_are_answered_in_order(tmp_path: Path) -> None:
    """Also when a later one is ready before an earlier one."""

    async def scenario(it: Harness) -> None:
        body = request([4.0], id="first")
        answers = await exchange(it, post(body) + LIVE + post(body), answers=3)
        assert [status for status, _ in answers] == [200, 200, 200]
        assert json.loads(answers[0][1])["id"] == "first"
        assert json.loads(answers[1][1]) == {"live": True}
        assert json.loads(answers[2][1])["id"] == "first"

    serving(tmp_path, scenario)


def test_a_request_may_come_byte_by_byte(tmp_path: Path) -> None:
    async def scenario(it: Harness) -> None:
        whole = post(request())
        answers = await exchange(it, *(whole[i : i + 1] for i in range(len(whole))))
        assert answers[0][0] == 200

    serving(tmp_path, scenario)


def test_bodies_may_be_chunked_compressed_or_both(tmp_path: Path) -> None:
    async def scenario(it: Harness) -> None:
        body = request()
        packed = zlib.compress(body)
        raw = zlib.compressobj(wbits=-15)
        for data, encoding in (
            (gzip.compress(body), "gzip"),
            (packed, "deflate"),
            (raw.compress(body) + raw.flush(), "deflate"),
        ):
            answers = await exchange(it, post(data, f"Content-Encoding: {encoding}"))
            assert answers[0][0] == 200
        head = b"POST /v2/models/d/infer HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
        head += b"Content-Encoding: deflate\r\n\r\n"
        chunks = [b"%x\r\n%b\r\n" % (1, packed[i : i + 1]) for i in range(len(packed))]
        answers = await exchange(it, head, *chunks, b"0\r\n\r\n")
        assert answers[0][0] == 200

    serving(tmp_path, scenario)


def chunked(body: bytes, after: bytes) -> bytes:
    """A request with its body in one chunk and what comes behind that."""
    head = b"POST /v2/models/d/infer HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + b"%x\r\n%b\r\n" % (len(body), body) + after


def test_others_are_answered_while_a_packed_body_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bodies of 0.4 MB that unpack to 64 MiB had them all wait for a second and more."""
    begun, goes_on, plainly = threading.Event(), threading.Event(), coding.decoded
    monkeypatch.setattr(http11, "PACKED_IN_PLACE", 10)

    def slowly(body: bytes, encoding: bytes | None) -> bytes:
        begun.set()
        assert goes_on.wait(10)
        return plainly(body, encoding)

    async def scenario(it: Harness) -> None:
        monkeypatch.setattr(coding, "decoded", slowly)
        packed = post(gzip.compress(request([4.0])), "Content-Encoding: gzip")
        broken = post(b"\x1f\x8b" + bytes(100), "Content-Encoding: gzip")
        waiting = asyncio.create_task(exchange(it, packed, broken, LIVE, answers=3))
        _, leaving = await asyncio.open_connection("127.0.0.1", it.port)
        leaving.write(packed)
        await until(begun.is_set)
        assert await exchange(it, LIVE) == [(200, b'{"live":true}')]
        leaving.close()
        await until(lambda: len(it.gateway.http.connections) == 1)
        goes_on.set()
        assert [status for status, _ in await waiting] == [200, 400, 200]

    serving(tmp_path, scenario)


def test_a_trailer_does_not_say_what_a_header_does(tmp_path: Path) -> None:
    async def scenario(it: Harness) -> None:
        trailers = b"Content-Encoding: br\r\nContent-Type: text/csv\r\n"
        whole = chunked(request(), b"0\r\n" + trailers + b"\r\n")
        assert (await exchange(it, whole))[0][0] == 200

    serving(tmp_path, scenario)


@pytest.mark.parametrize("after", [b"0\r\nX: ", b"0\r\nX", b"2;x="])
def test_what_follows_a_body_without_end_is_not_kept(tmp_path: Path, after: bytes) -> None:
    async def scenario(it: Harness) -> None:
        endless = [b"a" * 65536] * 16
        assert (await exchange(it, chunked(request(), after), *endless))[0][0] == 431

    serving(tmp_path, scenario)


def test_expect_continue_is_answered_before_the_body_is_sent(tmp_path: Path) -> None:
    async def scenario(it: Harness) -> None:
        whole = post(request(), "Expect: 100-continue")
        head, _, body = whole.partition(b"\r\n\r\n")
        reader, writer = await asyncio.open_connection("127.0.0.1", it.port)
        writer.write(head + b"\r\n\r\n")
        assert (await one_answer(reader))[0] == 100
        writer.write(body)
        assert (await one_answer(reader))[0] == 200
        writer.close()

    serving(tmp_path, scenario)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nbad header\r\n\r\n", 400),
        (b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (b"DELETE /v2 HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        (b"GET /v2/models/d/infer HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        (post(b"{}", "Content-Type: text/csv"), 415),
        (post(b"{}", "Content-Encoding: br"), 415),
        (post(b"{}", "Content-Encoding: gzip"), 400),
        (post(gzip.compress(b"{}")[:-4], "Content-Encoding: gzip"), 400),
        (post(b"{}", "Inference-Header-Content-Length: 2"), 400),
        (post(b"{}", "Inference-Header-Content-Length: 3"), 400),
        (post(b"{}", "Inference-Header-Content-Length: -1"), 400),
        (post(b"{}", "Inference-Header-Content-Length: 1e3"), 400),
        (post(b"{}", f"Inference-Header-Content-Length: {'9' * 5000}"), 400),
        (post(b"{}", "Content-Type: application/octet-stream"), 415),
        (post(b"{}", "Content-Type: application/x-www-form-urlencoded"), 415),
        (post(b"{}", "X-Trimtab-Timeout-Ms: soon"), 400),
        (post(b"{}", f"X-Request-Id: {'a' * 300}"), 400),
        (post(b"{}", "Expect: magic"), 417),
        (post(b"{not json"), 400),
        (b"POST /v2/models/d/infer HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", 413),
        (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 20_000 + b"\r\n", 431),
    ],
)
def test_what_cannot_be_served_gets_a_status_and_an_error(
    tmp_path: Path, sent: bytes, status: int
) -> None:
    async def scenario(it: Harness) -> None:
        ((code, body),) = await exchange(it, sent)
        assert code == status
        assert set(json.loads(body)) == {"error"}
        assert (await it.infer(request())).status_code == 200

    serving(tmp_path, scenario)


def test_a_gzip_bomb_is_not_unpacked() -> None:
    bomb = gzip.compress(b"0" * (coding.FIRST_INFLATED + 1))
    with pytest.raises(Fault, match="less than 1/200") as caught:
        coding.decoded(bomb, b"gzip")
    assert caught.value.status == 413


def test_an_inflated_body_has_the_limit_of_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    body = bytes(range(256)) * 12_000
    packed = zlib.compress(body, 0)
    assert coding.decoded(packed, b"deflate") == body
    monkeypatch.setattr(coding, "MAX_BODY", len(body) - 1)
    with pytest.raises(Fault, match="larger than") as caught:
        coding.decoded(packed, b"deflate")
    assert caught.value.status == 413


def test_head_is_get_without_the_body(tmp_path: Path) -> None:
    async def scenario(it: Harness) -> None:
        answer = await it.client.head("/v2/health/live")
        assert answer.status_code == 200
        assert answer.headers["content-length"] == "13"
        assert answer.content == b""

    serving(tmp_path, scenario)


def test_an_offered_upgrade_is_ignored(tmp_path: Path) -> None:
    async def scenario(it: Harness) -> None:
        upgrade = post(request(), "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c")
        answers = await exchange(it, upgrade, LIVE, answers=2)
        assert [status for status, _ in answers] == [200, 200]

    serving(tmp_path, scenario)


def test_a_body_behind_an_offered_upgrade_may_take_long_as_long_as_it_comes(
    tmp_path: Path,
) -> None:
    """Java's client offers one with every request."""

    async def scenario(it: Harness) -> None:
        whole = post(request(), "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c")
        reader, writer = await asyncio.open_connection("127.0.0.1", it.port)
        writer.write(whole[:-20])
        await until(lambda: any(each.receiving for each in it.gateway.http.connections))
        (connection,) = it.gateway.http.connections
        later = asyncio.get_running_loop().time() + http11.BODY_IDLE_SECONDS + 0.02
        assert connection.expired(later)
        await asyncio.sleep(0.02)
        writer.write(whole[-20:-10])
        await until(lambda: not connection.expired(later))
        writer.write(whole[-10:])
        assert (await one_answer(reader))[0] == 200
        writer.close()

    serving(tmp_path, scenario)


def test_a_target_may_name_the_whole_address(tmp_path: Path) -> None:
    async def scenario(it: Harness) -> None:
        body = request()
        for target in ("http://gateway:8080/v2/models/d/infer", "HTTP://x/v2/models/d/infer?a=b"):
            assert (await exchange(it, post(body, path=target)))[0][0] == 200
        for target in ("http://gateway", "http://gateway?a=http://x/v2", "*", "/x://v2"):
            assert (await exchange(it, post(body, path=target)))[0][0] == 404

    serving(tmp_path, scenario)


def test_a_client_of_http_1_0_is_told_that_its_connection_stays(tmp_path: Path) -> None:
    async def scenario(it: Harness) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", it.port)
        old = LIVE.replace(b"1.1", b"1.0")
        for _ in range(3):
            writer.write(old.replace(b"Host: x", b"Connection: Keep-Alive"))
            head = await reader.readuntil(b"\r\n\r\n")
            assert b"\r\nConnection: keep-alive\r\n" in head
            assert await reader.readexactly(13) == b'{"live":true}'
        writer.write(old)
        assert b"\r\nConnection: close\r\n" in await reader.readuntil(b"\r\n\r\n")
        assert await reader.read() == b'{"live":true}'
        writer.close()

    serving(tmp_path, scenario)


def test_a_client_of_http_1_0_is_not_told_to_continue(tmp_path: Path) -> None:
    async def scenario(it: Harness) -> None:
        asked = post(request(), "Expect: 100-continue").replace(b"HTTP/1.1", b"HTTP/1.0")
        assert (await exchange(it, asked))[0][0] == 200

    serving(tmp_path, scenario)


def test_the_time_of_a_request_does_not_run_while_it_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its client asks for much at once, and nothing more is read before some of it is answered."""
    monkeypatch.setattr(http11, "MAX_PIPELINED", 2)

    async def scenario(it: Harness) -> None:
        gate = STARTED[0].gate
        gate.clear()
        half = len(LIVE) // 2
        reader, writer = await asyncio.open_connection("127.0.0.1", it.port)
        writer.write(post(request()) * 2 + LIVE[:half])
        await until(lambda: any(each.receiving for each in it.gateway.http.connections))
        it.gateway.http.tick(asyncio.get_running_loop().time() + http11.BODY_IDLE_SECONDS + 1)
        gate.set()
        assert [(await one_answer(reader))[0] for _ in range(2)] == [200, 200]
        writer.write(LIVE[half:])
        assert await one_answer(reader) == (200, b'{"live":true}')
        writer.close()

    serving(tmp_path, scenario)


def test_slow_and_silent_clients_are_ended(tmp_path: Path) -> None:
    async def scenario(it: Harness) -> None:
        connections = it.gateway.http.connections
        half_reader, half = await asyncio.open_connection("127.0.0.1", it.port)
        half.write(b"GET / HTTP/1.1\r\nHost:")
        silent_reader, silent = await asyncio.open_connection("127.0.0.1", it.port)
        await until(lambda: len(connections) == 2 and any(c.receiving for c in connections))
        it.gateway.http.tick(asyncio.get_running_loop().time() + 6)
        assert (await one_answer(half_reader))[0] == 408
        assert await silent_reader.read() == b""
        half.close()
        silent.close()

    serving(tmp_path, scenario)


def test_many_silent_clients_are_ended_a_few_at_a_time_and_one_that_speaks_meanwhile_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http11, "ENDED_TOGETHER", 2)
    monkeypatch.setattr(http11, "REST_SECONDS", 1.0)

    async def scenario(it: Harness) -> None:
        connections = it.gateway.http.connections
        clients = [await asyncio.open_connection("127.0.0.1", it.port) for _ in range(5)]
        await until(lambda: len(connections) == 5)
        it.gateway.http.tick(asyncio.get_running_loop().time() + 6)
        await until(lambda: sum(reader.at_eof() for reader, _ in clients) == 2)
        reader, writer = next(each for each in clients if not each[0].at_eof())
        writer.write(LIVE)
        assert (await one_answer(reader))[0] == 200
        await until(lambda: len(connections) == 1)
        assert not reader.at_eof()
        for _, each in clients:
            each.close()

    serving(tmp_path, scenario)


def test_draining_answers_what_came_and_closes(tmp_path: Path) -> None:
    async def scenario(it: Harness) -> None:
        gate = STARTED[0].gate
        gate.clear()
        reader, writer = await asyncio.open_connection("127.0.0.1", it.port)
        writer.write(post(request()))
        await until(lambda: any(c.busy for c in it.gateway.http.connections))
        it.gateway.http.drain()
        gate.set()
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        assert b"Connection: close" in head
        await reader.read()
        writer.close()

    serving(tmp_path, scenario)


def test_a_request_that_was_sent_before_its_client_could_know_is_answered(tmp_path: Path) -> None:
    async def scenario(it: Harness) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", it.port)
        writer.write(LIVE)
        await one_answer(reader)
        it.gateway.http.drain()
        assert it.gateway.http.busy
        writer.write(LIVE)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        assert b"Connection: close" in head
        await reader.read()
        writer.close()
        await until(lambda: not it.gateway.http.busy)

    serving(tmp_path, scenario)


def test_an_idle_connection_ends_when_the_time_for_a_last_request_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http11, "LAST_REQUEST_SECONDS", 0.05)

    async def scenario(it: Harness) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", it.port)
        writer.write(LIVE)
        await one_answer(reader)
        it.gateway.http.drain()
        assert await reader.read() == b""
        assert not it.gateway.http.busy
        writer.close()

    serving(tmp_path, scenario)


def test_a_gateway_that_stops_is_not_ready_any_more(tmp_path: Path) -> None:
    async def scenario(it: Harness) -> None:
        asked = b"GET /v2/health/ready HTTP/1.1\r\nHost: x\r\n\r\n"
        reader, writer = await asyncio.open_connection("127.0.0.1", it.port)
        writer.write(asked)
        assert (await one_answer(reader))[0] == 200
        it.gateway.drain()
        writer.write(asked)
        assert (await one_answer(reader))[0] == 503
        writer.close()

    serving(tmp_path, scenario)
