"""The machine that the controller shares with the workers."""

from collections.abc import Iterable
from typing import Protocol

from trimtab.domain.processes import HostStatus


class Host(Protocol):
    """What the machine has left. Calls are quick and raise nothing: what cannot be read is left
    out."""

    def look(self, pids: Iterable[int]) -> HostStatus | None:
        """The machine now, with the processor time of those of `pids` that live; None where
        nobody knows."""
        ...
