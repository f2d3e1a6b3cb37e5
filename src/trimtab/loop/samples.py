"""An incident in the rows of the request log: requests that show it, their share, their segment.

What is read is bounded, whatever the log holds: the newest rows of the time in question up to a
number, and where labels are needed, the newest labels and the rows that they are about.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from trimtab.domain.records import Labels, Rows, Texts, together
from trimtab.domain.verdicts import Concentration, Shown, Verdict
from trimtab.judge.describe import group
from trimtab.judge.samples import LABELLED, Harm, Known, about, harm_of, shown
from trimtab.judge.segments import Spread
from trimtab.loop.joiner import key_text
from trimtab.ports.requestlog import RequestLog

SIGNALS = 5
"""Signals that are shown, the loudest first."""

DAY = 86_400.0
LOOKBACK = 14 * DAY
"""Seconds before the first evidence from which rows tell what was usual."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Bound:
    """How much is read at most: rows that are held, and for each of them some that are looked at,
    and labels."""

    rows: int
    looks: int = 10
    labels: int = 10


QUICK = Bound(rows=10_000)
"""For the control loop, which goes on when it is done."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is to be shown of a deployment: bad `verdicts` on a release, by its digest, from `since`
    to `until` in event time. `copies` says whether shadow copies show it as well; `key` is the
    business key of labels."""

    deployment: str
    release: str
    verdicts: tuple[Verdict, ...]
    since: float
    until: float
    copies: bool = False
    key: str | None = None

    @property
    def loudest(self) -> list[Verdict]:
        """The bad verdicts that are shown."""
        bad = [verdict for verdict in self.verdicts if verdict.verdict == "bad"]
        return sorted(bad, key=lambda each: each.threshold_log10 - each.evidence_log10)[:SIGNALS]


@dataclass(frozen=True, slots=True)
class Told:
    """What the rows of a trouble say; `rows` of it were looked at."""

    rows: int = 0
    shown: tuple[Shown, ...] = ()
    concentration: Concentration | None = None


def told(log: RequestLog, trouble: Trouble, known: Known, bound: Bound, most: int) -> Told:
    """Up to `most` rows for each signal, and the segment of the loudest one that has harm in rows.

    Raises `TrimtabError` or `OSError` when the log cannot be read."""
    reader = _Reader(log, trouble, bound)
    made: list[Shown] = []
    concentration, rows = None, 0
    for number, verdict in enumerate(trouble.loudest):
        held = reader.since(group(verdict.signal) in LABELLED)
        rows = max(rows, held.seen)
        found = shown(verdict, held.rows, held.label, known, most)
        if not any(_same(found, each) for each in made):
            made.append(msgspec.structs.replace(found, cut=held.cut))
        harm = harm_of(verdict, held.rows, known) if number == 0 else None
        if harm is not None and known.profile is not None:
            usual = reader.before(group(verdict.signal) in LABELLED)
            spread = Spread(known.profile.inputs)
            _count(spread, harm, usual, since=False)
            _count(spread, harm, held, since=True)
            concentration = spread.concentration(about(verdict))
    return Told(rows, tuple(made), concentration)


def _same(found: Shown, other: Shown) -> bool:
    """Whether two signals look alike in rows: two metrics of quality do."""
    return bool(found.samples) and (found.column, found.samples) == (other.column, other.samples)


@dataclass(frozen=True, slots=True)
class _Held:
    """Rows, oldest first, with what is known of their truth; they are among `seen` of the trouble,
    and `cut` says that there are more."""

    rows: Rows
    label: Texts
    seen: int
    cut: bool


def _count(spread: Spread, harm: Harm, held: _Held, since: bool) -> None:
    spread.take(held.rows, harm(held.rows, held.label), since=since)


