"""Content codings of bodies, both ways: gzip and deflate, and the largest body there may be."""

import asyncio
import zlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

from trimtab.gateway.faults import Fault, bad

MAX_BODY = 64 * 1024 * 1024
"""Bytes of a body, as it arrives and without its coding."""
FIRST_INFLATED = 1024 * 1024
MOST_RATIO = 200
"""What is smaller by more is no request but a bomb: nothing is read past its first megabyte."""
WORTH_COMPRESSING = 1024
"""Bytes of an answer below which compression saves no packet."""
LEVEL = 1
"""Of zlib: higher levels cost a multiple of the time for few bytes."""

PACKED_IN_PLACE = 8 * 1024
"""Bytes of a compressed body up to which the event loop unpacks it itself, in some milliseconds;
64 MiB of what is packed well take a fifth of a second, in which zlib lets other threads run."""
_unpacker = ThreadPoolExecutor(1, "unpack")
"""One thread: what is sent to it may be as much as there is, and others need the processors."""

_WINDOWS = {b"gzip": 16 + zlib.MAX_WBITS, b"deflate": zlib.MAX_WBITS}


def decoded(body: bytes, encoding: bytes | None) -> bytes:
    """The body without its Content-Encoding; raises a `Fault` (415, 413 or 400)."""
    name = encoding.strip().lower() if encoding else b"identity"
    if name == b"identity":
        return body
    if name in (b"gzip", b"x-gzip"):
        return _inflated(body, _WINDOWS[b"gzip"])
    if name == b"deflate":
        raw = len(body) < 2 or (body[0] & 0x0F) != 8 or int.from_bytes(body[:2]) % 31 != 0
        return _inflated(body, -zlib.MAX_WBITS if raw else zlib.MAX_WBITS)
    raise Fault(415, "the content encoding must be gzip, deflate or identity")


def unpack(
    body: bytes, encoding: bytes | None, tell: Callable[["asyncio.Future[bytes]"], None]
) -> None:
    """Let `tell` have what `decoded` makes of the body, or raises, once it is there: meanwhile the
    event loop goes on."""
    loop = asyncio.get_running_loop()
    loop.run_in_executor(_unpacker, decoded, body, encoding).add_done_callback(tell)


def compressed(body: bytes, coding: bytes) -> bytes:
    """The body in a coding that `chosen` returned."""
    deflater = zlib.compressobj(LEVEL, zlib.DEFLATED, _WINDOWS[coding])
    return deflater.compress(body) + deflater.flush()


@lru_cache(maxsize=128)
def chosen(accepted: bytes, *, dense: bool) -> bytes | None:
    """The coding for an answer by what Accept-Encoding says, None for no coding.

    Clients offer codings out of habit. `dense` content, which hardly shrinks, is compressed only
    for a client that names one coding and nothing else.
    """
    offers = [_offer(each) for each in accepted.lower().split(b",")]
    if dense and len(offers) > 1:
        return None
    weights = dict(offers)
    other = weights.get(b"*", 0.0)
    gzip = weights.get(b"gzip", weights.get(b"x-gzip", other))
    deflate = weights.get(b"deflate", other)
    if gzip > 0 and gzip >= deflate:
        return b"gzip"
    return b"deflate" if deflate > 0 else None


def asked_of_grpc(fields: Mapping[bytes, bytes]) -> bytes | None:
    """The coding for the answers of a call, None for no coding.

    Every client of gRPC offers all codings out of habit. One that compresses what it sends asks for
    the same, and so does one that offers a single coding.
    """
    sent = fields.get(b"grpc-encoding", b"")
    if sent in _WINDOWS:
        return sent
    offered = [each.strip() for each in fields.get(b"grpc-accept-encoding", b"").split(b",")]
    codings = [each for each in offered if each != b"identity"]
    return codings[0] if len(codings) == 1 and codings[0] in _WINDOWS else None


def too_large() -> Fault:
    """The refusal of a body over the limit."""
    return Fault(413, f"the body is larger than {MAX_BODY} bytes")


def _offer(text: bytes) -> tuple[bytes, float]:
    """One coding and its weight; a weight that cannot be read says no."""
    name, _, parameter = text.partition(b";")
    key, _, value = parameter.partition(b"=")
    if key.strip() != b"q":
        return name.strip(), 1.0
    try:
        return name.strip(), float(value)
    except ValueError:
        return name.strip(), 0.0


def _inflated(body: bytes, window: int) -> bytes:
    inflater = zlib.decompressobj(window)
    try:
        data = inflater.decompress(body, FIRST_INFLATED)
        if rest := inflater.unconsumed_tail:
            if len(data) > MOST_RATIO * (len(body) - len(rest)):
                raise Fault(413, f"the body is compressed to less than 1/{MOST_RATIO} of its size")
            data += inflater.decompress(rest, MAX_BODY + 1 - len(data))
    except zlib.error as error:
        raise bad(f"the body cannot be decompressed: {error}") from None
    if len(data) > MAX_BODY:
        raise too_large()
    if not inflater.eof or inflater.unused_data:
        raise bad("the body's compressed data ends too early or too late")
    return data
