"""The workers of a release that take the same work: who they are, what it costs, what they do."""

from collections.abc import Collection

from trimtab.gateway.batch import Batch
from trimtab.gateway.cost import Cost
from trimtab.gateway.outliers import Outliers


class Crew:
    """Workers by name. Those of the batch lane alone (`batch`) are a crew of their own: they run at
    lower priority, so what work takes them says nothing of the others, nor whether it is late.

    `taking` workers take work: they are connected and do not rest. `running` of them have a batch
    or two, and `parts_out` of these batches are not realtime. Pure: the time is an argument.
    """

    __slots__ = (
        "_ends",
        "batch",
        "cost",
        "outliers",
        "parts_out",
        "ready",
        "running",
        "taking",
    )

    def __init__(self, *, batch: bool = False) -> None:
        self.batch = batch
        self.cost = Cost()
        self.outliers = Outliers()
        self.ready: set[str] = set()
        self.taking = 0
        self.running = 0
        self.parts_out = 0
        self._ends = 0.0

    def join(self, worker: str) -> None:
        """A worker is connected."""
        self.ready.add(worker)
        self._count()

    def leave(self, worker: str) -> None:
        """A worker takes no more work."""
        self.ready.discard(worker)
        self._count()

    def keep(self, workers: Collection[str]) -> None:
        """Forget how every worker did that is not among these."""
        self.outliers.keep(workers)
        self._count()

    def suspects(self, worker: str) -> bool:
        """Whether another one should be asked about what this worker failed."""
        return self.outliers.suspect(worker, self.ready)

    def rest(self, worker: str, now: float) -> float:
        """Seconds for which a worker gets no work from now on; 0 while it need not rest."""
        seconds = self.outliers.rest(worker, self.ready, now)
        self._count()
        return seconds

    def wake(self, workers: Collection[str]) -> set[str]:
        """Those of these workers that rested; they do not any more."""
        awake = self.outliers.resting & set(workers)
        self.outliers.resting -= awake
        self._count()
        return awake

    def begin(self, batch: Batch) -> None:
        """One of them was sent a batch."""
        if batch.behind is None:
            self.running += 1
        else:  # what it is behind ends before: nothing but its own end counts from here on
            self._ends -= batch.behind.ends_at
            batch.behind.followed = True
        self._ends += batch.ends_at
        self.parts_out += batch.lane != "realtime"

    def end(self, batch: Batch) -> None:
        """The batch is not with its worker any more."""
        self.parts_out -= batch.lane != "realtime"
        if not batch.followed:
            self._ends -= batch.ends_at
            self.running -= 1

    def ahead(self, now: float) -> float:
        """Seconds of a worker that are left of what runs."""
        return max(self._ends - self.running * now, 0.0)

    def _count(self) -> None:
        self.taking = len(self.ready - self.outliers.resting)
