"""The workers that were last wanted, on disk, so that the next agent need not wait to be told.

The routing snapshot beside it is what was last committed, and gateways route by it at once. A
worker that is no longer wanted is verified like any other, gets no traffic, and ends with the first
word of the controller. The epoch is not kept: it fences the controllers of one agent's life.
"""

from pathlib import Path

import msgspec

from trimtab.domain import layout
from trimtab.domain.processes import WorkerSlot


def keep(slots: frozenset[WorkerSlot]) -> None:
    """Write the set below the working directory; a disk that refuses costs a slower next start."""
    path = Path(layout.WANTED)
    unfinished = path.with_suffix(".tmp")
    try:
        unfinished.write_bytes(msgspec.json.encode(sorted(slots)))
        unfinished.rename(path)
    except OSError:
        return


def kept() -> frozenset[WorkerSlot]:
    """The set that was kept; empty when there is none that can be read."""
    try:
        found = Path(layout.WANTED).read_bytes()
        return frozenset(msgspec.json.decode(found, type=list[WorkerSlot]))
    except (OSError, msgspec.DecodeError):
        return frozenset()
