"""The routing snapshot in use: read from disk, prepared, swapped whole, acknowledged."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import msgspec

from trimtab.domain import layout
from trimtab.domain.routing import DeploymentRoute, RoutingSnapshot, Target
from trimtab.gateway.disk import Disk
from trimtab.gateway.logs import Log
from trimtab.gateway.plan import Plan
from trimtab.ports.logsink import LogSchema

POLL_SECONDS = 0.05


class RouteView:
    """How one deployment is answered, with the plans looked up."""

    __slots__ = (
        "asleep",
        "assigns",
        "by_number",
        "canary",
        "deadline",
        "key",
        "name",
        "rollout",
        "schemas",
        "shadow_ratio",
        "shadows",
        "stable",
        "weight",
    )

    def __init__(self, route: DeploymentRoute, plans: dict[str, Plan]) -> None:
        self.name = route.name
        self.deadline = route.deadline_seconds
        self.shadow_ratio = route.shadow_ratio
        self.key = route.key
        self.rollout = route.rollout
        self.asleep = route.asleep
        routed = [(r, plans[r.release]) for r in route.routes if r.release in plans]
        self.stable = next((plan for r, plan in routed if r.mode == "stable"), None)
        self.canary = next((plan for r, plan in routed if r.mode == "canary"), None)
        self.weight = sum(r.weight for r, _ in routed if r.mode == "canary")
        self.shadows = tuple(plan for r, plan in routed if r.mode == "shadow")
        self.assigns = bool(self.rollout or self.canary or self.shadows)
        models = {_model(plan) for _, plan in routed}
        versions = {p.number: p for p in plans.values() if _model(p) in models}
        self.by_number = versions | {plan.number: plan for _, plan in routed}
        self.schemas: dict[str, LogSchema] = {}

    def schema(self, plan: Plan) -> LogSchema:
        """The log's columns for a release in this deployment."""
        found = self.schemas.get(plan.release)
        if found is None:
            found = self.schemas[plan.release] = plan.log_schema(self.name, self.key)
        return found

    def mode_of(self, plan: Plan) -> str:
        """`stable`, `canary` or `shadow`."""
        if plan is self.stable:
            return "stable"
        return "canary" if plan is self.canary else "shadow"

    def routed(self) -> list[Plan]:
        """Every release that the deployment routes to."""
        found = [plan for plan in (self.stable, self.canary) if plan is not None]
        return [*found, *self.shadows]


class View:
    """A snapshot made ready to route by, with the plans of its releases; immutable."""

    __slots__ = ("deployments", "plans", "snapshot", "targets")

    def __init__(self, snapshot: RoutingSnapshot, plans: dict[str, Plan]) -> None:
        self.snapshot = snapshot
        self.plans = plans
        self.targets = {str(target.release): target for target in snapshot.releases}
        self.deployments = {d.name: RouteView(d, self.plans) for d in snapshot.deployments}


class Table:
    """Follows `run/routing.json` by calls of `refresh`.

    `view` is None until there was a first readable snapshot.
    `prepare` is awaited with a new view before it is used, `swapped` is told when it is.
    """

    def __init__(
        self,
        home: Path,
        index: int,
        prepare: Callable[[View], Awaitable[None]],
        swapped: Callable[[View], None],
        disk: Disk,
        log: Log,
    ) -> None:
        self.view: View | None = None
        self._path = home / layout.ROUTING
        self._facts = home / layout.gateway_facts(index)
        self._prepare = prepare
        self._swapped = swapped
        self._disk = disk
        self._log = log
        self._seen: tuple[int, int, int] | None = None

    async def refresh(self) -> None:
        """Take over the file if it changed since the last look.

        A snapshot that cannot be read, or is of an older leader, leaves the last one in place.
        """
        try:
            stat = self._path.stat()
        except FileNotFoundError:
            return
        seen = (stat.st_mtime_ns, stat.st_ino, stat.st_size)
        if seen == self._seen:
            return
        snapshot = self._decoded(await self._disk.do(self._path.read_bytes))
        self._seen = seen
        if snapshot is not None:
            await self._use(snapshot)

    def forget(self) -> None:
        """Take the acknowledgement back: this process routes no more. Blocks, and belongs behind
        what of it may still be on its way to the disk."""
        self._facts.unlink(missing_ok=True)

    def _decoded(self, data: bytes) -> RoutingSnapshot | None:
        try:
            snapshot = msgspec.json.decode(data, type=RoutingSnapshot)
        except ValueError as error:
            self._log.error("routing.unreadable", error=str(error))
            return None
        if self.view is not None and snapshot.epoch < self.view.snapshot.epoch:
            self._log.error("routing.stale", epoch=snapshot.epoch, version=snapshot.version)
            return None
        return snapshot

    async def _use(self, snapshot: RoutingSnapshot) -> None:
        view = View(snapshot, await self._planned(snapshot))
        await self._prepare(view)
        self.view = view
        self._swapped(view)
        await self._disk.do(partial(self._acknowledge, snapshot))
        self._log.info("routing.swapped", version=snapshot.version, epoch=snapshot.epoch)

    async def _planned(self, snapshot: RoutingSnapshot) -> dict[str, Plan]:
        """The plans of its releases, each in a turn of its own: one of a thousand columns takes
        milliseconds, in which nobody is answered."""
        known, plans = self.view.plans if self.view else {}, {}
        for target in snapshot.releases:
            plans[str(target.release)] = _plan(target, known)
            await asyncio.sleep(0)
        return plans

    def _acknowledge(self, snapshot: RoutingSnapshot) -> None:
        facts = {"pid": os.getpid(), "version": snapshot.version, "epoch": snapshot.epoch}
        temporary = self._facts.with_suffix(".tmp")
        temporary.write_bytes(msgspec.json.encode(facts))
        temporary.rename(self._facts)


def _plan(target: Target, known: dict[str, Plan]) -> Plan:
    """A digest fixes the signature, so a release that stays keeps its plan."""
    plan = known.get(target.release)
    same = plan is not None and (plan.name, plan.signature) == (target.name, target.signature)
    return plan if plan is not None and same else Plan(target)


def _model(plan: Plan) -> str:
    return plan.name.partition("@")[0]
