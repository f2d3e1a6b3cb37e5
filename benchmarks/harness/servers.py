"""What every server under measurement has in common."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from harness.dialects import DIALECTS, Rows
from harness.generator import generate
from harness.load import Load
from harness.models import Trained
from harness.processes import Started

THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
"""One row is never worth a second thread: every server here is spared the attempt."""

REQUESTS = 64
"""Different requests of a load, sent in turn."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a server takes one kind of request."""

    dialect: str
    path: str
    port: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where and how large: cores that the whole tree may use (None: all), and processes."""

    folder: Path
    cores: tuple[int, ...] | None = None
    processes: int = 1


@dataclass(frozen=True, slots=True)
class Running:
    """A server that runs. `endpoints` by kind: `json`, `binary`, `grpc`."""

    started: Started
    endpoints: Mapping[str, Endpoint]
    release: Callable[[], None] = lambda: None

    @property
    def pid(self) -> int:
        """The root of its process tree."""
        return self.started.pid

    def stop(self) -> None:
        """End it and all its processes."""
        self.started.stop()
        self.release()


class Server(Protocol):
    """A product in one configuration."""

    @property
    def name(self) -> str:
        """What the tables call it."""
        ...

    @property
    def says(self) -> str:
        """Versions and configuration, for the reader."""
        ...

    def prepare(self, model: Trained) -> None:
        """Everything that is done once: environment, packaging. Raises any error."""
        ...

    def start(self, model: Trained, place: Place) -> Running:
        """Start it; returns once it listens. Raises `NotStarted`."""
        ...


def requests(
    endpoint: Endpoint, model: Trained, rows: int
) -> tuple[list[bytes], list[list[float]]]:
    """Requests of so many rows each, and what the model answers."""
    encode = DIALECTS[endpoint.dialect].encode
    made, expected = [], []
    for number in range(REQUESTS):
        at = number * rows % (len(model.rows) - rows + 1)
        part: Rows = model.rows[at : at + rows]
        made.append(encode(endpoint.path, part))
        expected.append(model.expected[at : at + rows].tolist())
    return made, expected


def load(running: Running, model: Trained, kind: str, rows: int, **more: object) -> Load:
    """A load on one kind of endpoint; `more` are further fields of `Load`."""
    endpoint = running.endpoints[kind]
    made, expected = requests(endpoint, model, rows)
    fields = {"connections": 1, "seconds": 1.0, **more}
    return Load(
        port=endpoint.port,
        dialect=endpoint.dialect,
        requests=made,
        expected=expected,
        watched=running.pid,
        **fields,  # type: ignore[arg-type]
    )


def wait_right(running: Running, model: Trained, kind: str, seconds: float) -> None:
    """Return at the first right answer. Raises `TimeoutError` with what came instead."""
    end = time.monotonic() + seconds
    problem = "nothing"
    while time.monotonic() < end:
        try:
            (result,) = generate(
                load(running, model, kind, 1, connections=1, seconds=0.05, warmup=0.0)
            )
        except Exception as error:  # not there yet, in whatever way
            problem = str(error)
            continue
        if result.answered:
            return
        problem = "; ".join(result.problems) or str(result.outcomes)
    raise TimeoutError(f"no right answer within {seconds:g} s: {problem}")
