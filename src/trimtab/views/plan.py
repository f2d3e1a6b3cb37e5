"""The answer of `trimtab plan`: what measured costs say about other loads."""

from trimtab.domain.state import DeploymentState
from trimtab.judge.scale.plan import Capacity, plan
from trimtab.judge.scale.roles import Load
from trimtab.views.seen import Seen
from trimtab.views.shapes import CostView, EndView, OutlookView, PlanView
from trimtab.views.status import no_such_deployment

NOTHING_SERVES = "no release serves, so nothing was measured"
NOT_LOOKED = "the control loop has not looked yet"


def build_plan(name: str, seen: Seen) -> PlanView:
    """What the deployment would need at other loads. Raises `NotFound` TT-601."""
    state = seen.state.deployments.get(name)
    if state is None:
        raise no_such_deployment(name, seen.state.deployments)
    load = seen.loads.get(name)
    if state.stable is None or load is None:
        why = NOTHING_SERVES if state.stable is None else NOT_LOOKED
        return _view(state, Capacity(rate=None, cost=None, workers=0, unknown=(why,)), None)
    return _view(state, plan(state, state.stable, load), load)


def _view(state: DeploymentState, found: Capacity, load: Load | None) -> PlanView:
    cost, objective, stable = found.cost, state.spec.objective, state.stable
    host = load.host if load else None
    return PlanView(
        deployment=state.spec.name,
        release=stable.name if stable else None,
        quantile=objective.latency_quantile,
        objective_seconds=objective.latency_seconds,
        rate_per_second=found.rate,
        workers=found.workers,
        batch_workers=found.batch_workers,
        cost=CostView(cost.row, cost.batch, cost.rows, cost.spread, cost.largest) if cost else None,
        outlooks=tuple(
            OutlookView(each.factor, each.rate, each.workers, each.wait, each.beyond)
            for each in found.outlooks
        ),
        ends=tuple(
            EndView(end.resource, end.rate, end.rate / found.rate if found.rate else None)
            for end in found.ends
        ),
        unknown=found.unknown,
        cores=host.cores if host else None,
        free_bytes=host.free_bytes if host else None,
        worker_bytes=load.rss.get(stable.digest) or None if load and stable else None,
        gateway_seconds=load.gateway_seconds if load else None,
    )
