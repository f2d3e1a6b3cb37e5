"""The reference profile of a release: what its inputs, predictions and quality looked like."""

from collections.abc import Mapping
from typing import Literal

import msgspec

Metric = Literal[
    "roc_auc",
    "error",
    "brier",
    "log_loss",
    "precision",
    "recall",
    "f1",
    "macro_recall",
    "squared_error",
    "absolute_error",
    "cost",
    "loss",
]
"""What a prediction is worth, in one number; all but `cost` are measured at build, `loss` (one of
the user's own) if the build is told it."""

Measure = Literal["selection", "score", "tpr", "fpr", "error", "calibration"]
"""What is compared between groups."""

RISING: frozenset[str] = frozenset({"roc_auc", "precision", "recall", "f1", "macro_recall"})
"""Metrics of which more is better."""


class ColumnProfile(msgspec.Struct, frozen=True, kw_only=True):
    """The reference distribution of one input or of the score.

    `continuous`: `cuts` are rising cut points and `masses` the reference share of each of the
    `len(cuts) + 1` bins (missing values excluded). `categorical`: `categories` with `masses` in
    the same order, the last mass being "all others". `spread` is the largest distance in CDF
    (continuous) or share (categorical) between one reference day and the whole that is normal
    (99 % quantile over days), None when the reference has no time. `jump` is the same between
    neighbouring days. `n` counts reference rows. `values` are all values of a continuous column
    that takes few of them (a rounded measurement), empty when it takes many: a change of unit
    shows as values that were never seen. `strata` are the masses of each stratum of the week, empty
    where they say no more than the whole; `strata_spread` is then `spread` against the mixture of a
    day's own hours. A free text is watched by what can be seen of it: each `view` of the input
    `source` is a column of its own.
    """

    name: str
    kind: Literal["continuous", "categorical"]
    n: int
    missing: float
    missing_spread: float | None = None
    cuts: tuple[float, ...] = ()
    categories: tuple[str, ...] = ()
    masses: tuple[float, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    spread: float | None = None
    jump: float | None = None
    values: tuple[float, ...] = ()
    strata: tuple[tuple[float, ...], ...] = ()
    strata_spread: float | None = None
    source: str = ""
    view: Literal["", "length", "script", "word"] = ""

    @property
    def origin(self) -> str:
        """The input whose values are looked at."""
        return self.source or self.name

    @property
    def day_spread(self) -> float | None:
        """How far ordinary days lie from what is usual for them; None without time."""
        return self.strata_spread if self.strata else self.spread


class QualityProfile(msgspec.Struct, frozen=True, kw_only=True):
    """Quality measured out of time at build. `value` with a 99 % interval; higher is better for
    `RISING` metrics. `spread` is the 99 % quantile of the distance between one reference day (or
    as many rows) and the whole, None when the reference has no time."""

    metric: Metric
    value: float
    lower: float
    upper: float
    n: int
    spread: float | None = None
    scale: float = 1.0
    """Losses are divided by this and clipped to [0, 1]."""
    formula: str = ""
    """Of `loss`: how it is calculated. `scale` is then its bound."""
    clipped: float = 0.0
    """Of `loss`: share of the rows whose loss was outside 0 to the bound."""
    costs: tuple[tuple[float, ...], ...] = ()
    """Of `cost`: what each decision costs by the truth, both in the order of the classes, divided
    by the largest. Stated by a deployment, so never part of a release."""

    def told(self, mean: float) -> float:
        """A mean, as it is watched, in the unit of the metric, as people are told it."""
        return mean * self.scale


class Coarse(msgspec.Struct, frozen=True, kw_only=True):
    """A column in few bins, as the density ratio sees it.

    A number falls into the bin of the first cut that it does not exceed, a text into that of its
    category; the next bin holds all others, the one after it missing values.
    """

    name: str
    cuts: tuple[float, ...] = ()
    categories: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Number of bins."""
        return len(self.cuts) + len(self.categories) + 2


class ShiftProfile(msgspec.Struct, frozen=True, kw_only=True):
    """What weighting the reference like live rows needs, in place of its rows (`p` features).

    The features are the bins of `columns`, one after the other, with their `mean` on the reference
    and the `inverse` of their covariance (its upper triangle, row by row). Cells are joined into
    groups of like chance: `group` names each cell's. `mass` (groups, p) is the mean over the
    reference of the centred features in a group, `pull` (groups, p) that of label minus chance
    times the centred features. Rounded to six digits.
    """

    columns: tuple[Coarse, ...]
    mean: tuple[float, ...]
    inverse: tuple[float, ...]
    mass: tuple[tuple[float, ...], ...]
    pull: tuple[tuple[float, ...], ...]


class Wobble(msgspec.Struct, frozen=True):
    """By how much a metric differs from its estimate between days, beyond chance: a variance."""

    metric: str
    variance: float


class LossModel(msgspec.Struct, frozen=True, kw_only=True):
    """A regression's expected loss by its inputs and its prediction (the column named ``""``).

    `base` plus one leaf of each tree; a tree asks whether the bins of columns `feature` are above
    `above`, the first answer being the lowest bit of the leaf's number.
    """

    columns: tuple[Coarse, ...]
    base: float
    feature: tuple[tuple[int, ...], ...]
    above: tuple[tuple[int, ...], ...]
    leaf: tuple[tuple[float, ...], ...]


class SegmentEstimate(msgspec.Struct, frozen=True, kw_only=True):
    """What a segment (rows whose `column` is `value`) tells of itself beside what all rows tell.

    `n` are its labelled rows of the reference, by cell in `cells`, with outcomes by fold and group
    of cells in `rows` and `hits` (folds x groups); `features` is the mean of the features of the
    shift. `spreads` are variances beyond chance: by which segments differ from the chances of all
    rows, and groups of cells from their segment. `quality`, `decisions`, `wobbles` and `drifts` are
    as those of all rows, which the last two are never below. With too few rows nothing but `n` is
    told.
    """

    column: str
    value: str
    n: int
    cells: tuple[int, ...] = ()
    rows: tuple[tuple[int, ...], ...] = ()
    hits: tuple[tuple[float, ...], ...] = ()
    features: tuple[float, ...] = ()
    spreads: tuple[float, float] = (0.0, 0.0)
    quality: tuple[QualityProfile, ...] = ()
    decisions: tuple[tuple[int, ...], ...] = ()
    wobbles: tuple[Wobble, ...] = ()
    drifts: tuple[float, ...] = ()

    @property
    def name(self) -> str:
        """As people read it: `carrier=UA`."""
        return f"{self.column}={self.value}"


class EstimateProfile(msgspec.Struct, frozen=True, kw_only=True):
    """What it takes to estimate quality before labels come, learned on the labelled reference.

    Rows fall into cells: `sides` (decisions of `binary`, predicted classes of `multiclass`, one
    else) times the bins between `cuts` of the score (of a regression, the loss that `loss`
    expects), `cells = sides * (len(cuts) + 1)`, side by side. Of the outcome (a positive label, a
    right class, a loss scaled to [0, 1]) each cell knows its calibrated mean in `chance`. The rows
    and outcomes of the reference are kept by fold (`rows`, `hits`: folds x cells), folds being
    spans of days where there are `days`, else every so many rows: without one of them at a time,
    they say how well chances are known. `group` joins cells of like chance.
    """

    metrics: tuple[str, ...]
    """What can be estimated."""
    sides: tuple[str, ...]
    cuts: tuple[float, ...]
    chance: tuple[float, ...]
    rows: tuple[tuple[int, ...], ...]
    hits: tuple[tuple[float, ...], ...]
    group: tuple[int, ...]
    costs: dict[str, tuple[tuple[float, ...], tuple[float, ...]]] = {}
    """Per cell, the mean loss in [0, 1] of a row whose outcome is 1, and of one whose is 0."""
    residual: tuple[float, ...] = ()
    """Per cell, the variance of a regression's loss; empty for classes."""
    loss: LossModel | None = None
    shift: ShiftProfile | None = None
    days: int = 0
    wobbles: tuple[Wobble, ...] = ()
    drifts: tuple[float, ...] = ()
    """Variance between days, beyond chance, of mean outcome minus chance: over all rows, then by
    group. Empty without days."""
    segments: tuple[SegmentEstimate, ...] = ()
    """The declared segments, column by column; empty in profiles from before they were learned."""


class GapProfile(msgspec.Struct, frozen=True, kw_only=True):
    """One measure of a group and of the others on the reference: sums of values in [0, 1], in units
    of 2**-20, and the rows they are over.

    `promised` and `others_promised` are what was expected of the sums beforehand (scores, for
    `calibration`), zero for other measures. `variance` is by how much the gap differs between days
    beyond chance, zero without days.
    """

    measure: str
    total: int
    n: int
    promised: int = 0
    others_total: int
    others_n: int
    others_promised: int = 0
    variance: float = 0.0


class GroupProfile(msgspec.Struct, frozen=True, kw_only=True):
    """A group of the reference, by the value (as text) that it has in each of its columns; the
    others are the rows with another value in any of them, and missing in none."""

    values: dict[str, str]
    gaps: tuple[GapProfile, ...]

    @property
    def name(self) -> str:
        """As people read it: `race=Black & sex=F`."""
        return group_name(self.values)


class SegmentProfile(msgspec.Struct, frozen=True, kw_only=True):
    """A segment of the reference: a bin of one column, with what its rows lose beside all others.

    `column` is its place among the columns of `SegmentLosses`, `place` that of the bin. In `gap`
    the totals are losses, and what is promised of them is the loss that was expected of these rows,
    zero where nothing can be expected.
    """

    column: int
    place: int
    gap: GapProfile


class SegmentLosses(msgspec.Struct, frozen=True, kw_only=True):
    """What rows lose by segment: the columns that part them, and the bins that have rows enough."""

    columns: tuple[Coarse, ...] = ()
    segments: tuple[SegmentProfile, ...] = ()


def group_name(values: Mapping[str, str]) -> str:
    """The name of the group that has these values in its columns."""
    return " & ".join(f"{column}={value}" for column, value in values.items())


class Pair(msgspec.Struct, frozen=True):
    """Two columns that go together on the reference, by their places among the coarse columns.

    `lift` says of each cell (bin of the first times bins of the second, row by row) how much more
    often it comes than if they had nothing to do with each other: a logarithm, in thousandths.
    `usual` is its mean over the reference.
    """

    first: int
    second: int
    lift: tuple[int, ...]
    usual: float


class MultivariateProfile(msgspec.Struct, frozen=True, kw_only=True):
    """How the columns of the reference go together, in pairs.

    A row's score of a column is the sum of the lifts of its pairs: how usual the column's value is
    beside the others. `scores` are the reference distributions of the columns that have any pair.
    """

    columns: tuple[Coarse, ...] = ()
    pairs: tuple[Pair, ...] = ()
    scores: tuple[ColumnProfile, ...] = ()


class Sameness(msgspec.Struct, frozen=True, kw_only=True):
    """How alike numbers are in parts of the reference: by column of numbers and part (called
    `column=value`), the largest share of rows that hold the same number, in all or in any day.

    Only columns that take many values are told of, and common categories.
    """

    numbers: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()
    shares: tuple[tuple[float, ...], ...] = ()


class ReferenceProfile(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the monitors compare live traffic with. Stored as a blob of the release."""

    schema: int = 1
    rows: int
    inputs: tuple[ColumnProfile, ...]
    score: ColumnProfile | None = None
    positive_rate: float | None = None
    quality: tuple[QualityProfile, ...] = ()
    segments: tuple[str, ...] = ()
    since: float | None = None
    until: float | None = None
    days: int = 0
    """Days of the reference that hold rows; 0 when it has no time."""
    stratum_hours: int = 0
    """Hours of the week that make a stratum, in UTC; 0 when the reference is too short for any."""
    calibration: float | None = None
    """Mean of label minus score on the reference, for `binary`."""
    decisions: tuple[tuple[int, ...], ...] = ()
    """Rows by decision and truth (classes x classes, decision after decision) of each day, or in
    all without days: what any costs come to. Empty without labels, or with too many classes."""
    estimate: EstimateProfile | None = None
    """None when the reference had too few labels, or was profiled before there were estimates."""
    calibration_rows: int = 0
    """Rows of the reference that told it."""
    calibration_spread: float | None = None
    """How far a reference day lies from it (99 % quantile); None when the reference has no time."""
    group_columns: tuple[str, ...] = ()
    """Columns that were profiled group by group; none in profiles from before there were groups."""
    groups: tuple[GroupProfile, ...] = ()
    """Values of these columns, and of two of them at once, that have rows enough."""
    multivariate: MultivariateProfile | None = None
    """None when the release was profiled before relations between columns were learned."""
    segment_losses: SegmentLosses | None = None
    """None when the release was profiled before losses were told by segment."""
    sameness: Sameness = Sameness()
    """Empty when the release was profiled before it was learned how alike numbers are in parts."""
