"""Calls of gRPC on streams of HTTP/2: messages in, messages and a status out.

Source: the gRPC document "PROTOCOL-HTTP2".
"""

import asyncio
import struct
import time
from collections import deque
from collections.abc import Callable
from functools import lru_cache, partial
from typing import NamedTuple, Protocol

from trimtab.domain.trace_context import TraceContext, trace_context
from trimtab.gateway import protobuf
from trimtab.gateway.coding import (
    MAX_BODY,
    PACKED_IN_PLACE,
    WORTH_COMPRESSING,
    asked_of_grpc,
    compressed,
    decoded,
    unpack,
)
from trimtab.gateway.faults import Fault, bad
from trimtab.gateway.grpc_status import (
    ANSWER_HEAD,
    OK,
    coded_head,
    fault_trailers,
    id_trailer,
    release_trailer,
)
from trimtab.gateway.holding import SMALL, Share
from trimtab.gateway.http2 import Stream

MAX_GATHERED = 2 * MAX_BODY
"""Bytes of unfinished requests that one connection may have here."""

COMPRESSED_IN_PLACE = 128 * 1024
"""Bytes of an answer up to which the event loop compresses it itself."""

LEAST_HELD = 4096
"""What a request of a dialogue counts at least, so that there cannot be many tiny ones."""

LEAST_PIECE = 64
"""What a piece of a message counts at least: that is what keeping it costs beside its bytes."""

_PREFIX = struct.Struct(">BL")
_UNITS = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
_LONGEST_TIMEOUT = 8


class Exchange(Protocol):
    """One question and the place of its answer; only the first answer counts."""

    @property
    def gone(self) -> bool:
        """Whether nobody waits for the answer any more."""
        ...

    @property
    def due(self) -> float | None:
        """When the client stops waiting, of the monotonic clock."""
        ...

    @property
    def came_at(self) -> float:
        """When the question was whole, of the monotonic clock."""
        ...

    @property
    def trace(self) -> TraceContext | None:
        """The trace that the client is in."""
        ...

    def respond(self, message: bytes, release: str = "", request_id: str = "") -> None:
        """Answer with a message."""
        ...

    def refuse(self, fault: Fault, release: str = "", request_id: str = "") -> None:
        """Answer with an error."""
        ...


Handler = Callable[[Exchange, bytes], None]
"""Answers an exchange, now or later; never raises."""


class Packed(NamedTuple):
    """A message in its compression, that takes long to unpack."""

    data: bytes
    encoding: bytes | None

    def unpack(self, tell: Callable[["asyncio.Future[bytes]"], None]) -> None:
        """Let `tell` have it unpacked, or the `Fault`."""
        unpack(self.data, self.encoding, tell)


