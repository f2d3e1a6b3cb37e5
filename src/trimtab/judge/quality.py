"""What a prediction was worth once its label is known: losses, and metrics of counts."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from trimtab.domain.profile import Metric, QualityProfile
from trimtab.domain.records import Floats, Ints, Texts, kept
from trimtab.domain.signature import Signature

Outputs = Mapping[str, NDArray[Any]]

DISTANCES: tuple[Metric, ...] = ("squared_error", "absolute_error")
"""Losses of regressions, in the unit of the target or its square."""

METRICS: dict[str, tuple[Metric, ...]] = {
    "binary": ("roc_auc", "error", "brier", "log_loss", "precision", "recall", "f1"),
    "multiclass": ("error", "log_loss", "macro_recall"),
    "regression": DISTANCES,
    "other": (),
}
"""Metrics of each task; `auto` watches the first, and the error."""

TELLING: dict[str, Metric] = {
    "binary": "brier",
    "multiclass": "error",
    "regression": "absolute_error",
}
"""The loss that tells most of a single row, by task."""

RATIOS = ("precision", "recall", "f1", "macro_recall")
"""Metrics of right and wrong decisions, by class."""

AUC_BINS = 256

FEWEST_LABELS = 100
"""A reference with fewer labels says too little of quality to hold live traffic against it."""

LOG_LOSS_BOUND = math.log(1000.0)
"""A chance below 1/1000 of what came true costs no more: no row may cost without bound."""


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

    def where(self, usable: NDArray[np.bool_]) -> "Told":
        """The same rows, of which others than these cannot be used."""
        return Told(np.where(usable, self.score, np.nan), self.positive)

    def take(self, rows: NDArray[np.bool_]) -> "Told":
        """The rows where the mask is true."""
        return Told(kept(self.score, rows), kept(self.positive, rows))

    def losses(self, metric: Metric, threshold: float) -> Floats:
        """As `losses`, for a decision at `threshold`."""
        truth = self.positive * 1.0
        if metric == "brier":
            return np.asarray((self.score - truth) ** 2)
        if metric == "log_loss":
            return log_losses(np.where(self.positive, self.score, 1.0 - self.score))
        if metric == "error":
            decided = np.where(np.isnan(self.score), np.nan, (self.score >= threshold) * 1.0)
            return np.asarray(np.abs(decided - truth))
        return np.asarray(self.score * 0.0)

    def scaled(self, quality: QualityProfile, threshold: float) -> Floats:
        """As `scaled_losses`, for a decision at `threshold`."""
        if not quality.costs:
            return np.minimum(self.losses(quality.metric, threshold) / quality.scale, 1.0)
        decided, truth = self.decisions(threshold)
        return np.where(decided < 0, np.nan, np.array(quality.costs)[decided, truth])

    def decisions(self, threshold: float) -> tuple[Ints, Ints]:
        """The places of decision and truth, 0 or 1; the former is -1 where nothing is usable."""
        decided = np.where(np.isnan(self.score), -1, self.score >= threshold)
        return decided.astype(np.int64), self.positive.astype(np.int64)


def losses(metric: Metric, signature: Signature, outputs: Outputs, label: Texts) -> Floats:
    """The loss of each row, NaN where there is no usable output; metrics of counts: zeros.

    `error` and `brier` are in [0, 1], `log_loss` in nats up to `LOG_LOSS_BOUND`; losses of
    regressions are in the unit of the target. A score outside [0, 1], a label that is no number or
    none of a binary signature's classes: NaN.
    """
    if signature.task == "multiclass":
        return _of_classes(metric, signature, outputs, label)
    if signature.task == "regression":
        distance = np.abs(outputs["prediction"] - numbers(label))
        return np.asarray(distance**2 if metric == "squared_error" else distance)
    return Told.of(signature, outputs["score"], label).losses(metric, signature.threshold)


def _of_classes(metric: Metric, signature: Signature, outputs: Outputs, label: Texts) -> Floats:
    if metric == "log_loss":
        return log_losses(_scores_of(signature, outputs, label))
    wrong = texts(outputs["label"]) != label
    return np.asarray(wrong, dtype=np.float64) * (metric == "error")


def log_losses(chance: Floats) -> Floats:
    """Minus the logarithm of the chance that was given to what came true, bounded."""
    return np.minimum(-np.log(np.maximum(chance, math.exp(-LOG_LOSS_BOUND))), LOG_LOSS_BOUND)


def _scores_of(signature: Signature, outputs: Outputs, label: Texts) -> Floats:
    """The score of each row's true class: 0.0 for a class that the model does not know, NaN where
    there are no scores, or a value that is no probability."""
    known, size = class_places(signature, label).tolist(), len(signature.classes)
    given = outputs.get("scores", np.full(len(label), None, dtype=object))
    made = [
        math.nan if row is None or len(row) != size else row[place] if place >= 0 else 0.0
        for row, place in zip(given, known, strict=True)
    ]
    score = np.array(made, dtype=np.float64)
    return np.where((score >= 0.0) & (score <= 1.0), score, np.nan)


def scaled_losses(
    quality: QualityProfile, signature: Signature, outputs: Outputs, label: Texts
) -> Floats:
    """The loss of each row in [0, 1], as it is watched; NaN where there is no usable output."""
    if signature.task == "binary":
        return Told.of(signature, outputs["score"], label).scaled(quality, signature.threshold)
    if not quality.costs:
        return np.minimum(losses(quality.metric, signature, outputs, label) / quality.scale, 1.0)
    decided, truth = decisions(signature, outputs, label)
    # A truth that is no class, in the last column, costs as much as the worst one.
    table = np.array([(*row, max(row)) for row in quality.costs])
    return np.where(decided < 0, np.nan, table[decided, truth])


def decisions(signature: Signature, outputs: Outputs, label: Texts) -> tuple[Ints, Ints]:
    """The places of each row's decision and truth among the classes, -1 for none of them."""
    if signature.task == "binary":
        return Told.of(signature, outputs["score"], label).decisions(signature.threshold)
    return class_places(signature, texts(outputs["label"])), class_places(signature, label)


