"""Reading what the gateways logged."""

from collections.abc import Collection, Hashable, Iterator, Sequence
from typing import TYPE_CHECKING, Literal, Protocol

import msgspec

from trimtab.domain.records import Comparison, Labels, Paired, Rows, Told

if TYPE_CHECKING:
    import pyarrow as pa


Kind = Literal["rows", "labels", "parity"]
"""Answers as they were given, labels, and pairs of served and told values."""


class Segment(msgspec.Struct, frozen=True):
    """One finished piece of the log. `sequence` grows by one per writer (a gateway process)."""

    deployment: str
    kind: Kind
    writer: str
    sequence: int
    path: str


class Cursor(msgspec.Struct, frozen=True):
    """How far a reader has come: the last `sequence` seen of each writer."""

    seen: dict[str, int] = {}

    def past(self, segment: Segment) -> bool:
        """Whether `segment` was read before."""
        return segment.sequence <= self.seen.get(segment.writer, -1)

    def after(self, segment: Segment) -> "Cursor":
        """The cursor once `segment` has been read."""
        return Cursor({**self.seen, segment.writer: segment.sequence})


class RequestLog(Protocol):
    """Finished segments of rows and labels, and queries over all of them."""

    def publish(self) -> int:
        """Make segments of what the gateways handed over; returns how many files that were.

        Blocks; idempotent. Raises `OSError` with the rest left for the next call."""
        ...

    def mark(self, deployments: Collection[str]) -> Hashable | None:
        """What is another once there is something new to read of these deployments, to be asked
        before it is read; None where there is something to `publish`, or nobody can tell."""
        ...

    def segments(self, deployment: str, after: Cursor) -> Iterator[Segment]:
        """Finished segments of a deployment (rows and labels) not yet covered by `after`.

        Segments of one writer come in its order; writers are interleaved by time."""
        ...

    def rows(self, segment: Segment) -> Rows:
        """The rows of a segment of kind `rows`."""
        ...

    def rows_of(self, segments: Sequence[Segment]) -> Iterator[Rows | None]:
        """The rows of many segments of kind `rows`, one after the other and much sooner than each
        by itself; None for what is torn or gone."""
        ...

    def labels(self, segment: Segment) -> Labels:
        """The labels of a segment of kind `labels`."""
        ...

    def paired(self, segment: Segment) -> Paired:
        """The pairs of a segment of kind `parity`."""
        ...

    def rows_between(self, deployment: str, since: float, until: float) -> Iterator[Rows]:
        """The rows with an event time from `since` to `until`, in parts, the newest parts first.

        A part is what is read at once, at most about a hundred thousand rows; empty ones, and what
        cannot be read, are left out."""
        ...

    def labels_since(self, deployment: str, since: float) -> Iterator[Labels]:
        """The labels that became known at `since` or later, in parts as `rows_between`."""
        ...

    def compare(self, deployment: str, told: Told, within: float) -> Comparison:
        """Join told values with the answers that they are about, and keep the pairs durably.

        A value that stands for another time is not farther than `within` seconds from its answer;
        a key that names several answers means the nearest, and none without a time. An answer is
        compared once, with what was told of it first, so telling again changes nothing. Blocks."""
        ...

    def labelled(self, deployment: str, until: float) -> "pa.Table":
        """Final answers joined with their newest label known by `until` (event time).

        Columns: the inputs by their own names, `label`, `event_time`, `request_id`, `row`."""
        ...

    def roll(self, deployment: str) -> int:
        """Compact finished Arrow segments into Parquet; returns how many were rolled."""
        ...
