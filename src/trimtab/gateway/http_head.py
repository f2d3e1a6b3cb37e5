"""What the head of a request says by itself: which path, and whether it may be recognised."""

from collections.abc import Mapping

import httptools


def repeatable(
    head: bytes, headers: Mapping[bytes, bytes], parser: httptools.HttpRequestParser
) -> bool:
    """Whether `head` alone says what this request is, and any other that begins with it.

    A head with bare line feeds might end elsewhere for the parser than for us. One with a trace
    could be repeated, but is not."""
    return (
        head[:1].isupper()
        and head.count(b"\n") == head.count(b"\r\n")
        and parser.should_keep_alive()
        and b"transfer-encoding" not in headers
        and b"expect" not in headers
        and b"traceparent" not in headers
    )


def path_of(target: bytes) -> bytes:
    """The path of a target, which a client that takes us for a proxy writes behind our address."""
    path = target.partition(b"?")[0]
    _, absolute, address = path.partition(b"://") if path[:1] != b"/" else (b"", b"", b"")
    return b"/" + address.partition(b"/")[2] if absolute else path
