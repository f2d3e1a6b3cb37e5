"""The recent evidence of every signal, thinned so that a chart of any length costs the same."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from trimtab.domain.names import Digest
from trimtab.domain.release import Release
from trimtab.domain.rollout import Standing
from trimtab.domain.verdicts import Tier
from trimtab.judge.said import Entry, Unsaid, Verdicts
from trimtab.views.seen import Seen, maybe, moment
from trimtab.views.shapes import EvidencePoint, EvidenceSeries, EvidenceView, VerdictView
from trimtab.views.status import build_verdict

MOST_POINTS = 240


@dataclass(slots=True)
class _Line:
    tier: Tier
    points: list[EvidencePoint] = field(default_factory=list)

    def add(self, point: EvidencePoint) -> None:
        """Append; repeated values keep their ends only, and a full line loses every other point."""
        same = [p.evidence_log10 == point.evidence_log10 for p in self.points[-2:]]
        if (
            len(same) == 2
            and all(same)
            and self.points[-1].threshold_log10 == (point.threshold_log10)
        ):
            self.points[-1] = point
            return
        if self.points and self.points[-1].at == point.at:
            self.points[-1] = point
            return
        self.points.append(point)
        if len(self.points) > MOST_POINTS:
            self.points = [*self.points[:-1:2], point]


@dataclass(frozen=True, slots=True)
class _Look:
    """What was told of a deployment. Most looks tell what the one before them did, and nothing of
    them is put into words but, if it is asked for, when the last of them was."""

    at: datetime
    verdicts: Verdicts
    stable: Standing | None
    releases: Mapping[Digest, Release]

    @property
    def told(self) -> tuple[object, ...]:
        """What lines are drawn by, without putting it into words."""
        return self.stable, *map(_told, self.verdicts.entries)

    def views(self) -> list[VerdictView]:
        """The verdicts for the screens."""
        names: dict[str, str] = {digest: release.name for digest, release in self.releases.items()}
        return [build_verdict(verdict, names) for verdict in self.verdicts]


@dataclass(slots=True)
class Trace:
    """Collects evidence from one look after another. Lines of releases long gone are dropped.

    `_drawn` is what the last look told of which all is drawn, `_held` the last after it that told
    the same: the end of lines that go on, drawn when they are asked for or no longer do."""

    _lines: dict[tuple[str, str, str], _Line] = field(default_factory=dict)
    _drawn: dict[str, tuple[object, ...]] = field(default_factory=dict)
    _held: dict[str, _Look] = field(default_factory=dict)

    def sample(self, seen: Seen) -> None:
        """Take in one look."""
        for name, state in sorted(seen.state.deployments.items()):
            clock, guard = maybe(seen.clocks.get(name)), seen.guards.get(name)
            if clock is None and state.spec.clock == "event":
                continue
            guarded = Verdicts(guard.verdicts if guard else ()).entries
            verdicts = Verdicts((*guarded, *Verdicts(seen.verdicts.get(name, ())).entries))
            look = _Look(clock or moment(seen.now), verdicts, state.stable, seen.releases)
            if (told := look.told) == self._drawn.get(name):
                self._held[name] = look
                continue
            self._draw_end(name)
            self._draw(name, look)
            self._drawn[name] = told

    def _draw_end(self, name: str) -> None:
        held = self._held.pop(name, None)
        if held is not None:
            self._draw(name, held)

    def _draw(self, name: str, look: _Look) -> None:
        verdicts = look.views()
        kept = self._kept(name, verdicts)
        for verdict in filter(_gathers, verdicts):
            line = kept.setdefault(_key(name, verdict), _Line(verdict.tier))
            line.add(EvidencePoint(look.at, verdict.evidence_log10, verdict.threshold_log10))
        others = {key: line for key, line in self._lines.items() if key[0] != name}
        self._lines = {**others, **kept}

    def _kept(
        self, deployment: str, verdicts: Iterable[VerdictView]
    ) -> dict[tuple[str, str, str], _Line]:
        """Lines of the deployment whose release is still judged, if any is."""
        releases = {verdict.release for verdict in verdicts}
        return {
            key: line
            for key, line in self._lines.items()
            if key[0] == deployment and (not releases or key[1] in releases)
        }

    def dump(self) -> bytes:
        """All lines, to be restored by another process."""
        for name in list(self._held):
            self._draw_end(name)
        names = dict.fromkeys(name for name, _, _ in self._lines)
        return msgspec.json.encode([self.view(name) for name in names])

    def restore(self, data: bytes) -> None:
        """Go on from what `dump` gave; raises `ValueError` when it is something else."""
        for view in msgspec.json.decode(data, type=list[EvidenceView]):
            for series in view.series:
                key = (view.deployment, series.release, series.signal)
                self._lines[key] = _Line(series.tier, list(series.points))

    def view(self, deployment: str) -> EvidenceView:
        """The lines of a deployment, the nearest to its threshold first, those that ended last."""
        self._draw_end(deployment)
        series = [
            EvidenceSeries(signal, release, line.tier, tuple(line.points))
            for (name, release, signal), line in self._lines.items()
            if name == deployment
        ]
        newest = max((line.points[-1].at for line in series), default=None)
        series.sort(key=lambda line: (line.points[-1].at != newest, *_distance(line)))
        return EvidenceView(deployment, tuple(series))


def _told(entry: Entry) -> object:
    if isinstance(entry, Unsaid):
        return entry.signal, entry.bad, entry.evidence_log10, entry.threshold_log10
    return entry


def _gathers(verdict: VerdictView) -> bool:
    """Whether there is a line to draw: rows that were looked at, and evidence that may grow."""
    return verdict.threshold_log10 > 0.0 and (verdict.verdict != "unknown" or verdict.n > 0)


def _key(deployment: str, verdict: VerdictView) -> tuple[str, str, str]:
    return deployment, verdict.release, verdict.label


def _distance(series: EvidenceSeries) -> tuple[float, str]:
    last = series.points[-1]
    return last.threshold_log10 - last.evidence_log10, series.signal
