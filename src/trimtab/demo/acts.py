"""The acts: what is done to the system, and when; how it ends is read from what was observed.

Only acts 4 and 6 do something to it, at the source: a release whose feature code is wrong, and a
feed that is broken before its values reach a request. Everything else is traffic.
"""

import asyncio
from collections.abc import Coroutine
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from trimtab import errors
from trimtab.demo.admin import Admin
from trimtab.demo.connection import Address
from trimtab.demo.faults import Faults
from trimtab.demo.gate import Gate
from trimtab.demo.ledger import Ledger
from trimtab.demo.observed import Observed
from trimtab.demo.options import DEPLOYMENT, START, DemoOptions
from trimtab.demo.outcomes import Act
from trimtab.demo.project import make_broken_copy, make_project, read_flights
from trimtab.demo.replay import Replay
from trimtab.demo.stage import Built, Stage, Urls
from trimtab.demo.teller import Teller
from trimtab.demo.timeline import Note
from trimtab.demo.watch import Watcher
from trimtab.demo.world import World, during
from trimtab.examples.flights.faults import Span
from trimtab.views.shapes import Fact

TITLES = {
    1: "build the first release",
    2: "up and deploy",
    3: "replay the year",
    4: "a bad release",
    5: "the world changes",
    6: "an upstream break",
    7: "reproduce the first release",
    8: "summary",
}
IN_A_HURRY = "steps"
"""The bad release goes out without a shadow, where its guard would see it before any caller."""
_QUIET_SECONDS = 600.0
_SETTLE_SECONDS = 30.0
_HOUR = 3600.0
_BUILD = "the bad release is built"


