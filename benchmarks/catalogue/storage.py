"""Ports of the control loop in memory, for as long as a run lasts."""

import asyncio
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trimtab import errors
from trimtab.domain.names import Digest
from trimtab.domain.records import Comparison, Labels, Paired, Rows, Told
from trimtab.loop import samples
from trimtab.loop.drawings import Draw
from trimtab.ports.requestlog import Cursor, Kind, Segment

WRITER = "gateway"
Part = Rows | Labels | Paired
KINDS: dict[type[Part], Kind] = {Rows: "rows", Labels: "labels", Paired: "parity"}


class VirtualTime:
    """`ports.Clock` that goes on when it is told to. `off` is how wrong the host's clock is."""

    def __init__(self, now: float) -> None:
        self.true = now
        self.off = 0.0

    def now(self) -> float:
        """See `ports.Clock`."""
        return self.true + self.off

    def monotonic(self) -> float:
        """See `ports.Clock`."""
        return self.true

    async def sleep(self, seconds: float) -> None:
        """See `ports.Clock`; no one waits in a run."""
        await asyncio.sleep(0)


async def at_once(draw: Draw) -> samples.Told:
    """Draw what shows an incident while time stands still."""
    return draw()


@dataclass
class MemoryLog:
    """`ports.RequestLog`: what one gateway wrote, in its order."""

    pieces: list[tuple[Segment, Part]] = field(default_factory=list)

    def write(self, deployment: str, part: Part) -> None:
        """Finish a segment."""
        number = len(self.pieces)
        segment = Segment(deployment, KINDS[type(part)], WRITER, number, str(number))
        self.pieces.append((segment, part))

    def publish(self) -> int:
        """See `ports.RequestLog`: everything is finished when it is written."""
        return 0

    def mark(self, deployments: Collection[str]) -> int:
        """See `ports.RequestLog`."""
        return len(self.pieces)

    def segments(self, deployment: str, after: Cursor) -> Iterator[Segment]:
        """See `ports.RequestLog`."""
        first = after.seen.get(WRITER, -1) + 1
        return iter([segment for segment, _ in self.pieces[first:]])

    def rows(self, segment: Segment) -> Rows:
        """See `ports.RequestLog`."""
        part = self.pieces[segment.sequence][1]
        assert isinstance(part, Rows)
        return part

    def rows_of(self, segments: Sequence[Segment]) -> Iterator[Rows]:
        """See `ports.RequestLog`."""
        return map(self.rows, segments)

    def labels(self, segment: Segment) -> Labels:
        """See `ports.RequestLog`."""
        part = self.pieces[segment.sequence][1]
        assert isinstance(part, Labels)
        return part

    def paired(self, segment: Segment) -> Paired:
        """See `ports.RequestLog`."""
        part = self.pieces[segment.sequence][1]
        assert isinstance(part, Paired)
        return part

    def rows_between(self, deployment: str, since: float, until: float) -> Iterator[Rows]:
        """See `ports.RequestLog`."""
        for _, part in reversed(self.pieces):
            if isinstance(part, Rows):
                at = part.fixed["event_time"]
                yield part.take((at >= since) & (at <= until))

    def labels_since(self, deployment: str, since: float) -> Iterator[Labels]:
        """See `ports.RequestLog`."""
        for _, part in reversed(self.pieces):
            if isinstance(part, Labels):
                inside = part.fixed["at"] >= since
                yield Labels({name: column[inside] for name, column in part.fixed.items()})

    def compare(self, deployment: str, told: Told, within: float) -> Comparison:
        """Pairs are written as such in a run."""
        raise _absent("pairing")

    def labelled(self, deployment: str, until: float) -> Any:
        """Nothing is trained in a run."""
        raise _absent("training data")

    def roll(self, deployment: str) -> int:
        """Nothing is on a disk."""
        return 0


@dataclass
class MemoryBlobs:
    """`ports.Blobs` that holds the manifests and profiles of a run's releases."""

    held: dict[Digest, bytes] = field(default_factory=dict)

    def add(self, blobs: Mapping[Digest, bytes]) -> None:
        """Hold these too."""
        self.held |= blobs

    def put(self, data: bytes) -> Digest:
        """Nothing is stored in a run."""
        raise _absent("storing")

    def get(self, digest: Digest) -> bytes:
        """See `ports.Blobs`."""
        return self.held[digest]

    def check(self, digest: Digest) -> None:
        """See `ports.Blobs`."""
        self.get(digest)

    def has(self, digest: Digest) -> bool:
        """See `ports.Blobs`."""
        return digest in self.held

    def put_folder(self, folder: Path) -> Digest:
        """No folders in a run."""
        raise _absent("folders")

    def tree(self, digest: Digest) -> Any:
        """No folders in a run."""
        raise _absent("folders")

    def checkout(self, digest: Digest, folder: Path) -> None:
        """No folders in a run."""
        raise _absent("folders")


def _absent(what: str) -> errors.Usage:
    return errors.Usage(errors.BAD_VALUE, "simulate", what, "the catalogue has none of it")
