"""What is outside of the control loop: clients, gateway, workers and the host, simulated.

The gateway routes by the snapshot that the controller published, the agent runs the workers that
it asked for, and both report as the real ones do. A fault works on what passes between them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catalogue.releases import Build, outputs_of, words_of
from catalogue.tables import Table
from trimtab.backends.memory import MemoryNode
from trimtab.domain.names import Digest
from trimtab.domain.processes import HostStatus, WorkerSlot, WorkerStatus
from trimtab.domain.records import FIXED_COLUMNS, Labels, Paired, Rows
from trimtab.domain.routing import TOTAL_WEIGHT, DeploymentRoute, RoutingSnapshot
from trimtab.errors import GOLDEN_FAILED

CLIENTS = 200
"""Callers, by the unit that their requests name."""
FAILING = 0.0002
"""Share of calls that fail for no reason that anybody looks into."""
MEDIAN_MODEL = 0.004
MEDIAN_QUEUE = 0.001
MEBI = 2**20
MEMORY = 32 * 2**30
"""Bytes of the machine."""
CALM = {"cpu": 0.05, "memory": 0.0, "io": 0.02}
"""Share of a minute in which work waits on a machine with room."""


@dataclass(frozen=True)
class Requests:
    """What clients ask for in a step, one row a request. `at` is when, in true seconds; `training`
    are the inputs as training computes them for the same rows later."""

    rows: Table
    training: Mapping[str, NDArray[Any]]
    at: NDArray[np.float64]
    unit: NDArray[np.uint64]

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, places: NDArray[Any]) -> "Requests":
        """Some of them."""
        training = {name: column[places] for name, column in self.training.items()}
        return Requests(self.rows.take(places), training, self.at[places], self.unit[places])

    def and_these(self, other: "Requests") -> "Requests":
        """All of both."""
        training = {
            name: np.concatenate([column, other.training[name]])
            for name, column in self.training.items()
        }
        return Requests(
            self.rows.and_these(other.rows),
            training,
            np.concatenate([self.at, other.at]),
            np.concatenate([self.unit, other.unit]),
        )

    def changed(self, **columns: NDArray[Any]) -> "Requests":
        """The same with other values in some input columns, wherever these are read."""
        return replace(self.misread(**columns), training={**self.training, **columns})

    def misread(self, **columns: NDArray[Any]) -> "Requests":
        """The same with other values in some input columns where the model is served."""
        inputs = {**self.rows.inputs, **columns}
        return replace(self, rows=replace(self.rows, inputs=inputs))


@dataclass
class Answers:
    """One attempt at a release for each request it got; a fault may change any of it."""

    requests: Requests
    worker: NDArray[np.object_]
    scores: NDArray[np.float64]
    failed: NDArray[np.bool_]
    queue: NDArray[np.float64]
    model: NDArray[np.float64]


@dataclass(frozen=True)
class Told:
    """Labels on their way: for which request, what they say, when they come and from whom."""

    request: NDArray[np.object_]
    label: NDArray[np.object_]
    at: NDArray[np.float64]
    source: NDArray[np.object_]

    def take(self, places: NDArray[Any]) -> "Told":
        """Some of them."""
        return Told(self.request[places], self.label[places], self.at[places], self.source[places])

    def and_these(self, other: "Told") -> "Told":
        """All of both."""
        return Told(
            np.concatenate([self.request, other.request]),
            np.concatenate([self.label, other.label]),
            np.concatenate([self.at, other.at]),
            np.concatenate([self.source, other.source]),
        )


NOTHING = Told(*(np.zeros(0, dtype=kind) for kind in (object, object, float, object)))


@dataclass
class VirtualHost:
    """`ports.Host`: a machine of eight cores. `waiting` is the share of a minute in which its work
    waited, by what for; `free` the share of its memory that is free."""

    waiting: dict[str, float] = field(default_factory=lambda: dict(CALM))
    free: float = 0.7

    def look(self, pids: Iterable[int]) -> HostStatus:
        """See `ports.Host`."""
        free = round(self.free * MEMORY)
        return HostStatus(8.0, MEMORY, free, waiting=dict(self.waiting), load=2.0)


@dataclass
class SimulatedNode(MemoryNode):
    """An agent whose workers are ready at once, unless a fault says otherwise.

    By worker id: `golden` is by how much those that no longer reproduce the golden set differ,
    `restarted` how often they were started again, `memory` their resident size in bytes. Who takes
    the place of a worker runs on the same machine, and is no better.
    """

    golden: dict[str, float] = field(default_factory=dict)
    restarted: dict[str, int] = field(default_factory=dict)
    memory: dict[str, int] = field(default_factory=dict)

    def _worker(self, slot: WorkerSlot) -> WorkerStatus:
        difference = self.golden.get(slot.id, 0.0)
        text = f"the golden set is not reproduced: outputs differ by up to {difference:g}"
        return WorkerStatus(
            slot,
            "ready",
            pid=1,
            restarts=self.restarted.get(slot.id, 0),
            error=text if difference else "",
            code=GOLDEN_FAILED if difference else "",
            rss_bytes=self.memory.get(slot.id, 300 * MEBI),
            started_seconds=1.0,
            golden_difference=difference,
        )

    def of(self, release: Digest) -> list[str]:
        """Ids of the workers of a release, in order."""
        return [slot.id for slot in sorted(self.workers) if slot.release == release]


@dataclass(frozen=True)
class Share:
    """The part of a step's requests that one release is asked, and in which mode."""

    release: Digest
    mode: str
    places: NDArray[np.int64]


