"""The workers that were last wanted, on disk, so that the next agent need not wait to be told.

The routing snapshot beside it is what was last committed, and gateways route by it at once. A
worker that is no longer wanted is verified like any other, gets no traffic, and ends with the first
word of the controller. Its epoch is not taken over: it fences the controllers of one agent's life.
"""

from pathlib import Path

import msgspec

from trimtab.domain import layout
from trimtab.domain.processes import WantedWorkers


def keep(wanted: WantedWorkers) -> None:
    """Write the order into the state folder; a disk that refuses costs a slower next start."""
    path = Path(layout.WANTED)
    unfinished = path.with_suffix(".tmp")
    try:
        unfinished.write_bytes(msgspec.json.encode(wanted))
        unfinished.rename(path)
    except OSError:
        return


def kept() -> WantedWorkers:
    """The order that was kept; nobody is wanted when there is none that can be read."""
    try:
        return msgspec.json.decode(Path(layout.WANTED).read_bytes(), type=WantedWorkers)
    except (OSError, ValueError):
        return WantedWorkers(0, ())
