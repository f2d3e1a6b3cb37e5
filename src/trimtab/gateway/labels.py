"""Labels from clients: checked as a whole, so that a bad entry means nothing was accepted."""

import math
from typing import Any

import msgspec

from trimtab.gateway.asked import MAX_ID, epoch_seconds
from trimtab.gateway.faults import bad
from trimtab.ports.logsink import LabelBlock

MAX_LABELS = 10_000
SOURCE = "feedback"
"""Where labels come from that do not say so."""
LONGEST_SOURCE = 64

_ABSENT: Any = msgspec.UNSET
Scalar = str | bool | int | float | None


class Label(msgspec.Struct, frozen=True, gc=False):
    """One entry of `labels`: about a request's row, or about a business key."""

    id: str | None = None
    key: str | int | None = None
    row: int | float = 0
    label: Scalar | msgspec.UnsetType = _ABSENT
    at: str | None = None


class Feedback(msgspec.Struct, frozen=True, gc=False):
    """The body of a feedback request; `source` says who sends the labels."""

    labels: list[Label]
    source: str = SOURCE


_decode = msgspec.json.Decoder(Feedback).decode


def parse_feedback(data: bytes, deployment: str, received_at: float) -> LabelBlock:
    """The labels of a request; raises a 400 `Fault` that names the index of a bad entry."""
    try:
        feedback = _decode(data)
    except msgspec.ValidationError as error:
        raise bad(f"labels cannot be read: {error}; nothing was accepted") from None
    except (ValueError, RecursionError) as error:
        raise bad(f"the body is not JSON: {error}; nothing was accepted") from None
    if len(feedback.labels) > MAX_LABELS:
        raise bad(f"{len(feedback.labels)} labels; at most {MAX_LABELS} fit into one request")
    source = feedback.source
    if not 1 <= len(source) <= LONGEST_SOURCE:
        raise bad(f"a source has 1 to {LONGEST_SOURCE} characters; nothing was accepted")
    rows = [(*_row(entry, i, received_at), source) for i, entry in enumerate(feedback.labels)]
    columns: list[list[Any]] = [list(column) for column in zip(*rows, strict=True)]
    return LabelBlock(deployment, columns or [[] for _ in range(7)])


def label_text(value: Scalar) -> str | None:
    """A label as text: numbers in shortest form, so that 1 and 1.0 are the same label."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return str(value)


def _row(entry: Label, index: int, received_at: float) -> tuple[Any, ...]:
    where = f"labels[{index}]"
    if (entry.id is None) == (entry.key is None):
        raise bad(f"{where} needs either id or key; nothing was accepted")
    row = int(entry.row) if entry.row == entry.row // 1 else -1
    if not 0 <= row < 2**31:
        raise bad(f"{where}.row is {entry.row}; nothing was accepted")
    if isinstance(entry.label, msgspec.UnsetType):
        raise bad(f"{where} has no label; nothing was accepted")
    key = entry.key if entry.key is None else str(entry.key)
    name = key if entry.id is None else entry.id
    if name is not None and not 1 <= len(name) <= MAX_ID:
        raise bad(f"{where}: an id or key has 1 to {MAX_ID} characters; nothing was accepted")
    at = received_at if entry.at is None else epoch_seconds(entry.at, f"{where}.at")
    if not math.isfinite(at):
        raise bad(f"{where}.at is out of range; nothing was accepted")
    return (entry.id, row, key, label_text(entry.label), at, received_at)
