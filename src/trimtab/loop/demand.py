"""What is asked of the releases and what that costs them, counted from the request log."""

from collections.abc import Mapping

import msgspec
import numpy as np

from trimtab.domain.deployment import DeploymentSpec
from trimtab.domain.names import Digest
from trimtab.domain.records import Outcome, Rows
from trimtab.domain.state import DeploymentState
from trimtab.judge.scale.arrivals import Arrivals, Demand, SavedArrivals
from trimtab.judge.scale.service import Batches, Ended, SavedService, Service, Work

WAITED = 0.25
"""A call is late because it waited when it waited for more than this share of the objective."""


class SavedDemand(msgspec.Struct, frozen=True):
    """What outlives a restart, by deployment and by release."""

    arrivals: dict[str, SavedArrivals] = {}
    services: dict[str, SavedService] = {}


class Demands:
    """Counts by deployment what is asked, and by release what its workers did: these may be shared
    by several deployments."""

    def __init__(self) -> None:
        self._arrivals: dict[str, Arrivals] = {}
        self._services: dict[Digest, Service] = {}

    def observe(self, spec: DeploymentSpec, rows: Rows, now: float) -> None:
        """Count the rows of a segment. Work of the batch lane waits for what is left of the
        workers: it keeps a deployment awake, and asks for nothing else."""
        fixed = rows.fixed
        arrivals = self.arrivals(spec.name, now)
        asked = fixed["final"] & (fixed["row"] == 0)
        outcome = fixed["outcome"]
        asked &= outcome != Outcome.REJECTED
        if asked.any():
            arrivals.touch(now)
        prompt = rows.prompt
        calls = asked & prompt
        received = fixed["received_at"][calls].astype(np.float64)
        arrivals.count(received, outcome[calls] == Outcome.OK, now)
        for release in sorted(set(fixed["release"][prompt].tolist())):
            service = self._services.setdefault(Digest(release), Service())
            mine = rows.take(prompt & (fixed["release"] == release))
            service.count(_ended(mine, spec.objective.latency_seconds), _batches(mine), now)

    def arrivals(self, deployment: str, now: float) -> Arrivals:
        """Those of a deployment; counting begins `now` if nothing was counted before."""
        return self._arrivals.setdefault(deployment, Arrivals(now))

    def demand(
        self, deployments: tuple[str, ...], now: float, lead: float, patience: float
    ) -> Demand:
        """What is asked of deployments that share their workers, at least one."""
        found = [self.arrivals(name, now).demand(now, lead, patience) for name in deployments]
        total = found[0]
        for other in found[1:]:
            total = total.plus(other)
        return total

    def work(self, release: Digest, now: float, quantile: float, patience: float) -> Work:
        """What the release's workers did."""
        service = self._services.get(release)
        return service.work(now, quantile, patience) if service else Work()

    def keep(self, states: Mapping[str, DeploymentState]) -> None:
        """Forget deployments that are gone, and releases that none of the others has."""
        for name in self._arrivals.keys() - states.keys():
            del self._arrivals[name]
        for release in self._services.keys() - set().union(*map(_releases, states.values())):
            del self._services[release]

    def dump(self) -> SavedDemand:
        """What to go on from after a restart."""
        return SavedDemand(
            {name: arrivals.dump() for name, arrivals in self._arrivals.items()},
            {release: service.dump() for release, service in self._services.items()},
        )

    @classmethod
    def load(cls, saved: SavedDemand, now: float) -> "Demands":
        """Go on from a dump."""
        made = cls()
        made._arrivals = {n: Arrivals.load(each, now) for n, each in saved.arrivals.items()}
        made._services = {Digest(n): Service(each) for n, each in saved.services.items()}
        return made


def _releases(state: DeploymentState) -> set[Digest]:
    candidate = state.rollout.candidate if state.rollout else None
    found = (state.stable, candidate, state.previous, *state.proven)
    return {release.digest for release in found if release is not None}


def _ended(rows: Rows, promised: float) -> Ended:
    """Attempts that a worker was wanted for."""
    fixed = rows.fixed
    first = np.flatnonzero(fixed["row"] == 0)
    counts = np.diff(np.append(first, len(rows))).astype(np.float64)
    outcome = fixed["outcome"][first]
    asked = outcome != Outcome.REJECTED
    first, counts, outcome = first[asked], counts[asked], outcome[asked]
    total, queue = (
        np.nan_to_num(fixed[name][first].astype(np.float64))
        for name in ("total_seconds", "queue_seconds")
    )
    answered = outcome == Outcome.OK
    lost = (outcome == Outcome.SHED) | (fixed["error"][first] == "deadline")
    return Ended(
        at=fixed["received_at"][first].astype(np.float64) + total,
        rows=counts,
        queue=np.where(answered, queue, np.nan),
        total=np.where(answered, total, np.nan),
        late=lost | (answered & (total > promised) & (queue > WAITED * promised)),
    )


def _batches(rows: Rows) -> Batches:
    """Batches are not logged as such; the rows of one have its worker and, to the nanosecond, its
    time in the model. A worker has it from when it was sent until it was answered; of a copy, which
    is sent in parts with other work between them, only the time in the model is known."""
    fixed = rows.fixed
    first = np.flatnonzero(fixed["row"] == 0)
    counts = np.diff(np.append(first, len(rows))).astype(np.float64)
    model = fixed["model_seconds"][first].astype(np.float64)
    ran = np.isfinite(model)
    done, counts, model = first[ran], counts[ran], model[ran]
    numbers: dict[str, int] = {}
    names = fixed["worker"][done].tolist()
    workers = np.array([numbers.setdefault(name, len(numbers)) for name in names], dtype=np.int64)
    order = np.lexsort((model, workers))
    changed = (np.diff(workers[order]) != 0) | (np.diff(model[order]) != 0.0)
    starts = np.flatnonzero(np.concatenate((np.ones(min(1, len(order)), np.bool_), changed)))
    if not len(starts):
        return Batches(np.empty(0), np.empty(0), np.empty(0))
    done = done[order]
    counts = counts[order]
    total, queue = (
        fixed[name][done].astype(np.float64) for name in ("total_seconds", "queue_seconds")
    )
    ends = fixed["received_at"][done].astype(np.float64) + total
    in_parts = fixed["mode"][done] == "shadow"
    held = np.minimum.reduceat(np.where(in_parts, 0.0, total - queue), starts)
    return Batches(
        at=np.maximum.reduceat(ends, starts),
        rows=np.add.reduceat(counts, starts),
        seconds=np.maximum(held, model[order][starts]),
    )
