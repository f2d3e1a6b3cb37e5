"""HTTP/2 without I/O: bytes that came become calls of a handler, answers become bytes to write.

What arrives in whatever pieces has the same effect (RFC 9113). A client that breaks the protocol is
told so and left; one that only breaks a stream loses that stream.
"""

from collections.abc import Callable
from typing import Protocol

from trimtab.gateway import http2_frames as frames
from trimtab.gateway.header_blocks import MAX_HEADER_LIST, BlockDecoder, BlockError, Head, TooLarge
from trimtab.gateway.holding import Holding
from trimtab.gateway.http2_frames import (
    ACK,
    END_HEADERS,
    END_STREAM,
    HEAD,
    HEAD_SIZE,
    MAX_FRAME,
    MAX_STREAM,
    MAX_WINDOW,
    PADDED,
    PREFACE,
    WITH_PRIORITY,
    Code,
    Setting,
)
from trimtab.gateway.http2_send import Outlet, Sending

MAX_STREAMS = 1024
STREAM_WINDOW = 1024 * 1024
CONNECTION_WINDOW = 16 * 1024 * 1024
MAX_CONTINUATIONS = 32
MAX_NOISE = 1000
"""Frames between two ticks that cost work and bring none: resets, pings, settings, empty data."""

LEFT_STREAMS = 256
"""Streams that were answered early of which frames may still come."""

_OURS = {
    Setting.MAX_CONCURRENT_STREAMS: MAX_STREAMS,
    Setting.INITIAL_WINDOW_SIZE: STREAM_WINDOW,
    Setting.MAX_HEADER_LIST_SIZE: MAX_HEADER_LIST,
}
GREETING = frames.settings(_OURS) + frames.window_update(
    0, CONNECTION_WINDOW - frames.DEFAULT_WINDOW
)
_DRAINING = b"draining"


class ConnectionFault(Exception):
    """The client broke the protocol in a way that ends the connection."""

    def __init__(self, code: Code, text: str) -> None:
        super().__init__(text)
        self.code = code


class _StreamFault(Exception):
    """The client broke the protocol in a way that ends one stream."""

    def __init__(self, number: int, code: Code) -> None:
        super().__init__(code.name)
        self.number = number
        self.code = code


class Receiver(Protocol):
    """Who takes the body of a request."""

    def data(self, data: bytes) -> None:
        """The next piece."""

    def end(self) -> None:
        """It was the last one."""

    def late(self) -> None:
        """The next piece has not come for long."""

    def lost(self) -> None:
        """The client gave the stream up, or the connection ended, before the answer was whole."""


class Stream:
    """One request and its answer: `answer`, `refuse`, or `begin`, `send` and `finish`.

    Bytes that a receiver adds to `held` are not asked for again before they are released.
    """

    __slots__ = (
        "abandoned",
        "answered",
        "connection",
        "ended",
        "head",
        "held",
        "number",
        "outbox",
        "quiet",
        "received",
        "receiver",
        "room",
        "trailers",
        "window",
    )

    receiver: Receiver

    def __init__(self, connection: "Http2", number: int, head: Head) -> None:
        self.connection = connection
        self.number = number
        self.head = head
        self.abandoned = False
        self.answered = False
        self.ended = False
        self.held = 0
        self.received = 0
        self.room = STREAM_WINDOW
        self.quiet: tuple[int, float] | None = None
        self.window = connection.outlet.initial_window
        self.outbox = bytearray()
        self.trailers: bytes | None = None

    def answer(self, head: bytes, data: bytes, trailers: bytes) -> None:
        """A whole answer, as header block, body and trailer block. Only the first counts."""
        if self.abandoned or self.answered:
            return
        self.answered = True
        self.connection.outlet.answer(self, head, data, trailers)

    def refuse(self, block: bytes) -> None:
        """An answer that is headers only. Only the first answer counts."""
        if self.abandoned or self.answered:
            return
        self.answered = True
        self.connection.outlet.close(self, block)

    def begin(self, head: bytes) -> None:
        """The header block of an answer that comes in pieces."""
        if not self.abandoned and not self.answered:
            self.connection.outlet.headers(self, head)

    def send(self, data: bytes) -> None:
        """A piece of such an answer."""
        if not self.abandoned and not self.answered:
            self.outbox += data
            self.connection.outlet.rest(self)

    def finish(self, trailers: bytes) -> None:
        """The end of an answer that has begun."""
        if not self.abandoned and not self.answered:
            self.answered = True
            self.trailers = trailers
            self.connection.outlet.rest(self)

    def lose(self) -> None:
        """Nobody waits for it any more: no circle shall keep what its receiver has."""
        self.receiver.lost()
        del self.receiver

    def release(self, size: int) -> None:
        """Let the client send as much more as the receiver had `held`."""
        self.held -= size
        if not (self.ended or self.abandoned or self.answered):
            self.connection.make_room(self)


