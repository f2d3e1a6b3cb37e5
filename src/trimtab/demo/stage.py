"""What the demonstration needs of the machine it plays on, beyond the two HTTP listeners."""

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Protocol

import msgspec


@dataclass(frozen=True, slots=True)
class Urls:
    """Addresses of the two listeners, e.g. `http://127.0.0.1:8080`."""

    inference: str
    admin: str


@dataclass(frozen=True, slots=True)
class Built:
    """A registered release. `release` is `model@number`; `metrics` is what its run measured."""

    release: str
    digest: str
    seconds: float
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Exposure:
    """What a release was asked as a canary, by the request log; times are wall epoch seconds.

    `requests` counts distinct requests that were assigned to it outside shadow, `failed` those it
    failed, whoever answered them in the end; `first` and `last` are when they were received.
    """

    requests: int
    failed: int
    first: float | None
    last: float | None


class Reproduced(msgspec.Struct, frozen=True, kw_only=True):
    """The `reproduce` shape of DESIGN §9."""

    release: str
    integrity: str
    environment: str
    behaviour: str
    max_difference: float | None = None
    tolerance: float | None = None
    retrain: str | None = None


class Stage(Protocol):
    """One machine with a state folder of its own. Methods block; they are called from a thread.

    Every method raises a `TrimtabError` when it fails, and changes nothing then.
    """

    def build_pipeline_release(self, project: Path, model: str, known_by: datetime) -> Built:
        """Run the pipeline of `project` on labels known by `known_by`, and register the release.

        Called before `start` with the project that is started later, and while the system runs
        with a copy of it."""
        ...

    def start(self, project: Path) -> Urls:
        """Start the system on `project`; returns when both listeners answer."""
        ...

    def exposure(self, deployment: str, release: str) -> Exposure:
        """What the request log says `release` was asked as a canary."""
        ...

    def reproduce(self, release: str) -> Reproduced:
        """Make `release` again in a clean environment and compare."""
        ...

    def stop(self) -> None:
        """Stop what `start` started; no error when it does not run."""
        ...
