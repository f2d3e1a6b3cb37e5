"""The evidence of every deployment, from the segments of the request log: `Evidence` made real.

Each segment is taken once and in order; what was taken (cursors), what waits (joiners) and what it
amounts to (monitors, guards) are saved together, so that after a restart from an older save the
same segments are read again and lead to the same evidence.
"""

import asyncio
import logging
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice

import msgspec
import numpy as np
from numpy.typing import NDArray

from trimtab import errors
from trimtab.domain.deployment import MonitorPlan
from trimtab.domain.names import Digest
from trimtab.domain.records import Labelled, Paired, Rows
from trimtab.domain.rollout import Standing
from trimtab.domain.state import DeploymentState
from trimtab.domain.verdicts import Incident, Verdict
from trimtab.judge.own_loss import OwnLoss
from trimtab.judge.reports import GuardReport, MonitorReport, Surroundings
from trimtab.judge.samples import Known
from trimtab.judge.scale.arrivals import Demand
from trimtab.judge.scale.service import Work
from trimtab.loop.demand import Demands, SavedDemand
from trimtab.loop.drawings import Draw, Drawings, Key
from trimtab.loop.evidence import Reports
from trimtab.loop.joiner import Joiner, SavedJoiner, Terms
from trimtab.loop.judges import GuardLike, Judges, MonitorsLike, Watching
from trimtab.loop.lateness import Lateness
from trimtab.loop.leaps import Leaps
from trimtab.loop.profiles import NotYetError, Profiles
from trimtab.loop.recall import Recall
from trimtab.loop.samples import QUICK, Told, Trouble, told
from trimtab.loop.traffic import Traffic, TrafficReport
from trimtab.loop.watermark import Watermark
from trimtab.ports.blobs import Blobs
from trimtab.ports.catalog import Catalog
from trimtab.ports.clock import Clock
from trimtab.ports.requestlog import Cursor, RequestLog, Segment
from trimtab.views.shapes import Trend

log = logging.getLogger(__name__)

SEGMENTS_PER_POLL = 20
"""Bound of one `poll` per deployment: other work of the loop runs between polls."""
POLLS_PER_REFRESH = 50
RECALLING = 1.0
"""Seconds of one `refresh` for what was read before a restart: then the tick goes on."""
SAMPLES = 5
"""Requests that an incident keeps for each signal."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Where evidence comes from."""

    log: RequestLog
    catalog: Catalog
    blobs: Blobs
    clock: Clock


class Unsettled(msgspec.Struct, frozen=True):
    """What monitors reported of incidents and the journal may not have yet."""

    opened: dict[str, Incident] = {}
    updated: dict[str, Incident] = {}
    closed: tuple[str, ...] = ()
    folded: dict[str, str] = {}

    def with_report(self, report: MonitorReport) -> "Unsettled":
        """This and a newer report."""
        opened = {**self.opened, **{each.id: each for each in report.opened}}
        updated = dict(self.updated)
        for incident in report.updated:
            (opened if incident.id in opened else updated)[incident.id] = incident
        closed = tuple(dict.fromkeys((*self.closed, *report.closed)))
        return Unsettled(opened, updated, closed, {**self.folded, **report.folded})

    def applied_to(self, incidents: tuple[Incident, ...]) -> tuple[Incident, ...]:
        """Open incidents as they will be once this is in the journal."""
        known = {**{each.id: each for each in incidents}, **self.opened}
        known.update((name, each) for name, each in self.updated.items() if name in known)
        return tuple(each for name, each in known.items() if name not in self.closed)


class _SavedDeployment(msgspec.Struct, frozen=True, kw_only=True):
    cursor: Cursor
    watermark: Watermark
    joiner: SavedJoiner
    outcomes: dict[str, int]
    unreadable: int
    monitors: bytes | None
    monitored: Standing | None
    plan: MonitorPlan | None
    guard: bytes | None
    guarded: str | None
    unsettled: Unsettled


class _Saved(msgspec.Struct, frozen=True):
    deployments: dict[str, _SavedDeployment]
    demand: SavedDemand = SavedDemand()


@dataclass(slots=True)
class _Watched:
    """One deployment: what it should be (`state`) and what was seen of it."""

    joiner: Joiner
    lateness: Lateness
    recall: Recall | None = None
    """What the joiner has to hold before anything is read."""
    state: DeploymentState | None = None
    cursor: Cursor = field(default_factory=Cursor)
    watermark: Watermark = field(default_factory=Watermark)
    traffic: Traffic = field(default_factory=Traffic)
    unreadable: int = 0
    monitors: MonitorsLike | None = None
    monitored: Standing | None = None
    plan: MonitorPlan | None = None
    guard: GuardLike | None = None
    guarded: str | None = None
    unsettled: Unsettled = field(default_factory=Unsettled)
    surroundings: Surroundings = field(default_factory=Surroundings)
    latest: float = 0.0
    leaps: Leaps = field(default_factory=Leaps)
    held: bool = False
    """Nothing is read of it: what would be judged by is not there yet."""


