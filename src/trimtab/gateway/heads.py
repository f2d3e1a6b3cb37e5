"""What the headers of an inference request say, worked out once per head that clients repeat."""

from trimtab.domain.trace_context import trace_context
from trimtab.gateway.asked import Asked, checked_id
from trimtab.gateway.faults import Fault, bad
from trimtab.gateway.http11 import Headers

JSON, BINARY, CSV = "json", "binary", "csv"

_TYPES = {b"application/json": JSON, b"application/octet-stream": BINARY, b"text/csv": CSV}
_FORM = b"application/x-www-form-urlencoded"
_TIMEOUTS = (b"x-trimtab-timeout-ms", b"x-envoy-expected-rq-timeout-ms")
_LONGEST_NUMBER = 15


class Heading:
    """`content` is what the body is said to be; `json_size` how much of a binary body is JSON.

    `asked` holds lane and timeout; `request_id` is for bodies that name none. `trace` is where the
    client is in its trace, None when it says nothing that can be read.
    """

    __slots__ = ("asked", "content", "json_size", "request_id", "trace")

    def __init__(self, headers: Headers) -> None:
        self.json_size = _number(headers, b"inference-header-content-length")
        self.content = _content(headers)
        self.asked = _asked(headers)
        self.request_id = _request_id(headers)
        self.trace = trace_context(headers.get(b"traceparent"), headers.get(b"tracestate"))


def heading(headers: Headers) -> Heading:
    """What they say; raises a `Fault` (400, 415)."""
    found: Heading | None = headers.meaning
    if found is None:
        found = headers.meaning = Heading(headers)
    return found


def _content(headers: Headers) -> str:
    if b"inference-header-content-length" in headers:
        return BINARY
    said = headers.get(b"content-type")
    if said is None:
        if b"origin" in headers:  # a page of any site can have a browser send bytes without a type
            raise Fault(415, "the body must be application/json; from a web page it has to say so")
        return JSON
    kind = said.partition(b";")[0].strip().lower()
    found = _TYPES.get(kind) or (JSON if kind.endswith((b"+json", b"/json")) else None)
    if found is None:
        hint = "; curl says so unless it is told: use curl --json" if kind == _FORM else ""
        raise Fault(415, f"the body must be application/json, not {_shown(kind)}{hint}")
    return found


def _asked(headers: Headers) -> Asked:
    asked = Asked()
    if (_number(headers, b"x-trimtab-priority") or 0) > 1:
        asked.lane = "batch"
    timeouts = [each for name in _TIMEOUTS if (each := _number(headers, name))]
    if timeouts:
        asked.timeout = min(timeouts) / 1e3
    return asked


def _request_id(headers: Headers) -> str | None:
    said = headers.get(b"x-request-id")
    if not said:
        return None
    if not said.isascii():
        raise bad("X-Request-Id is not ASCII; give the id in the body")
    return checked_id(said.decode())


def _number(headers: Headers, name: bytes) -> int | None:
    said = headers.get(name)
    if said is None:
        return None
    if not said.isdigit() or len(said) > _LONGEST_NUMBER:
        raise bad(f"{name.decode()} is {_shown(said)}, not a whole number")
    return int(said)


def _shown(value: bytes) -> str:
    return repr(value[:40].decode("latin-1"))