class Demo:
    """One demonstration: the world, the system it meets, and what was seen of it."""

    def __init__(self, options: DemoOptions, stage: Stage, teller: Teller, folder: Path) -> None:
        self.options = options
        self.stage = stage
        self.teller = teller
        self.folder = folder
        self.faults = Faults.choose(options.seed)
        self.gate = Gate(START.timestamp())
        self.acts = {n: Act(n, t) for n, t in TITLES.items() if n in options.acts or n <= 3}
        self.first: Built | None = None
        self.bad: Built | None = None
        self.bad_clock = 0.0
        self.urls: Urls | None = None
        self.replay_seconds = 0.0

    async def close(self) -> None:
        """Close the connections; the system is the stage's to stop."""
        if self.urls is not None:
            self.eyes.close()
            self.orders.close()
        for _ in range(3):  # a transport ends a turn of the loop after it was told to
            await asyncio.sleep(0)

    async def build(self) -> None:
        """Act 1: the first release, through the same pipeline as every later one."""
        act = self._begin(1)
        flights = await asyncio.to_thread(read_flights, self.options.data)
        await asyncio.to_thread(make_project, self.folder, flights)
        fault = self.faults.feed
        asked = during(flights, Span(START, self.options.end))
        asked = fault.put_into(asked) if 6 in self.acts else asked
        self.world = World(asked, self.options.pace.group_minutes)
        self.ledger = Ledger(self.world)
        self.first = await self._build(self.folder)
        act.facts |= _built_facts(self.first)
        self.teller.note(Note(None, "good", _built_told(self.first)))

    async def up(self) -> None:
        """Act 2: start the system and deploy; readiness is the golden replay's."""
        act = self._begin(2)
        assert self.first is not None
        begun = asyncio.get_running_loop().time()
        self.urls = await asyncio.to_thread(self.stage.start, self.folder)
        self.orders = Admin(Address.of(self.urls.admin))
        self.eyes = Admin(Address.of(self.urls.admin))
        self.watcher = Watcher(self.eyes, self.gate, self.options.pace, self.teller)
        self.teller.follow(self.gate, self.ledger)
        act.facts["up_seconds"] = round(asyncio.get_running_loop().time() - begun, 2)
        act.facts |= {"inference": self.urls.inference, "dashboard": self.urls.admin}
        self.teller.note(Note(None, "good", _up_told(self.urls)))

    async def deploy_first(self) -> None:
        """The rest of act 2, once the system is watched."""
        act, first = self.acts[2], self.first
        assert first is not None
        begun = asyncio.get_running_loop().time()
        await self.orders.deploy(DEPLOYMENT, first.release)
        patience = self.options.pace.patience_seconds
        await self.watcher.until(
            lambda seen: _serves(seen, first.release), f"{first.release} to serve", patience
        )
        act.facts["deploy_seconds"] = round(asyncio.get_running_loop().time() - begun, 2)

    async def replay(self) -> None:
        """Acts 3 to 6: the year, with what is done to it on the way."""
        assert self.urls is not None
        self._begin(3)
        loop, end = asyncio.get_running_loop(), self.options.end.timestamp()
        inference, pace = Address.of(self.urls.inference), self.options.pace
        begun = loop.time()
        async with asyncio.TaskGroup() as group:
            going = [group.create_task(act) for act in self._meanwhile()]
            try:
                await Replay(self.world, self.gate, self.ledger, inference, pace).run(end)
            finally:
                self.replay_seconds = loop.time() - begun
            await self._settle()
            for task in going:
                task.cancel()

    def _meanwhile(self) -> list[Coroutine[Any, Any, None]]:
        """What happens beside the traffic."""
        chosen: list[Coroutine[Any, Any, None]] = [self._tell_months()]
        if 4 in self.acts:
            chosen.append(self._deploy_bad())
        if 6 in self.acts:
            chosen.append(self._tell_feed())
        return chosen

    async def _settle(self) -> None:
        """Wait until the system has judged all that it was sent."""
        last = float(self.world.time[-1]) - _HOUR if len(self.world.time) else 0.0
        self.gate.release(_BUILD)
        await self.watcher.until(
            lambda _: self.watcher.clock >= last, "the last requests to be judged", _SETTLE_SECONDS
        )
        await asyncio.sleep(2 * self.options.pace.poll_seconds)

    async def _deploy_bad(self) -> None:
        """Act 4: a release that passes offline, sent out as any other would be."""
        await self.gate.reached(self.faults.release_at.timestamp())
        await self._quiet()
        self.gate.hold(_BUILD)
        try:
            self._begin(4)
            copy = self.folder.parent / f"{self.folder.name}-bad"
            await asyncio.to_thread(make_broken_copy, copy, self.folder)
            self.bad = await self._build(copy)
            self.teller.note(Note(self.gate.clock, "quiet", _built_told(self.bad)))
            await self._order(self.bad.release)
            self.bad_clock = self.gate.clock
        finally:
            self.gate.release(_BUILD)

    async def _order(self, release: str) -> None:
        """Deploy `release`, again when something else had just begun."""
        while True:
            try:
                await self.orders.deploy(DEPLOYMENT, release, IN_A_HURRY)
            except errors.Refused as refusal:
                if refusal.code != errors.ROLLOUT_IN_PROGRESS:
                    raise
                self.gate.release(_BUILD)
                await self._quiet()
                self.gate.hold(_BUILD)
                continue
            break
        patience = self.options.pace.patience_seconds
        await self.watcher.until(
            lambda seen: bool(seen.entries("rollout_started", release)),
            f"the rollout of {release} to start",
            patience,
        )

    async def _quiet(self) -> None:
        """Return once neither a run nor a rollout is in progress."""
        await self.watcher.until(
            lambda seen: seen.now is not None and seen.now.run is None and not seen.now.phase,
            "runs and rollouts to end",
            _QUIET_SECONDS,
        )

    async def _tell_feed(self) -> None:
        feed = self.faults.feed
        await self.gate.reached(feed.span.start.timestamp())
        self._begin(6)
        self.teller.note(Note(self.gate.clock, "warn", f"at the source: {feed.told}"))
        await self.gate.reached(feed.span.end.timestamp())
        self.teller.note(Note(self.gate.clock, "quiet", "at the source: the feed is whole again"))

    async def _tell_months(self) -> None:
        """At every turn of a month, what the client itself knows of the one that ended."""
        months = [datetime(2013, month, 1, 4, tzinfo=UTC).timestamp() for month in range(4, 13)]
        for start, end in pairwise(months):
            await self.gate.reached(end)
            chosen = (self.world.time >= start) & (self.world.landed < end)
            loss = self.ledger.loss(start, end)
            if loss is None or not chosen.any():
                continue
            late = float(np.nanmean(self.world.truth[chosen]))
            name = datetime.fromtimestamp(start, UTC).strftime("%B")
            text = f"{name} is over: {late:.0%} of {loss[1]:,} flights late, loss {loss[0]:.3f}"
            self.teller.note(Note(self.gate.clock, "quiet", text))

    async def _build(self, project: Path) -> Built:
        return await asyncio.to_thread(
            self.stage.build_pipeline_release, project, DEPLOYMENT, START
        )

    def _begin(self, number: int) -> Act:
        act = self.acts[number]
        self.teller.act(number, act.title)
        return act


def _serves(seen: Observed, release: str) -> bool:
    now = seen.now
    return now is not None and now.stable == release and now.state != "down"


def _built_facts(built: Built) -> dict[str, Fact]:
    facts: dict[str, Fact] = {name: round(value, 4) for name, value in built.metrics.items()}
    facts |= {"release": built.release, "digest": built.digest}
    facts["seconds"] = round(built.seconds, 2)
    return facts


def _up_told(urls: Urls) -> str:
    return f"up: models at {urls.inference}, dashboard at {urls.admin}"


def _built_told(built: Built) -> str:
    measured = ", ".join(_measured(name, value) for name, value in built.metrics.items())
    told = f"{built.release} built in {built.seconds:.1f} s ({built.digest[:19]})"
    return f"{told}: {measured}" if measured else told


def _measured(name: str, value: float) -> str:
    """`train rows 50,940` or `roc auc 0.7096`."""
    shown = f"{value:,.0f}" if value.is_integer() else f"{value:.4g}"
    return f"{name.replace('_', ' ')} {shown}"