class Observer:
    """`Evidence` over the request log. Not thread-safe: one controller owns it."""

    def __init__(self, sources: Sources, judges: Judges, drawings: Drawings | None = None) -> None:
        self._sources = sources
        self._judges = judges
        self._drawings = drawings or Drawings(sources.clock)
        self._watched: dict[str, _Watched] = {}
        self._began = sources.clock.now()
        self._profiles = Profiles(sources.catalog, sources.blobs, sources.clock)
        self._demands = Demands()
        self._mark: Hashable | None = None

    def clock(self, deployment: str) -> float:
        """The deployment's clock: host time, or the watermark of event times (0.0 before any).

        It does not go back when the host's clock does."""
        watched = self._watched.get(deployment)
        if watched is None or watched.state is None:
            return self._sources.clock.now()
        if watched.state.spec.clock == "event":
            return watched.watermark.value
        watched.latest = max(watched.latest, self._sources.clock.now())
        return watched.latest

    def _ahead(self, deployment: str) -> float:
        """Seconds of the deployment's clock in which no label had time to come: those by which the
        host's leapt forward, for as long as labels are awaited, and those by which it went back."""
        watched = self._watched.get(deployment)
        if watched is None or watched.state is None or watched.state.spec.clock == "event":
            return 0.0
        host, clock = self._sources.clock, self.clock(deployment)
        now, awaited = host.now(), watched.state.spec.monitor.maturity_seconds
        ahead = watched.leaps.look(now, host.monotonic(), awaited)
        return clock - now + ahead

    def guard(self, deployment: str) -> GuardReport | None:
        """The guard's report on the rollout in progress; None without one to compare."""
        watched = self._watched.get(deployment)
        if watched is None or watched.guard is None or watched.state is None:
            return None
        rollout = watched.state.rollout
        if rollout is None:
            return None
        return watched.guard.assess(rollout.phase, rollout.step, self.clock(deployment))

    async def report(self, deployment: str) -> Reports:
        """What guard and monitors say, with requests that show what is bad.

        Incidents are reported until `settled`, so that one whose record failed is not lost."""
        watched = self._watched.get(deployment)
        if watched is None or watched.state is None:
            return Reports()
        state, guard = watched.state, self.guard(deployment)
        monitors = self._assessed(watched, state)
        wanted = self._pictures(state, guard, monitors)
        await self._drawings.begin(wanted)
        known = {_key(incident) for incident in state.incidents}
        self._drawings.keep(deployment, known | wanted.keys())
        if guard is not None and state.rollout is not None:
            told = self._drawings.of((deployment, state.rollout.id))
            guard = guard if told is None else replace(guard, shown=told.shown)
        return Reports(guard, monitors and self._illustrated(state, monitors))

    def _assessed(self, watched: _Watched, state: DeploymentState) -> MonitorReport | None:
        if watched.monitors is None:
            return None
        incidents = watched.unsettled.applied_to(state.incidents)
        clock, ahead = self.clock(state.spec.name), self._ahead(state.spec.name)
        around = replace(watched.surroundings, ahead=ahead)
        found = watched.monitors.assess(clock, incidents, around)
        watched.unsettled = waiting = watched.unsettled.with_report(found)
        opened, updated = tuple(waiting.opened.values()), tuple(waiting.updated.values())
        return MonitorReport(found.verdicts, opened, updated, waiting.closed, waiting.folded)

    def _pictures(
        self, state: DeploymentState, guard: GuardReport | None, report: MonitorReport | None
    ) -> dict[Key, Draw]:
        """How the requests are drawn that show what is news, and why a candidate is bad."""
        news = () if report is None else (*report.opened, *report.updated)
        wanted = {_key(each): self._draw(state, each.release, each.verdicts) for each in news}
        if guard is not None and guard.verdict == "bad" and state.rollout is not None:
            candidate = state.rollout.candidate.digest
            drawn = self._draw(state, candidate, guard.verdicts, copies=True)
            wanted[state.spec.name, state.rollout.id] = drawn
        return wanted

    def _illustrated(self, state: DeploymentState, report: MonitorReport) -> MonitorReport:
        """The report with requests that show what is news, as far as they are drawn, and with older
        news that they came too late for."""
        before = {incident.id: incident for incident in state.incidents}

        def shown(incident: Incident) -> Incident:
            told = self._drawings.of(_key(incident))
            by = told if told is not None and told.shown else before.get(incident.id, incident)
            return msgspec.structs.replace(incident, shown=by.shown, concentration=by.concentration)

        news = {each.id for each in (*report.opened, *report.updated)} | {*report.closed}
        others = (shown(each) for each in state.incidents if each.id not in news)
        late = (each for each in others if each != before[each.id])
        return replace(
            report,
            opened=tuple(map(shown, report.opened)),
            updated=(*map(shown, report.updated), *late),
        )

    def _draw(
        self,
        state: DeploymentState,
        release: str,
        verdicts: tuple[Verdict, ...],
        copies: bool = False,
    ) -> Draw:
        """How rows are read for what they say of bad verdicts on a release."""
        spec, clock = state.spec, self.clock(state.spec.name)
        since = [
            each.since for each in verdicts if each.verdict == "bad" and each.since is not None
        ]
        trouble = Trouble(
            spec.name,
            release,
            verdicts,
            min(since, default=clock),
            clock,
            copies=copies,
            key=spec.monitor.key,
        )

        def draw() -> Told:
            manifest = self._sources.catalog.get(Digest(release)).manifest
            profile = self._profiles.read(manifest.profile)
            known = Known(spec.objective, manifest.signature, profile)
            return told(self._sources.log, trouble, known, QUICK, SAMPLES)

        return draw

    def settled(self, deployment: str) -> None:
        """What `report` last told of incidents is in the journal."""
        watched = self._watched.get(deployment)
        if watched is not None:
            watched.unsettled = Unsettled()

    def traffic(self, deployment: str) -> TrafficReport:
        """Counts, rate and latency of a deployment; zeros for one never seen."""
        watched = self._watched.get(deployment)
        return (watched.traffic if watched else Traffic()).report(self._sources.clock.now())

    def demand(self, deployments: tuple[str, ...], lead: float, patience: float) -> Demand:
        """What is asked of deployments that share their workers."""
        return self._demands.demand(deployments, self._heeded(), lead, patience)

    def _heeded(self) -> float:
        """The host's time, as demand is counted by it."""
        clock = self._sources.clock
        self._demands.heed(now := clock.now(), clock.monotonic())
        return now

    def work(self, release: Digest, quantile: float, patience: float) -> Work:
        """What the workers of a release did."""
        return self._demands.work(release, self._sources.clock.now(), quantile, patience)

    def unreadable(self, deployment: str) -> int:
        """Segments that could not be read and were passed over."""
        watched = self._watched.get(deployment)
        return watched.unreadable if watched else 0

    def behind(self, deployment: str) -> float:
        """How long ago the newest request read was answered then, in seconds of the host's clock; 0
        once nothing is left to read."""
        watched = self._watched.get(deployment)
        if watched is not None and watched.recall is not None:
            return max(self._sources.clock.now() - watched.recall.since, 0.0)
        return watched.lateness.seconds if watched else 0.0

    def trend(self, deployment: str) -> Trend:
        """What becomes of `behind`."""
        watched = self._watched.get(deployment)
        if watched is not None and watched.recall is not None:
            return "stopped"
        return watched.lateness.trend if watched else ""

    def follow(
        self, states: Mapping[str, DeploymentState], surroundings: Mapping[str, Surroundings]
    ) -> None:
        """Watch these deployments as they are now: their stable releases and rollouts.

        Nothing is read before the first call, because rows of a rollout must find its guard."""
        for name in set(self._watched) - set(states):
            del self._watched[name]
        self._demands.keep(states)
        for name, state in states.items():
            try:
                self._follow_one(name, state, surroundings.get(name, Surroundings()))
            except NotYetError as problem:
                log.warning("%s is not judged until its profile is read: %s", name, problem)
                if name in self._watched:
                    self._watched[name].held = True

    def _follow_one(self, name: str, state: DeploymentState, surroundings: Surroundings) -> None:
        watched, terms = self._watched.get(name), self._terms(state)
        if watched is None:
            watched = self._watched[name] = _Watched(Joiner(terms), Lateness(self._began))
        watched.state, watched.surroundings = state, surroundings
        if watched.recall is not None and watched.recall.saved.terms != terms:
            watched.recall = watched.recall.under(terms)
        elif watched.recall is None and watched.joiner.terms != terms:
            watched.recall = self._recall(watched.joiner.dump()).under(terms)
        self._follow_stable(watched, state)
        self._follow_rollout(watched, state)
        watched.held = False

    def _follow_stable(self, watched: _Watched, state: DeploymentState) -> None:
        stable, spec = state.stable, state.spec
        if stable is None:
            watched.monitors, watched.monitored = None, None
        elif stable != watched.monitored or watched.plan != spec.monitor:
            since = state.serving_since
            started = since if since is not None else self.clock(spec.name)
            manifest = self._sources.catalog.get(stable.digest).manifest
            watched.monitors = self._judges.start_monitors(
                spec,
                manifest.signature,
                self._profiles.read(manifest.profile),
                stable.digest,
                started,
            )
            watched.monitored, watched.plan = stable, spec.monitor

    def _follow_rollout(self, watched: _Watched, state: DeploymentState) -> None:
        rollout = state.rollout
        if rollout is None or rollout.previous is None:
            watched.guard, watched.guarded = None, None
        elif rollout.id != watched.guarded:
            watched.guard, watched.guarded = None, None
            manifest = self._sources.catalog.get(rollout.candidate.digest).manifest
            watched.guard = self._judges.start_guard(
                state.spec.rollout,
                state.spec,
                rollout.candidate,
                rollout.previous,
                (manifest.signature, self._profiles.read(manifest.profile)),
            )
            watched.guarded = rollout.id

    def _terms(self, state: DeploymentState) -> Terms:
        """How labels find predictions, and the inputs that judging a label asks for: segments, what
        a loss of the user's own names, and what losses are expected from and parted by."""
        plan, stable = state.spec.monitor, state.stable
        named = OwnLoss(plan.loss).columns if plan.loss else ()
        needed = () if stable is None else self._profiles.loss_columns(stable.digest)
        return Terms(
            horizon=plan.maturity_seconds + plan.block_seconds,
            key=plan.key,
            inputs=tuple(dict.fromkeys([*plan.segments, *plan.groups, *named, *needed])),
            time="event_time" if state.spec.clock == "event" else "received_at",
        )

    def _recall(self, saved: SavedJoiner) -> Recall:
        return Recall(saved, self._sources.log.rows_of, self._sources.clock.now())

    async def refresh(self) -> bool:
        """Read what is new, without holding the loop; False while what was read before is not read
        again. Raises `TrimtabError` or `OSError`."""
        self._mark, mark = None, self._sources.log.mark(self._watched)
        await asyncio.to_thread(self._sources.log.publish)
        if not await self._recalled():
            return False
        for _ in range(POLLS_PER_REFRESH):
            if not self.poll():
                self._mark = mark
                break
            await asyncio.sleep(0)
        return True

    async def _recalled(self) -> bool:
        """Whether everything that waits for labels is held again, after a moment of reading."""
        clock = self._sources.clock
        until = clock.monotonic() + RECALLING
        while (found := next(filter(_recalls, self._watched.values()), None)) is not None:
            if clock.monotonic() >= until:
                return False
            recall = found.recall
            assert recall is not None
            joiner = await asyncio.to_thread(recall.some)
            if joiner is not None and found.recall is recall:
                found.joiner, found.recall = joiner, None
        return True

    def stirred(self) -> bool:
        """Whether there may be something to read since the last `refresh`; soon told."""
        return self._mark is None or self._mark != self._sources.log.mark(self._watched)

    def poll(self) -> int:
        """Read new segments of all deployments followed; returns how many were read."""
        watched = self._watched.items()
        followed = [(name, each) for name, each in watched if _followed(each)]
        return sum(self._poll_one(name, watched) for name, watched in followed)

    def _poll_one(self, name: str, watched: _Watched) -> int:
        read = 0
        for segment in islice(self._new(name, watched), SEGMENTS_PER_POLL):
            try:
                self._take(watched, segment)
            except errors.Permanent as error:
                if error.code != errors.LOG_FAILED:
                    raise
                watched.unreadable += 1
            watched.cursor = watched.cursor.after(segment)
            read += 1
        if not read:
            watched.lateness.caught_up()
        return read

    def _new(self, name: str, watched: _Watched) -> Iterator[Segment]:
        return self._sources.log.segments(name, watched.cursor)

    def _take(self, watched: _Watched, segment: Segment) -> None:
        if segment.kind == "parity":
            self._compare(watched, self._sources.log.paired(segment))
            return
        if segment.kind == "labels":
            labels = self._sources.log.labels(segment)
            if watched.monitors is not None:
                watched.monitors.hear(watched.joiner.weigh(labels))
            known = watched.joiner.learn(labels, self.clock(segment.deployment))
        else:
            rows = self._sources.log.rows(segment)
            self._observe(watched, rows)
            known = watched.joiner.add(segment, rows)
        for labelled in known:
            self._learn(watched, labelled)
        name = segment.deployment
        watched.joiner.expire(self.clock(name) - self._ahead(name))

    def _observe(self, watched: _Watched, rows: Rows) -> None:
        watched.watermark = watched.watermark.after(rows.take(rows.fixed["final"]))
        watched.traffic.observe(rows)
        watched.lateness.read(rows, self._sources.clock.now())
        if watched.state is not None:
            self._demands.observe(watched.state.spec, rows, self._heeded())
        for watching, mask in _audience(watched, rows):
            watching.observe(rows.take(mask))

    def _compare(self, watched: _Watched, paired: Paired) -> None:
        if watched.monitors is not None:
            watched.monitors.compare(paired.take(_stable(watched, paired.rows)))

    def _learn(self, watched: _Watched, labelled: Labelled) -> None:
        for watching, mask in _audience(watched, labelled.rows):
            watching.learn(labelled.take(mask))

    def dump(self) -> bytes:
        """Everything needed to go on after a restart, as bytes for `Journal.save`."""
        saved = {name: _dumped(watched) for name, watched in self._watched.items()}
        return msgspec.msgpack.encode(_Saved(saved, self._demands.dump()))

    def restore(self, data: bytes) -> None:
        """Go on from `dump`; call `follow` next. Without a readable dump the log is read anew."""
        self._watched = {}
        try:
            saved = msgspec.msgpack.decode(data, type=_Saved)
            self._watched = {
                name: self._loaded(deployment) for name, deployment in saved.deployments.items()
            }
            self._demands = Demands.load(saved.demand, self._sources.clock.now())
        except ValueError as error:
            log.warning("the saved evidence cannot be read, the log is read anew: %s", error)

    def _monitors(self, saved: bytes) -> MonitorsLike:
        monitors = self._judges.load_monitors(saved)
        for note in monitors.notes:
            log.warning("monitors: %s", note)
        return monitors

    def _loaded(self, saved: _SavedDeployment) -> _Watched:
        judges = self._judges
        return _Watched(
            Joiner(saved.joiner.terms),
            Lateness(self._began),
            self._recall(saved.joiner),
            cursor=saved.cursor,
            watermark=saved.watermark,
            traffic=Traffic(dict(saved.outcomes)),
            unreadable=saved.unreadable,
            monitors=self._monitors(saved.monitors) if saved.monitors is not None else None,
            monitored=saved.monitored,
            plan=saved.plan,
            guard=judges.load_guard(saved.guard) if saved.guard is not None else None,
            guarded=saved.guarded,
            unsettled=saved.unsettled,
        )