class Inbox:
    """Cuts the data of a stream into messages.

    What it was fed, and what that became without its compression, counts against `MAX_GATHERED`
    until it is told that the messages were `taken`.
    """

    __slots__ = ("_connection", "_encoding", "_gathered", "_needed", "_parts", "_share", "_size")

    def __init__(self, stream: Stream) -> None:
        self._connection = stream.connection
        self._encoding = stream.head.fields.get(b"grpc-encoding")
        self._gathered = 0
        self._share: Share | None = None
        self._parts: list[bytes] = []
        self._size = 0
        self._needed = _PREFIX.size

    @property
    def size(self) -> int:
        """Bytes of a message that is not whole yet."""
        return self._size

    def feed(self, data: bytes) -> list[bytes | Packed]:
        """The messages that `data` completes; raises a `Fault` (400, 413, 415, 429)."""
        self.keep(max(len(data), LEAST_PIECE))
        self._parts.append(data)
        self._size += len(data)
        if self._size < self._needed:
            return []
        data = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        found: list[bytes | Packed] = []
        at, end = 0, len(data)
        self._needed = _PREFIX.size
        while end - at >= _PREFIX.size:
            compressed, size = _PREFIX.unpack_from(data, at)
            if size > MAX_BODY:
                raise Fault(413, f"the message is larger than {MAX_BODY} bytes")
            stop = at + _PREFIX.size + size
            if stop > end:
                self._needed = _PREFIX.size + size
                break
            found.append(self._plain(compressed, data[at + _PREFIX.size : stop]))
            at = stop
        self._parts = [data[at:]] if at < end else []
        self._size = end - at
        return found

    def taken(self) -> None:
        """The messages so far are somebody else's to count."""
        self._gather(self._size - self._gathered)

    def forget(self) -> None:
        """Nothing of the stream is wanted any more."""
        self._parts = []
        self._gather(-self._gathered)

    def keep(self, more: int) -> None:
        """Count more bytes; raises a 429 `Fault` where that is too much."""
        self._gather(more)
        if self._connection.gathered > MAX_GATHERED:
            raise Fault(429, "too much of unfinished messages on this connection")

    def _gather(self, more: int) -> None:
        self._gathered += more
        self._connection.gathered += more
        if self._gathered > SMALL or self._share is not None:
            self._hold()

    def _hold(self) -> None:
        if self._gathered <= SMALL:
            self._share = None
            return
        if self._share is None:
            self._share = Share(self._connection.holding)
        self._share.become(self._gathered)

    def _plain(self, compressed: int, message: bytes) -> bytes | Packed:
        if not compressed:
            return message
        if compressed > 1 or self._encoding in (None, b"identity"):
            raise bad("the message is compressed, but grpc-encoding does not say how")
        if len(message) > PACKED_IN_PLACE:
            return Packed(message, self._encoding)
        plain = decoded(message, self._encoding)
        self.keep(len(plain))
        return plain


class Unary:
    """`Receiver` of the one message of a call, and its `Exchange`."""

    __slots__ = (
        "_handler",
        "_inbox",
        "_messages",
        "_share",
        "_stream",
        "_whole",
        "came_at",
        "due",
    )

    def __init__(self, stream: Stream, handler: Handler, due: float | None) -> None:
        self._stream = stream
        self._handler = handler
        self._inbox = Inbox(stream)
        self._messages: list[bytes | Packed] = []
        self._share: Share | None = None
        self._whole = False
        self.came_at = 0.0
        self.due = due

    @property
    def gone(self) -> bool:
        """Whether the client gave the call up."""
        return self._stream.abandoned

    @property
    def trace(self) -> TraceContext | None:
        """The trace that the client is in."""
        return _trace_of(self._stream)

    def data(self, data: bytes) -> None:
        """Gather the message."""
        try:
            found = self._inbox.feed(data)
            self._messages += found
            if len(self._messages) > 1:
                raise _not_one()
        except Fault as fault:
            self.refuse(fault)
            return
        for message in found:
            if isinstance(message, Packed):
                message.unpack(self._unpacked)

    def end(self) -> None:
        """Hand the message over."""
        if len(self._messages) != 1 or self._inbox.size:
            self.refuse(_not_one())
            return
        self._whole = True
        self.came_at = time.monotonic()
        self._hand_over()

    def _unpacked(self, done: "asyncio.Future[bytes]") -> None:
        if self.gone or self._stream.answered or done.cancelled():
            return
        try:
            self._messages = [message := done.result()]
            self._inbox.keep(len(message))
        except Fault as fault:
            self.refuse(fault)
            return
        if self._whole:
            self._hand_over()

    def _hand_over(self) -> None:
        """Let the handler have the message, unless it is still being unpacked."""
        message = self._messages[0]
        if isinstance(message, Packed):
            return
        self._messages.clear()
        self._inbox.forget()
        try:
            self._share = shared(self._stream, len(message))
        except Fault as fault:
            self.refuse(fault)
            return
        self._handler(self, message)

    def late(self) -> None:
        """The client does not go on."""
        self.refuse(Fault(408, "the request did not arrive in time"))

    def lost(self) -> None:
        """The client gave up."""
        self._messages.clear()
        self._inbox.forget()

    def respond(self, message: bytes, release: str = "", request_id: str = "") -> None:
        """Answer with a message, compressed where the client asks for that and it may pay."""
        trailers = OK + _names(release, request_id)
        self._share = None
        if len(message) > WORTH_COMPRESSING and (coding := asked_of_grpc(self._stream.head.fields)):
            self._respond_coded(message, coding, trailers)
        else:
            self._stream.answer(ANSWER_HEAD, framed(message), trailers)

    def _respond_coded(self, message: bytes, coding: bytes, trailers: bytes) -> None:
        head = coded_head(coding)
        if len(message) <= COMPRESSED_IN_PLACE:
            self._stream.answer(head, coded(message, coding), trailers)
            return
        # zlib lets other threads run, and other calls need not wait for this one's bytes.
        packing = asyncio.get_running_loop().run_in_executor(None, coded, message, coding)
        packing.add_done_callback(lambda done: self._stream.answer(head, done.result(), trailers))

    def refuse(self, fault: Fault, release: str = "", request_id: str = "") -> None:
        """Answer with an error."""
        trailers = fault_trailers(fault) + _names(release, request_id)
        self._share = None
        self._messages.clear()
        self._stream.refuse(ANSWER_HEAD + trailers)
        self._inbox.forget()


