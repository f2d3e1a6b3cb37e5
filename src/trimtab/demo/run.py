"""One demonstration from beginning to end."""

import asyncio
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import uvloop

from trimtab import errors
from trimtab.demo.acts import Demo
from trimtab.demo.moments import day_of
from trimtab.demo.options import DEPLOYMENT, DemoOptions
from trimtab.demo.outcomes import (
    Act,
    Rollback,
    judge_drift,
    judge_feed,
    judge_replay,
    judge_reproduced,
    judge_rollback,
)
from trimtab.demo.stage import Exposure, Stage
from trimtab.demo.teller import Teller
from trimtab.demo.timeline import Narrator, Note
from trimtab.demo.verify import Truth
from trimtab.views.demo_shapes import ActView, DemoRollbackView, DemoView, TotalsView
from trimtab.views.shapes import Fact, IncidentView, ReleaseView
from trimtab.views.words import plain

_HOUR = 3600.0


def run(options: DemoOptions, stage: Stage, narrator: Narrator) -> DemoView:
    """Play the demonstration on `stage`, telling `narrator`; `ok` says whether every act ended as
    it should, and each act's fact `missed` what did not.

    Raises `NotFound` TT-902 without the data, `Refused` TT-111 when the folder is not empty, and
    whatever the build of the first release raises, for without it there is nothing to tell.
    Everything that fails later is told in the view. The system is stopped unless `options.keep`.
    """
    with _folder(options) as folder:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                return runner.run(play(Demo(options, stage, Teller(narrator), folder)))
        finally:
            narrator.close()
            if not options.keep:
                stage.stop()


@contextmanager
def _folder(options: DemoOptions) -> Iterator[Path]:
    """The project's folder; a fresh one goes again, unless the system is left up on it."""
    if options.folder is not None:
        yield options.folder
        return
    parent = Path(tempfile.mkdtemp(prefix="trimtab-demo-"))
    try:
        yield parent / "project"
    finally:
        if not options.keep:
            shutil.rmtree(parent, ignore_errors=True)


async def play(demo: Demo) -> DemoView:
    """Every act of `demo`, which afterwards still holds its ledger; the system is not stopped."""
    try:
        return await _acts(demo)
    finally:
        await demo.close()


async def _acts(demo: Demo) -> DemoView:
    begun = time.monotonic()
    await demo.build()
    if await _tried(demo, 2, demo.up):
        await _tried(demo, 3, lambda: _watched(demo))
    view = await _Closing(demo).view(begun)
    for act in (act for act in view.acts if not act.ok):
        demo.teller.note(Note(None, "bad", f"{act.act}: {act.facts['missed']}"))
    return view


async def _watched(demo: Demo) -> None:
    """Deploy and replay while the system is watched."""
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(demo.watcher.run())
        await demo.deploy_first()
        await demo.replay()
        watching.cancel()
    await demo.watcher.poll()


async def _tried(demo: Demo, number: int, play: Callable[[], Awaitable[None]]) -> bool:
    """Play an act; a failure is a fact that it missed."""
    problems: list[errors.TrimtabError] = []
    try:
        await play()
    except* errors.TrimtabError as group:
        problems = list(_leaves(group))
    for problem in problems:
        demo.acts[number].missed.append(f"{problem} (hint: {problem.hint})")
    return not problems


def _leaves(group: BaseException) -> Iterator[errors.TrimtabError]:
    if isinstance(group, BaseExceptionGroup):
        for inner in group.exceptions:
            yield from _leaves(inner)
    elif isinstance(group, errors.TrimtabError):
        yield group


