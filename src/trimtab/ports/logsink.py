"""Writing what the gateways log: a spool that survives a kill and becomes segments elsewhere."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

import msgspec

ValueKind = Literal["number", "text", "vector"]
"""How a value is logged: float64, string, or list of float64."""

if TYPE_CHECKING:
    Bytes: TypeAlias = bytes | memoryview
else:
    Bytes = memoryview  # most of a spool are values: its reader decodes them as views of it
Texts = list[str | None]
Packed = Bytes | list[float]
"""Float64 numbers as little-endian bytes; a list of them in spools of older versions."""


class LogSchema(msgspec.Struct, frozen=True, cache_hash=True):
    """Which input and output columns the rows of one release in one deployment have.

    `key` is the deployment's business key where that is no input of the model.
    """

    deployment: str
    release: str
    inputs: tuple[tuple[str, ValueKind], ...]
    outputs: tuple[tuple[str, ValueKind], ...]
    key: str | None = None


class Entry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One attempt at a release, with the values of its `rows` rows.

    The first fields, and the last, are columns of `trimtab.domain.records.FIXED_COLUMNS`. `inputs`
    is None for a request that was refused, one float64 matrix (little-endian, row-major, NaN for
    missing) where all inputs are numbers, and otherwise one list per column, or float64 numbers as
    bytes for a vector (and for numbers, where attempts were answered together). `key` has a
    business key per row. `outputs` has, per output, a text per row or float64 numbers as bytes;
    None without an answer.
    """

    request_id: str
    rows: int
    event_time: float
    received_at: float
    mode: str
    lane: str
    rollout: str | None
    weight: int
    unit: int
    attempt: int
    final: bool
    outcome: str
    error: str | None
    worker: str | None
    queue_seconds: float | None
    model_seconds: float | None
    total_seconds: float
    inputs: Bytes | list[list[Any] | Bytes] | None = None
    key: Texts | None = None
    outputs: list[Bytes | Texts] | None = None
    trace_id: str | None = None


class Answered(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Attempts that a worker answered together, each with `rows` rows: `Entry`, column by column.

    What they have in common is said once. `inputs`, `key` and `outputs` hold the rows of all the
    attempts, one after another.
    """

    request_id: list[str]
    rows: list[int]
    event_time: Packed
    received_at: Packed
    mode: str | list[str]
    lane: str | list[str]
    rollout: str | None
    weight: int | list[int]
    unit: int | list[int]
    attempt: int | list[int]
    final: bool | list[bool]
    outcome: str
    worker: str | None
    queue_seconds: Packed
    model_seconds: float
    total_seconds: Packed
    inputs: Bytes | list[list[Any] | Bytes] | None = None
    key: Texts | None = None
    outputs: list[Bytes | Texts] | None = None
    trace_id: str | Texts | None = None


Attempts = Entry | Answered


@dataclass(frozen=True, slots=True)
class LabelBlock:
    """Labels of one deployment as equally long lists in the order of `LABEL_COLUMNS`."""

    deployment: str
    columns: Sequence[list[Any]]

    def __len__(self) -> int:
        return len(self.columns[0])


class LogSink(Protocol):
    """The log of one writer.

    `spool`, `spool_labels` and `turn` return quickly. The others may wait for a disk; `prepare`,
    `seal`, `behind` and `close` are called one after the other, and may be on another thread than
    the rest.
    """

    def spool(self, attempts: Sequence[tuple[LogSchema, Sequence[Attempts]]]) -> None:
        """Append attempts, those of a schema together; raises `OSError` with the spool as it
        was."""
        ...

    def spool_labels(self, block: LabelBlock) -> int:
        """Append labels; returns the descriptor to `sync`. Raises `OSError`."""
        ...

    def sync(self, descriptor: int) -> None:
        """Make everything spooled so far durable. Raises `OSError`."""
        ...

    def prepare(self) -> bool:
        """Make ready what is appended to next, where there is something to hand over; whether to
        `turn`. Raises `OSError`."""
        ...

    def turn(self) -> None:
        """Append from now on to what was prepared."""
        ...

    def seal(self) -> None:
        """Hand over what `turn` left to whoever makes segments of it. Raises `OSError`."""
        ...

    def behind(self) -> float:
        """Seconds since the oldest of what was handed over and is not taken yet was; else 0.
        Raises `OSError`."""
        ...

    def close(self) -> None:
        """Hand over what is left; an empty spool is removed. Raises `OSError`."""
        ...
