"""gRPC as far as a load generator needs it: HTTP/2 frames around one unary call at a time.

The header table is switched off by SETTINGS, so that a block of trailers means the same whenever
it comes, and its status can be found without decoding the rest.
"""

import select
import struct

from harness.lines import Broken, Wire

PATH = b"/inference.GRPCInferenceService/ModelInfer"
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
FRAME = 16_384
WINDOW = 65_535
_DATA, _HEADERS, _RESET, _SETTINGS, _PING, _GOAWAY, _WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
_CONTINUATION = 9
_END_STREAM, _ACK, _END_HEADERS = 1, 1, 4
_TABLE_SIZE, _INITIAL_WINDOW = 1, 4
_UNLIMITED = 2**31 - 1

_HUFFMAN = {
    "g": "100110",
    "r": "101100",
    "p": "101011",
    "c": "00100",
    "-": "010110",
    "s": "01000",
    "t": "01001",
    "a": "00011",
    "u": "101101",
}
"""RFC 7541, appendix B, as far as the name of the status needs it."""


def _huffman(text: str) -> bytes:
    bits = "".join(_HUFFMAN[letter] for letter in text)
    bits += "1" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


_NAMES = (b"grpc-status", _huffman("grpc-status"))


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """One HTTP/2 frame."""
    head = struct.pack(">I", len(payload))[1:] + bytes((kind, flags))
    return head + struct.pack(">I", stream) + payload


def _literal(value: bytes) -> bytes:
    return bytes((len(value),)) + value


def _request_headers() -> bytes:
    """Without any entry in a table: static indices where there are, literals elsewhere."""
    return (
        b"\x83\x86\x04" + _literal(PATH) + b"\x01" + _literal(b"127.0.0.1")
        + b"\x0f\x10" + _literal(b"application/grpc") + b"\x00" + _literal(b"te")
        + _literal(b"trailers")
    )  # fmt: skip


def status_of(block: bytes) -> str:
    """The status in a block of trailers: `200` for OK, otherwise `grpc-N`."""
    for name in _NAMES:
        at = block.find(name)
        if at < 0:
            continue
        size, value = block[at + len(name)], block[at + len(name) + 1]
        if size == 1:
            digit = chr(value)
        elif size == 0x81:
            digit = str(value >> 3) if value >> 3 <= 2 else str((value >> 2) - 0x19 + 3)
        else:
            return "grpc-other"
        return "200" if digit == "0" else f"grpc-{digit}"
    return "grpc-unknown"


class GrpcLine(Wire):
    """One HTTP/2 connection; `ask` takes an encoded message."""

    def __init__(self, port: int, poll: select.epoll) -> None:
        super().__init__(port, poll)
        settings = struct.pack(">HIHI", _TABLE_SIZE, 0, _INITIAL_WINDOW, _UNLIMITED)
        update = struct.pack(">I", _UNLIMITED - WINDOW)
        self.write(PREFACE + frame(_SETTINGS, 0, 0, settings) + frame(_WINDOW_UPDATE, 0, 0, update))
        self._head = frame(_HEADERS, _END_HEADERS, 0, _request_headers())
        self._stream = -1
        self._window = WINDOW
        self._buffer = b""
        self._answer = b""
        self._block = b""
        self._ended = False

    def ask(self, message: bytes) -> None:
        """Send a call. Raises `Broken` when the server has not opened its window far enough."""
        self._stream += 2
        self._answer, self._block, self._ended = b"", b"", False
        data = b"\x00" + struct.pack(">I", len(message)) + message
        self._window -= len(data)
        if self._window < 0 or len(data) > WINDOW:
            raise Broken("the server keeps its flow-control window closed")
        stream = struct.pack(">I", self._stream)
        parts = [self._head[:5], stream, self._head[9:]]
        for at in range(0, len(data), FRAME):
            part = data[at : at + FRAME]
            last = at + FRAME >= len(data)
            parts.append(frame(_DATA, _END_STREAM * last, self._stream, part))
        self.write(b"".join(parts))

    def received(self, event: int) -> tuple[str, bytes] | None:
        """Status and message once the trailers are there."""
        data = self._buffer + self.read(event)
        at, found = 0, None
        while len(data) - at >= 9:
            size = int.from_bytes(data[at : at + 3], "big")
            if len(data) - at < 9 + size:
                break
            kind, flags = data[at + 3], data[at + 4]
            payload = data[at + 9 : at + 9 + size]
            at += 9 + size
            if self._frame(kind, flags, payload):
                found = status_of(self._block), self._answer[5:]
        self._buffer = data[at:]
        return found

    def _frame(self, kind: int, flags: int, payload: bytes) -> bool:
        """Take a frame in; whether the call is over."""
        if kind == _DATA:
            self._answer += payload
        elif kind in (_HEADERS, _CONTINUATION):
            self._block = payload if kind == _HEADERS else self._block + payload
            self._ended = self._ended or bool(kind == _HEADERS and flags & _END_STREAM)
            return self._ended and bool(flags & _END_HEADERS)
        elif kind == _WINDOW_UPDATE:
            self._window += int.from_bytes(payload, "big")
        elif kind == _SETTINGS and not flags & _ACK:
            self.write(frame(_SETTINGS, _ACK, 0, b""))
        elif kind == _PING and not flags & _ACK:
            self.write(frame(_PING, _ACK, 0, payload))
        elif kind == _RESET:
            raise Broken(f"stream reset with {int.from_bytes(payload, 'big')}")
        elif kind == _GOAWAY:
            raise Broken("the server goes away")
        return False