def class_places(signature: Signature, label: Texts) -> Ints:
    """The place of each label among the classes, -1 for one that is none."""
    place = {name: number for number, name in enumerate(signature.classes)}
    return np.array([place.get(name, -1) for name in label.tolist()], dtype=np.int64)


class Decided(NamedTuple):
    """Right and wrong decisions, by class of the truth, in the order of the classes."""

    right: list[int]
    wrong: list[int]

    @classmethod
    def of(cls, signature: Signature, outputs: Outputs, label: Texts) -> "Decided":
        """Count rows whose truth is a class, and that were decided."""
        return cls.of_places(*decisions(signature, outputs, label), len(signature.classes))

    @classmethod
    def of_places(cls, decided: Ints, truth: Ints, size: int) -> "Decided":
        """Count rows by the places of their decisions and truths among `size` classes."""
        known = (decided >= 0) & (truth >= 0)
        right = known & (decided == truth)
        counts = (np.bincount(truth[rows], minlength=size) for rows in (right, known & ~right))
        return cls(*(each.tolist() for each in counts))

    def measured(self, metric: str) -> tuple[float, int] | None:
        """One of `RATIOS`, and the trials that it is worth; None while it is not defined.

        Each is a mean over disjoint trials, so that a bet on it is a bet on a bounded mean. Recall
        counts positives and precision what was decided positive. For F1, E[TP] against
        theta E[TP + FP/2 + FN/2] is linear: each mistake is half a trial, and as the square root is
        concave, a bet settled on half a trial gains no more, in expectation, than it may. Macro
        recall takes as many rows of each class as the rarest one has, all such choices averaged
        (Hoeffding, JASA 1963, section 5); a product of factors of several recalls is at most that
        of their mean.
        """
        right, wrong = self
        if metric == "macro_recall":
            rows = [a + b for a, b in zip(right, wrong, strict=True)]
            fewest = min(rows)
            if not fewest:
                return None
            mean = sum(a / n for a, n in zip(right, rows, strict=True)) / len(rows)
            return mean, fewest * len(rows)
        (false, missed), true = wrong, right[1]
        twice = {
            "precision": 2 * (true + false),
            "recall": 2 * (true + missed),
            "f1": 2 * true + false + missed,
        }[metric]
        return (2 * true / twice, twice // 2) if twice >= 2 else None


def usable(signature: Signature, label: Texts) -> NDArray[np.bool_]:
    """Which labels quality can be measured by. One of several classes that the release does not
    know is a wrong answer, and not in vain."""
    if signature.task == "binary":
        known = [np.asarray(label == name, dtype=np.bool_) for name in signature.classes]
        return np.asarray(np.any(known, axis=0), dtype=np.bool_)
    if signature.task == "regression":
        return np.isfinite(numbers(texts(label)))
    return np.ones(label.size, dtype=np.bool_)


def numbers(label: Texts) -> Floats:
    """Labels as numbers, NaN for those that are none, or are infinite."""
    return np.array([_number(text) for text in label.tolist()], dtype=np.float64)


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan


def score_bins(score: Floats) -> NDArray[np.int64]:
    """The bin of each score in [0, 1], for an AUC from counts that merge in any order."""
    return np.clip(score * AUC_BINS, 0, AUC_BINS - 1).astype(np.int64)


def auc_of_counts(positive: NDArray[Any], negative: NDArray[Any]) -> float:
    """AUC from counts per rising score bin, ties counted half. Both classes must be present."""
    below = np.cumsum(negative) - negative / 2.0
    return float((positive * below).sum() / (positive.sum() * negative.sum()))
