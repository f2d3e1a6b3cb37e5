"""A system without models: it follows the event clock, and each rollout goes as it is told to."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from tests.unit.demo.server import Answer, Asked, Server, accepted, running, scored

from trimtab.demo.options import DEPLOYMENT
from trimtab.demo.stage import Built, Exposure, Reproduced, Urls
from trimtab.views.encode import to_json
from trimtab.views.shapes import (
    DeploymentView,
    EventView,
    HistoryView,
    LatencyView,
    ReleasesView,
    RequestsView,
    RollbackView,
    RolloutView,
    RunsView,
    ServingView,
    StatusView,
    WhyView,
)

_PHASES = ("preparing", "shadow", "canary")
_POLLS = 4
"""Polls that a phase lasts."""


class System:
    """Answers both listeners. The first release serves at once, any other is rolled back."""

    def __init__(self) -> None:
        self.stable: str | None = None
        self.candidate: str | None = None
        self.ended: str | None = None
        self.clock = 0.0
        self.polls = 0
        self.orders: list[dict[str, str]] = []
        self.run_polls = 0
        """Polls for which a run is said to be in progress, from the next one on."""
        self.arrived_while_running = 0
        self.frozen = False
        """Whether the clock that it judges by stands still."""
        self._events: list[EventView] = []
        self._lock = threading.Lock()

    def __call__(self, asked: Asked) -> Answer:
        """The answer of whichever listener."""
        with self._lock:
            if asked.path.startswith("/api/"):
                return self._admin(asked)
            if asked.path.endswith("/feedback"):
                return accepted(asked)
            self._see(asked)
            canary = self._phase() == "canary" and hash(asked.json["id"]) % 10 == 0
            return scored(asked, (self.candidate if canary else self.stable) or "")

    def _see(self, asked: Asked) -> None:
        self.arrived_while_running += self.run_polls > 0
        event_time = datetime.fromisoformat(asked.json["parameters"]["event_time"])
        if not self.frozen:
            self.clock = max(self.clock, event_time.timestamp())

    def _admin(self, asked: Asked) -> Answer:
        path = asked.path.partition("?")[0]
        if path.endswith("/deploy"):
            return self._deploy(asked)
        views: dict[str, msgspec.Struct] = {
            "/api/why": WhyView(()),
            "/api/runs": RunsView(()),
            "/api/releases": ReleasesView(()),
            "/api/history": HistoryView(tuple(self._events)),
        }
        return Answer(body=to_json(views[path] if path in views else self._status()))

    def _deploy(self, asked: Asked) -> Answer:
        assert asked.headers["x-trimtab-action"] == "1"
        self.orders.append(asked.json)
        release, self.polls = asked.json["release"], 0
        self._record("rollout_started", release, f"rollout of {release} started")
        if self.stable is None:
            self.stable = release
        else:
            self.candidate = release
        return Answer()

    def _phase(self) -> str | None:
        if self.candidate is None:
            return None
        step = self.polls // _POLLS
        return _PHASES[step] if step < len(_PHASES) else None

    def _record(self, kind: str, release: str, summary: str) -> None:
        now = datetime.now(UTC)
        clock = datetime.fromtimestamp(self.clock, UTC)
        seq = len(self._events) + 1
        told: dict[str, Any] = {"deployment": DEPLOYMENT, "reason": "", "evidence": {}, "hash": ""}
        self._events.append(
            EventView(
                seq=seq,
                at=now,
                kind=kind,
                actor="controller",
                release=release,
                clock_at=clock,
                summary=summary,
                **told,
            )
        )

    def _status(self) -> StatusView:
        self.polls += 1
        self.run_polls = max(0, self.run_polls - 1)
        if self.candidate is not None and self._phase() is None:
            self._record("rollout_ended", self.candidate, f"{self.candidate} rolled back")
            self.ended, self.candidate = self.candidate, None
        return StatusView(deployments=(self._deployment(),), seq=len(self._events), routed=True)

    def _deployment(self) -> DeploymentView:
        return DeploymentView(
            name=DEPLOYMENT,
            state="healthy",
            model=DEPLOYMENT,
            clock="event",
            at=datetime.fromtimestamp(self.clock, UTC) if self.clock else None,
            reason="",
            stable=_serving(self.stable, 1.0),
            candidate=_serving(self.candidate, 0.1),
            rollout=_rollout(self.candidate, self._phase() or "preparing", None),
            last_rollout=_rollout(self.ended, "ended", "rolled_back"),
            rollback=RollbackView(ready=True, target=self.stable),
            verdicts=(),
            requests=RequestsView(total=0, failed=0, rate_per_second=0.0),
            latency=LatencyView(p50_seconds=None, p99_seconds=None),
            incidents=(),
            run="run1" if self.run_polls else None,
        )


def _serving(release: str | None, weight: float) -> ServingView | None:
    if release is None:
        return None
    return ServingView(
        release=release, digest="sha256:0", weight_ratio=weight, workers=1, ready_workers=1
    )


def _rollout(release: str | None, state: Any, outcome: Any) -> RolloutView | None:
    if release is None:
        return None
    return RolloutView(
        id="r", release=release, strategy="canary", state=state, step=0, outcome=outcome
    )


class FakeStage:
    """A stage whose releases are names. What was done to it is written down."""

    def __init__(self, server: Server, system: System) -> None:
        self._server = server
        self._system = system
        self.done: list[str] = []

    def build_pipeline_release(self, project: Path, model: str, known_by: datetime) -> Built:
        """A name with the next number; the project must be whole."""
        for name in ("pipeline.py", "features.py", "trimtab.toml", "history.parquet"):
            assert (project / name).is_file()
        routes = "_HISTORY" in (project / "features.py").read_text()
        self.done.append("build bad" if routes else "build")
        number = sum(text.startswith("build") for text in self.done)
        return Built(f"{model}@{number}", "sha256:0123456789abcdef", 0.1, {"brier": 0.158})

    def start(self, project: Path) -> Urls:
        """It runs already."""
        self.done.append("start")
        address = self._server.address
        url = f"http://{address.host}:{address.port}"
        return Urls(url, url)

    def exposure(self, deployment: str, release: str) -> Exposure:
        """More than any client counted."""
        return Exposure(10_000, 2, 0.0, 1.0)

    def reproduce(self, release: str) -> Reproduced:
        """To the bit."""
        return Reproduced(
            release=release,
            integrity="ok",
            environment="identical",
            behaviour="bit_identical",
            max_difference=0.0,
            tolerance=0.0,
        )

    def stop(self) -> None:
        """Nothing was started."""
        self.done.append("stop")


@contextmanager
def staged(system: System) -> Iterator[FakeStage]:
    """The system behind a server, and the stage it plays on."""
    with running(Server(system)) as server:
        yield FakeStage(server, system)
