"""What a prediction was worth once its label is known: losses, AUC, and which metric to watch."""

import math
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from trimtab.domain.deployment import MonitorPlan
from trimtab.domain.profile import QualityProfile, ReferenceProfile
from trimtab.domain.records import Floats, Texts
from trimtab.domain.signature import Signature

Metric = Literal["roc_auc", "error", "brier", "squared_error", "absolute_error"]
Outputs = Mapping[str, NDArray[Any]]

METRICS: dict[str, tuple[Metric, ...]] = {
    "binary": ("roc_auc", "error", "brier"),
    "multiclass": ("error",),
    "regression": ("squared_error", "absolute_error"),
    "other": (),
}
"""Metrics of each task; the first is what `auto` watches."""

AUC_BINS = 256

FEWEST_LABELS = 100
"""A reference with fewer labels says too little of quality to hold live traffic against it."""


def texts(column: NDArray[Any]) -> Texts:
    """Labels as text: numbers in shortest form, missing as empty text."""
    made = [
        value if type(value) is str else "" if value is None else _text(value)
        for value in column.tolist()
    ]
    return np.array(made, dtype=object)


def _text(value: Any) -> str:
    if isinstance(value, float):
        return "" if math.isnan(value) else str(int(value)) if value.is_integer() else repr(value)
    return str(value)


def positives(signature: Signature, label: Texts) -> NDArray[np.bool_]:
    """Which labels are the positive class of a binary signature."""
    return np.asarray(label == signature.classes[-1], dtype=np.bool_)


class Told(NamedTuple):
    """Rows of a binary task with their labels: the score, NaN where it is outside [0, 1] or the
    label is none of the two classes, and which labels are positive."""

    score: Floats
    positive: NDArray[np.bool_]

    @classmethod
    def of(cls, signature: Signature, score: Floats, label: Texts) -> "Told":
        """Read labels given as texts."""
        known = np.zeros(label.size, dtype=np.bool_)
        for name in signature.classes:
            known |= np.asarray(label == name, dtype=np.bool_)
        return cls.among(score, known, positives(signature, label))

    @classmethod
    def among(cls, score: Floats, known: NDArray[np.bool_], positive: NDArray[np.bool_]) -> "Told":
        """Scores with labels that are one of the two classes where `known`."""
        usable = known & (score >= 0.0) & (score <= 1.0)
        return cls(score if usable.all() else np.where(usable, score, np.nan), positive)

    @property
    def usable(self) -> "Told":
        """Those whose score and label can be used."""
        rows = ~np.isnan(self.score)
        return self if rows.all() else self.take(rows)

    def take(self, rows: NDArray[np.bool_]) -> "Told":
        """The rows where the mask is true."""
        return Told(self.score[rows], self.positive[rows])

    def losses(self, metric: Metric, threshold: float) -> Floats:
        """As `losses`, for a decision at `threshold`."""
        truth = self.positive * 1.0
        if metric == "brier":
            return np.asarray((self.score - truth) ** 2)
        if metric == "error":
            decided = np.where(np.isnan(self.score), np.nan, (self.score >= threshold) * 1.0)
            return np.asarray(np.abs(decided - truth))
        return np.asarray(self.score * 0.0)


def losses(metric: Metric, signature: Signature, outputs: Outputs, label: Texts) -> Floats:
    """The loss of each row, NaN where there is no usable output; `roc_auc` has none: zeros.

    `error` and `brier` are in [0, 1]; losses of regressions are in the unit of the target. A score
    outside [0, 1], a label that is no number or none of a binary signature's classes: NaN.
    """
    if signature.task == "multiclass":
        wrong = texts(outputs["label"]) != label
        return np.asarray(wrong, dtype=np.float64)
    if signature.task == "regression":
        distance = np.abs(outputs["prediction"] - numbers(label))
        return np.asarray(distance**2 if metric == "squared_error" else distance)
    return Told.of(signature, outputs["score"], label).losses(metric, signature.threshold)


def numbers(label: Texts) -> Floats:
    """Labels as numbers, NaN for those that are none."""
    return np.array([_number(text) for text in label.tolist()], dtype=np.float64)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def score_bins(score: Floats) -> NDArray[np.int64]:
    """The bin of each score in [0, 1], for an AUC from counts that merge in any order."""
    return np.clip(score * AUC_BINS, 0, AUC_BINS - 1).astype(np.int64)


def auc_of_counts(positive: NDArray[Any], negative: NDArray[Any]) -> float:
    """AUC from counts per rising score bin, ties counted half. Both classes must be present."""
    below = np.cumsum(negative) - negative / 2.0
    return float((positive * below).sum() / (positive.sum() * negative.sum()))


def watched(plan: MonitorPlan, profile: ReferenceProfile | None) -> QualityProfile | None:
    """The quality that is watched, None when it is switched off or the profile has none."""
    if plan.quality == "none" or profile is None:
        return None
    wanted = profile.quality if plan.quality == "auto" else ()
    named = [quality for quality in profile.quality if quality.metric == plan.quality]
    return next(iter([*wanted, *named]), None)
