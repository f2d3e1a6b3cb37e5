"""One machine's hands: workers and one-off jobs."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from trimtab.domain.processes import NodeStatus, WantedWorkers


class Node(Protocol):
    """The controller's view of a node agent; calls raise `Unavailable` TT-702 when it is gone."""

    async def apply(self, wanted: WantedWorkers) -> NodeStatus:
        """Make the set of workers so; idempotent. An older epoch raises `Conflict` TT-502."""
        ...

    async def status(self) -> NodeStatus:
        """What exists now."""
        ...

    async def changed(self) -> None:
        """Return once something has become of a process since the last call returned, or may have.
        What a process uses is no change."""
        ...

    async def start_job(
        self, job: str, argv: Sequence[str], environment: Mapping[str, str]
    ) -> None:
        """Start a process once per id; a second call with the same id changes nothing."""
        ...

    async def relieve(self, worker: str) -> None:
        """Let another process take the place of a worker, by the id of its slot, once it is ready.

        It may be repeated: a fresh worker that is relieved again costs no request. One that is not
        there needs no relief."""
        ...
