"""Which worker of a release fails while its siblings do not: it is rested, not the release."""

from collections.abc import Collection

FAILURES = 5
"""Batches in a row that a worker must fail or miss to be rested."""
SUSPECT = 2
"""Batches in a row after which another worker is asked about what this one failed."""
REST_SECONDS = 30.0
"""The first rest; the n-th in a row is n times as long."""
FORGET_SECONDS = 600.0
"""A worker that was fine for so long after a rest begins anew."""
MOST_RESTING = 0.5
"""Share of the workers that may rest at the same time."""


class Health:
    """What is known of one worker. `failures` are in a row; `answered` whether it ever did."""

    __slots__ = ("answered", "failures", "rested_until", "rests")

    def __init__(self) -> None:
        self.answered = False
        self.failures = 0
        self.rests = 0
        self.rested_until = 0.0


class Outliers:
    """The health of a release's workers, by name. Pure: the time is an argument."""

    def __init__(self) -> None:
        self._health: dict[str, Health] = {}
        self.resting: set[str] = set()

    def keep(self, workers: Collection[str]) -> None:
        """Forget every worker that is not among these."""
        for worker in set(self._health) - set(workers):
            del self._health[worker]
            self.resting.discard(worker)

    def answered(self, worker: str) -> None:
        """A batch was answered in time."""
        health = self._of(worker)
        health.failures = 0
        health.answered = True

    def failed(self, worker: str) -> None:
        """A batch was failed, lost, or answered too late for everyone."""
        self._of(worker).failures += 1

    def suspect(self, worker: str, workers: Collection[str]) -> bool:
        """Whether the worker fails again and again and its siblings answer.

        If they fail too, it is the release: another worker would not help.
        """
        return self._of(worker).failures >= SUSPECT and self._siblings_answer(worker, workers)

    def rest(self, worker: str, workers: Collection[str], now: float) -> float:
        """Seconds for which the worker gets no work from now on; 0 while it need not rest."""
        health = self._of(worker)
        enough = health.failures >= FAILURES and worker not in self.resting
        most = MOST_RESTING * len(workers)
        if not enough or len(self.resting) + 1 > most or not self._siblings_answer(worker, workers):
            return 0.0
        if now - health.rested_until > FORGET_SECONDS:
            health.rests = 0
        health.rests += 1
        seconds = REST_SECONDS * health.rests
        health.rested_until = now + seconds
        health.failures = 0
        self.resting.add(worker)
        return seconds

    def _siblings_answer(self, worker: str, workers: Collection[str]) -> bool:
        siblings = [self._of(each) for each in workers if each not in self.resting | {worker}]
        fine = sum(each.answered and not each.failures for each in siblings)
        return bool(siblings) and 2 * fine >= len(siblings)

    def _of(self, worker: str) -> Health:
        found = self._health.get(worker)
        if found is None:
            found = self._health[worker] = Health()
        return found
