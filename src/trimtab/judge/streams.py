"""Counting rows into blocks: what is kept of a block until it closes, and what it then says."""

from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from trimtab.domain.profile import ColumnProfile, QualityProfile
from trimtab.domain.records import Floats, Rows, Texts
from trimtab.domain.signature import Signature
from trimtab.judge.breaks import Cell, Recent, Seen
from trimtab.judge.profile import category_bins
from trimtab.judge.quality import (
    AUC_BINS,
    Metric,
    auc_of_counts,
    losses,
    positives,
    score_bins,
    texts,
)
from trimtab.judge.watch import Zone

MICRO = 2.0**20
"""Losses are summed as whole multiples of 2**-20: exact, in any order."""

NARROW = 0.02

Groups = dict[str, NDArray[np.bool_]]
"""Rows of each segment, as masks; the segment `""` is all rows."""


class Tally(msgspec.Struct):
    """Successes and trials of a 0/1 signal in an open block."""

    hits: int = 0
    n: int = 0

    def add(self, hits: NDArray[np.bool_]) -> None:
        """Count rows."""
        self.hits += int(hits.sum())
        self.n += hits.size


class Bins(msgspec.Struct):
    """Counts of one column in an open block: its bins, missing values, values out of range."""

    counts: list[int]
    missing: int = 0
    outside: int = 0
    n: int = 0

    def add(self, profile: ColumnProfile, values: NDArray[Any]) -> None:
        """Count values."""
        missing = missing_values(values)
        known = values[~missing]
        if profile.kind == "categorical":
            bins = category_bins(profile.categories, texts(known))
            outside = 0
        else:
            bins = np.searchsorted(np.array(profile.cuts), known, side="left")
            low, high = profile.minimum, profile.maximum
            outside = 0 if low is None else int(((known < low) | (known > high)).sum())
        fresh = np.bincount(bins, minlength=len(self.counts)).tolist()
        self.counts = [a + b for a, b in zip(self.counts, fresh, strict=True)]
        self.missing += int(missing.sum())
        self.outside += outside
        self.n += values.size


class Block(msgspec.Struct):
    """Everything counted about inputs and predictions in one open block."""

    columns: dict[str, Bins] = {}
    score: Bins | None = None
    positive: Tally = msgspec.field(default_factory=Tally)
    seen: dict[str, Seen] = {}
    cells: dict[str, Cell] = {}


class Cohort(msgspec.Struct):
    """Predictions made in one block, and what their labels said so far."""

    predicted: int = 0
    labelled: int = 0
    loss: int = 0
    gap: int = 0
    up: list[int] = []
    down: list[int] = []

    def add(self, quality: QualityProfile, signature: Signature, rows: Rows, label: Texts) -> None:
        """Count labelled rows; those without a usable output are left out."""
        metric: Metric = quality.metric
        loss = losses(metric, signature, rows.outputs, label) / quality.scale
        usable = ~np.isnan(loss)
        self.labelled += int(usable.sum())
        self.loss += int(np.rint(np.minimum(loss[usable], 1.0) * MICRO).sum())
        if signature.task == "binary":
            self._add_scores(rows.outputs["score"][usable], positives(signature, label[usable]))

    def _add_scores(self, score: Floats, truth: NDArray[np.bool_]) -> None:
        self.gap += int(np.rint((truth - score) * MICRO).sum())
        bins = score_bins(score)
        up = np.bincount(bins[truth], minlength=AUC_BINS)
        down = np.bincount(bins[~truth], minlength=AUC_BINS)
        self.up = (up + np.array(self.up or [0] * AUC_BINS)).tolist()
        self.down = (down + np.array(self.down or [0] * AUC_BINS)).tolist()

    def measured(self, metric: Metric) -> tuple[float, int] | None:
        """Total and trials of the metric in [0, 1]; None while it cannot be measured.

        The AUC over all pairs stands for as many trials as there are disjoint pairs: by Jensen's
        inequality a bet settled on it grows no more, in expectation, than on disjoint pairs
        (Hoeffding, JASA 1963, section 5).
        """
        if metric != "roc_auc":
            return (self.loss / MICRO, self.labelled) if self.labelled else None
        pairs = min(sum(self.up), sum(self.down))
        if not pairs:
            return None
        return auc_of_counts(np.array(self.up), np.array(self.down)) * pairs, pairs


def missing_values(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Which values are missing: NaN or None."""
    if values.dtype.kind == "f":
        return np.asarray(np.isnan(values), dtype=np.bool_)
    return np.array([value is None for value in values.tolist()], dtype=np.bool_)


def empty_bins(profile: ColumnProfile) -> Bins:
    """Counters for a column."""
    return Bins([0] * len(profile.masses))


def totals(profile: ColumnProfile, bins: Bins) -> list[float]:
    """Totals of the column's indicators in a block, in the order of `zones`.

    Cumulative counts up to each cut point (continuous) or the count of each category, both scaled
    up to all rows so that missing values do not look like a shift; then missing, then outside.
    """
    known = bins.n - bins.missing
    shares = np.array(bins.counts, dtype=np.float64) / max(known, 1)
    masses = np.array(profile.masses)
    if profile.kind == "continuous":
        shares, masses = np.cumsum(shares)[:-1], np.cumsum(masses)[:-1]
    # A block without any known value says nothing of their distribution.
    shares = shares if known else masses
    return [*(shares * bins.n).tolist(), float(bins.missing), float(bins.outside)]


def zones(profile: ColumnProfile, tolerance: float, error: float) -> list[Zone]:
    """The harm-free zone of each indicator; `error` is how well the reference knows its shares."""
    masses = np.array(profile.masses)
    if profile.kind == "continuous":
        shares, widths = np.cumsum(masses)[:-1], np.full(len(masses) - 1, tolerance)
    else:
        shares, widths = masses, np.minimum(tolerance, 0.01 + 0.2 * masses)
    widths = widths + error
    around = [Zone(p - w, p + w) for p, w in zip(shares.tolist(), widths.tolist(), strict=True)]
    missing = profile.missing + (profile.missing_spread or 0.0) + tolerance
    return [*around, Zone(None, missing), Zone(None, NARROW + tolerance)]


def add_rows(block: Block, profile: ColumnProfile, values: NDArray[Any]) -> None:
    """Count the values of one input column into a block."""
    if profile.name not in block.columns:
        block.columns[profile.name] = empty_bins(profile)
    block.columns[profile.name].add(profile, values)


def add_cells(
    block: Block, profile: ColumnProfile, recent: Recent, values: NDArray[Any], groups: Groups
) -> None:
    """Count missing and strange values of one column, over all rows and by segment."""
    missing, strange = missing_values(values), recent.strange(profile, values)
    seen = block.seen.setdefault(profile.name, Seen())
    seen.add(recent, values, strange)
    for segment, mask in groups.items():
        cell = block.cells.setdefault(f"{profile.name}\n{segment}", Cell())
        cell.add(missing[mask], strange[mask])
