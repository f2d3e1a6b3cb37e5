"""How a gateway takes over another routing."""

import asyncio
import io
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from trimtab.domain import layout
from trimtab.domain.names import Digest
from trimtab.domain.routing import DeploymentRoute, Route, RoutingSnapshot, Target
from trimtab.domain.signature import Column, Datatype, Output, Signature
from trimtab.gateway import table as tables
from trimtab.gateway.disk import Disk
from trimtab.gateway.logs import Log
from trimtab.gateway.plan import Plan
from trimtab.gateway.table import Table, View

SIGNATURE = Signature(
    inputs=(Column("x", Datatype.FP64),), outputs=(Output("score", Datatype.FP64),)
)
RELEASES = [Digest(f"sha256:{number}") for number in range(5)]
SNAPSHOT = RoutingSnapshot(
    1,
    1,
    (DeploymentRoute("m", (Route(RELEASES[0], "stable", 10_000),)),),
    tuple(Target(each, f"m@{n}", n, SIGNATURE, ()) for n, each in enumerate(RELEASES)),
)


async def nothing(view: View) -> None:
    """There are no workers to connect to."""


def test_others_have_their_turn_between_the_plans_of_two_releases(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A plan of a thousand columns takes milliseconds."""
    turns, planned_in = [0], []

    def planned(target: Target) -> Plan:
        planned_in.append(turns[0])
        return Plan(target)

    async def turn() -> None:
        while True:
            turns[0] += 1
            await asyncio.sleep(0)

    async def scenario() -> None:
        log = Log(io.StringIO())
        disk = Disk(log)
        table = Table(tmp_path, 0, nothing, lambda view: None, disk, log)
        path = tmp_path / layout.ROUTING
        path.parent.mkdir(parents=True)
        (tmp_path / layout.gateway_facts(0)).parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.encode(SNAPSHOT))
        others = asyncio.create_task(turn())
        await table.refresh()
        others.cancel()
        disk.close()
        assert table.view is not None
        assert list(table.view.plans) == RELEASES

    monkeypatch.setattr(tables, "Plan", planned)
    asyncio.run(scenario())
    assert len(planned_in) == len(RELEASES)
    assert all(before < after for before, after in pairwise(planned_in))
