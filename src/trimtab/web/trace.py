"""The recent evidence of every signal, thinned so that a chart of any length costs the same."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from trimtab.domain.verdicts import Tier
from trimtab.views.seen import Seen, moment
from trimtab.views.shapes import (
    EvidencePoint,
    EvidenceSeries,
    EvidenceView,
    StatusView,
    VerdictView,
)
from trimtab.views.status import build_status

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


@dataclass(slots=True)
class Trace:
    """Collects evidence from one look after another. Lines of releases long gone are dropped."""

    _lines: dict[tuple[str, str, str], _Line] = field(default_factory=dict)

    def sample(self, seen: Seen) -> StatusView:
        """Take in one look; returns the status it was read from."""
        status = build_status(seen)
        for deployment in status.deployments:
            if deployment.at is None and deployment.clock == "event":
                continue
            at = deployment.at or moment(seen.now)
            kept = self._kept(deployment.name, deployment.verdicts)
            for verdict in deployment.verdicts:
                if not _gathers(verdict):
                    continue
                line = kept.setdefault(_key(deployment.name, verdict), _Line(verdict.tier))
                line.add(EvidencePoint(at, verdict.evidence_log10, verdict.threshold_log10))
            self._lines = {
                **{key: line for key, line in self._lines.items() if key[0] != deployment.name},
                **kept,
            }
        return status

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
        names = dict.fromkeys(name for name, _, _ in self._lines)
        return msgspec.json.encode([self.view(name) for name in names])

    def restore(self, data: bytes) -> None:
        """Go on from what `dump` gave; raises `msgspec.DecodeError` when it is something else."""
        for view in msgspec.json.decode(data, type=list[EvidenceView]):
            for series in view.series:
                key = (view.deployment, series.release, series.signal)
                self._lines[key] = _Line(series.tier, list(series.points))

    def view(self, deployment: str) -> EvidenceView:
        """The lines of a deployment, the nearest to its threshold first, those that ended last."""
        series = [
            EvidenceSeries(signal, release, line.tier, tuple(line.points))
            for (name, release, signal), line in self._lines.items()
            if name == deployment
        ]
        newest = max((line.points[-1].at for line in series), default=None)
        series.sort(key=lambda line: (line.points[-1].at != newest, *_distance(line)))
        return EvidenceView(deployment, tuple(series))


def _gathers(verdict: VerdictView) -> bool:
    """Whether there is a line to draw: rows that were looked at, and evidence that may grow."""
    return verdict.threshold_log10 > 0.0 and (verdict.verdict != "unknown" or verdict.n > 0)


def _key(deployment: str, verdict: VerdictView) -> tuple[str, str, str]:
    return deployment, verdict.release, verdict.label


def _distance(series: EvidenceSeries) -> tuple[float, str]:
    last = series.points[-1]
    return last.threshold_log10 - last.evidence_log10, series.signal
