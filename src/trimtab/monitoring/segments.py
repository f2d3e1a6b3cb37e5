"""Sizes of segments for the report: how many rows, how many decided positive, how good.

These are shown, never alarmed on: what judges groups is a family of signals.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from trimtab.domain.profile import QualityProfile
from trimtab.domain.records import Floats, Ints, kept
from trimtab.domain.signature import Signature
from trimtab.judge.own_loss import Clipped
from trimtab.judge.quality import (
    AUC_BINS,
    RATIOS,
    Decided,
    auc_of_counts,
    decisions,
    scaled_losses,
    score_bins,
)
from trimtab.judge.signals.counts import sums
from trimtab.judge.watch import Point, interval
from trimtab.monitoring.counting import Segments
from trimtab.monitoring.precount import Truth
from trimtab.stats.fixed_point import MICRO

FEWEST_TRIALS = 50
"""A quality of fewer trials is not shown: its interval would say anything."""


@dataclass(slots=True)
class Group:
    """Totals of a segment; all are sums of whole numbers, so parts add up in any order, `loss` in
    units of 2**-20. `decided` counts rows whose score is known, `positive` those of them that were
    decided for the positive class. `right` and `wrong` are decisions by class of the truth, counted
    where the metric asks for them."""

    rows: int = 0
    decided: int = 0
    positive: int = 0
    labelled: int = 0
    loss: int = 0
    up: Ints = field(default_factory=lambda: np.zeros(AUC_BINS, dtype=np.int64))
    down: Ints = field(default_factory=lambda: np.zeros(AUC_BINS, dtype=np.int64))
    right: list[int] = field(default_factory=list)
    wrong: list[int] = field(default_factory=list)

    def quality(self, quality: QualityProfile) -> tuple[float, float, float] | None:
        """Value with a 95 % interval for looking at, in the unit of the metric; None when there are
        too few trials."""
        metric = quality.metric
        trials, value = self.labelled, self.loss / MICRO / max(self.labelled, 1)
        if metric == "roc_auc":
            trials = min(int(self.up.sum()), int(self.down.sum()))
            value = auc_of_counts(self.up, self.down) if trials else 0.0
        if metric in RATIOS:
            found = Decided(self.right, self.wrong).measured(metric) if self.right else None
            value, trials = found or (0.0, 0)
        if trials < FEWEST_TRIALS:
            return None
        value, lower, upper = interval([Point(0.0, trials, min(value, 1.0), 0.0)], None)
        return quality.told(value), quality.told(lower), quality.told(upper)


class Sizes:
    """The groups of a table, by name."""

    def __init__(self, signature: Signature, quality: QualityProfile | None) -> None:
        self.groups: dict[str, Group] = {}
        self._signature = signature
        self._quality = quality

    def add(self, segments: Segments, score: Floats | None, truth: Truth | None) -> None:
        """Take in a part. `score` are its probabilities, None for other tasks."""
        for name, rows in zip(segments.names, segments.rows, strict=True):
            self.groups.setdefault(name, Group()).rows += rows
        if score is not None:
            gone = np.isnan(score)
            decided = segments.count(~gone) if gone.any() else segments.rows
            chosen = segments.count(score >= self._signature.threshold)
            pairs = zip(segments.names, decided, chosen, strict=True)
            for name, n, positive in pairs:
                self.groups[name].decided += n
                self.groups[name].positive += positive
        if truth is not None and self._quality is not None:
            self._add_truth(segments, truth, self._quality)

    def _add_truth(self, segments: Segments, truth: Truth, quality: QualityProfile) -> None:
        loss = self._losses(truth, quality)
        usable = ~np.isnan(loss)
        whole = np.rint(kept(loss, usable) * MICRO)
        told = None if truth.told is None else truth.told.take(usable)
        decided: tuple[Ints, Ints] | None = None
        if quality.metric in RATIOS:
            places = self._decisions(truth)
            decided = kept(places[0], usable), kept(places[1], usable)
        for division in segments.divisions:
            mine = kept(kept(division.codes, truth.mask), usable)
            size, names = division.size, division.names
            counts = np.bincount(mine, minlength=size + 1)
            lost = np.bincount(mine, weights=whole, minlength=size + 1)
            for place, name in enumerate(names):
                self.groups[name].labelled += int(counts[place])
                self.groups[name].loss += int(lost[place])
            if told is not None:
                self._add_scores(names, mine, score_bins(told.score), told.positive)
            if decided is not None:
                self._add_decisions(names, mine, decided)

    def _losses(self, truth: Truth, quality: QualityProfile) -> Floats:
        if quality.metric == "loss" and truth.lost is not None:
            return Clipped.of(truth.lost).loss
        if truth.told is not None:
            return truth.told.scaled(quality, self._signature.threshold)
        known = truth.known
        return scaled_losses(quality, self._signature, known.rows.outputs, known.label)

    def _decisions(self, truth: Truth) -> tuple[Ints, Ints]:
        if truth.told is not None:
            return truth.told.decisions(self._signature.threshold)
        return decisions(self._signature, truth.known.rows.outputs, truth.known.label)

    def _add_scores(
        self, names: tuple[str, ...], mine: Ints, bins: Ints, up: NDArray[np.bool_]
    ) -> None:
        size = (len(names) + 1) * AUC_BINS
        counts = np.bincount(2 * (mine * AUC_BINS + bins) + up, minlength=2 * size)
        both = counts.reshape(-1, AUC_BINS, 2)
        for place, name in enumerate(names):
            self.groups[name].down += both[place, :, 0]
            self.groups[name].up += both[place, :, 1]

    def _add_decisions(
        self, names: tuple[str, ...], mine: Ints, decided: tuple[Ints, Ints]
    ) -> None:
        size = len(self._signature.classes)
        for place, name in enumerate(names):
            rows, group = mine == place, self.groups[name]
            found = Decided.of_places(decided[0][rows], decided[1][rows], size)
            group.right = sums(group.right, found.right)
            group.wrong = sums(group.wrong, found.wrong)