class _Truth:
    """The newest labels of a log, by row or by business key, up to a number."""

    def __init__(self, parts: Iterable[Labels], key: str | None, most: int) -> None:
        self._key = key
        self.cut = False
        self._known: dict[tuple[str, int] | str, tuple[float, str]] = {}
        for labels in parts:
            if len(self._known) >= most:
                self.cut = True
                break
            self._take(labels)

    def _take(self, labels: Labels) -> None:
        columns = (labels.fixed[name].tolist() for name in ("request_id", "row", "key"))
        values = (labels.fixed[name].tolist() for name in ("label", "at"))
        for request, row, key, label, at in zip(*columns, *values, strict=True):
            name = (str(request), int(row)) if request else str(key)
            if at >= self._known.get(name, (at, ""))[0]:
                self._known[name] = at, label

    def of(self, rows: Rows) -> Texts:
        """The newest label of each row, "" where none is known."""
        fixed = rows.fixed
        found = [
            self._known.get((str(request), int(row)), (-np.inf, ""))
            for request, row in zip(
                fixed["request_id"].tolist(), fixed["row"].tolist(), strict=True
            )
        ]
        keys = rows.inputs.get(self._key) if self._key is not None else None
        if keys is not None:
            by_key = (self._known.get(key_text(key), (-np.inf, "")) for key in keys.tolist())
            found = [max(pair) for pair in zip(found, by_key, strict=True)]
        return np.array([label for _, label in found], dtype=object)


class _Reader:
    """Rows of the time of a trouble and of the time before; nothing is read twice."""

    def __init__(self, log: RequestLog, trouble: Trouble, bound: Bound) -> None:
        self._log, self._trouble, self._bound = log, trouble, bound
        self._truth: _Truth | None = None
        self._held: dict[tuple[str, bool], _Held] = {}

    def since(self, labelled: bool) -> _Held:
        """Rows of the release since the first evidence, with `labelled` those with a label only."""
        trouble = self._trouble

        def mine(rows: Rows) -> Mask:
            held = rows.fixed["release"] == trouble.release
            return np.asarray(held & (trouble.copies | (rows.fixed["mode"] != "shadow")), np.bool_)

        return self._of("since", trouble.since, trouble.until, mine, labelled)

    def before(self, labelled: bool) -> _Held:
        """Rows that were answered as stable before it, by any release."""
        first = self._trouble.since
        stable: Callable[[Rows], Mask] = _stable
        return self._of("before", first - LOOKBACK, np.nextafter(first, 0.0), stable, labelled)

    def _of(
        self, name: str, since: float, until: float, mine: Callable[[Rows], Mask], labelled: bool
    ) -> _Held:
        if (name, labelled) not in self._held:
            parts = self._log.rows_between(self._trouble.deployment, since, until)
            self._held[name, labelled] = self._read(parts, mine, labelled)
        return self._held[name, labelled]

    def _read(self, parts: Iterable[Rows], mine: Callable[[Rows], Mask], labelled: bool) -> _Held:
        held: list[Rows] = []
        left, looks = self._bound.rows, self._bound.rows * self._bound.looks
        seen, cut = 0, False
        for part in parts:
            if left <= 0 or looks <= 0:
                cut = True
                break
            looks -= len(part)
            chosen = part.take(np.flatnonzero(mine(part)))
            seen += len(chosen)
            if labelled:
                chosen = chosen.take(np.asarray(self._labels().of(chosen) != "", dtype=np.bool_))
            cut = cut or len(chosen) > left
            chosen = chosen.take(np.arange(max(len(chosen) - left, 0), len(chosen)))
            left -= len(chosen)
            held.append(chosen)
        rows = together(held[::-1])
        if not labelled:
            return _Held(rows, np.full(len(rows), "", dtype=object), seen, cut)
        return _Held(rows, self._labels().of(rows), seen, cut or self._labels().cut)

    def _labels(self) -> _Truth:
        if self._truth is None:
            trouble, most = self._trouble, self._bound.rows * self._bound.labels
            parts = self._log.labels_since(trouble.deployment, trouble.since - LOOKBACK)
            self._truth = _Truth(parts, trouble.key, most)
        return self._truth


def _stable(rows: Rows) -> Mask:
    return np.asarray(rows.fixed["mode"] == "stable", dtype=np.bool_)
