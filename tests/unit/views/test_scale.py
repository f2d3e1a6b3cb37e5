"""What people see of worker counts: status, history, why and plan."""

from dataclasses import replace

import msgspec
import pytest
from rich.console import Console
from tests.support.scenes import (
    NAME,
    NOW,
    MemorySystem,
    configured,
    digest,
    loaded,
    serving,
    standing,
)

from trimtab import errors
from trimtab.domain import events as e
from trimtab.domain.deployment import ScalePlan
from trimtab.domain.processes import NodeStatus, WorkerSlot, WorkerStatus
from trimtab.judge.scale.arrivals import Demand
from trimtab.judge.scale.cost import Cost
from trimtab.judge.scale.roles import Load
from trimtab.judge.scale.service import Work
from trimtab.loop.history import History
from trimtab.views.journal import build_history, build_why
from trimtab.views.plan import build_plan
from trimtab.views.seen import Seen
from trimtab.views.shapes import PlanView
from trimtab.views.status import build_status
from trimtab.views.text import render


def seen(system: MemorySystem, given: Load | None = None) -> Seen:
    """A look at the system under a load."""
    return replace(system.seen(), loads={NAME: given or loaded()})


def text(view: object) -> str:
    """What a terminal shows."""
    console = Console(width=160, no_color=True)
    with console.capture() as captured:
        console.print(render(view))
    return captured.get()


def grown() -> MemorySystem:
    """`@1` serves by three workers of which two are ready."""
    system = serving()
    system.tell(e.Scaled(standing(1), 3, 1, NOW), f"{NAME}@1", "820/s × 1.9 ms = 1.6 busy")
    return system


def test_status_tells_the_workers_and_why() -> None:
    view = build_status(seen(grown())).deployments[0]
    assert view.scale is not None
    assert (view.scale.workers, view.scale.ready_workers, view.scale.busy_workers) == (3, 2, 1.558)
    assert "workers  2/3 (of 1–4): 820/s × 1.9 ms = 1.6 busy, p99 queue 4 ms" in text(
        build_status(seen(grown()))
    )


def batching(ready: bool) -> Seen:
    """`@1` serves with one worker more, for the batch lane alone."""
    system = serving()
    plan = msgspec.structs.replace(system.deployment(NAME).spec, scale=ScalePlan(batch=1))
    system.tell(e.SpecApplied(plan))
    looked = seen(system)
    status = WorkerStatus(
        WorkerSlot(digest(1), 0, "batch"),
        "ready" if ready else "failed",
        error="" if ready else "it has no memory",
    )
    return replace(looked, node=NodeStatus((*looked.node.workers, status)))


def test_status_counts_workers_of_the_batch_lane_apart() -> None:
    status = build_status(batching(ready=True))
    view = status.deployments[0]
    assert view.stable is not None
    assert view.scale is not None
    assert (view.stable.workers, view.stable.batch_workers, view.scale.ready_workers) == (2, 1, 2)
    assert view.state == "healthy"
    assert "2/2 workers ready, 1/1 for batch work" in text(status)


def test_a_failing_worker_of_the_batch_lane_degrades_a_deployment_and_takes_it_not_down() -> None:
    view = build_status(batching(ready=False)).deployments[0]
    assert (view.state, view.reason) == (
        "degraded",
        f"a worker of {NAME}@1 fails: it has no memory",
    )


def test_a_plan_counts_workers_of_the_batch_lane_apart() -> None:
    view = build_plan(NAME, batching(ready=True))
    assert view.batch_workers == 1
    assert "1 worker and 1 for batch work" in text(view)


def test_status_has_no_line_before_the_loop_has_looked_or_anything_serves() -> None:
    assert build_status(serving().seen()).deployments[0].scale is None
    assert build_status(seen(configured())).deployments[0].scale is None


