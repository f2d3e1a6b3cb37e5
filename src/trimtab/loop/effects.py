"""The outbox carried out: each effect at least once, each made harmless to repeat by its id."""

import logging

from trimtab.domain.events import Effect, Notify, Relieve, StartRun
from trimtab.domain.processes import NodeStatus
from trimtab.domain.state import SystemState
from trimtab.errors import Conflict, Permanent, TrimtabError, Unavailable
from trimtab.judge.response import start_run
from trimtab.loop.runs import Runs, find_job
from trimtab.ports.journal import Journal
from trimtab.ports.node import Node
from trimtab.ports.notifier import Notifier

log = logging.getLogger(__name__)


class Outbox:
    """Interprets effects. One that fails stays queued and is tried again in the next tick."""

    def __init__(self, journal: Journal, node: Node, notifier: Notifier, runs: Runs) -> None:
        self._journal = journal
        self._node = node
        self._notifier = notifier
        self._runs = runs
        self._empty_at: int | None = None

    async def carry_out(self, epoch: int, state: SystemState, node: NodeStatus | None) -> bool:
        """Try everything that is queued; returns whether something is left.

        `node` is a fresh status, or None when the agent does not answer. Raises `Conflict` TT-502
        when another controller leads."""
        seq = state.seq
        try:
            pending = () if seq == self._empty_at else self._journal.pending()
        except Permanent as error:
            log.warning("the outbox cannot be read: %s", error)
            return True
        left = False
        for effect in pending:
            left = not await self._carried_out(epoch, effect) or left
        # Effects are queued together with entries, and by nobody but who leads.
        self._empty_at = None if left else seq
        if node is not None:
            await self._restart_lost(state, {effect.id for effect in pending}, node)
        return left

    async def _carried_out(self, epoch: int, effect: Effect) -> bool:
        try:
            await self._perform(effect)
            self._journal.done(epoch, effect.id)
        except Conflict:
            raise
        except TrimtabError as error:
            log.warning("effect %s waits: %s", effect.id, error)
            return False
        return True

    async def _perform(self, effect: Effect) -> None:
        match effect.what:
            case StartRun() as order:
                await self._start(order)
            case Relieve(worker=worker):
                await self._node.relieve(worker)
            case Notify(incident=incident):
                self._notifier.notify(effect.id, incident)

    async def _start(self, order: StartRun) -> None:
        """A lost answer may hide a start that worked: ask the node before calling it an error."""
        try:
            await self._node.start_job(order.run, self._runs.argv(order), {})
        except Unavailable:
            if find_job(await self._node.status(), order.run) is None:
                raise

    async def _restart_lost(self, state: SystemState, queued: set[str], node: NodeStatus) -> None:
        """Start again what a dead agent took with it. A run resumes from its finished steps."""
        for deployment in state.deployments.values():
            run = deployment.run
            if run is None or f"run:{run.id}" in queued or find_job(node, run.id):
                continue
            if self._runs.finished(run):
                continue
            try:
                await self._start(start_run(deployment.spec, run.id, run.requested_clock))
            except TrimtabError as error:
                log.warning("run %s waits: %s", run.id, error)
