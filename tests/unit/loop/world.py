"""A whole installation in memory, with a controller that can be killed and started again."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from tests.support.control import ANN, ManifestBlobs, ScriptedEvidence, manifest_digest, spec

from trimtab.backends.memory import (
    MemoryCatalog,
    MemoryHost,
    MemoryJournal,
    MemoryNode,
    MemoryNotifier,
    VirtualClock,
)
from trimtab.backends.requestlog import FolderRequestLog
from trimtab.domain.deployment import DeploymentSpec, PipelineSpec, ProjectConfig
from trimtab.domain.routing import TOTAL_WEIGHT, RoutingSnapshot
from trimtab.domain.state import DeploymentState, replay
from trimtab.domain.verdicts import Incident
from trimtab.loop.controller import Controller, Parts, Tempo
from trimtab.loop.runs import Place, RunStatus
from trimtab.loop.service import Control
from trimtab.ports.catalog import Catalog
from trimtab.ports.journal import Journal
from trimtab.ports.node import Node
from trimtab.ports.notifier import Notifier
from trimtab.views.journal import build_runs, known_incidents
from trimtab.views.shapes import RunView

T = TypeVar("T")
PIPELINE = PipelineSpec("m", "pipeline.py", ("fit",), "requirements.txt")


def run(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a test's coroutine."""
    return asyncio.run(work())


@dataclass
class World:
    """Everything outside the controller. `start` gives a new controller on what is there."""

    home: Path
    tempo: Tempo = field(default_factory=Tempo)
    clock: VirtualClock = field(default_factory=VirtualClock)
    journal: Journal = field(default_factory=MemoryJournal)
    catalog: Catalog = field(default_factory=MemoryCatalog)
    blobs: ManifestBlobs = field(default_factory=ManifestBlobs)
    node: MemoryNode = field(default_factory=MemoryNode)
    notifier: MemoryNotifier = field(default_factory=MemoryNotifier)
    evidence: ScriptedEvidence = field(default_factory=ScriptedEvidence)
    host: MemoryHost = field(default_factory=MemoryHost)
    through: Node | None = None
    telling: Notifier | None = None

    def start(self) -> Controller:
        """A controller that leads."""
        parts = Parts(
            self.journal,
            self.catalog,
            self.blobs,
            self.through or self.node,
            self.telling or self.notifier,
            self.clock,
            self.evidence,
            self.host,
        )
        controller = Controller(parts, Place(self.home, self.home / "project"), self.tempo)
        controller.lead("test")
        return controller

    async def serving(self, desired: DeploymentSpec | None = None) -> tuple[Controller, Control]:
        """Releases 1 to 4 registered, and m@1 serving as deployment `d`."""
        controller = self.start()
        control = Control(controller, FolderRequestLog(self.home))
        await control.apply(
            ProjectConfig(deployments=(desired or spec(),), pipelines=(PIPELINE,)), ANN
        )
        for number in range(1, 5):
            await control.register(manifest_digest(number), ANN)
        await control.deploy("d", "m@1", ANN)
        for _ in range(4):
            await self.tick(controller)
        return controller, control

    async def tick(self, controller: Controller, seconds: float = 1.0) -> DeploymentState:
        """Let both clocks go on, and tick."""
        await self.clock.advance(seconds)
        self.evidence.clocks["d"] = self.evidence.clocks.get("d", 1000.0) + seconds
        await controller.tick()
        return controller.store.deployments["d"]

    def routes(self) -> dict[str, int]:
        """Weights of deployment `d` in the file, by the release's name."""
        deployment = self.snapshot().deployments[0]
        names = {target.release: target.name for target in self.snapshot().releases}
        return {names.get(route.release, "?"): route.weight for route in deployment.routes}

    def snapshot(self) -> RoutingSnapshot:
        """The routing file."""
        data = (self.home / "run/routing.json").read_bytes()
        return msgspec.json.decode(data, type=RoutingSnapshot)

    def acknowledge(self, version: int, pid: int = 7) -> None:
        """Say as a gateway which snapshot it routes by."""
        self.home.joinpath("run").mkdir(exist_ok=True)
        facts = {"pid": pid, "version": version, "epoch": 1}
        (self.home / "run/gateway-0.json").write_bytes(msgspec.json.encode(facts))

    def report(self, run: str, status: RunStatus) -> None:
        """Say as a pipeline run how far it is."""
        folder = self.home / "runs" / run
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "status.json").write_bytes(msgspec.json.encode(status))

    def runs(self) -> tuple[RunView, ...]:
        """Pipeline runs as they are shown, newest first."""
        return build_runs(self.journal.entries()).runs

    def incidents(self) -> tuple[Incident, ...]:
        """Incidents as they were last recorded, oldest first."""
        return known_incidents(self.journal.entries())

    def check(self, controller: Controller) -> None:
        """The invariants that hold between any two ticks."""
        assert replay(self.journal.entries()) == controller.store.state
        self.journal.verify()
        state = controller.store.deployments.get("d")
        if state is None or not (self.home / "run/routing.json").exists():
            return
        assert state.automatic_rollbacks <= 3
        resident = {target.release: target.workers for target in self.snapshot().releases}
        for deployment in self.snapshot().deployments:
            weights = [route.weight for route in deployment.routes]
            assert sum(weights) in (0, TOTAL_WEIGHT)
            assert all(r.mode == "stable" or resident[r.release] for r in deployment.routes)
