"""How workers are started: forked from the zygote of their environment, and cold without one."""

import asyncio
from collections.abc import Sequence
from functools import partial

from trimtab.agent.hands import PreparedRelease
from trimtab.agent.options import AgentEvent, Patience, Report
from trimtab.agent.process import Child, Launch, Nursery
from trimtab.agent.zygote import Breed, Zygote
from trimtab.domain.processes import WorkerSlot


class Zygotes:
    """One zygote for each environment that a slot uses, and for a while after the last one."""

    def __init__(self, nursery: Nursery, patience: Patience, report: Report) -> None:
        self._nursery = nursery
        self._patience = patience
        self._report = report
        self._zygotes: dict[str, Zygote] = {}
        self._users: dict[str, set[WorkerSlot]] = {}
        self._ending: set[asyncio.Task[None]] = set()

    async def start(
        self, slot: WorkerSlot, prepared: PreparedRelease, arguments: Sequence[str]
    ) -> Child:
        """A worker for `slot`. Raises `Permanent` TT-701 when no process can be made."""
        name = f"worker-{slot.id}"
        zygote = self._zygote(slot, prepared)
        if zygote is not None:
            child = await zygote.fork(name, arguments, prepared.imports)
            if child is not None:
                return child
        return self._nursery.spawn(_launch(name, prepared, arguments))

    def leave(self, slot: WorkerSlot) -> None:
        """A slot is given up; the zygote that nobody uses any more ends after a while."""
        for environment, users in self._users.items():
            if slot in users:
                users.discard(slot)
                if not users:
                    loop = asyncio.get_running_loop()
                    loop.call_later(self._patience.unused, self._retire, environment)

    @property
    def processes(self) -> dict[str, int]:
        """Process ids by the names of those that live."""
        return {each.name: each.pid for each in self._zygotes.values() if each.pid is not None}

    async def stop(self) -> None:
        """End all zygotes."""
        self._users.clear()
        for environment in list(self._zygotes):
            self._retire(environment)
        if self._ending:
            await asyncio.wait(self._ending)

    def _zygote(self, slot: WorkerSlot, prepared: PreparedRelease) -> Zygote | None:
        environment = prepared.zygote
        if environment is None or not self._nursery.adopts:
            return None
        self._users.setdefault(environment, set()).add(slot)
        zygote = self._zygotes.get(environment)
        if zygote is None:
            breed = Breed(environment, partial(_zygote_launch, environment, prepared))
            zygote = self._zygotes[environment] = Zygote(
                breed, self._nursery, self._patience, self._report
            )
        return zygote

    def _retire(self, environment: str) -> None:
        if self._users.get(environment):
            return
        self._users.pop(environment, None)
        zygote = self._zygotes.pop(environment, None)
        if zygote is None:
            return
        self._report(AgentEvent("stopping", zygote.name, "no worker needs it"))
        task = asyncio.ensure_future(zygote.stop())
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)


def _launch(name: str, prepared: PreparedRelease, arguments: Sequence[str]) -> Launch:
    # A checkout that a worker adds compiled files to would no longer be the release.
    environment = {**prepared.environment, "PYTHONDONTWRITEBYTECODE": "1"}
    return Launch(name, prepared.argv(arguments), environment)


def _zygote_launch(environment: str, prepared: PreparedRelease, line: int) -> Launch:
    arguments = ("zygote", "--line-fd", str(line), "--environment", environment)
    launch = _launch(f"zygote-{environment}", prepared, arguments)
    return Launch(launch.name, launch.argv, launch.environment, (line,))
