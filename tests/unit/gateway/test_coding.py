"""Compression of answers: for those who want it, where it pays."""

import asyncio
import gzip
import zlib
from pathlib import Path

import numpy as np
import pytest
from tests.unit.gateway.harness import Harness, running
from tests.unit.gateway.scenarios import STABLE, run, times, worker
from tests.unit.gateway.support import request
from tests.unit.gateway.test_http11 import post

from trimtab.gateway import http11
from trimtab.gateway.coding import chosen, compressed, decoded


@pytest.mark.parametrize(
    ("accepted", "sparse", "dense"),
    [
        (b"gzip", b"gzip", b"gzip"),
        (b"Deflate", b"deflate", b"deflate"),
        (b"gzip, deflate, br", b"gzip", None),
        (b"gzip;q=0.5, deflate;q=0.8", b"deflate", None),
        (b"gzip;q=0, deflate", b"deflate", None),
        (b"x-gzip", b"gzip", b"gzip"),
        (b"*", b"gzip", b"gzip"),
        (b"gzip;q=0, *", b"deflate", None),
        (b"br", None, None),
        (b"identity", None, None),
        (b"gzip;q=much", None, None),
        (b"gzip;q=0", None, None),
        (b"", None, None),
    ],
)
def test_the_coding_is_one_that_the_client_takes(
    accepted: bytes, sparse: bytes | None, dense: bytes | None
) -> None:
    assert chosen(accepted, dense=False) == sparse
    assert chosen(accepted, dense=True) == dense


@pytest.mark.parametrize("coding", [b"gzip", b"deflate"])
def test_what_is_compressed_can_be_read_again(coding: bytes) -> None:
    for body in (b"", b"a" * 5000, bytes(range(256)) * 100):
        assert decoded(compressed(body, coding), coding) == body


async def answered(it: Harness, accept: str, rows: int, **fields: object) -> tuple[bytes, bytes]:
    """Head and body of an answer as it was sent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", it.port)
    sent = request([1.5] * rows, **fields)
    writer.write(post(sent, f"Accept-Encoding: {accept}"))
    head = await reader.readuntil(b"\r\n\r\n")
    size = int(head.partition(b"\nContent-Length: ")[2].partition(b"\r")[0])
    body = await reader.readexactly(size)
    writer.close()
    return head, body


def test_large_answers_are_compressed_and_small_ones_are_not(tmp_path: Path) -> None:
    async def scenario() -> None:
        await worker(tmp_path, 1, times(1))
        async with running(tmp_path, STABLE) as it:
            head, body = await answered(it, "gzip, deflate", 1)
            assert b"Content-Encoding" not in head
            plain = (await answered(it, "identity", 500, id="q"))[1]
            for accept, opened in (("gzip", gzip.decompress), ("deflate", zlib.decompress)):
                head, body = await answered(it, accept, 500, id="q")
                assert f"Content-Encoding: {accept}\r\n".encode() in head
                assert len(body) < len(plain) / 4
                assert opened(body) == plain

    run(scenario)


def test_answers_compressed_in_a_thread_keep_their_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        await worker(tmp_path, 1, times(1))
        async with running(tmp_path, STABLE) as it:
            reader, writer = await asyncio.open_connection("127.0.0.1", it.port)
            first = post(request([1.5] * 500, id="first"), "Accept-Encoding: gzip")
            writer.write(first + post(request([1.5], id="second")))
            heads = [await reader.readuntil(b"\r\n\r\n")]
            size = int(heads[0].partition(b"\nContent-Length: ")[2].partition(b"\r")[0])
            assert b'"id":"first"' in gzip.decompress(await reader.readexactly(size))
            heads.append(await reader.readuntil(b"\r\n\r\n"))
            assert b"X-Request-Id: second" in heads[1]
            writer.close()

    monkeypatch.setattr(http11, "COMPRESSED_IN_PLACE", 2000)
    run(scenario)


def test_bytes_are_compressed_only_for_who_asks_for_nothing_else(tmp_path: Path) -> None:
    async def scenario() -> None:
        await worker(tmp_path, 1, times(1))
        async with running(tmp_path, STABLE) as it:
            wish = {"binary_data_output": True}
            head, body = await answered(it, "gzip, deflate", 500, parameters=wish, id="q")
            assert b"Content-Encoding" not in head
            assert body.endswith(np.array([[1.5, -1.5]] * 500, "<f4").tobytes())
            head, packed = await answered(it, "gzip", 500, parameters=wish, id="q")
            assert b"Content-Encoding: gzip" in head
            assert gzip.decompress(packed) == body

    run(scenario)
