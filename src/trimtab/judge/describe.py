"""Watches as verdicts: numbers with their interval, and a reason that a person can read."""

from copy import copy
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import NamedTuple

import msgspec

from trimtab.domain.figures import figures, within
from trimtab.domain.verdicts import Verdict
from trimtab.judge.budget import tier
from trimtab.judge.reach import LATELY, reach
from trimtab.judge.said import Unsaid
from trimtab.judge.watch import Point, Watch, Zone, interval


@dataclass(frozen=True, slots=True)
class Subject:
    """What a watch is about: a name for people, its reference value, and a remark.

    With `distance`, what is shown is how far the shares have moved, not a share. `scale` is what a
    share of one stands for, in the unit of the signal; `reference` is a share.
    """

    name: str
    reference: float | None
    note: str = ""
    distance: bool = False
    scale: float = 1.0

    def told(self, share: float | None) -> float | None:
        """A share in the unit of the signal."""
        return None if share is None else share * self.scale


WORSE = ("quality", "segments")
"""Groups of signals that say that predictions are worth less."""

NO_BLOCK = "no block is evidence yet: none has closed, or a broken feed or too few rows left it out"

METRICAL = ("quality", "estimate")
"""Groups whose signals are told apart by their metric."""


def group(signal: str) -> str:
    """The group of a signal: `input:temp` is `input`, `upstream:temp` is `upstream`."""
    return signal.partition(":")[0]


def day(at: float) -> str:
    """Event time as a person reads it."""
    if at == 0.0:
        return "the first event"
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M")


class Described:
    """Verdicts of watches, each told again only when its watch took in a block, for most ticks of
    a control loop close none."""

    def __init__(self, release: str) -> None:
        self._release = release
        self._told: dict[str, tuple[_Mark, Unsaid]] = {}

    def verdict(self, signal: str, watch: Watch, subject: Subject) -> Unsaid:
        """The verdict of a watch, as the watch is now."""
        mark = _Mark(watch, watch.n, watch.since, subject)
        known, told = self._told.get(signal, (None, None))
        if told is None or known != mark:
            # What a watch holds is replaced by each block, never changed: a copy stays as it is.
            words = partial(verdict, signal, copy(watch), self._release, subject)
            evidence, limit = watch.log10_evidence, watch.log10_threshold
            told = Unsaid(signal, watch.since is not None, evidence, limit, words)
            self._told[signal] = mark, told
        return told


class _Mark(NamedTuple):
    """What a verdict depends on: the rows of a watch grow with each block."""

    watch: Watch
    n: int
    since: float | None
    subject: Subject


def verdict(signal: str, watch: Watch, release: str, subject: Subject) -> Verdict:
    """The verdict of a watch."""
    if watch.history:
        return _judged(signal, watch, release, subject)
    reason = subject.note or NO_BLOCK
    bare = unknown(signal, release, watch.log10_threshold, reason)
    return msgspec.structs.replace(bare, reference=subject.told(subject.reference))


def unknown(signal: str, release: str, threshold_log10: float, reason: str) -> Verdict:
    """The verdict of a signal of which nothing can be said, and why."""
    return Verdict(
        signal=signal,
        tier=tier(group(signal)),
        verdict="unknown",
        reason=reason,
        release=release,
        scope=scope(signal),
        threshold_log10=threshold_log10,
    )


def scope(signal: str) -> dict[str, str]:
    """What a signal is confined to: `input:temp` to a column, `quality:recall` to nothing."""
    of, _, column = signal.partition(":")
    return {"column": column} if column and of not in METRICAL else {}


NAMING = ("column", "or")
"""In the scope of a verdict, the column that it is about, and another one where it is about one of
two of which it is not known which."""


def either(columns: tuple[str, ...]) -> dict[str, str]:
    """The scope of a verdict on one column, or on one of two of which it is not known which."""
    return dict(zip(NAMING, columns, strict=False))


def named(columns: tuple[str, ...]) -> str:
    """One column, or one of two, in words."""
    return " or ".join(columns)


def columns(verdict: Verdict) -> tuple[str, ...]:
    """The column that a verdict is about, or two of which it is one; none where it is of rows."""
    names = (verdict.scope.get(key) for key in NAMING)
    return tuple(name for name in names if name is not None)


def _judged(signal: str, watch: Watch, release: str, subject: Subject) -> Verdict:
    since, shown = watch.since, watch.history[-LATELY:]
    if since is not None:
        shown = [point for point in watch.history if point.start >= since]
    mean, ends, reason = _told(watch, subject, shown)
    seen = reach(watch, subject.reference)
    return Verdict(
        signal=signal,
        tier=tier(group(signal)),
        verdict="ok" if since is None else "bad",
        reason=reason,
        release=release,
        scope=scope(signal),
        evidence_log10=watch.log10_evidence,
        threshold_log10=watch.log10_threshold,
        estimate=mean * subject.scale,
        lower=subject.told(ends[0]),
        upper=subject.told(ends[1]),
        reference=subject.told(subject.reference),
        tolerance=subject.told(_tolerance(watch.zones[0], subject.reference)),
        n=watch.n if since is None else sum(p.n for p in shown),
        since=since,
        detectable=None if seen is None else seen.effect * subject.scale,
        detectable_seconds=None if seen is None else seen.seconds,
    )


def _tolerance(zone: Zone, reference: float | None) -> float | None:
    border = zone.low if zone.high is None else zone.high
    return None if reference is None or border is None else abs(border - reference)


Ends = tuple[float | None, float | None]


def _told(watch: Watch, subject: Subject, shown: list[Point]) -> tuple[float, Ends, str]:
    """What is estimated of the points shown, as a share, its ends, and the reason."""
    since = "lately" if watch.since is None else f"since {day(watch.since)}"
    note = f"; {subject.note}" if subject.note else ""
    if subject.distance:
        mean = sum([point.excess for point in shown]) / len(shown)
        place = "outside" if mean > 0.0 else "inside"
        reason = f"shares are {abs(mean):.3f} {place} the band of the reference {since}{note}"
        return mean, (None, None), reason
    mean, lower, upper = interval(shown, watch.spread)
    zone, scale = watch.zones[0], subject.scale
    low = [] if zone.low is None else [f"from {figures(zone.low * scale)}"]
    high = [] if zone.high is None else [f"up to {figures(zone.high * scale)}"]
    band = " ".join(low + high)
    n = sum(point.n for point in shown)
    measured = within(mean * scale, lower * scale, upper * scale)
    reason = f"{subject.name} {measured} {since} (n={n}), harmless {band}{note}"
    return mean, (lower, upper), reason