class Http2:
    """One connection. `write` takes bytes for the client; `begin` opens a stream's receiver.

    `taken` counts what arrived whole; `gathered` and `holding` are for receivers to count what they
    keep, of this connection and of all.
    """

    def __init__(
        self,
        begin: Callable[[Stream], Receiver],
        write: Callable[[bytes], None],
        holding: Holding | None = None,
    ) -> None:
        self.holding = holding or Holding()
        self.streams: dict[int, Stream] = {}
        self.outlet = Outlet(write, self._sent)
        self.closing = False
        self.refusing = False
        self.settled = False
        self.taken = 0
        self.gathered = 0
        self._begin = begin
        self._write = write
        self._blocks = BlockDecoder()
        self._rest = b""
        self._greeted = False
        self._last = 0
        self._left: dict[int, None] = {}
        self._room = CONNECTION_WINDOW
        self._noise = 0
        self._half: tuple[int, int, list[bytes]] | None = None
        self._takers = (
            self._on_data,
            self._on_headers,
            self._on_priority,
            self._on_reset,
            self._on_settings,
            self._on_push_promise,
            self._on_ping,
            self._on_goaway,
            self._on_window_update,
            self._on_continuation,
        )

    @property
    def receiving(self) -> bool:
        """Whether part of a frame or of a header block has arrived, or no preface yet."""
        return bool(self._rest) or self._half is not None or not self.settled

    def start(self) -> None:
        """Say what this side takes."""
        self._write(GREETING)

    def receive(self, data: bytes) -> None:
        """Take the next bytes."""
        if self.closing:
            return
        try:
            self._receive(self._rest + data if self._rest else data)
        except ConnectionFault as fault:
            self.fail(fault.code, str(fault))

    def tick(self, now: float, patience: float) -> None:
        """Forget the noise since the last tick; tell receivers whose body stays out too long."""
        self._noise = 0
        for stream in list(self.streams.values()):
            if stream.ended or stream.abandoned:
                continue
            if stream.quiet is None or stream.quiet[0] != stream.received:
                stream.quiet = (stream.received, now)
            elif now >= stream.quiet[1] + patience:
                stream.receiver.late()

    def fail(self, code: Code, text: str) -> None:
        """Tell the client what it did, and take no more."""
        if not self.closing:
            self.closing = True
            self._write(frames.goaway(self._last, code, text))
            self.lose()

    def lose(self) -> None:
        """The connection is over: nobody waits for its streams any more."""
        self.closing = True
        self._rest = b""
        streams, self.streams = self.streams, {}
        self.outlet.forget_all()
        for stream in streams.values():
            stream.abandoned = True
            stream.lose()

    def drain(self) -> None:
        """Announce the end; what the client sent before it heard of that is still answered."""
        if not self.closing:
            self._write(frames.goaway(MAX_STREAM, Code.NO_ERROR))
            self._write(frames.frame(frames.PING, 0, 0, _DRAINING))

    def refuse_further(self) -> None:
        """Take no new stream; the client knows which ones were taken."""
        if not self.closing and not self.refusing:
            self.refusing = True
            self._write(frames.goaway(self._last, Code.NO_ERROR))

    def _receive(self, data: bytes) -> None:
        at, end = 0, len(data)
        if not self._greeted:
            if not PREFACE.startswith(data[: len(PREFACE)]):
                raise ConnectionFault(Code.PROTOCOL_ERROR, "not HTTP/2")
            if end < len(PREFACE):
                self._rest = data
                return
            self._greeted = True
            at = len(PREFACE)
        while end - at >= HEAD_SIZE and not self.closing:
            high, low, kind, flags, number = HEAD.unpack_from(data, at)
            size = high << 16 | low
            if size > MAX_FRAME:
                raise ConnectionFault(Code.FRAME_SIZE_ERROR, f"a frame of {size} bytes")
            stop = at + HEAD_SIZE + size
            if stop > end:
                break
            self._take(kind, flags, number & MAX_STREAM, data[at + HEAD_SIZE : stop])
            at = stop
        self._rest = b"" if self.closing else data[at:]

    def _take(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        if self._half is not None and (kind, number) != (frames.CONTINUATION, self._half[0]):
            raise ConnectionFault(Code.PROTOCOL_ERROR, "a header block was interrupted")
        if not self.settled and kind != frames.SETTINGS:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "the first frame is not SETTINGS")
        if kind >= len(self._takers):
            self._disturbed()
            return
        try:
            self._takers[kind](flags, number, payload)
            self.taken += self._half is None
        except _StreamFault as fault:
            self._reset(fault.number, fault.code)

    def _disturbed(self) -> None:
        self._noise += 1
        if self._noise > MAX_NOISE:
            raise ConnectionFault(Code.ENHANCE_YOUR_CALM, "too many frames that ask for nothing")

    # Frames that carry requests

    def _on_headers(self, flags: int, number: int, payload: bytes) -> None:
        if not number % 2:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "a request on a stream of even number")
        block = _unpadded(flags, payload) if flags & PADDED else payload
        if flags & WITH_PRIORITY:
            if len(block) < 5:
                raise ConnectionFault(Code.FRAME_SIZE_ERROR, "HEADERS without their priority")
            block = block[5:]
        if flags & END_HEADERS:
            self._on_block(flags, number, block)
        else:
            self._half = (number, flags, [block])

    def _on_continuation(self, flags: int, _: int, payload: bytes) -> None:
        if self._half is None:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "CONTINUATION of nothing")
        number, first, parts = self._half
        parts.append(payload)
        if len(parts) > MAX_CONTINUATIONS or sum(map(len, parts)) > MAX_HEADER_LIST:
            raise ConnectionFault(Code.ENHANCE_YOUR_CALM, "the headers are too large")
        if flags & END_HEADERS:
            self._half = None
            self._on_block(first, number, b"".join(parts))

    def _on_block(self, flags: int, number: int, block: bytes) -> None:
        try:
            head = self._blocks.decode(block)
        except TooLarge as error:
            raise ConnectionFault(Code.ENHANCE_YOUR_CALM, str(error)) from None
        except BlockError as error:
            raise ConnectionFault(Code.COMPRESSION_ERROR, str(error)) from None
        if number > self._last:
            self._open(number, head, bool(flags & END_STREAM))
            return
        stream = self._receiving_stream(number)
        if stream is not None:  # what remains are trailers
            if not flags & END_STREAM:
                raise _StreamFault(number, Code.PROTOCOL_ERROR)
            self._end(stream)

    def _open(self, number: int, head: Head, ended: bool) -> None:
        if self.refusing:
            return
        self._last = number
        if len(self.streams) >= MAX_STREAMS:
            self._disturbed()
            raise _StreamFault(number, Code.REFUSED_STREAM)
        if head.malformed:
            raise _StreamFault(number, Code.PROTOCOL_ERROR)
        stream = self.streams[number] = Stream(self, number, head)
        stream.receiver = self._begin(stream)
        if ended:
            self._end(stream)

    def _on_data(self, flags: int, number: int, payload: bytes) -> None:
        size = len(payload)
        self._room -= size
        if self._room < 0:
            raise ConnectionFault(Code.FLOW_CONTROL_ERROR, "more data than the connection's window")
        if self._room <= CONNECTION_WINDOW // 2:
            self._write(frames.window_update(0, CONNECTION_WINDOW - self._room))
            self._room = CONNECTION_WINDOW
        stream = self._receiving_stream(number)
        if stream is None:
            return
        stream.room -= size
        if stream.room < 0:
            raise _StreamFault(number, Code.FLOW_CONTROL_ERROR)
        data = _unpadded(flags, payload) if flags & PADDED else payload
        ended = flags & END_STREAM
        if data:
            stream.received += len(data)
            stream.receiver.data(data)
        elif not ended:
            self._disturbed()
        if ended:
            self._end(stream)
        elif not stream.answered:
            self.make_room(stream)

    def _receiving_stream(self, number: int) -> Stream | None:
        """The stream that a frame belongs to; None when it was answered before it was read."""
        stream = self.streams.get(number)
        if stream is not None:
            if stream.ended:
                raise _StreamFault(number, Code.STREAM_CLOSED)
            return stream
        if number in self._left or (self.refusing and number > self._last):
            return None
        if number > self._last or not number % 2:
            raise ConnectionFault(Code.PROTOCOL_ERROR, f"stream {number} was never opened")
        raise ConnectionFault(Code.STREAM_CLOSED, f"stream {number} is closed")

    def _end(self, stream: Stream) -> None:
        stream.ended = True
        if stream.answered:
            return
        said = stream.head.fields.get(b"content-length")
        if said is not None and said != b"%d" % stream.received:
            raise _StreamFault(stream.number, Code.PROTOCOL_ERROR)
        stream.receiver.end()

    # Frames about streams and the connection

    def _on_priority(self, _: int, number: int, payload: bytes) -> None:
        self._disturbed()
        if number == 0:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "PRIORITY of no stream")
        if len(payload) != 5:
            raise _StreamFault(number, Code.FRAME_SIZE_ERROR)

    def _on_reset(self, _: int, number: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise ConnectionFault(Code.FRAME_SIZE_ERROR, "RST_STREAM has 4 bytes")
        if number == 0 or number > self._last:
            if self.refusing and number:
                return
            raise ConnectionFault(Code.PROTOCOL_ERROR, "RST_STREAM of a stream never opened")
        self._disturbed()
        stream = self._forget(number)
        if stream is not None:
            stream.lose()

    def _on_settings(self, flags: int, number: int, payload: bytes) -> None:
        if number:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "SETTINGS of a stream")
        if len(payload) % 6 or (flags & ACK and payload):
            raise ConnectionFault(Code.FRAME_SIZE_ERROR, "SETTINGS of a wrong length")
        self.settled = True
        if flags & ACK:
            return
        self._disturbed()
        for name, value in frames.settings_of(payload):
            self._set(name, value)
        self._write(frames.frame(frames.SETTINGS, ACK, 0))

    def _set(self, name: int, value: int) -> None:
        if name == Setting.INITIAL_WINDOW_SIZE:
            self._set_initial_window(value)
        elif name == Setting.MAX_FRAME_SIZE:
            if not MAX_FRAME <= value < 2**24:
                raise ConnectionFault(Code.PROTOCOL_ERROR, f"MAX_FRAME_SIZE of {value}")
        elif name == Setting.HEADER_TABLE_SIZE:
            self.outlet.keep_no_table()
        elif name == Setting.ENABLE_PUSH and value > 1:
            raise ConnectionFault(Code.PROTOCOL_ERROR, f"ENABLE_PUSH of {value}")

    def _set_initial_window(self, value: int) -> None:
        if value > MAX_WINDOW:
            raise ConnectionFault(Code.FLOW_CONTROL_ERROR, f"INITIAL_WINDOW_SIZE of {value}")
        if not self.outlet.resize([*self.streams.values()], value):
            raise ConnectionFault(Code.FLOW_CONTROL_ERROR, "a stream's window is too large")

    def _on_push_promise(self, _: int, number: int, payload: bytes) -> None:
        raise ConnectionFault(Code.PROTOCOL_ERROR, "PUSH_PROMISE of a client")

    def _on_ping(self, flags: int, number: int, payload: bytes) -> None:
        if number:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "PING of a stream")
        if len(payload) != 8:
            raise ConnectionFault(Code.FRAME_SIZE_ERROR, "PING has 8 bytes")
        self._disturbed()
        if not flags & ACK:
            self._write(frames.frame(frames.PING, ACK, 0, payload))
        elif payload == _DRAINING:
            self.refuse_further()

    def _on_goaway(self, _: int, number: int, payload: bytes) -> None:
        if number:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "GOAWAY of a stream")
        if len(payload) < 8:
            raise ConnectionFault(Code.FRAME_SIZE_ERROR, "GOAWAY has at least 8 bytes")
        self._disturbed()

    def _on_window_update(self, _: int, number: int, payload: bytes) -> None:
        if len(payload) != 4:
            raise ConnectionFault(Code.FRAME_SIZE_ERROR, "WINDOW_UPDATE has 4 bytes")
        by = frames.number(payload)
        if number == 0:
            if by == 0:
                raise ConnectionFault(Code.PROTOCOL_ERROR, "WINDOW_UPDATE of 0")
            if not self.outlet.widen(by):
                raise ConnectionFault(Code.FLOW_CONTROL_ERROR, "the window is too large")
            return
        stream = self.streams.get(number)
        if stream is None:
            if number > self._last and not self.refusing:
                raise ConnectionFault(Code.PROTOCOL_ERROR, "WINDOW_UPDATE of a stream never opened")
            return
        if by == 0:
            raise _StreamFault(number, Code.PROTOCOL_ERROR)
        stream.window += by
        if stream.window > MAX_WINDOW:
            raise _StreamFault(number, Code.FLOW_CONTROL_ERROR)
        if stream.outbox:
            self.outlet.rest(stream)

    def make_room(self, stream: Stream) -> None:
        """Let the client send more once it used half of its room and that was read."""
        more = STREAM_WINDOW - stream.room - stream.held
        if more >= STREAM_WINDOW // 2:
            stream.room += more
            self._write(frames.window_update(stream.number, more))

    def _sent(self, sending: Sending) -> None:
        """An answer is whole; a client that still asks need not go on."""
        stream = self.streams.pop(sending.number, None)
        if stream is not None and not stream.ended:
            self._leave(stream.number)
            self._write(frames.reset(stream.number, Code.NO_ERROR))

    def _reset(self, number: int, code: Code) -> None:
        self._disturbed()
        stream = self._forget(number)
        self._leave(number)
        self._write(frames.reset(number, code))
        if stream is not None:
            stream.lose()

    def _forget(self, number: int) -> Stream | None:
        stream = self.streams.pop(number, None)
        if stream is not None:
            stream.abandoned = True
            self.outlet.forget(number)
        return stream

    def _leave(self, number: int) -> None:
        """Frames that the client sends before it hears of the end are no fault of its."""
        self._left[number] = None
        if len(self._left) > LEFT_STREAMS:
            del self._left[next(iter(self._left))]


def _unpadded(flags: int, payload: bytes) -> bytes:
    if not payload or payload[0] >= len(payload):
        raise ConnectionFault(Code.PROTOCOL_ERROR, "the padding is longer than its frame")
    return payload[1 : len(payload) - payload[0]]
