"""What the reference looked like: the profile that goes into a release at build."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from trimtab.domain.profile import (
    Coarse,
    ColumnProfile,
    EstimateProfile,
    GroupProfile,
    Metric,
    MultivariateProfile,
    QualityProfile,
    ReferenceProfile,
    SegmentEstimate,
    SegmentLosses,
)
from trimtab.domain.records import CodedTexts, Floats, Ints, Texts
from trimtab.domain.signature import Signature
from trimtab.judge import free_text, relations, strata
from trimtab.judge.column_profile import CUTS, Column, column_profile, learned_column
from trimtab.judge.declared import declared
from trimtab.judge.estimate import coarse_bins, row_losses
from trimtab.judge.estimate_profile import LabelledRows, build_estimate
from trimtab.judge.group_profile import Members, build_groups
from trimtab.judge.groups import MEASURES, Loss
from trimtab.judge.measured import (
    FEWEST_DAYS,
    Measured,
    of_days,
    of_f1,
    of_rows,
    of_trials,
)
from trimtab.judge.own_loss import Clipped, Losing, Row
from trimtab.judge.quality import (
    AUC_BINS,
    DISTANCES,
    LOG_LOSS_BOUND,
    METRICS,
    RATIOS,
    Decided,
    auc_of_counts,
    decisions,
    losses,
    positives,
    score_bins,
    texts,
)
from trimtab.judge.sameness import build_sameness
from trimtab.judge.segment_losses import LostRows, build_segment_losses
from trimtab.judge.segment_profile import MOST_SEGMENTS, learn_segments
from trimtab.judge.strata import When

DAY = 86_400.0
MOST_DECISIONS = 65_536
"""Numbers of the table of decisions, truths and days that a release keeps."""


@dataclass(frozen=True, slots=True)
class Reference:
    """Out-of-time data of a release, as equally long columns.

    `inputs` are the signature's input columns and `outputs` what the release answered on them,
    float64 (missing = NaN) or object arrays of str | None, texts among the inputs also coded;
    `label` is the target as text, None without labels; `time` is epoch seconds, None when the rows
    have no order in time. Rows whose time is NaN are left out of the profile, rows whose label is
    None out of its quality. `metrics` are those of a binary task that will be asked for, None for
    all.
    """

    signature: Signature
    inputs: Mapping[str, Column]
    outputs: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    label: Texts | None = None
    time: Floats | None = None
    segments: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    loss: Losing | None = None
    metrics: tuple[str, ...] | None = None

    def take(self, rows: NDArray[np.bool_]) -> "Reference":
        """The rows where the mask is true."""
        if rows.all():
            return self
        return Reference(
            self.signature,
            {name: column[rows] for name, column in self.inputs.items()},
            {name: column[rows] for name, column in self.outputs.items()},
            None if self.label is None else self.label[rows],
            None if self.time is None else self.time[rows],
            self.segments,
            self.groups,
            self.loss,
            self.metrics,
        )

    def wants(self, metric: str) -> bool:
        """Whether a metric of a binary task is to be learned."""
        return self.metrics is None or metric in self.metrics


def build_profile(reference: Reference) -> ReferenceProfile:
    """The profile of `reference`, of at least one row, with a time where it has times; nothing is
    random."""
    if reference.time is not None:
        reference = reference.take(~np.isnan(reference.time))
    labelled = reference
    if reference.label is not None:
        known = np.array([label is not None for label in reference.label], dtype=np.bool_)
        labelled = reference.take(known)
    own = _own_quality(labelled)
    views = free_text.views(reference.inputs, {*reference.segments, *reference.groups})
    reference, labelled = (
        replace(each, inputs=free_text.expanded(each.inputs, views))
        for each in (reference, labelled)
    )
    rows = len(next(iter(reference.inputs.values())))
    week = when(reference.time, len(reference.inputs))
    gaps = _calibration(labelled)
    score = score_column(reference.signature, reference.outputs)
    learned = {
        name: learned_column(name, values, week) for name, values in reference.inputs.items()
    }
    inputs = tuple(_of_view(each.profile, views.get(name)) for name, each in learned.items())
    alone = frozenset(name for name, each in learned.items() if each.alone)
    quality = (*_qualities(labelled), *own)
    estimate = _estimate(labelled, inputs, quality)
    return ReferenceProfile(
        rows=rows,
        inputs=inputs,
        score=None if score is None else column_profile("score", score, week),
        stratum_hours=0 if week is None else week.hours,
        positive_rate=_positive_rate(reference),
        quality=quality,
        segments=reference.segments,
        since=None if reference.time is None else float(reference.time.min()),
        until=None if reference.time is None else float(reference.time.max()),
        days=0 if reference.time is None else len(np.unique(reference.time // DAY)),
        calibration=gaps.mean,
        calibration_rows=gaps.rows,
        calibration_spread=gaps.spread,
        decisions=_decisions(labelled),
        estimate=estimate,
        group_columns=reference.groups,
        groups=_groups(reference, quality),
        multivariate=_relations(reference.inputs, inputs, rows, week),
        segment_losses=_segment_losses(labelled, inputs, quality, estimate),
        sameness=build_sameness(inputs, reference.inputs, day_index(reference.time), alone),
    )


def _decisions(labelled: Reference, most: int = MOST_DECISIONS) -> tuple[tuple[int, ...], ...]:
    """Rows by day, decision and truth; none where they would be more than so many numbers."""
    size, label = len(labelled.signature.classes), labelled.label
    classes = labelled.signature.task in ("binary", "multiclass")
    if not classes or label is None or not labelled.outputs:
        return ()
    decided, truth = decisions(labelled.signature, labelled.outputs, label)
    usable = (decided >= 0) & (truth >= 0)
    if not usable.any():
        return ()
    day = day_index(None if labelled.time is None else labelled.time[usable])
    place = decided[usable] * size + truth[usable]
    if day is not None:
        place += day * size**2
    days = 1 if day is None else int(day.max()) + 1
    if days * size**2 > most:
        return ()
    counts = np.bincount(place, minlength=days * size**2)
    return tuple(tuple(each) for each in counts.reshape(days, -1).tolist())


def _groups(reference: Reference, quality: tuple[QualityProfile, ...]) -> tuple[GroupProfile, ...]:
    columns = {name: _spelled(reference.inputs[name]) for name in reference.groups}
    if not columns:
        return ()
    signature, rows = reference.signature, len(next(iter(columns.values())))
    day = day_index(reference.time)
    members = Members(signature, columns, reference.outputs, reference.label, day, rows)
    return build_groups(members, Loss.of(signature, quality))


def _spelled(values: Column) -> NDArray[Any]:
    """Texts by themselves, not by their positions."""
    if not isinstance(values, CodedTexts):
        return values
    # The last one is where a position of -1, a missing value, points.
    return np.asarray(np.array([*values.names, None], dtype=object)[values.places])


def _estimate(
    labelled: Reference, inputs: tuple[ColumnProfile, ...], quality: tuple[QualityProfile, ...]
) -> EstimateProfile | None:
    if labelled.label is None or not labelled.label.size or not labelled.outputs:
        return None
    day = day_index(labelled.time)
    # A column without a name keeps the number of rows of a table without inputs.
    columns = {name: values for name, values in labelled.inputs.items() if name}
    named = tuple(column for column in inputs if column.name)
    rows = LabelledRows(columns, labelled.outputs, labelled.label, day)
    made = build_estimate(labelled.signature, named, quality, rows, labelled.metrics)
    if made is None:
        return None
    profile, known = made
    segments = learn_segments(profile, known, declared(labelled.segments, inputs))
    told = tuple(_measured(each, labelled, quality) if each.cells else each for each in segments)
    return msgspec.structs.replace(profile, segments=told)


def _measured(
    segment: SegmentEstimate, labelled: Reference, quality: tuple[QualityProfile, ...]
) -> SegmentEstimate:
    """The segment with what it was worth, by the scales of all rows, and what was decided of it."""
    column = Coarse(name=segment.column, categories=(segment.value,))
    inside = coarse_bins(column, labelled.inputs[segment.column]) == 0
    bare = replace(labelled, inputs={}).take(inside)
    made = (_quality(each.metric, bare, each.scale) for each in quality if not each.formula)
    return msgspec.structs.replace(
        segment,
        quality=tuple(each for each in made if each is not None),
        decisions=_decisions(bare, MOST_DECISIONS // MOST_SEGMENTS),
    )


def _segment_losses(
    labelled: Reference,
    inputs: tuple[ColumnProfile, ...],
    quality: tuple[QualityProfile, ...],
    learned: EstimateProfile | None,
) -> SegmentLosses:
    if not MEASURES[labelled.signature.task] or labelled.label is None or not labelled.outputs:
        return SegmentLosses()
    signature, meant = labelled.signature, Loss.of(labelled.signature, quality)
    lost = losses(meant.metric, signature, labelled.outputs, labelled.label) / meant.scale
    usable = ~np.isnan(lost)
    if not usable.any():
        return SegmentLosses()
    some, lost = labelled.take(usable), np.minimum(lost[usable], 1.0)
    rows = some.inputs, some.outputs
    expected = row_losses(learned, meant.metric, signature, rows)
    told = np.zeros(lost.size) if expected is None else expected
    return build_segment_losses(inputs, LostRows(some.inputs, lost, told, day_index(some.time)))


def _of_view(column: ColumnProfile, view: free_text.Seen | None) -> ColumnProfile:
    if view is None:
        return column
    return msgspec.structs.replace(column, source=view.source, view=view.view)


def _relations(
    values: Mapping[str, Column], inputs: tuple[ColumnProfile, ...], rows: int, week: When | None
) -> MultivariateProfile:
    if rows < relations.FEWEST_REFERENCE:
        return MultivariateProfile()
    some = np.linspace(0, rows - 1, min(rows, relations.MOST_ROWS)).round().astype(np.int64)
    seen = {name: column[some] for name, column in values.items()}
    # What goes with what changes little over the hours of the week: whole days are compared.
    days = None if week is None else When(week.day[some], week.place[some], 0)
    half = some % 2 == 1 if days is None else days.day > days.day.max() / 2
    learned = relations.learned_relations(inputs, seen, half)
    scores = relations.scores(
        relations.partners(learned), relations.lifts(learned, relations.tables(learned), seen)
    )
    scored = tuple(column_profile(name, score, days) for name, score in scores.items())
    return msgspec.structs.replace(learned, scores=scored)


def day_index(time: Floats | None) -> Ints | None:
    """The day of each row, counted from 0; None when there are too few days to learn from."""
    if time is None:
        return None
    _, index = np.unique(time // DAY, return_inverse=True)
    return index.astype(np.int64) if index.max() + 1 >= FEWEST_DAYS else None


def when(time: Floats | None, width: int) -> When | None:
    """When the rows came; None when there are too few days to learn from.

    `width` is how many inputs the profile has, which bounds the hours of a stratum.
    """
    day = day_index(time)
    if time is None or day is None:
        return None
    shares = (CUTS + 1) * (width + 1)
    hours = strata.length(time, shares)
    return When(day, strata.stratum(time, hours or 1), hours)


def score_column(signature: Signature, outputs: Mapping[str, NDArray[Any]]) -> NDArray[Any] | None:
    """What stands for the prediction: the score, the predicted number, or the class as text."""
    if signature.task == "binary":
        return outputs.get("score")
    if signature.task == "regression":
        return outputs.get("prediction")
    if signature.task == "multiclass" and "label" in outputs:
        return texts(outputs["label"])
    return None


def _positive_rate(reference: Reference) -> float | None:
    score = reference.outputs.get("score")
    if reference.signature.task != "binary" or score is None:
        return None
    told = score[~np.isnan(score)]
    return float((told >= reference.signature.threshold).mean()) if told.size else None


class _Gaps(NamedTuple):
    """Label minus score: its mean, the rows that tell it, and how far days lie from it."""

    mean: float | None
    rows: int
    spread: float | None


def _calibration(reference: Reference) -> _Gaps:
    score = reference.outputs.get("score")
    label = reference.label
    if reference.signature.task != "binary" or score is None or label is None or not label.size:
        return _Gaps(None, 0, None)
    usable = ~np.isnan(losses("brier", reference.signature, reference.outputs, label))
    gaps: Floats = (positives(reference.signature, label) - score)[usable]
    if not gaps.size:
        return _Gaps(None, 0, None)
    day = day_index(None if reference.time is None else reference.time[usable])
    mean = float(gaps.mean())
    if day is None:
        return _Gaps(mean, gaps.size, None)
    apart = np.abs(np.bincount(day, weights=gaps) / np.bincount(day) - mean)
    return _Gaps(mean, gaps.size, float(np.quantile(apart, 0.99)))


def _qualities(reference: Reference) -> tuple[QualityProfile, ...]:
    if reference.label is None or not reference.label.size or not reference.outputs:
        return ()
    # Quality asks for no input: none is copied for it.
    bare, task = replace(reference, inputs={}), reference.signature.task
    wanted = [each for each in METRICS[task] if task != "binary" or reference.wants(each)]
    made = (_quality(metric, bare) for metric in wanted)
    return tuple(quality for quality in made if quality is not None)


def _own_quality(reference: Reference) -> tuple[QualityProfile, ...]:
    """A loss of the user's own, over the rows that have one, and that other metrics could use."""
    signature, outputs, wanted = reference.signature, reference.outputs, reference.loss
    if wanted is None or reference.label is None or not reference.label.size or not outputs:
        return ()
    inputs = {name: _spelled(column) for name, column in reference.inputs.items()}
    raw = wanted.of(signature, Row(inputs, outputs, reference.label))
    first = losses(METRICS[signature.task][0], signature, outputs, reference.label)
    usable = ~np.isnan(raw) & ~np.isnan(first)
    if not usable.any():
        return ()
    loss, outside = Clipped.of(raw[usable])
    day = day_index(None if reference.time is None else reference.time[usable])
    daily = [] if day is None else [float(loss[rows].mean()) for rows in _rows_of_days(day)]
    made = of_days(daily) or of_rows(float(loss.mean()), float(loss.std()), loss.size)
    stated = _stated("loss", made, loss.size, wanted.bound)
    clipped = outside / loss.size
    return (msgspec.structs.replace(stated, formula=wanted.text, clipped=clipped),)


