"""What is known of demand and machine, put together for the decision about a deployment."""

from collections.abc import Mapping

from trimtab.domain.names import Digest
from trimtab.domain.processes import NodeStatus
from trimtab.domain.rollout import Standing
from trimtab.domain.state import DeploymentState, asleep, rollback_target
from trimtab.judge.scale.arrivals import Demand
from trimtab.judge.scale.roles import Load
from trimtab.judge.scale.service import Work
from trimtab.loop.evidence import Evidence
from trimtab.loop.machine import Machine
from trimtab.loop.wakes import Wakes

LEAD_SECONDS = 10.0
"""How far the forecast looks, beyond the time that a worker takes to start."""


class Capacity:
    """One per controller."""

    def __init__(self, evidence: Evidence, machine: Machine, wakes: Wakes) -> None:
        self._evidence = evidence
        self._machine = machine
        self._wakes = wakes
        self._states: Mapping[str, DeploymentState] = {}
        self._asked: dict[Digest, tuple[float, float]] = {}
        self._work: dict[Digest, Work] = {}

    def look(
        self, node: NodeStatus, states: Mapping[str, DeploymentState], now: float, *, fresh: bool
    ) -> None:
        """Take in the node's status; `now` is monotonic seconds. What releases did is looked at
        again when the evidence is `fresh`, or there are others."""
        self._machine.look(node, now)
        self._states = states
        asked = {
            release.digest: (
                state.spec.objective.latency_quantile,
                state.spec.scale.patience_seconds,
            )
            for state in states.values()
            for release in _resident(state)
        }
        if fresh or asked != self._asked:
            self._asked = asked
            self._work = {each: self._evidence.work(each, *how) for each, how in asked.items()}

    @property
    def sleeping(self) -> tuple[str, ...]:
        """The deployments whose workers sleep."""
        return tuple(name for name, state in self._states.items() if asleep(state))

    def asked(self) -> bool:
        """Whether a request waits for workers that sleep."""
        return any(map(self._wakes.asked, self.sleeping))

    def load(self, name: str) -> Load:
        """What the decision about the deployment rests on."""
        state, machine = self._states[name], self._machine
        work = {each.digest: self._work[each.digest] for each in _resident(state)}
        busy = {each: machine.busy(each, done.worked) for each, done in work.items()}
        calls = sum(done.calls for done in self._work.values())
        return Load(
            demand=self._demand(name, state),
            work=work,
            rss={each: machine.rss(each) for each in work},
            busy={each: share for each, share in busy.items() if share is not None},
            host=machine.host,
            woken=self._wakes.asked(name),
            gateways=max(1, len(machine.node.gateways)),
            gateway_seconds=machine.gateway_seconds(calls),
        )

    def _demand(self, name: str, state: DeploymentState) -> Demand:
        """Deployments that serve the same release share its workers, and ask them together."""
        starts = self._machine.starts(state.stable.digest) if state.stable else 0.0
        sharing = (
            other
            for other, theirs in self._states.items()
            if other != name and state.stable is not None and theirs.stable == state.stable
        )
        patience = state.spec.scale.patience_seconds
        return self._evidence.demand((name, *sharing), LEAD_SECONDS + starts, patience)

    def settle(self, name: str, state: DeploymentState) -> None:
        """What was decided is recorded: a deployment that is awake asks for nothing any more."""
        if not asleep(state):
            self._wakes.answered(name)


def _resident(state: DeploymentState) -> tuple[Standing, ...]:
    candidate = state.rollout.candidate if state.rollout else None
    found = (state.stable, candidate, rollback_target(state))
    return tuple(dict.fromkeys(release for release in found if release is not None))
