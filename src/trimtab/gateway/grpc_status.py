"""How gRPC says that a call ended: codes, messages and the header blocks that carry them.

Source: the gRPC documents "PROTOCOL-HTTP2" and "statuscodes".
"""

import re
from enum import IntEnum
from functools import lru_cache
from urllib.parse import quote

from trimtab.gateway.answers import id_value
from trimtab.gateway.faults import Fault
from trimtab.gateway.header_blocks import STATUS_200, literal

LONGEST_MESSAGE = 1000
"""Characters of a status message; a client's headers are limited."""

_SAFE = "".join(chr(each) for each in range(0x20, 0x7F) if each != 0x25)
_RETRY_AFTER = re.compile(rb"Retry-After: ([0-9]{1,6})\r\n")


class Status(IntEnum):
    """The codes that are used here."""

    OK = 0
    CANCELLED = 1
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    RESOURCE_EXHAUSTED = 8
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14


_OF_HTTP = {
    404: Status.NOT_FOUND,
    405: Status.UNIMPLEMENTED,
    408: Status.DEADLINE_EXCEEDED,
    413: Status.RESOURCE_EXHAUSTED,
    415: Status.UNIMPLEMENTED,
    429: Status.RESOURCE_EXHAUSTED,
    499: Status.CANCELLED,
    501: Status.UNIMPLEMENTED,
    503: Status.UNAVAILABLE,
    504: Status.DEADLINE_EXCEEDED,
}

ANSWER_HEAD = (
    STATUS_200
    + literal(b"content-type", b"application/grpc")
    + literal(b"grpc-accept-encoding", b"identity,deflate,gzip")
)


@lru_cache(maxsize=4)
def coded_head(coding: bytes) -> bytes:
    """The headers of an answer whose messages are in a coding."""
    return ANSWER_HEAD + literal(b"grpc-encoding", coding)


OK = literal(b"grpc-status", b"0")
WRONG_CONTENT = b"\x08\x03415" + literal(b"accept", b"application/grpc")
"""Headers of the answer to what is no gRPC: `:status: 415`."""


def status_of(fault: Fault) -> Status:
    """The code of a fault, whose status is HTTP's."""
    return status_of_code(fault.status)


def status_of_code(code: int) -> Status:
    """The code of gRPC for one of HTTP."""
    if code == 200:
        return Status.OK
    return _OF_HTTP.get(code) or (Status.INTERNAL if code >= 500 else Status.INVALID_ARGUMENT)


def fault_trailers(fault: Fault) -> bytes:
    """The trailers of a refusal: code, message, and when to come back."""
    text = quote(fault.text[:LONGEST_MESSAGE], safe=_SAFE).encode()
    trailers = literal(b"grpc-status", b"%d" % status_of(fault)) + literal(b"grpc-message", text)
    if later := _RETRY_AFTER.search(fault.headers):
        trailers += literal(b"grpc-retry-pushback-ms", b"%d" % (1000 * int(later[1])))
    return trailers


@lru_cache(maxsize=256)
def release_trailer(name: str) -> bytes:
    """The trailer that names the release."""
    return literal(b"x-trimtab-release", name.encode())


def id_trailer(request_id: str) -> bytes:
    """The trailer that carries the request id."""
    return literal(b"x-request-id", id_value(request_id))