def _quality(
    metric: Metric, reference: Reference, scale: float | None = None
) -> QualityProfile | None:
    """Quality over the rows whose score and label can be used; None when there is none, or it is
    not defined. Losses go by a `scale` of their own unless one is given."""
    label = np.asarray(reference.label, dtype=object)
    loss = losses(metric, reference.signature, reference.outputs, label)
    usable = ~np.isnan(loss)
    if not usable.any():
        return None
    reference, label, loss = reference.take(usable), label[usable], loss[usable]
    day, scale = day_index(reference.time), scale or _scale(metric, loss)
    loss = np.minimum(loss / scale, 1.0)
    measure = _measure(metric, reference, label, loss)
    made = None
    if day is not None:
        daily = [measure(rows) for rows in _rows_of_days(day)]
        made = of_days([None if each is None else each[0] for each in daily])
    if made is None:
        made = _whole(metric, loss, measure(np.arange(loss.size)))
    return None if made is None else _stated(metric, made, label.size, scale)


def _stated(metric: Metric, made: Measured, n: int, scale: float) -> QualityProfile:
    return QualityProfile(
        metric=metric,
        value=made.value,
        lower=max(made.lower, 0.0),
        upper=min(made.upper, 1.0),
        n=n,
        spread=made.spread,
        scale=scale,
    )


