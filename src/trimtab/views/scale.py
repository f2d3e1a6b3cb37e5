"""The line about workers on the status screen."""

from trimtab.domain.state import DeploymentState
from trimtab.judge.scale.roles import Seat, seats
from trimtab.views.seen import Seen
from trimtab.views.shapes import ScaleView


def build_scale(state: DeploymentState, seen: Seen) -> ScaleView | None:
    """How many workers the serving release should have, and why; None while nobody knows."""
    load = seen.loads.get(state.spec.name)
    if state.stable is None or load is None:
        return None
    workers = seen.workers(state.stable.digest)
    ready = sum(worker.state == "ready" for worker in workers)
    seat = next(seats(state, load, {state.stable.digest: ready}, seen.now))
    return _view(state, seat, ready)


def _view(state: DeploymentState, seat: Seat, ready: int) -> ScaleView:
    sizing, plan = seat.sizing, state.spec.scale
    return ScaleView(
        workers=seat.before,
        ready_workers=ready,
        min=plan.min,
        max=plan.max,
        asleep=seat.before == 0,
        need=sizing.need,
        limit=sizing.limit,
        why=sizing.why,
        rate_per_second=sizing.rate,
        busy_workers=sizing.busy,
        queue_seconds=sizing.queue,
    )