def test_a_sleeping_deployment_is_healthy_and_said_to_sleep() -> None:
    system = serving()
    spec = msgspec.structs.replace(system.deployment(NAME).spec, scale=ScalePlan(idle="zero"))
    system.tell(e.SpecApplied(spec))
    system.tell(e.Scaled(standing(1), 0, 1, NOW))
    system.workers = {}
    status = build_status(seen(system, loaded(demand=Demand())))
    assert (status.deployments[0].state, "sleeps" in status.deployments[0].reason) == (
        "healthy",
        True,
    )
    assert "asleep (of 1–4): asleep until the next call" in text(status)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (1, 3, "grows: 1 to 3 workers"),
        (3, 1, "shrinks: 3 to 1 worker"),
        (2, 0, "falls asleep: 2 to 0 workers"),
        (0, 1, "wakes: 0 to 1 worker"),
    ],
)
def test_history_and_why_say_changes_in_words(before: int, after: int, said: str) -> None:
    system = serving()
    system.tell(e.Scaled(standing(1), after, before, NOW), f"{NAME}@1", "because")
    history = build_history(system.journal, system.names)
    assert history.events[-1].summary == f"{NAME}@1 {said}"
    assert history.events[-1].kind == "scaled"
    why = build_why((), system.names, system.journal[-1:])
    assert [event.summary for event in why.scaling] == [history.events[-1].summary]
    assert said in text(why)
    assert "because" in text(why)


def test_why_tells_the_last_changes_newest_first() -> None:
    system = serving()
    for workers in range(2, 9):
        system.tell(e.Scaled(standing(1), workers, workers - 1, NOW))
    scalings = History(system.past).scalings(5, NAME)
    told = [event.summary for event in build_why((), system.names, scalings).scaling]
    assert len(told) == 5
    assert told[0] == f"{NAME}@1 grows: 7 to 8 workers"


def planned(given: Load | None = None) -> PlanView:
    """The plan of a serving deployment."""
    return build_plan(NAME, seen(serving(), given))


def test_a_plan_tells_loads_resources_and_the_numbers_it_used() -> None:
    view = planned()
    assert [outlook.factor for outlook in view.outlooks] == [1.0, 10.0, 100.0]
    assert view.outlooks[0].workers == 2
    assert view.outlooks[0].beyond == ()
    assert view.ends[0].factor is not None
    assert (view.cores, view.free_bytes, view.worker_bytes) == (8.0, 2**33, 2**27)
    shown = text(view)
    for words in ("10× (8,200/s)", "8 cores", "8,192 MiB free, 128 MiB a worker", "scale.max"):
        assert words in shown
    assert "not known: what batches save" in shown


def test_a_plan_writes_figures_out() -> None:
    view = planned()
    (end, *_), cost = view.ends, view.cost
    assert cost is not None
    far = msgspec.structs.replace(end, factor=3041.2)
    one = msgspec.structs.replace(cost, rows_per_request=1.0)
    shown = text(msgspec.structs.replace(view, ends=(far,), cost=one))
    assert "3,041" in shown
    assert "1 row a request" in shown


def test_a_plan_without_traffic_says_so() -> None:
    view = planned(Load(demand=Demand()))
    assert (view.rate_per_second, view.cost, view.outlooks) == (None, None, ())
    assert "not known: no request came yet" in text(view)


def test_a_plan_of_an_impossible_load_has_no_number() -> None:
    heavy = {digest(1): Work(seconds=9.0, cost=Cost(9.0, 0.0))}
    assert "too many" in text(planned(loaded(work=heavy)))


def test_a_plan_without_today_tells_rates_alone() -> None:
    view = planned(loaded(demand=Demand()))
    assert view.ends[0].factor is None
    assert text(view)


def test_a_plan_needs_a_deployment_and_a_release() -> None:
    with pytest.raises(errors.NotFound):
        build_plan("nobody", seen(serving()))
    assert "no release serves" in text(build_plan(NAME, seen(configured())))
    assert "has not looked yet" in text(build_plan(NAME, serving().seen()))