class Dialogue:
    """`Receiver` of a stream of questions; the answers leave in their order.

    A client that sends faster than it is answered has to wait: it gets no further room.
    """

    def __init__(
        self, stream: Stream, handler: Handler, due: float | None, turn: "type[Turn]"
    ) -> None:
        self._stream = stream
        self._handler = handler
        self._turn = turn
        self._inbox = Inbox(stream)
        self._turns: deque[Turn] = deque()
        self._begun = False
        self._ended = False
        self._coding = asked_of_grpc(stream.head.fields)
        self.due = due

    @property
    def gone(self) -> bool:
        """Whether the dialogue has ended, for one side or for both."""
        return self._stream.abandoned or self._stream.answered

    @property
    def trace(self) -> TraceContext | None:
        """The trace that the client is in: one for all questions."""
        return _trace_of(self._stream)

    def data(self, data: bytes) -> None:
        """Take the questions that are whole."""
        try:
            messages = self._inbox.feed(data)
        except Fault as fault:
            self.fail(fault)
            return
        self._inbox.taken()
        for message in messages:
            size = len(message.data if isinstance(message, Packed) else message)
            turn = self._turn(self, max(LEAST_HELD, size))
            self._stream.held += turn.size
            self._turns.append(turn)
            if isinstance(message, Packed):
                message.unpack(partial(self._unpacked, turn))
            else:
                self._hand_over(turn, message)
            if self.gone:
                return

    def _unpacked(self, turn: "Turn", done: "asyncio.Future[bytes]") -> None:
        if self.gone or done.cancelled():
            return
        try:
            message = done.result()
        except Fault as fault:
            self.fail(fault)
        else:
            self._hand_over(turn, message)

    def _hand_over(self, turn: "Turn", message: bytes) -> None:
        try:
            turn.share = shared(self._stream, len(message))
        except Fault as fault:
            self.fail(fault)
        else:
            self._handler(turn, message)

    def end(self) -> None:
        """No further question."""
        self._ended = True
        if self._inbox.size:
            self.fail(bad("the last message is cut off"))
        else:
            self.flush()

    def late(self) -> None:
        """A dialogue may pause."""

    def lost(self) -> None:
        """The client gave up."""
        self._inbox.forget()
        self._turns.clear()

    def flush(self) -> None:
        """Send the answers that are due, in order."""
        turns = self._turns
        while turns and (reply := turns[0].reply) is not None:
            turn = turns.popleft()
            self._begin()
            self._stream.send(self._framed(reply))
            self._stream.release(turn.size)
        if self._ended and not turns and not self._stream.answered:
            self._begin()
            self._stream.finish(OK)

    def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            self._stream.begin(coded_head(self._coding) if self._coding else ANSWER_HEAD)

    def _framed(self, reply: bytes) -> bytes:
        if self._coding and WORTH_COMPRESSING < len(reply) <= COMPRESSED_IN_PLACE:
            return coded(reply, self._coding)
        return framed(reply)

    def fail(self, fault: Fault) -> None:
        """Nothing that follows could be understood, and nothing more is answered."""
        self._inbox.forget()
        self._turns.clear()
        if self._begun:
            self._stream.finish(fault_trailers(fault))
        else:
            self._stream.refuse(ANSWER_HEAD + fault_trailers(fault))


