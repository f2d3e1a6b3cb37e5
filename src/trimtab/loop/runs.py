"""Pipeline runs: started as jobs of the node agent, read back from what they leave on disk."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from trimtab.domain import layout
from trimtab.domain.events import StartRun
from trimtab.domain.processes import JobStatus, NodeStatus
from trimtab.domain.state import Run
from trimtab.loop import files


class RunStatus(msgspec.Struct, frozen=True):
    """`runs/<id>/status.json`, replaced by the run as it goes. `release` is a digest."""

    state: Literal["running", "succeeded", "failed"]
    step: str = ""
    release: str | None = None
    error: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where this installation lives: the state folder, and the user's project."""

    home: Path
    project: Path


class Runs:
    """Knows how a run is started and how it ended."""

    def __init__(self, place: Place) -> None:
        self._place = place

    def argv(self, order: StartRun) -> tuple[str, ...]:
        """The command of a run. `--until` is event time in epoch seconds."""
        words = (
            *(sys.executable, "-P", "-m", "trimtab.app", "run"),
            *("--home", str(self._place.home)),
            *("--project", str(self._place.project)),
            *("--run", order.run),
            *("--model", order.model),
            *("--deployment", order.deployment),
        )
        return words if order.until is None else (*words, "--until", repr(order.until))

    def status(self, run: str) -> RunStatus | None:
        """What the run says about itself; None before it says anything."""
        data = files.read(self._place.home / layout.RUNS / run / "status.json")
        try:
            return msgspec.json.decode(data, type=RunStatus) if data else None
        except ValueError:
            return None

    def finished(self, run: Run) -> bool:
        """Whether the run has said how it ended."""
        told = self.status(run.id)
        return told is not None and told.state != "running"

    def result(self, run: Run, node: NodeStatus) -> RunStatus | None:
        """How the run ended, or None while it goes on.

        `node` must have been read before: a job that had ended then has left its last word."""
        told = self.status(run.id)
        if told is not None and told.state != "running":
            return told
        job = find_job(node, run.id)
        if job is None or job.exit_code is None:
            return None
        step = f" in step {told.step}" if told and told.step else ""
        error = f"it ended with exit code {job.exit_code}{step} and left no result"
        return RunStatus("failed", error=error)


def find_job(node: NodeStatus, run: str) -> JobStatus | None:
    """The job of a run, when the agent knows it."""
    return next((job for job in node.jobs if job.id == run), None)
