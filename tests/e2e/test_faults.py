"""Processes are killed while clients ask and label: nobody notices, nothing is lost or half done.

The client's own book is compared with the request log, and the journal with what is served.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import msgspec
import pytest
from tests.support.decided import folded, recorded, served
from tests.support.ledger import Book, Traffic, compare
from tests.support.system import System, alive, copied, killed, running, until

from trimtab.domain import layout
from trimtab.domain.routing import TOTAL_WEIGHT, RoutingSnapshot

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def system(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system that serves risk@1 by two workers."""
    folder = copied(built, tmp_path_factory.mktemp("faults") / "project")
    with running(folder) as made:
        made.json("deploy", "risk", "--release", "risk@1", "--wait")
        until(lambda: len(made.workers()) == 2)
        yield made


def replaced(system: System, slot: str, pid: int) -> bool:
    """Whether another process than `pid` is ready in a worker's place."""
    return system.workers().get(slot) not in (None, pid)


def check(system: System, book: Book) -> None:
    """Nothing was lost, nothing is contradictory, and nothing runs that should not."""
    assert not book.problems
    assert len(book.answered) > 20
    assert book.labelled
    until(lambda: not compare(system, "risk", book) or None, 20)
    view = system.api("status/risk")
    assert served(view["deployments"][0]) == folded(recorded(system.home, view["seq"]), "risk")
    check_routing(system)
    check_processes(system)


def check_routing(system: System) -> None:
    """Weights sum to the whole and go to releases with workers."""
    snapshot = msgspec.json.decode(
        (system.home / layout.ROUTING).read_bytes(), type=RoutingSnapshot
    )
    resident = {target.release for target in snapshot.releases if target.workers}
    for deployment in snapshot.deployments:
        assert sum(route.weight for route in deployment.routes) in (0, TOTAL_WEIGHT)
        assert {route.release for route in deployment.routes if route.weight} <= resident
    risk = next(each for each in snapshot.deployments if each.name == "risk")
    assert risk.routes


def check_processes(system: System) -> None:
    """One of each, and the workers that the agent knows."""

    def settled() -> bool:
        node = system.node()
        wanted = {worker["pid"] for worker in node["workers"]}
        return (
            len(system.pids("trimtab.web")) == len(system.pids("nanny.py")) == 1
            and set(system.pids("trimtab.gateway")) == set(node["gateways"])
            and set(system.named("trimtab-worker")) == wanted
        )

    until(settled, 20)


def test_a_killed_worker_costs_no_request_and_is_back(system: System) -> None:
    with Traffic(system, "risk") as traffic:
        for _ in range(4):
            slot, pid = min(system.workers().items())
            killed(pid)
            traffic.more(20)
            until(partial(replaced, system, slot, pid))
            traffic.more(20)
    check(system, traffic.book)


def test_requests_wait_while_no_worker_is_left(system: System) -> None:
    """The second is killed before the first is back; nobody's request dies with both."""
    with Traffic(system, "risk") as traffic:
        for pid in system.workers().values():
            traffic.more(6)
            killed(pid)
        traffic.more(50)
    check(system, traffic.book)


def test_a_killed_gateway_loses_no_answer_and_no_label(system: System) -> None:
    with Traffic(system, "risk") as traffic:
        for _ in range(3):
            (pid,) = system.node()["gateways"]
            killed(pid)
            traffic.more(60)
    check(system, traffic.book)


def test_traffic_does_not_need_the_controller(system: System) -> None:
    """It is killed again and again before it can take over, and then left alone."""
    with Traffic(system, "risk") as traffic:
        for _ in range(4):
            until(lambda: system.controller)
            killed(system.controller or 0)
            traffic.more(60)
        until(lambda: up_again(system), 60)
        assert system.deployment("risk")["stable"]["release"] == "risk@1"
    check(system, traffic.book)


def up_again(system: System) -> bool:
    """Whether a controller has taken over."""
    try:
        return bool(system.api("status/risk"))
    except (OSError, AssertionError):
        return False


def test_a_rollout_goes_on_over_kills_of_controller_worker_and_gateway(system: System) -> None:
    """One kill in every phase. Exactly one rollout happens, and it ends with its release."""
    with Traffic(system, "risk") as traffic:
        order = system.json("deploy", "risk", "--release", "risk@2", "--no-wait")
        rollout = order["rollout"]["id"]
        killed(system.controller or 0)
        until(lambda: phase(system, rollout) != "preparing", 60)
        for victim in ("controller", "worker", "gateway"):
            strike(system, victim)
            traffic.more(30)
        until(lambda: phase(system, rollout) in ("canary", "bake", "ended"), 90)
        killed(system.controller or 0)
        until(lambda: phase(system, rollout) == "ended", 90)
        last = system.deployment("risk")["last_rollout"]
        assert (last["id"], last["outcome"]) == (rollout, "promoted")
        traffic.more(20)
    check(system, traffic.book)
    assert system.deployment("risk")["stable"]["release"] == "risk@2"
    started = [e for e in system.api("history?limit=1000")["events"] if "started" in e["kind"]]
    assert len([event for event in started if event["release"] == "risk@2"]) == 1
    assert set(traffic.book.answered.values()) == {"risk@1", "risk@2"}


def phase(system: System, rollout: str) -> str:
    """Where the rollout is; empty while nobody can tell."""
    try:
        view = system.deployment("risk")
    except (OSError, AssertionError):
        return "preparing"
    found = view["rollout"]
    if found is not None and found["id"] == rollout:
        return str(found["state"])
    return "ended"


def strike(system: System, victim: str) -> None:
    """Kill one of a kind, whichever runs now."""
    if victim == "controller":
        until(lambda: system.controller)
        killed(system.controller or 0)
    elif victim == "worker":
        killed(next(iter(system.workers().values())))
    else:
        killed(system.node()["gateways"][0])


def test_a_killed_agent_takes_everything_along_and_starts_again_where_it_was(
    system: System,
) -> None:
    """In the middle of a rollout, which goes on; the clients' requests wait until `up` runs."""
    stable = system.deployment("risk")["stable"]["release"]
    other = "risk@1" if stable == "risk@2" else "risk@2"
    with Traffic(system, "risk") as traffic:
        order = system.json("deploy", "risk", "--release", other, "--no-wait")
        rollout = order["rollout"]["id"]
        until(lambda: phase(system, rollout) in ("shadow", "canary"), 60)
        before = system.processes()
        system.kill()
        until(lambda: not any(alive(pid) for pid in before), 20)
        assert system.processes() == {}
        system.start()
        until(lambda: phase(system, rollout) == "ended", 90)
        last = system.deployment("risk")["last_rollout"]
        assert (last["id"], last["outcome"]) == (rollout, "promoted")
        traffic.more(20)
    check(system, traffic.book)
    assert system.deployment("risk")["stable"]["release"] == other


def test_a_stopped_system_leaves_nothing_running_and_keeps_what_it_promised(
    system: System,
) -> None:
    with Traffic(system, "risk") as traffic:
        traffic.more(50)
    state = recorded(system.home)
    system.stop()
    assert system.processes() == {}
    assert compare(system, "risk", traffic.book) == []
    assert list((system.home / layout.SPOOL).glob("*.log")) == []
    assert recorded(system.home).deployments == state.deployments
    system.start()
