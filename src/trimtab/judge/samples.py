"""Requests that show what a bad verdict is about, and the share of all that it concerns."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trimtab.domain.deployment import Objective
from trimtab.domain.profile import ColumnProfile, ReferenceProfile
from trimtab.domain.records import Outcome, Rows, Texts
from trimtab.domain.signature import Signature
from trimtab.domain.verdicts import Verdict
from trimtab.judge.describe import group
from trimtab.judge.profile import category_bins, score_column
from trimtab.judge.quality import TELLING, losses, texts
from trimtab.judge.signals.callers import GROUPS
from trimtab.judge.signals.counts import missing_values

COLUMNS = ("input", "upstream", "prediction", "positive_rate", "estimate")
"""Groups of signals that are about the values of one column."""


@dataclass(frozen=True, slots=True)
class Known:
    """What the rows of a release are held against; without a profile only promises are."""

    objective: Objective
    signature: Signature
    profile: ReferenceProfile | None


@dataclass(frozen=True, slots=True)
class Shown:
    """What a verdict looks like in rows.

    `share` of the `of` rows are concerned; None where that cannot be told of single rows. `places`
    are positions of rows that show it, the most telling first, `values` what they hold, and
    `column` names it.
    """

    signal: str
    said: str
    column: str
    of: int
    share: float | None = None
    places: tuple[int, ...] = ()
    values: tuple[str, ...] = ()


def shown(verdict: Verdict, rows: Rows, label: Texts, known: Known, most: int) -> Shown:
    """Up to `most` rows that show why `verdict` is bad, of those it speaks of.

    `rows` are attempts of the release in the time in question, `label` their truth, "" where it is
    not known.
    """
    mine = _in_scope(rows, verdict)
    part, truth = rows.take(mine), label[mine]
    kind = group(verdict.signal)
    if kind == "errors":
        found = _failed(part, most)
    elif kind == "latency":
        found = _slow(part, known.objective, most)
    elif kind in ("workers", "callers"):
        failed = bool((part.fixed["outcome"] == Outcome.FAILED).any())
        found = _failed(part, most) if failed else _slow(part, known.objective, most)
    elif kind in ("quality", "calibration"):
        found = _worst(part, truth, known.signature, most)
    elif kind in COLUMNS:
        found = _odd(verdict, part, known, most)
    else:
        found = _UNTOLD
    said, column, of, share, chosen, values = found
    places = tuple(mine[chosen].tolist())
    return Shown(verdict.signal, said, column, of, share, places, values)


Found = tuple[str, str, int, float | None, NDArray[np.int64], tuple[str, ...]]
_NONE = np.empty(0, dtype=np.int64)
_UNTOLD: Found = ("not told by single rows", "", 0, None, _NONE, ())


def _in_scope(rows: Rows, verdict: Verdict) -> NDArray[np.int64]:
    """Positions of the rows of a segment, of a worker or of a group of callers; `column` says which
    column is meant, not which rows."""
    held = np.ones(len(rows), dtype=np.bool_)
    for name, value in verdict.scope.items():
        if name == "worker":
            held &= rows.fixed["worker"] == value
        elif name == "callers":
            number = np.uint64(verdict.signal.partition(":")[2])
            held &= rows.fixed["unit"] % np.uint64(GROUPS) == number
        elif name != "column" and name in rows.inputs:
            held &= texts(rows.inputs[name]) == value
    return np.flatnonzero(held)


def _failed(rows: Rows, most: int) -> Found:
    failed = rows.fixed["outcome"] == Outcome.FAILED
    tried = failed | (rows.fixed["outcome"] == Outcome.OK)
    chosen = np.flatnonzero(failed)[::-1][:most]
    reasons = tuple(str(each) for each in rows.fixed["error"][chosen].tolist())
    return "failed", "error", int(tried.sum()), _share(failed, tried), chosen, reasons


def _slow(rows: Rows, objective: Objective, most: int) -> Found:
    answered = rows.fixed["outcome"] == Outcome.OK
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
    told = texts(answers) if answers is not None else np.full(len(truth), "", dtype=object)
    values = tuple(f"{told[each]}, the truth is {truth[each]}" for each in order.tolist())
    return "the answers furthest from the truth", "answer", len(places), None, places[order], values


def _odd(verdict: Verdict, rows: Rows, known: Known, most: int) -> Found:
    """The rows of the bin that has grown most against the reference."""
    places = np.flatnonzero(rows.fixed["outcome"] == Outcome.OK)
    column, values = _column(verdict, rows.take(places), known)
    if column is None or values is None or not len(places):
        return _UNTOLD
    bins, names = _bins(column, values)
    live = np.bincount(bins, minlength=len(names)) / len(bins)
    more = live - _reference(column)
    most_grown = int(more.argmax())
    chosen = np.flatnonzero(bins == most_grown)[::-1][:most] if more[most_grown] > 0.0 else _NONE
    said = (
        f"{names[most_grown]}: {live[most_grown]:.1%} of the rows, "
        f"{_reference(column)[most_grown]:.1%} of the reference"
    )
    share = float(np.clip(more, 0.0, None).sum())
    told = tuple(each or "missing" for each in texts(values[chosen]))
    return said, column.name, len(places), share, places[chosen], told


def _column(
    verdict: Verdict, rows: Rows, known: Known
) -> tuple[ColumnProfile | None, NDArray[Any] | None]:
    """The column that a verdict is about, as it was and as it is."""
    if known.profile is None:
        return None, None
    name = verdict.scope.get("column", verdict.signal.partition(":")[2])
    if not name:
        return known.profile.score, score_column(known.signature, rows.outputs)
    by_name = {column.name: column for column in known.profile.inputs}
    return by_name.get(name), rows.inputs.get(name)


def _bins(column: ColumnProfile, values: NDArray[Any]) -> tuple[NDArray[np.int64], list[str]]:
    """The bin of each value, and what each bin is called: those of the profile, then missing
    values, then those below and above all of the reference."""
    missing = missing_values(values)
    count = len(column.masses)
    bins = np.full(len(values), count, dtype=np.int64)
    if column.kind == "categorical":
        bins[~missing] = category_bins(column.categories, texts(values[~missing]))
        called = [repr(category) for category in column.categories]
        names = [*called, "texts that are not in the profile"][:count]
    else:
        numbers = values[~missing]
        placed = np.searchsorted(np.array(column.cuts), numbers, side="left").astype(np.int64)
        if column.minimum is not None and column.maximum is not None:
            placed[numbers < column.minimum] = count + 1
            placed[numbers > column.maximum] = count + 2
        bins[~missing] = placed
        ends = ["", *(f"{cut:g}" for cut in column.cuts), ""]
        names = [_between(low, high) for low, high in pairwise(ends)]
    least, largest = column.minimum, column.maximum
    return bins, [
        *names,
        "missing",
        f"less than ever before ({least:g})" if least is not None else "less than ever before",
        f"more than ever before ({largest:g})" if largest is not None else "more than ever before",
    ]


def _between(low: str, high: str) -> str:
    if low and high:
        return f"above {low} up to {high}"
    return f"above {low}" if low else f"up to {high}" if high else "any number"


def _reference(column: ColumnProfile) -> NDArray[np.float64]:
    masses = np.array(column.masses) * (1.0 - column.missing)
    return np.concatenate([masses, [column.missing, 0.0, 0.0]])


def _share(some: NDArray[Any], of: NDArray[Any]) -> float | None:
    total = int(of.sum())
    return float((some & of).sum() / total) if total else None
