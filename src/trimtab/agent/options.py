"""What the node agent is told, and how it tells what happens."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from trimtab.agent.process import Forked
from trimtab.domain.otel import Export


@dataclass(frozen=True, slots=True)
class Programs:
    """Command lines of the processes next to the workers; their options are appended.

    `-P` keeps the state folder, in which they run, off their import path. `shared` are the modules
    that all of them import, and no more: what is heavy in one would be in the others too."""

    gateway: tuple[str, ...] = (sys.executable, "-P", "-m", "trimtab.gateway")
    controller: tuple[str, ...] = (sys.executable, "-P", "-m", "trimtab.web")
    shared: tuple[str, ...] = ("trimtab.gateway.main", "trimtab.backends.spool")


@dataclass(frozen=True, slots=True)
class Patience:
    """Durations in seconds.

    A process that lives `settled` is no quick death. `refused` are the pauses after the first,
    second and every later start that a worker refused."""

    drain: float = 30.0
    settled: float = 10.0
    shortest_pause: float = 0.1
    longest_pause: float = 5.0
    refused: tuple[float, ...] = (1.0, 5.0, 60.0)
    start: float = 300.0
    watch: float = 0.1
    """Between two looks at whether workers keep to their limits."""
    quiet: float = 0.5
    """The same while no worker does anything, and the memory of none is limited."""
    stopped: float = 1.0
    """Between two looks for processes that are stopped; one that still is at the next is ended."""
    measure: float = 5.0
    """Between two measurements of everything that processes use, for the metrics."""
    replay: float = 300.0
    """Between two replays of the golden set in a worker that serves; 0 for none."""
    relieved: float = 60.0
    """After a worker could not be relieved, until that is tried again."""
    unused: float = 60.0
    """How long a zygote outlives the last worker that was wanted of its environment."""
    warm: float = 30.0
    """How long the warm process may take to fork a program before programs are started cold."""
    leftover: float = 5.0
    """How long the ports of an agent that was killed may stay taken by its dying gateways."""


@dataclass(frozen=True, slots=True)
class AgentOptions:
    """Listeners are `host:port`; port 0 takes a free one. `grpc` is None for no gRPC, `export`
    what gateways send to collectors, `warm` None where gateways and the controller are to be
    started cold."""

    home: Path
    project: Path
    inference: str = "127.0.0.1:8080"
    admin: str = "127.0.0.1:8090"
    gateways: int = 1
    flush_seconds: float = 0.25
    grpc: str | None = None
    export: Export = field(default_factory=Export)
    programs: Programs = field(default_factory=Programs)
    patience: Patience = field(default_factory=Patience)
    warm: Forked | None = None


Kind = Literal["listening", "started", "ready", "ended", "failed", "stopping", "stopped"]


@dataclass(frozen=True, slots=True)
class AgentEvent:
    """Something that happened to `name` (`gateway-0`, `controller`, a slot id, a job id, `agent`).

    `text` is one sentence for people; `pid` is None where no process is meant."""

    kind: Kind
    name: str
    text: str
    pid: int | None = None


Report = Callable[[AgentEvent], None]


def silent(event: AgentEvent) -> None:
    """Tell nobody."""