class Turn:
    """One question of a dialogue, as an `Exchange`; a refusal ends the dialogue."""

    __slots__ = ("_dialogue", "came_at", "reply", "share", "size")

    def __init__(self, dialogue: Dialogue, size: int) -> None:
        self._dialogue = dialogue
        self.size = size
        self.came_at = time.monotonic()
        self.reply: bytes | None = None
        self.share: Share | None = None

    @property
    def gone(self) -> bool:
        """Whether the client gave the dialogue up."""
        return self._dialogue.gone

    @property
    def due(self) -> float | None:
        """When the client stops waiting."""
        return self._dialogue.due

    @property
    def trace(self) -> TraceContext | None:
        """The trace that the client is in."""
        return self._dialogue.trace

    def respond(self, message: bytes, release: str = "", request_id: str = "") -> None:
        """Answer with a message."""
        if self.reply is None:
            self.reply, self.share = message, None
            self._dialogue.flush()

    def refuse(self, fault: Fault, release: str = "", request_id: str = "") -> None:
        """End the dialogue with an error."""
        self._dialogue.fail(fault)


class InferTurn(Turn):
    """A `Turn` whose answer is a ModelStreamInferResponse."""

    __slots__ = ()

    def respond(self, message: bytes, release: str = "", request_id: str = "") -> None:
        """Answer with a message."""
        super().respond(protobuf.nested(2, message))

    def refuse(self, fault: Fault, release: str = "", request_id: str = "") -> None:
        """Answer with an error; the dialogue goes on."""
        which = protobuf.nested(2, protobuf.text(3, request_id)) if request_id else b""
        super().respond(protobuf.text(1, fault.text) + which)


def _trace_of(stream: Stream) -> TraceContext | None:
    fields = stream.head.fields
    return trace_context(fields.get(b"traceparent"), fields.get(b"tracestate"))


def _not_one() -> Fault:
    return bad("the call takes exactly one whole message")


def shared(stream: Stream, size: int) -> Share | None:
    """What a message that waits for its answer holds; raises a 429 `Fault` where there is no room
    for it."""
    if size <= SMALL:
        return None
    share = Share(stream.connection.holding)
    share.become(size)
    return share


def framed(message: bytes) -> bytes:
    """A message as it lies in the data of a stream."""
    return _PREFIX.pack(0, len(message)) + message


def coded(message: bytes, coding: bytes) -> bytes:
    """The same in a coding."""
    packed = compressed(message, coding)
    return _PREFIX.pack(1, len(packed)) + packed


@lru_cache(maxsize=1024)
def timeout_seconds(value: bytes) -> float:
    """The seconds of a `grpc-timeout`; raises a 400 `Fault`."""
    unit, digits = _UNITS.get(value[-1:]), value[:-1]
    if unit is None or not digits.isdigit() or len(digits) > _LONGEST_TIMEOUT:
        raise bad(f"grpc-timeout is {value[:20]!r}, not a whole number and a unit")
    return int(digits) * unit


def _names(release: str, request_id: str) -> bytes:
    if not request_id:
        return b""
    return release_trailer(release) + id_trailer(request_id)