def _key(incident: Incident) -> Key:
    """What is drawn for an incident; with other signals or another cause it is news again."""
    cause = incident.causes[0].cause if incident.causes else ""
    return (incident.deployment, incident.id, incident.tier, cause, *incident.signals)


def _recalls(watched: _Watched) -> bool:
    """Whether it has to be read again what waits for labels."""
    return watched.recall is not None


def _followed(watched: _Watched) -> bool:
    """Whether new segments are read."""
    return watched.state is not None and not watched.held and not _recalls(watched)


def _audience(watched: _Watched, rows: Rows) -> Iterator[tuple[Watching, NDArray[np.bool_]]]:
    """Who counts which of `rows`.

    Monitors get what the stable release answered as stable (a candidate's canary rows are never
    counted twice after its promotion), the guard gets what belongs to its rollout.
    """
    if watched.monitors is not None:
        mask = _stable(watched, rows)
        if mask.any():
            yield watched.monitors, mask
    if watched.guard is not None and watched.guarded is not None:
        mask = rows.has("rollout", watched.guarded)
        if mask.any():
            yield watched.guard, mask


def _stable(watched: _Watched, rows: Rows) -> NDArray[np.bool_]:
    """Which of `rows` the monitored release answered as stable."""
    assert watched.monitored is not None
    return rows.has("release", watched.monitored.digest) & rows.has("mode", "stable")


def _dumped(watched: _Watched) -> _SavedDeployment:
    return _SavedDeployment(
        cursor=watched.cursor,
        watermark=watched.watermark,
        joiner=watched.joiner.dump() if watched.recall is None else watched.recall.saved,
        outcomes=watched.traffic.outcomes,
        unreadable=watched.unreadable,
        monitors=watched.monitors.dump() if watched.monitors else None,
        monitored=watched.monitored,
        plan=watched.plan,
        guard=watched.guard.dump() if watched.guard else None,
        guarded=watched.guarded,
        unsettled=watched.unsettled,
    )
