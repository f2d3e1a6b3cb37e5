"""Requests that show what a bad verdict is about, and the share of all that it concerns."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trimtab.domain.deployment import Objective
from trimtab.domain.profile import ColumnProfile, Metric, ReferenceProfile
from trimtab.domain.records import Floats, Outcome, Rows, Texts
from trimtab.domain.signature import Signature
from trimtab.domain.verdicts import Sample, Shown, Verdict
from trimtab.judge.describe import METRICAL, NAMING, group
from trimtab.judge.profile import score_column
from trimtab.judge.quality import TELLING, losses, texts
from trimtab.judge.segments import Parting
from trimtab.judge.signals.callers import GROUPS
from trimtab.judge.signals.counts import values_of

COLUMNS = ("input", "upstream", "prediction", "positive_rate", "estimate")
"""Groups of signals that are about the values of one column."""

LABELLED = ("quality", "segments", "calibration")
"""Groups of signals that rows show once their label is known."""


LONGEST = 80
"""Characters of a value that are shown."""


@dataclass(frozen=True, slots=True)
class Known:
    """What the rows of a release are held against; without a profile only promises are."""

    objective: Objective
    signature: Signature
    profile: ReferenceProfile | None


def shown(verdict: Verdict, rows: Rows, label: Texts, known: Known, most: int) -> Shown:
    """Up to `most` rows that show why `verdict` is bad, of those it speaks of.

    `rows` are attempts of the release in the time in question, oldest first, `label` their truth,
    "" where it is not known.
    """
    mine = _in_scope(rows, verdict)
    part, truth = rows.take(mine), label[mine]
    kind = group(verdict.signal)
    if kind == "errors":
        found = _failed(part, most)
    elif kind.startswith("latency"):
        found = _slow(part, known.objective, most)
    elif kind in ("workers", "callers"):
        failed = bool((part.fixed["outcome"] == Outcome.FAILED).any())
        found = _failed(part, most) if failed else _slow(part, known.objective, most)
    elif kind in LABELLED:
        found = _worst(part, truth, known.signature, most)
    elif kind in COLUMNS:
        found = _odd(verdict, part, known, most)
    elif kind == "bias" and verdict.scope:
        found = _members(verdict, part, len(rows), known, most)
    else:
        found = _UNTOLD
    said, column, of, share, chosen, values = found
    return Shown(
        signal=verdict.signal,
        said=said,
        column=column,
        of=of,
        share=share,
        samples=_samples(part.take(chosen), values),
    )


def _samples(rows: Rows, values: Sequence[str]) -> tuple[Sample, ...]:
    fixed = rows.fixed
    columns = (fixed[name].tolist() for name in ("request_id", "row", "event_time"))
    return tuple(
        Sample(str(request), int(row), float(at), _shortened(value))
        for request, row, at, value in zip(*columns, values, strict=True)
    )


def _shortened(value: str) -> str:
    """A value of any length as it can be kept for good: a journal is no place for documents."""
    return value if len(value) <= LONGEST else f"{value[: LONGEST - 1]}…"


Found = tuple[str, str, int, float | None, NDArray[np.int64], tuple[str, ...]]
_NONE = np.empty(0, dtype=np.int64)
_UNTOLD: Found = ("not told by single rows", "", 0, None, _NONE, ())


def _in_scope(rows: Rows, verdict: Verdict) -> NDArray[np.int64]:
    """Positions of the rows of a segment, of a worker or of a group of callers; what names a column
    says which column is meant, not which rows."""
    held = np.ones(len(rows), dtype=np.bool_)
    for name, value in verdict.scope.items():
        if name == "worker":
            held &= rows.fixed["worker"] == value
        elif name == "callers":
            number = np.uint64(verdict.signal.partition(":")[2])
            held &= rows.fixed["unit"] % np.uint64(GROUPS) == number
        elif name not in NAMING and name in rows.inputs:
            held &= texts(rows.inputs[name]) == value
    return np.flatnonzero(held)


def _failed(rows: Rows, most: int) -> Found:
    failed = rows.fixed["outcome"] == Outcome.FAILED
    tried = failed | (rows.fixed["outcome"] == Outcome.OK)
    chosen = np.flatnonzero(failed)[::-1][:most]
    reasons = tuple(str(each) for each in rows.fixed["error"][chosen].tolist())
    return "failed", "error", int(tried.sum()), _share(failed, tried), chosen, reasons


def _slow(rows: Rows, objective: Objective, most: int) -> Found:
    answered = (rows.fixed["outcome"] == Outcome.OK) & rows.prompt
    took = np.where(answered, rows.fixed["total_seconds"], 0.0)
    slow = took > objective.latency_seconds
    chosen = np.argsort(-took, kind="stable")[: min(most, int(slow.sum()))]
    said = f"took more than {objective.latency_seconds * 1e3:g} ms"
    values = tuple(f"{each * 1e3:.4g} ms" for each in took[chosen].tolist())
    share = _share(slow, answered)
    return said, "total_seconds", int(answered.sum()), share, chosen, values


def _worst(rows: Rows, label: Texts, signature: Signature, most: int) -> Found:
    metric = TELLING.get(signature.task)
    answered = (rows.fixed["outcome"] == Outcome.OK) & (label != "")
    if metric is None or not answered.any():
        return "no label of these rows is known", "label", 0, None, _NONE, ()
    places = np.flatnonzero(answered)
    part, truth = rows.take(places), label[places]
    loss = np.nan_to_num(losses(metric, signature, part.outputs, truth), nan=-1.0)
    order = np.argsort(-loss, kind="stable")[:most]
    answers = score_column(signature, part.outputs)
    told = np.full(len(truth), "", dtype=object) if answers is None else answers
    values = tuple(f"{_brief(told[each])}, the truth is {truth[each]}" for each in order.tolist())
    return "the answers furthest from the truth", "answer", len(places), None, places[order], values


def _brief(answer: Any) -> str:
    return f"{answer:.4g}" if isinstance(answer, float) else str(answer)


def _members(verdict: Verdict, part: Rows, every: int, known: Known, most: int) -> Found:
    """The newest rows of the group that a gap is about, with what was answered."""
    chosen = np.flatnonzero(part.fixed["outcome"] == Outcome.OK)[::-1][:most]
    named = " & ".join(f"{name}={value}" for name, value in verdict.scope.items())
    answers = score_column(known.signature, part.take(chosen).outputs)
    told = np.full(len(chosen), "", dtype=object) if answers is None else texts(answers)
    share = len(part) / every if every else None
    return f"rows of {named}", "answer", every, share, chosen, tuple(told.tolist())


def _odd(verdict: Verdict, rows: Rows, known: Known, most: int) -> Found:
    """The rows of the bin that has grown most against the reference."""
    places = np.flatnonzero(rows.fixed["outcome"] == Outcome.OK)
    answered = rows.take(places)
    grown = _grown(verdict, answered, known)
    if grown is None:
        return _UNTOLD
    live, usual = grown.live[grown.place], grown.parting.reference[grown.place]
    inside = grown.inside(answered) if live > usual else np.zeros(len(places), dtype=np.bool_)
    chosen = np.flatnonzero(inside)[::-1][:most]
    name = grown.parting.name(range(grown.place, grown.place + 1))
    said = f"{name}: {live:.1%} of the rows, {usual:.1%} of the reference"
    share = float(np.clip(grown.live - grown.parting.reference, 0.0, None).sum())
    values = grown.values(answered.take(chosen))
    told = tuple(each or "missing" for each in texts(values))
    column = grown.parting.column.name
    return said, column, len(places), share, places[chosen], told


@dataclass(frozen=True, slots=True)
class _Grown:
    """The bin of a verdict's column that has grown most, and the share of rows in each."""

    verdict: Verdict
    known: Known
    parting: Parting
    live: Floats
    place: int

    def values(self, rows: Rows) -> NDArray[Any]:
        """What rows hold."""
        return _values(self.verdict, self.parting.column, rows, self.known)

    def inside(self, rows: Rows) -> NDArray[np.bool_]:
        """Which rows are in that bin."""
        return np.asarray(self.parting.places(self.values(rows)) == self.place, dtype=np.bool_)