Measure = Callable[[Ints], tuple[float, int] | None]


def _measure(metric: Metric, reference: Reference, label: Texts, loss: Floats) -> Measure:
    """How quality is measured over the rows at some positions, and in how many trials; None where
    it is not defined."""
    signature, outputs = reference.signature, reference.outputs
    if metric in RATIOS:
        decided, known = decisions(signature, outputs, label)
        size = len(signature.classes)
        return lambda rows: Decided.of_places(decided[rows], known[rows], size).measured(metric)
    if metric == "roc_auc":
        truth, score = positives(signature, label), outputs["score"]
        return lambda rows: _auc(truth[rows], score[rows])
    return lambda rows: (float(loss[rows].mean()), rows.size)


def _rows_of_days(day: Ints) -> list[Ints]:
    """Positions of the rows of each day."""
    borders = np.cumsum(np.bincount(day))[:-1]
    return list(np.split(np.argsort(day, kind="stable"), borders))


def _whole(metric: Metric, loss: Floats, measured: tuple[float, int] | None) -> Measured | None:
    """Quality over all rows, with what is known of its error."""
    if measured is None:
        return None
    if metric == "f1":
        return of_f1(*measured)
    if metric in (*RATIOS, "roc_auc", "error"):
        return of_trials(*measured)
    return of_rows(measured[0], float(loss.std()), loss.size)


def _auc(truth: NDArray[np.bool_], score: Floats) -> tuple[float, int] | None:
    """The AUC, and as many trials as there are disjoint pairs."""
    if truth.all() or not truth.any():
        return None
    bins = score_bins(score)
    up, down = (np.bincount(bins[mask], minlength=AUC_BINS) for mask in (truth, ~truth))
    return auc_of_counts(up, down), int(min(up.sum(), down.sum()))


def _scale(metric: Metric, loss: Floats) -> float:
    if metric == "log_loss":
        return LOG_LOSS_BOUND
    if metric not in DISTANCES:
        return 1.0
    return float(np.quantile(loss, 0.99)) or 1.0
