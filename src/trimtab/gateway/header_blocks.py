"""HTTP/2 header blocks: those that come, decoded and checked; those that leave, without state.

A client repeats its headers, so in the steady state a block is a few references into the table
that both sides keep. A block means the same as long as that table stays the same, and is then
recognised by its bytes: that costs a hundredth of decoding it. What leaves never refers to
the table, so it can be made once for all connections.
"""

import re
from collections.abc import Iterable

from hpack import Decoder, HPACKError, OversizedHeaderListError
from hpack.table import HeaderTable

MAX_HEADER_LIST = 16 * 1024
"""Bytes of a request's headers, counted as RFC 9113 (section 6.5.2) does."""

STATUS_200 = b"\x88"
"""`:status: 200`, which is in everybody's table."""

NO_TABLE = b"\x20"
"""In front of a block that leaves: its sender keeps no table (RFC 7541, section 6.3)."""

KNOWN_BLOCKS = 64
LONGEST_KNOWN_BLOCK = 1024

_RESIZES = 0xE0  # of the first byte: the bits that tell a change of the table's size
_NAME = re.compile(rb":?[!#$%&'*+.^_`|~0-9a-z-]+\Z")
_BAD_VALUE = re.compile(rb"[\x00\r\n]|\A[ \t]|[ \t]\Z")
_PSEUDO = frozenset((b":method", b":scheme", b":path", b":authority"))
_NEEDED = (b":method", b":scheme", b":path")
_OF_CONNECTION = frozenset(
    (b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade")
)


class BlockError(ValueError):
    """The block cannot be decoded; nothing after it on its connection could be either."""


class TooLarge(BlockError):
    """The headers are larger than `MAX_HEADER_LIST`."""


class Head:
    """The headers of a request, pseudo-headers among them; a repeated one is joined by commas.

    `malformed` says what RFC 9113 (section 8) forbids about them, None when nothing.
    """

    __slots__ = ("fields", "malformed", "path")

    def __init__(self, fields: dict[bytes, bytes], malformed: str | None) -> None:
        self.fields = fields
        self.malformed = malformed
        self.path = fields.get(b":path", b"")


class _CountedTable(HeaderTable):
    """The table of one connection, and how often it changed."""

    def __init__(self) -> None:
        super().__init__()
        self.changes = 0

    def add(self, name: bytes, value: bytes) -> None:
        """A new entry; older ones may leave."""
        self.changes += 1
        super().add(name, value)


class BlockDecoder:
    """Decodes the header blocks of one connection, in the order in which they came."""

    def __init__(self) -> None:
        self._table = _CountedTable()
        self._decoder = Decoder(MAX_HEADER_LIST)
        self._decoder.header_table = self._table
        self._known: dict[bytes, Head] = {}

    def decode(self, block: bytes) -> Head:
        """The headers of a block; raises `BlockError`."""
        return self._known.get(block) or self._decode(block)

    def _decode(self, block: bytes) -> Head:
        before = self._table.changes
        try:
            head = _checked(self._decoder.decode(block, raw=True))
        except OversizedHeaderListError as error:
            raise TooLarge(str(error)) from None
        except (HPACKError, IndexError, ValueError) as error:
            raise BlockError(f"the headers cannot be decoded: {error}") from None
        resized = bool(block) and block[0] & _RESIZES == NO_TABLE[0]
        changed = resized or self._table.changes != before
        if changed or len(self._known) >= KNOWN_BLOCKS:
            self._known.clear()
        if not changed and len(block) <= LONGEST_KNOWN_BLOCK:
            self._known[block] = head
        return head


def _checked(headers: Iterable[tuple[bytes, bytes]]) -> Head:
    fields: dict[bytes, bytes] = {}
    malformed = None
    for name, value in headers:
        malformed = malformed or _fault(name, value, fields)
        fields[name] = b"%b, %b" % (fields[name], value) if name in fields else value
    absent = [name for name in _NEEDED if not fields.get(name)]
    if absent and malformed is None:
        malformed = f"{absent[0].decode()} is missing"
    return Head(fields, malformed)


def _fault(name: bytes, value: bytes, before: dict[bytes, bytes]) -> str | None:
    shown = repr(name[:64])
    if not _NAME.match(name):
        return f"{shown} is not a header name in lower case"
    if _BAD_VALUE.search(value):
        return f"the value of {shown} has characters that no value may have"
    if name.startswith(b":"):
        if name not in _PSEUDO or name in before:
            return f"{shown} is unknown or repeated"
        if any(not each.startswith(b":") for each in before):
            return f"{shown} comes after other headers"
    if name in _OF_CONNECTION or (name == b"te" and value != b"trailers"):
        return f"{shown} has no meaning in HTTP/2"
    return None


def literal(name: bytes, value: bytes) -> bytes:
    """A header that refers to no table (RFC 7541, section 6.2.2); `name` is in lower case."""
    return b"\x00%b%b%b%b" % (_length(len(name)), name, _length(len(value)), value)


def _length(size: int) -> bytes:
    if size < 0x7F:
        return bytes((size,))
    size -= 0x7F
    parts = bytearray((0x7F,))
    while size >= 0x80:
        parts.append(size & 0x7F | 0x80)
        size >>= 7
    parts.append(size)
    return bytes(parts)
