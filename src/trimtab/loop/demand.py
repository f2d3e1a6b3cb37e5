"""What is asked of the releases and what that costs them, counted from the request log."""

from collections.abc import Mapping
from typing import NamedTuple

import msgspec
import numpy as np

from trimtab.domain.deployment import DeploymentSpec
from trimtab.domain.names import Digest
from trimtab.domain.records import Floats, Ints, Outcome, Rows
from trimtab.domain.state import DeploymentState
from trimtab.judge.scale.arrivals import Arrivals, Demand, SavedArrivals
from trimtab.judge.scale.service import Batches, Ended, SavedService, Service, Work

WAITED = 0.25
"""A call is late because it waited when it waited for more than this share of the objective."""


SET = 2.0
"""Seconds by which a clock that runs differs at most, between two looks, from the time that passes:
more, and somebody has set it."""


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
        self._ahead: float | None = None

    def heed(self, now: float, monotonic: float) -> None:
        """Look at the host's clock before `now` is used. Once it was set, it is not known how long
        calls ceased or came: demand is watched anew, which takes no worker away."""
        ahead = now - monotonic
        if self._ahead is not None and abs(ahead - self._ahead) > SET:
            known = self._arrivals.items()
            self._arrivals = {name: Arrivals.load(each.dump(), now) for name, each in known}
        self._ahead = ahead

    def observe(self, spec: DeploymentSpec, rows: Rows, now: float) -> None:
        """Count the rows of a segment. Work of the batch lane waits for what is left of the
        workers: it keeps a deployment awake, and asks for nothing else."""
        arrivals = self.arrivals(spec.name, now)
        calls, sizes = _calls(rows)
        prompt, asked = calls.prompt, ~calls.has("outcome", Outcome.REJECTED)
        asked &= calls.fixed["final"]
        if asked.any():
            arrivals.touch(now)
        counted = calls.take(asked & prompt)
        received = counted.fixed["received_at"].astype(np.float64)
        arrivals.count(received, counted.has("outcome", Outcome.OK), now)
        releases = calls.texts("release")
        for release in sorted(releases.names):
            mine = prompt & releases.equal(release)
            if mine.any():
                service = self._services.setdefault(Digest(release), Service())
                some = Calls(calls.take(mine), sizes[mine])
                service.count(_ended(some, spec.objective.latency_seconds), _batches(some), now)

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


class Calls(NamedTuple):
    """The first row of each call, and how many it has."""

    rows: Rows
    sizes: Floats

    def seconds(self, name: str) -> Floats:
        """A column of floats."""
        return self.rows.fixed[name].astype(np.float64)


def _calls(rows: Rows) -> Calls:
    first = rows.fixed["row"] == 0
    starts = np.flatnonzero(first)
    return Calls(rows.take(first), np.diff(np.append(starts, len(rows))).astype(np.float64))


def _ended(calls: Calls, promised: float) -> Ended:
    """Attempts that a worker was wanted for."""
    asked = ~calls.rows.has("outcome", Outcome.REJECTED)
    calls = Calls(calls.rows.take(asked), calls.sizes[asked])
    total, queue = (
        np.nan_to_num(calls.seconds(name)) for name in ("total_seconds", "queue_seconds")
    )
    answered = calls.rows.has("outcome", Outcome.OK)
    lost = calls.rows.has("outcome", Outcome.SHED) | calls.rows.has("error", "deadline")
    return Ended(
        at=calls.seconds("received_at") + total,
        rows=calls.sizes,
        queue=np.where(answered, queue, np.nan),
        total=np.where(answered, total, np.nan),
        late=lost | (answered & (total > promised) & (queue > WAITED * promised)),
    )


def _batches(calls: Calls) -> Batches:
    """Batches are not logged as such; the rows of one have its worker and, to the nanosecond, its
    time in the model. A worker has it from when it was sent until it was answered; of a copy, which
    is sent in parts with other work between them, only the time in the model is known."""
    ran = np.isfinite(calls.seconds("model_seconds"))
    done = Calls(calls.rows.take(ran), calls.sizes[ran])
    if not len(done.rows):
        return Batches(np.empty(0), np.empty(0), np.empty(0))
    spent = done.seconds("total_seconds")
    in_parts = done.rows.has("mode", "shadow")
    found = _Runs(
        done.rows.texts("worker").places,
        done.seconds("model_seconds"),
        done.seconds("received_at") + spent,
        done.sizes,
        np.where(in_parts, 0.0, spent - done.seconds("queue_seconds")),
    )
    # Those of a batch mostly lie together: only what is left of them need be sorted.
    runs = found.joined()
    batches = runs.at(np.lexsort((runs.model, runs.worker))).joined()
    return Batches(
        at=batches.end, rows=batches.rows, seconds=np.maximum(batches.held, batches.model)
    )


class _Runs(NamedTuple):
    """What lies together of batches, as equally long columns: of which worker, its time in the
    model, the latest end, rows, and the least time that a worker had it."""

    worker: Ints
    model: Floats
    end: Floats
    rows: Floats
    held: Floats

    def at(self, index: Ints) -> "_Runs":
        """Those at these places."""
        return _Runs(
            self.worker[index],
            self.model[index],
            self.end[index],
            self.rows[index],
            self.held[index],
        )

    def joined(self) -> "_Runs":
        """Neighbours of one worker and time in the model as one."""
        changed = (self.worker[1:] != self.worker[:-1]) | (self.model[1:] != self.model[:-1])
        starts = np.concatenate(([0], np.flatnonzero(changed) + 1))
        return _Runs(
            self.worker[starts],
            self.model[starts],
            np.maximum.reduceat(self.end, starts),
            np.add.reduceat(self.rows, starts),
            np.minimum.reduceat(self.held, starts),
        )
