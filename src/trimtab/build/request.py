"""What a build is asked for, and the tools it works with."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from trimtab.domain.release import EngineChoice, EnvironmentLock, Format
from trimtab.judge.own_loss import OwnLoss
from trimtab.ports.blobs import Blobs
from trimtab.ports.environments import Environments

NO_RUN = "build"
"""The source of a release that no run of a pipeline made."""
Narrate = Callable[[str], None]
"""Receives one line for a person whenever a stage of the work ends."""


@dataclass(frozen=True, slots=True)
class ReferenceData:
    """The reference data of a release and what its columns mean."""

    path: Path
    target: str | None = None
    positive: str | None = None
    time: str | None = None
    key: str | None = None
    segments: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    loss: OwnLoss | None = None


@dataclass(frozen=True, slots=True)
class BuildRequest:
    """Everything `trimtab build` is told. Paths are absolute; `features` is `module:function`.

    `model` is a file for every format but `python`, for which `entry` is `module:Class`.
    `code` is the folder that feature code and python classes are taken from.
    """

    name: str
    format: Format
    model: Path | None
    entry: str | None
    code: Path
    features: str | None = None
    reference: ReferenceData | None = None
    requirements: Path | None = None
    lock: EnvironmentLock | None = None
    """An environment that is resolved already; goes before `requirements`."""
    trust: Literal["none", "code"] = "none"
    engine: EngineChoice = "auto"
    config: Mapping[str, str] = field(default_factory=dict)
    source: str = NO_RUN


class ReleaseRunner(Protocol):
    """Runs the worker's one-off modes in a release's environment."""

    def run(self, python: Path, arguments: Sequence[str], execution: Mapping[str, str]) -> str:
        """Standard output of the worker started with `arguments`.

        Raises `Permanent` TT-207 (model) or TT-206 (features) with the worker's own words."""
        ...


@dataclass(frozen=True, slots=True)
class Tools:
    """The ports a build needs, and the folders it may write below."""

    blobs: Blobs
    environments: Environments
    runner: ReleaseRunner
    scratch: Path
    cache: Path
    """What a build need not do again: locks, steps of pipelines, engines."""
    serving: Mapping[str, str]
    """The execution profile that releases are served under."""
    perturbed: Sequence[Mapping[str, str]]
    """Execution profiles that must not matter; how much they do becomes the tolerance."""
    narrate: Narrate
