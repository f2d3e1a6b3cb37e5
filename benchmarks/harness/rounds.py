"""Going through the servers round by round, so that what drifts hits all of them alike.

One server runs at a time: started, asked until it answers, given its cases, stopped. Whatever
fails is kept as a reason beside what was measured, and the rest goes on.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from harness import processes
from harness.cases import BOTH_CORES, Case, medians
from harness.measures import Figures, Session
from harness.models import Trained
from harness.ours import Trimtab
from harness.servers import Place, Running, Server, first_answer

SERVER_CORES = (1,)
SETTLE_SECONDS = 0.5
SETTLES_WITHIN = 30.0
AT_REST = 0.06
"""Share of a core that a server at rest may use."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured. `workers` are trimtab's own where peers get several processes."""

    seconds: float = 5.0
    warmup: float = 2.0
    rounds: int = 3
    workers: int = 1


@dataclass(frozen=True, slots=True)
class Setup:
    """A server as several cases need it."""

    server: str
    model: str
    cores: str
    processes: int


@dataclass(slots=True)
class Found:
    """What one case gave of one server."""

    runs: list[Figures] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


class Rounds:
    """All cases of a run. `found` grows as it goes on, and is whole at every moment."""

    def __init__(
        self,
        cases: Sequence[Case],
        servers: Mapping[str, Server],
        models: Mapping[str, Trained],
        effort: Effort,
        tell: Callable[[str], None],
    ) -> None:
        self._cases = cases
        self._servers = servers
        self._models = models
        self._effort = effort
        self._tell = tell
        self._given_up: dict[Setup, str] = {}
        self.found: dict[str, dict[str, Found]] = {case.name: {} for case in cases}

    def table(self, case: Case) -> dict[str, Figures]:
        """Medians of a case by server."""
        return {name: medians(f.runs) for name, f in self.found[case.name].items() if f.runs}

    def run(self) -> None:
        """Prepare everything, then every round."""
        setups = dict.fromkeys(setup for case in self._cases for setup in self._setups(case))
        for setup in setups:
            self._prepare(setup)
        for number in range(self._effort.rounds):
            for setup in setups:
                self._visit(setup, number)

    def _setups(self, case: Case) -> Iterator[Setup]:
        for name in case.servers:
            if name in self._servers:
                yield Setup(name, case.model, case.cores, case.processes)

    def _cases_of(self, setup: Setup) -> list[Case]:
        return [case for case in self._cases if setup in self._setups(case)]

    def _prepare(self, setup: Setup) -> None:
        try:
            self._servers[setup.server].prepare(self._models[setup.model])
        except Exception as error:  # a product that cannot be had is a finding, not an end
            self._give_up(setup, f"not prepared: {error}")

    def _give_up(self, setup: Setup, problem: str) -> None:
        self._given_up[setup] = problem
        for case in self._cases_of(setup):
            self._failed(case, setup, problem)

    def _failed(self, case: Case, setup: Setup, problem: str) -> None:
        self._tell(f"{case.name} {setup.server}: FAILED {problem}")
        self.found[case.name].setdefault(setup.server, Found()).problems.append(problem)

    def _visit(self, setup: Setup, number: int) -> None:
        if setup in self._given_up:
            return
        model, server = self._models[setup.model], self._servers[setup.server]
        cores = None if setup.cores == BOTH_CORES else SERVER_CORES
        count = setup.processes
        if isinstance(server, Trimtab) and count > 1:
            count = self._effort.workers
        try:
            running = server.start(model, Place(model.folder / "logs", cores, count))
        except Exception as error:  # as above
            self._give_up(setup, f"not started: {error}")
            return
        try:
            first = first_answer(running, model)
            effort = self._effort
            session = Session(
                server, model, running, first, cores, effort.seconds, effort.warmup, number
            )
            for case in self._cases_of(setup):
                settled(running)
                self._measure(case, setup, session)
        except Exception as error:  # as above
            self._give_up(setup, f"no answer: {error}")
        finally:
            running.stop()

    def _measure(self, case: Case, setup: Setup, session: Session) -> None:
        try:
            figures = case.measure(session)
        except Exception as error:  # as above
            self._failed(case, setup, str(error) or repr(error))
            return
        self.found[case.name].setdefault(setup.server, Found()).runs.append(figures)
        told = ", ".join(figure(name, value) for name, value in figures.items())
        self._tell(f"{case.name} {setup.server}: {told}")


def figure(name: str, value: float) -> str:
    """A figure with its name and unit."""
    if name in ("rate", "rate_without"):
        return f"{name} {value:,.0f}/s"
    if name in ("rate_lost", "p99_added", "client_busy"):
        return f"{name} {value:.1%}"
    if name in ("memory", "private_memory"):
        return f"{name} {value / 2**20:.1f} MiB"
    if name == "errors":
        return f"{name} {value:.0f}"
    if name == "server_cpu":
        return f"{name} {value * 1e6:.0f} µs"
    return f"{name} {value * 1e3:.3g} ms"


def settled(running: Running) -> None:
    """Wait until the server is done with what the case before left it, for a while at most."""
    end = time.monotonic() + SETTLES_WITHIN
    used, before = 1.0, processes.processor_seconds(running.pid)
    while used > AT_REST * SETTLE_SECONDS and time.monotonic() < end:
        time.sleep(SETTLE_SECONDS)
        after = processes.processor_seconds(running.pid)
        used, before = after - before, after
