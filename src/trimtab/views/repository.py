"""Releases as the model repository of the Open Inference Protocol lists them.

Source: Triton's `extension_model_repository.md`, "Index".
"""

from typing import Literal

import msgspec

from trimtab.domain.processes import WorkerStatus
from trimtab.domain.release import Release
from trimtab.views.seen import Seen

State = Literal["READY", "LOADING", "UNAVAILABLE"]


class RepositoryEntry(msgspec.Struct, frozen=True):
    """One release under the name of a deployment of its model."""

    name: str
    version: str
    state: State
    reason: str


def build_repository(seen: Seen, *, ready: bool = False) -> tuple[RepositoryEntry, ...]:
    """Every release of every deployment, in order; only those that could answer if `ready`."""
    found = [
        _entry(name, release, seen.workers(release.digest))
        for name, state in sorted(seen.state.deployments.items())
        for release in sorted(seen.releases.values(), key=lambda each: each.number)
        if release.model == state.spec.model
    ]
    return tuple(entry for entry in found if not ready or entry.state == "READY")


def _entry(name: str, release: Release, workers: tuple[WorkerStatus, ...]) -> RepositoryEntry:
    state, reason = _state(workers)
    return RepositoryEntry(name, str(release.number), state, reason)


def _state(workers: tuple[WorkerStatus, ...]) -> tuple[State, str]:
    if any(worker.state == "ready" for worker in workers):
        return "READY", ""
    problem = next((worker.error for worker in workers if worker.error), "")
    if any(worker.state in ("preparing", "starting") for worker in workers):
        return "LOADING", problem
    return "UNAVAILABLE", problem or "no worker has it loaded"
