"""A client of HTTP/2 for tests, which can say anything."""

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import hpack

from trimtab.gateway import http2_frames as frames
from trimtab.gateway.http2 import Http2, Stream
from trimtab.gateway.http2_frames import (
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEAD,
    PREFACE,
    RST_STREAM,
    Code,
    frame,
)

HEADERS = [
    (b":method", b"POST"),
    (b":scheme", b"http"),
    (b":path", b"/inference.GRPCInferenceService/ServerLive"),
    (b"content-type", b"application/grpc"),
    (b"te", b"trailers"),
]
START = PREFACE + frames.settings({})


@dataclass(frozen=True)
class Seen:
    """A frame that came from the server."""

    kind: int
    flags: int
    stream: int
    payload: bytes


def split(data: bytes) -> list[Seen]:
    """The frames of what a server sent."""
    found = []
    while data:
        high, low, kind, flags, stream = HEAD.unpack_from(data)
        end = HEAD.size + (high << 16 | low)
        assert len(data) >= end
        found.append(Seen(kind, flags, stream, data[HEAD.size : end]))
        data = data[end:]
    return found


@dataclass
class Speaker:
    """Makes the frames of requests with a table of its own."""

    encoder: hpack.Encoder = field(default_factory=hpack.Encoder)

    def headers(
        self,
        stream: int,
        flags: int = END_HEADERS,
        headers: list[tuple[bytes, bytes]] | None = None,
    ) -> bytes:
        """A HEADERS frame."""
        return frame(frames.HEADERS, flags, stream, self.encoder.encode(headers or HEADERS))

    def request(self, stream: int, data: bytes = b"\0\0\0\0\0", path: bytes | None = None) -> bytes:
        """A whole request with an empty message."""
        headers = [(n, path if n == b":path" and path else v) for n, v in HEADERS]
        start = self.headers(stream, headers=headers)
        return start + frame(frames.DATA, END_STREAM, stream, data)


class Listener:
    """A receiver that notes what happens, and answers at the end if it is told how."""

    def __init__(self, stream: Stream, answer: Callable[[Stream], None] | None) -> None:
        self.stream = stream
        self.events: list[Any] = []
        self._answer = answer

    def data(self, data: bytes) -> None:
        if self.events and isinstance(self.events[-1], bytearray):
            self.events[-1] += data
        else:
            self.events.append(bytearray(data))

    def end(self) -> None:
        self.events.append("end")
        if self._answer is not None:
            self._answer(self.stream)

    def late(self) -> None:
        self.events.append("late")

    def lost(self) -> None:
        self.events.append("lost")


class Talk:
    """A connection under test, after its greeting, and what it wrote since."""

    def __init__(
        self, answer: Callable[[Stream], None] | None = None, start: bytes = START
    ) -> None:
        self.listeners: dict[int, Listener] = {}
        self.sent = bytearray()
        self._answer = answer
        self.http2 = Http2(self._begin, self.sent.extend)
        self.http2.receive(start)
        self.sent.clear()
        self.speaker = Speaker()

    def _begin(self, stream: Stream) -> Listener:
        listener = self.listeners[stream.number] = Listener(stream, self._answer)
        return listener

    def hear(self, data: bytes) -> list[Seen]:
        """Give it bytes; what it answers."""
        self.http2.receive(data)
        return self.heard()

    def stuck(self) -> bool:
        return self.http2.outlet.stuck

    def heard(self) -> list[Seen]:
        found = split(bytes(self.sent))
        self.sent.clear()
        return found


def code_of(seen: list[Seen]) -> Code | None:
    """The code of a GOAWAY or RST_STREAM, whichever ends the list."""
    for each in reversed(seen):
        if each.kind == GOAWAY:
            return Code(struct.unpack_from(">L", each.payload, 4)[0])
        if each.kind == RST_STREAM:
            return Code(struct.unpack(">L", each.payload)[0])
    return None


def short_answer(stream: Stream) -> None:
    stream.answer(b"\x88", b"body", b"\x88")