class _Closing:
    """What is said at the end, all of it read from what was observed."""

    def __init__(self, demo: Demo) -> None:
        self._demo = demo
        self._ledger = demo.ledger
        self._rollback: Rollback | None = None
        self._releases: tuple[ReleaseView, ...] = ()

    async def view(self, begun: float) -> DemoView:
        """Judge every act and put it together."""
        demo, acts = self._demo, self._demo.acts
        if demo.urls is not None:
            await self._judge()
        if 7 in acts:
            await _tried(demo, 7, self._reproduce)
        alarms = self._false_alarms() if demo.urls is not None else []
        if 8 in acts:
            self._summarise(acts[8], alarms)
        totals = self._ledger.totals()
        return DemoView(
            ok=all(act.ok for act in acts.values()),
            acts=tuple(_act_view(act) for _, act in sorted(acts.items())),
            requests=TotalsView(totals.requests, totals.failed),
            rollback=self._rollback_view(),
            incidents=self._incidents,
            false_alarms=len(alarms),
            releases=self._releases,
            seconds=round(time.monotonic() - begun, 1),
        )

    @property
    def _incidents(self) -> tuple[IncidentView, ...]:
        demo = self._demo
        return tuple(demo.watcher.observed.incidents) if demo.urls is not None else ()

    async def _judge(self) -> None:
        demo, acts = self._demo, self._demo.acts
        seen = demo.watcher.observed
        self._judge_replay(acts[3])
        if 4 in acts:
            await _tried(demo, 4, self._judge_rollback)
        if 5 in acts:
            judge_drift(acts[5], seen)
        if 6 in acts:
            judge_feed(acts[6], seen, demo.faults.feed)
        await _tried(demo, 3, self._read_releases)

    def _judge_replay(self, act: Act) -> None:
        demo, totals, lag = self._demo, self._ledger.totals(), self._demo.watcher.lag
        act.facts |= {
            "requests": totals.requests,
            "rows": totals.rows,
            "failed": totals.failed,
            "sent_more_than_once": totals.retried,
            "labels": totals.labels_accepted,
            "seconds": round(demo.replay_seconds, 1),
            "requests_per_second": _rate(totals.requests, demo.replay_seconds),
            "p50_seconds": self._ledger.latency(0.5),
            "p99_seconds": self._ledger.latency(0.99),
            "until": day_of(demo.gate.clock),
            "lead_mean_event_hours": round(lag.mean / _HOUR, 1),
            "lead_largest_event_hours": round(lag.largest / _HOUR, 1),
            "clock_stood_seconds": round(lag.waiting_seconds, 1),
        }
        judge_replay(act, totals, demo.world.requests, self._ledger.refusals)

    async def _judge_rollback(self) -> None:
        demo, act = self._demo, self._demo.acts[4]
        if demo.bad is None:
            act.expect(False, "the replay ended before the bad release went out")
            return
        release, seen = demo.bad.release, demo.watcher.observed
        exposure: Exposure = await asyncio.to_thread(demo.stage.exposure, DEPLOYMENT, release)
        ends = seen.entries("rollout_ended", release)
        end = ends[-1] if ends else None
        served = self._ledger.served.get(release)
        self._rollback = Rollback(
            release=release,
            exposure=exposure,
            answered=served.requests if served else 0,
            deployed_clock=demo.bad_clock,
            decided=end.at.timestamp() if end else None,
            decided_clock=end.clock_at.timestamp() if end and end.clock_at else None,
            actor=end.actor if end else "",
            client_failures=self._ledger.totals().failed,
        )
        judge_rollback(act, seen, self._rollback)

    async def _reproduce(self) -> None:
        demo, act = self._demo, self._demo.acts[7]
        assert demo.first is not None
        demo.teller.act(7, act.title)
        made = await asyncio.to_thread(demo.stage.reproduce, demo.first.release)
        judge_reproduced(act, made)
        tone = "good" if act.ok else "bad"
        told = f"{made.release}: {plain(made.behaviour)}, environment {made.environment}"
        demo.teller.note(Note(None, tone, told))

    async def _read_releases(self) -> None:
        self._releases = await self._demo.orders.releases()

    def _false_alarms(self) -> list[str]:
        demo = self._demo
        bad = demo.bad.release if demo.bad else None
        feed = demo.faults.feed if 6 in demo.acts else None
        return Truth(demo.world, self._ledger, bad, feed).false_alarms(self._incidents)

    def _summarise(self, act: Act, alarms: list[str]) -> None:
        demo, totals = self._demo, self._ledger.totals()
        demo.teller.act(8, act.title)
        facts: dict[str, Fact] = {
            f"served {release}": f"{served.requests:,} requests, "
            f"{day_of(served.since)} to {day_of(served.until)}"
            for release, served in self._ledger.served.items()
        }
        for incident in reversed(self._incidents):
            facts[f"incident {incident.id}"] = _incident_told(incident)
        facts |= {"requests": totals.requests, "failed": totals.failed}
        facts |= {"labels": totals.labels_accepted, "false_alarms": len(alarms)}
        act.facts |= facts
        act.expect(not alarms, f"false alarms: {'; '.join(alarms)}")
        act.expect(totals.failed == 0, f"{totals.failed} requests failed")
        tone = "good" if act.ok else "bad"
        details = [f"{name}: {value}" for name, value in facts.items()]
        demo.teller.note(Note(None, tone, "what happened", details))

    def _rollback_view(self) -> DemoRollbackView | None:
        found = self._rollback
        if found is None or found.detect_seconds is None or found.restore_seconds is None:
            return None
        exposed = found.exposure.requests
        return DemoRollbackView(exposed, found.detect_seconds, found.restore_seconds)


def _rate(requests: int, seconds: float) -> float | None:
    """None where the replay did not begin."""
    return round(requests / seconds, 1) if seconds else None


def _act_view(act: Act) -> ActView:
    missed: dict[str, Fact] = {"missed": "; ".join(act.missed)} if act.missed else {}
    return ActView(f"{act.number} {act.title}", act.ok, {**act.facts, **missed})


def _incident_told(incident: IncidentView) -> str:
    """Cause, evidence, action and how long it took, in event time."""
    cause = incident.causes[0].cause.value if incident.causes else "unknown"
    proof = incident.causes[0].evidence[:1] if incident.causes else ()
    opened = incident.opened_at.timestamp()
    hours = (opened - incident.first_evidence_at.timestamp()) / _HOUR
    closed = f"closed {day_of(incident.closed_at.timestamp())}" if incident.closed_at else "open"
    parts = [
        f"{incident.tier} {cause} of {incident.release}",
        f"opened {day_of(opened)}, {hours:.0f} h after the first evidence, {closed}",
        *proof,
        incident.action,
    ]
    return "; ".join(part for part in parts if part)
