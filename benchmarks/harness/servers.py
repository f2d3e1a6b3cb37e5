"""What every server under measurement has in common."""

import select
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from harness.answers import Judge
from harness.client import connected
from harness.dialects import DIALECTS, Rows
from harness.load import Load
from harness.models import Trained
from harness.processes import NotStarted, Started

THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
"""One row is never worth a second thread: every server here is spared the attempt."""

FIRST_SECONDS = 90.0
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

    def python(self, model: Trained) -> Path:
        """The interpreter that the model runs in."""
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


def first_answer(running: Running, model: Trained, kind: str = "json") -> float:
    """Seconds from the start of the process to its first right answer, asked for all the time.

    Raises `NotStarted` with what came instead."""
    asked = load(running, model, kind, 1)
    judge, problem = Judge(asked), "nothing"
    end = time.monotonic() + FIRST_SECONDS
    while time.monotonic() < end:
        try:
            answer = once(asked, FIRST_SECONDS)
        except OSError as error:
            problem = str(error)
        else:
            if judge.outcome(0, *answer) == "200":
                return time.monotonic() - running.started.began
            problem = "; ".join(judge.problems[-1:])
        time.sleep(0.005)
    said = running.started.said()
    raise NotStarted(f"no right answer within {FIRST_SECONDS:g} s: {problem}; it said: {said}")


def once(asked: Load, seconds: float) -> tuple[str, bytes]:
    """Status and answer of the load's first request. Raises `OSError`."""
    with select.epoll() as poll:
        line = connected(asked, poll)
        try:
            line.ask(asked.requests[0])
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                for _, event in poll.poll(1.0):
                    if (found := line.received(event)) is not None:
                        return found
        finally:
            line.close()
    raise TimeoutError(f"no answer within {seconds:g} s")
