"""What the node's status means for releases: who is ready, and who cannot be made ready."""

from collections.abc import Mapping

from trimtab.domain.names import Digest
from trimtab.domain.processes import NodeStatus, WorkerSlot, WorkerStatus
from trimtab.domain.state import DeploymentState
from trimtab.errors import GOLDEN_FAILED
from trimtab.judge.draft import WorkerFailure
from trimtab.judge.reports import Surroundings
from trimtab.loop.machine import Machine

FAILED_STARTS = 3


class Health:
    """Counts failed starts since a worker was last ready, so that one crash of a worker which
    has run for weeks is not taken for a release that cannot start."""

    def __init__(self) -> None:
        self.status = NodeStatus(())
        self._at_ready: dict[WorkerSlot, int] = {}

    def see(self, status: NodeStatus) -> None:
        """Take in a fresh status."""
        self.status = status
        # Whoever keeps a place that was given up and is wanted again counts from the beginning.
        present = {worker.slot: worker.restarts for worker in status.workers}
        known = self._at_ready.items()
        self._at_ready = {slot: min(n, present[slot]) for slot, n in known if slot in present}
        for worker in status.workers:
            if worker.state == "ready":
                self._at_ready[worker.slot] = worker.restarts

    def ready(self) -> dict[Digest, tuple[WorkerSlot, ...]]:
        """The verified workers of each release, in order."""
        found: dict[Digest, tuple[WorkerSlot, ...]] = {}
        for worker in sorted(self.status.workers, key=lambda worker: worker.slot):
            if worker.state == "ready":
                release = worker.slot.release
                found[release] = (*found.get(release, ()), worker.slot)
        return found

    def failed(self) -> dict[Digest, WorkerFailure]:
        """Releases with a worker that failed its golden replay, or failed to start too often."""
        return {
            worker.slot.release: WorkerFailure(worker.code, worker.error)
            for worker in self.status.workers
            if worker.state == "failed" and self._given_up(worker)
        }

    def _given_up(self, worker: WorkerStatus) -> bool:
        starts = worker.restarts - self._at_ready.get(worker.slot, 0)
        return worker.code == GOLDEN_FAILED or starts >= FAILED_STARTS

    def surroundings(
        self, states: Mapping[str, DeploymentState], machine: Machine
    ) -> dict[str, Surroundings]:
        """What the monitors cannot see in rows."""
        return {name: self._around(state, machine) for name, state in states.items()}

    def _around(self, state: DeploymentState, machine: Machine) -> Surroundings:
        stable = state.stable.digest if state.stable else None
        serving = [worker for worker in self.status.workers if worker.slot.release == stable]
        golden = [worker.slot.id for worker in serving if worker.code == GOLDEN_FAILED]
        return Surroundings(
            boundary=state.serving_since,
            workers=len(serving),
            golden_failures=tuple(golden),
            restarts=sum(worker.restarts for worker in serving),
            candidate=state.rollout is not None and state.rollout.phase == "canary",
            host_pressure=machine.pressure,
            starved=() if stable is None else machine.strain(stable),
            resources=None
            if stable is None
            else machine.resources(stable, state.spec.limits.memory_bytes),
        )