def _grown(verdict: Verdict, rows: Rows, known: Known) -> _Grown | None:
    column = _column(verdict, known)
    if column is None or not len(rows):
        return None
    parting = Parting(column)
    bins = parting.places(_values(verdict, column, rows, known))
    live = np.bincount(bins, minlength=parting.size) / len(bins)
    place = int((live - parting.reference).argmax())
    return _Grown(verdict, known, parting, live, place)


Harm = Callable[[Rows, Texts], Floats]
"""What each of some rows shows of a trouble, with their labels: NaN where it cannot be told."""


def harm_of(verdict: Verdict, rows: Rows, known: Known) -> Harm | None:
    """How rows show the harm of a verdict about quality or the values of a column, which is told by
    `rows` of the trouble; None for other verdicts."""
    kind, metric = group(verdict.signal), TELLING.get(known.signature.task)
    if kind in LABELLED and metric is not None:
        return partial(_loss, metric, known.signature)
    grown = None
    if kind in COLUMNS:
        answered = rows.fixed["outcome"] == Outcome.OK
        grown = _grown(verdict, rows.take(np.asarray(answered, dtype=np.bool_)), known)
    return None if grown is None else partial(_moved, grown)


def _loss(metric: Metric, signature: Signature, rows: Rows, label: Texts) -> Floats:
    told = (rows.fixed["outcome"] == Outcome.OK) & (label != "")
    harm = np.full(len(rows), np.nan)
    places = np.flatnonzero(np.asarray(told, dtype=np.bool_))
    if places.size:
        harm[places] = losses(metric, signature, rows.take(places).outputs, label[places])
    return harm


def _moved(grown: _Grown, rows: Rows, label: Texts) -> Floats:
    answered = rows.fixed["outcome"] == Outcome.OK
    return np.where(answered, grown.inside(rows), np.nan)


def about(verdict: Verdict) -> str:
    """The column that a verdict is about; "" for answers."""
    if group(verdict.signal) in METRICAL:
        return ""
    return verdict.scope.get("column", verdict.signal.partition(":")[2])


def _column(verdict: Verdict, known: Known) -> ColumnProfile | None:
    """The column that a verdict is about, as it was on the reference."""
    if known.profile is None:
        return None
    name = about(verdict)
    if not name:
        return known.profile.score
    return next((column for column in known.profile.inputs if column.name == name), None)


def _values(verdict: Verdict, column: ColumnProfile, rows: Rows, known: Known) -> NDArray[Any]:
    """As they are; answers that a torn segment lost are missing."""
    if about(verdict):
        return values_of(rows, column)
    answers = score_column(known.signature, rows.outputs)
    if answers is not None:
        return answers
    numeric = column.kind == "continuous"
    return np.full(len(rows), np.nan if numeric else None, dtype=float if numeric else object)


def _share(some: NDArray[Any], of: NDArray[Any]) -> float | None:
    total = int(of.sum())
    return float((some & of).sum() / total) if total else None
