"""The trace that a request belongs to, as its headers `traceparent` and `tracestate` say.

Source: W3C Recommendation "Trace Context", with the flag for random ids of its level 2.
"""

import re

import msgspec

SAMPLED = 0x01
_KNOWN_FLAGS = 0x03
"""The flags that are handed on: sampled, and that the trace id is random."""
_MOST_MEMBERS = 32

_PARENT = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.DOTALL)
_KEY = rb"[a-z0-9][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13}"
_VALUE = rb"[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
_MEMBER = re.compile(rb"(?:%b)=%b" % (_KEY, _VALUE))


class TraceContext(msgspec.Struct, frozen=True):
    """A place in a trace: ids in lower-case hex, and what other tracers wrote beside them."""

    trace_id: str
    parent_id: str
    flags: int = 0
    state: str = ""

    @property
    def sampled(self) -> bool:
        """Whether the caller may have recorded its part."""
        return bool(self.flags & SAMPLED)

    @property
    def traceparent(self) -> str:
        """The value of the header."""
        return f"00-{self.trace_id}-{self.parent_id}-{self.flags:02x}"

    @property
    def headers(self) -> dict[str, str]:
        """What hands the trace on."""
        found = {"traceparent": self.traceparent}
        return {**found, "tracestate": self.state} if self.state else found


def trace_context(parent: bytes | None, state: bytes | None) -> TraceContext | None:
    """What the two headers say; None when there is no `traceparent` or it is malformed.

    A malformed `tracestate` is dropped alone. Of a version that is not known yet, what version 00
    has is read.
    """
    if parent is None:
        return None
    found = _PARENT.fullmatch(parent.strip(b" \t"))
    if found is None:
        return None
    version, trace_id, parent_id, flags, more = found.groups()
    if version == b"ff" or (version == b"00" and more is not None):
        return None
    if not trace_id.strip(b"0") or not parent_id.strip(b"0"):
        return None
    return TraceContext(
        trace_id.decode(), parent_id.decode(), int(flags, 16) & _KNOWN_FLAGS, _state(state or b"")
    )


def _state(value: bytes) -> str:
    members = [member for part in value.split(b",") if (member := part.strip(b" \t"))]
    if len(members) > _MOST_MEMBERS or not all(map(_MEMBER.fullmatch, members)):
        return ""
    return b",".join(members).decode()
