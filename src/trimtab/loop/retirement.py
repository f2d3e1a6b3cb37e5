"""Workers stop last: out of the routing, acknowledged by every gateway, then drained."""

from trimtab.domain.processes import WorkerSlot


class Retirement:
    """Keeps workers that nobody wants any more until no gateway can send them a request.

    A gateway that does not answer may delay this by `patience` seconds and no longer."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._leaving: dict[WorkerSlot, tuple[int, float]] = {}

    @property
    def waiting(self) -> bool:
        """Whether some worker waits to be stopped."""
        return bool(self._leaving)

    def keep(
        self,
        unwanted: frozenset[WorkerSlot],
        *,
        version: int,
        acknowledged: int,
        now: float,
    ) -> frozenset[WorkerSlot]:
        """Which of the unwanted workers must stay for now.

        `version` is the first snapshot that does not name them; `now` is monotonic seconds."""
        self._leaving = {slot: self._leaving.get(slot, (version, now)) for slot in sorted(unwanted)}
        return frozenset(
            slot
            for slot, (needed, since) in self._leaving.items()
            if acknowledged < needed and now - since < self._patience
        )
