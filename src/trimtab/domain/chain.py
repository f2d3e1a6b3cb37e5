"""The hash chain of the journal: what is hashed is exactly the text that is stored.

An entry is verified over its stored bytes and never over a fresh encoding, so that a field which a
later version adds to an event does not break the chain of entries written before it.
"""

import hashlib

import msgspec
import rfc8785

from trimtab.domain.events import AnyEvent, Entry, NewEntry

GENESIS = ""
"""`previous` of the first entry."""


class _Content(msgspec.Struct, frozen=True, kw_only=True):
    seq: int
    epoch: int
    at: float
    actor: str
    event: AnyEvent
    deployment: str
    release: str
    reason: str
    evidence: dict[str, float | str | None]


def content(new: NewEntry, seq: int, epoch: int) -> bytes:
    """The entry as canonical JSON (RFC 8785), without its place in the chain.

    Raises `msgspec.ValidationError` when a number is not finite: JSON has no word for it."""
    fields = msgspec.structs.asdict(new)
    data = msgspec.json.encode(_Content(seq=seq, epoch=epoch, **fields))
    canonical = rfc8785.dumps(msgspec.json.decode(data))
    msgspec.json.decode(canonical, type=_Content)
    return canonical


def link(previous: str, stored: bytes) -> str:
    """The hash of an entry: sha256 over the previous hash and the stored content."""
    return hashlib.sha256(previous.encode() + b"\n" + stored).hexdigest()


def read(stored: bytes, previous: str, hashed: str) -> Entry:
    """The entry that was stored; fields a newer version added are ignored."""
    fields = msgspec.structs.asdict(msgspec.json.decode(stored, type=_Content))
    return Entry(**fields, previous=previous, hash=hashed)


def seal(new: NewEntry, seq: int, epoch: int, previous: str) -> tuple[Entry, bytes]:
    """The recorded entry and the bytes to store for it."""
    stored = content(new, seq, epoch)
    return read(stored, previous, link(previous, stored)), stored