@dataclass
class Gateway:
    """Deals requests to releases and workers, and makes rows of their answers."""

    builds: Mapping[Digest, Build]
    node: SimulatedNode
    generator: np.random.Generator
    numbered: int = 0

    def shares(self, snapshot: RoutingSnapshot, n: int) -> list[Share]:
        """Who is asked what: the candidate's share by chance, shadow copies for all."""
        routes = snapshot.deployments[0].routes
        drawn = self.generator.integers(0, TOTAL_WEIGHT, n)
        everyone, found, at = np.arange(n), [], 0
        for route in sorted(routes, key=lambda each: each.mode != "canary"):
            if route.mode == "shadow":
                found.append(Share(route.release, "shadow", everyone))
                continue
            mine = np.flatnonzero((drawn >= at) & (drawn < at + route.weight))
            found.append(Share(route.release, route.mode, mine))
            at += route.weight
        return found

    def ids(self, n: int) -> NDArray[np.object_]:
        """Ids of the next requests."""
        first, self.numbered = self.numbered, self.numbered + n
        return np.array([f"q{number}" for number in range(first, first + n)], dtype=object)

    def ask(self, release: Digest, requests: Requests) -> Answers:
        """One attempt at each of `requests`."""
        build, n, draw = self.builds[release], len(requests), self.generator
        workers = np.array(self.node.of(release), dtype=object)
        return Answers(
            requests,
            workers[draw.integers(0, len(workers), n)],
            build.scores(requests.rows.inputs),
            draw.random(n) < FAILING + build.failing,
            MEDIAN_QUEUE * np.exp(0.5 * draw.standard_normal(n)),
            MEDIAN_MODEL * build.slower * np.exp(0.4 * draw.standard_normal(n)),
        )


@dataclass(frozen=True)
class Attempt:
    """How an attempt is logged. `weight` is the candidate's share; `off` the clock's error."""

    release: Digest
    mode: str
    number: int
    final: bool
    route: DeploymentRoute
    weight: int
    off: float


def logged(ids: NDArray[np.object_], answers: Answers, attempt: Attempt) -> Rows:
    """The rows of an attempt as a gateway's segment holds them."""
    n, at = len(ids), answers.requests.at + attempt.off
    same: dict[str, Any] = {
        "row": 0,
        "release": attempt.release,
        "mode": attempt.mode,
        "lane": "realtime",
        "rollout": attempt.route.rollout or "",
        "weight": attempt.weight,
        "attempt": attempt.number,
        "trace_id": None,
    }
    fixed = {name: np.full(n, same[name], dtype=_KINDS[name]) for name in same}
    answered = ~answers.failed
    fixed |= {
        "request_id": ids,
        "event_time": at,
        "received_at": at,
        "unit": answers.requests.unit,
        "final": np.full(n, attempt.final) & (answered | (attempt.mode == "stable")),
        "outcome": np.where(answered, "ok", "failed").astype(object),
        "error": np.where(answered, "", "worker raised").astype(object),
        "worker": answers.worker,
        "queue_seconds": answers.queue,
        "model_seconds": answers.model,
        "total_seconds": answers.queue + answers.model + 0.0005,
    }
    outputs = outputs_of(np.where(answered, answers.scores, np.nan))
    outputs["label"][answers.failed] = None
    return Rows(fixed, dict(answers.requests.rows.inputs), outputs)


_NUMPY: dict[str, Any] = {
    "string": object,
    "int32": np.int32,
    "uint64": np.uint64,
    "float64": np.float64,
    "bool": np.bool_,
}
_KINDS = {name: _NUMPY[kind] for name, kind in FIXED_COLUMNS}


def paired(rows: Rows, requests: Requests, share: NDArray[np.bool_]) -> Paired:
    """What training computed for a share of the rows that were answered."""
    kept = np.flatnonzero(share & (rows.fixed["outcome"] == "ok"))
    told = {name: column[kept] for name, column in requests.training.items()}
    return Paired(rows.take(kept), told)


def labels_of(told: Told) -> Labels:
    """Labels as a gateway's segment holds them."""
    n = len(told.request)
    return Labels(
        {
            "request_id": told.request,
            "row": np.zeros(n, dtype=np.int32),
            "key": np.full(n, None, dtype=object),
            "label": told.label,
            "at": told.at,
            "received_at": told.at,
            "source": told.source,
        }
    )


def truth_told(ids: NDArray[np.object_], requests: Requests, delays: NDArray[np.float64]) -> Told:
    """The true labels of requests, from the one source that a deployment has."""
    source = np.full(len(ids), "warehouse", dtype=object)
    return Told(ids, words_of(requests.rows.truth), requests.at + delays, source)
