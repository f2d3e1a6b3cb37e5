"""Quality before labels come: what calibrated chances, weighted like the live rows, let expect.

Counts of rows by cell and of their features are all that is read of live traffic; they merge in any
order. The interval adds what is left to the labels' chance, how well the reference knows its
chances, how much a correction for covariate shift may be off, and by how much days differ. Where
none of this can be known, the answer is a refusal with its reason, not a number.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from trimtab.domain.plurals import many
from trimtab.domain.profile import (
    RISING,
    Coarse,
    ColumnProfile,
    EstimateProfile,
    LossModel,
    QualityProfile,
    ShiftProfile,
    Wobble,
)
from trimtab.domain.records import CodedTexts, Column, Floats, Ints
from trimtab.domain.signature import Signature
from trimtab.judge.quality import texts
from trimtab.stats.boosting import Boosted
from trimtab.stats.combined import Part, combined_interval, jackknife_variance
from trimtab.stats.confidence_based import Cells, Expected
from trimtab.stats.density_ratio import DensityRatio
from trimtab.stats.edges import bins_of
from trimtab.stats.isotonic import isotonic
from trimtab.stats.limits import limits

FEWEST = 100
"""Rows, live or effective of the reference, below which nothing is estimated."""

STRANGE = 0.05
"""Share of live rows unlike any of the reference above which nothing is estimated."""

EMPTIED = 0.1
"""A group of cells whose weight falls to this part of its mass keeps its chances."""

AT_ONCE = 1024
"""Rows of which the bins of many columns are found together, in the processor's own memory."""

Columns = Mapping[str, NDArray[Any]]


class Seen(msgspec.Struct, frozen=True):
    """Rows by cell and by feature; `strange` ones are unlike any of the reference, and `mute` ones
    have no usable output and are in no cell."""

    cells: list[int] = []
    features: list[int] = []
    strange: int = 0
    mute: int = 0

    @property
    def n(self) -> int:
        """Rows in cells."""
        return sum(self.cells)

    def merge(self, other: "Seen") -> "Seen":
        """The counts of both."""
        return Seen(
            _sums(self.cells, other.cells),
            _sums(self.features, other.features),
            self.strange + other.strange,
            self.mute + other.mute,
        )


class Pulled(NamedTuple):
    """How chances go by the inputs: of each cell its group and the rows of the reference (C,), of
    each group its share of these (G,), and the mass and the pull of each feature in it (G, P)."""

    group: Ints
    rows: Floats
    share: Floats
    mass: Floats
    pull: Floats

    @classmethod
    def of(cls, profile: EstimateProfile, shift: ShiftProfile) -> "Pulled":
        """As the reference has it."""
        group = np.array(profile.group)
        rows = np.sum(profile.rows, axis=0).astype(np.float64)
        share = np.bincount(group, weights=rows) / rows.sum()
        return cls(group, rows, share, np.array(shift.mass), np.array(shift.pull))


@dataclass(frozen=True)
class Learned:
    """An estimate profile with what every block asks of it: the chance of each cell (C,), these as
    they would be without each fold of the reference (F, C), and the density ratio.

    `worth` are the rows of the reference behind it.
    """

    profile: EstimateProfile
    chance: Floats
    without: Floats
    ratio: DensityRatio | None
    worth: int

    @classmethod
    def of(cls, profile: EstimateProfile) -> "Learned":
        """Make it once: pooling the chances of each fold costs more than a block's estimate."""
        ratio = None if profile.shift is None else _ratio(profile.shift)
        without = np.array(fold_chances(profile))
        worth = sum(map(sum, profile.rows))
        return cls(profile, np.array(profile.chance), without, ratio, worth)

    @cached_property
    def apart(self) -> Floats:
        """By how much the chances would be others without each fold (F, C)."""
        return self.without - self.chance

    @cached_property
    def pulled(self) -> Pulled | None:
        """How chances go by the inputs; None where that was not learned."""
        shift = self.profile.shift
        return None if shift is None or self.ratio is None else Pulled.of(self.profile, shift)

    def variance(self, weight: Floats) -> Floats:
        """How well sums of chances are known, for weights of the cells (C,) or (C, K)."""
        return jackknife_variance(self.apart @ weight)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A metric with its 95 % interval, by the labels that `n` rows would have.

    `effective` are the rows of the reference that are as good as its weighted ones; `moved` is the
    correction for covariate shift in `value`. Losses of regressions are scaled as in the profile.
    """

    value: float
    lower: float
    upper: float
    n: int
    effective: float
    moved: float


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there is no estimate, as a person reads it."""

    reason: str


def scores_and_sides(
    profile: EstimateProfile,
    signature: Signature,
    inputs: Mapping[str, Column],
    outputs: Columns,
) -> tuple[Floats, Ints]:
    """The score that chances go by, NaN without a usable output, and the side of each row."""
    if profile.loss is not None:
        predicted = np.asarray(outputs["prediction"], dtype=np.float64)
        lost = expected_losses(profile.loss, {**inputs, "": predicted})
        return np.where(np.isfinite(predicted), lost, np.nan), np.zeros(lost.size, dtype=np.int64)
    if signature.task == "binary":
        given = np.asarray(outputs["score"], dtype=np.float64)
        score = np.where((given >= 0.0) & (given <= 1.0), given, np.nan)
        return score, (score >= signature.threshold).astype(np.int64)
    place = {name: index for index, name in enumerate(profile.sides)}
    named = [place.get(name, -1) for name in texts(outputs["label"]).tolist()]
    sides = np.array(named, dtype=np.int64)
    return np.where(sides < 0, np.nan, top_scores(outputs)), np.maximum(sides, 0)


def expected_losses(model: LossModel, values: Mapping[str, Column]) -> Floats:
    """The loss that the model expects of each row."""
    codes = np.column_stack([coarse_bins(each, values[each.name]) for each in model.columns])
    feature, above = (np.array(each, dtype=np.int64) for each in (model.feature, model.above))
    return Boosted(model.base, feature, above, np.array(model.leaf)).predict(codes)


def top_scores(outputs: Columns) -> Floats:
    """The largest score of each row, NaN where there is none; 0.0 for a model without scores."""
    if "scores" not in outputs:
        return np.zeros(len(outputs["label"]))
    rows = outputs["scores"]
    return np.array([math.nan if row is None else max(row, default=math.nan) for row in rows])


def cells_of(profile: EstimateProfile, score: Floats, side: Ints) -> Ints:
    """The cell of each row, whose score is no NaN; one on a cut belongs to the bin above it."""
    bins = bins_of(score, np.nextafter(profile.cuts, -np.inf))
    return np.asarray(side * (len(profile.cuts) + 1) + bins, dtype=np.int64)


def loss_by_outcome(profile: EstimateProfile, metric: str) -> tuple[Floats, Floats] | None:
    """Loss of a cell's row by its outcome, 1 and 0; None for what is no mean loss."""
    size = len(profile.chance)
    if metric in profile.costs:
        up, down = profile.costs[metric]
        return np.array(up), np.array(down)
    if metric not in profile.metrics or metric in RISING:
        return None
    if profile.residual:
        return np.ones(size), np.zeros(size)
    if "roc_auc" not in profile.metrics:
        return np.zeros(size), np.ones(size)
    decided = np.repeat([0.0, 1.0], size // 2)
    return 1.0 - decided, decided


def row_losses(
    profile: EstimateProfile | None,
    metric: str,
    signature: Signature,
    rows: tuple[Mapping[str, Column], Columns],
) -> Floats | None:
    """What each row, given by its inputs and outputs, is expected to lose by the chances of the
    reference: of any number where it has no usable output. None where nothing is known of it."""
    costs = None if profile is None else loss_by_outcome(profile, metric)
    if profile is None or costs is None:
        return None
    score, side = scores_and_sides(profile, signature, *rows)
    chance, (up, down) = np.array(profile.chance), costs
    lost = chance * up + (1.0 - chance) * down
    return np.asarray(lost[cells_of(profile, np.nan_to_num(score), side)])


def coarse_bins(column: Coarse, values: Column) -> Ints:
    """The bin of each value, the last one for missing values."""
    if isinstance(values, CodedTexts):
        bins = np.append(_text_bins(column, values.names), column.size - 1)
        return bins.take(values.places)
    if values.dtype.kind == "f":
        bins, gone = bins_of(values, np.array(column.cuts)), np.isnan(values)
        return np.where(gone, column.size - 1, bins) if gone.any() else bins
    return _text_bins(column, texts(values).tolist())


class CoarseBins:
    """The bins of many columns at once: most of what `coarse_bins` takes is the same for each."""

    def __init__(self, columns: Sequence[Coarse]) -> None:
        """Of columns with fewer than 128 bins each, at least one."""
        self._columns = columns
        most = max(len(column.cuts) for column in columns)
        cuts = [(*column.cuts, *[np.inf] * (most - len(column.cuts))) for column in columns]
        self._cuts = np.array(cuts, dtype=np.float64).T.reshape(most, len(columns), 1)
        self._last = np.array([[column.size - 1] for column in columns], dtype=np.int8)

    def of(self, values: Sequence[Column]) -> NDArray[np.int8]:
        """The bin of each value, by column."""
        found = np.empty((len(values), len(values[0])), dtype=np.int8)
        numbers = []
        for place, each in enumerate(values):
            if isinstance(each, CodedTexts) or each.dtype.kind != "f":
                found[place] = coarse_bins(self._columns[place], each)
            else:
                numbers.append(place)
        if numbers:
            held = np.array([values[place] for place in numbers])
            for start in range(0, held.shape[1], AT_ONCE):
                part = held[:, start : start + AT_ONCE]
                found[numbers, start : start + AT_ONCE] = self._above(part, numbers)
        return found

    def _above(self, values: Floats, places: list[int]) -> NDArray[np.int8]:
        """How many cuts each number is above, as `bins_of` counts them."""
        bins = np.zeros(values.shape, dtype=np.int8)
        above = np.empty(values.shape, dtype=np.bool_)
        for cut in self._cuts[:, places]:
            np.greater(values, cut, out=above)
            bins += above.view(np.int8)
        gone = np.isnan(values, out=above)
        return np.where(gone, self._last[places], bins) if gone.any() else bins


def _text_bins(column: Coarse, names: Sequence[str]) -> Ints:
    place = {name: index for index, name in enumerate(column.categories)} | {"": column.size - 1}
    others = column.size - 2
    return np.array([place.get(name, others) for name in names], dtype=np.int64)


def strange_rows(
    inputs: tuple[ColumnProfile, ...], values: Mapping[str, Column], rows: int
) -> NDArray[np.bool_]:
    """Of so many rows those with a value that the reference never held: outside its range, unseen,
    or missing."""
    strange = np.zeros(rows, dtype=np.bool_)
    for column in inputs:
        found = values[column.name]
        if isinstance(found, CodedTexts) or found.dtype.kind != "f":
            coded = CodedTexts.of(found)
            strange |= np.append(_strange_names(column, coded.names), not column.missing)[
                coded.places
            ]
        else:
            _mark_strange(column, found, strange)
    return strange


def _strange_names(column: ColumnProfile, names: tuple[str, ...]) -> NDArray[np.bool_]:
    """Which texts the reference never held; an empty one is missing."""
    listed = bool(column.masses) and column.masses[-1] == 0.0
    known, named = {"", *column.categories}, texts(np.array(names, dtype=object)).tolist()
    found = [
        (listed and name not in known) or (name == "" and not column.missing) for name in named
    ]
    return np.array(found, dtype=np.bool_)


def _mark_strange(column: ColumnProfile, values: Floats, strange: NDArray[np.bool_]) -> None:
    """Add the rows whose number is outside the reference's range, or missing where none was."""
    ends, low, high = limits(values), column.minimum, column.maximum
    if low is not None and high is not None and not ends.within(low, high):
        strange |= (values < low) | (values > high)
    if ends.missing and column.missing == 0.0:
        strange |= np.isnan(values)


def estimate(learned: Learned, seen: Seen, metric: str, days: float = 1.0) -> Estimate | Refusal:
    """Estimate `metric` on the rows counted in `seen`, which are those of `days` days."""
    return estimates(learned, seen, (metric,), days)[metric]


def estimates(
    learned: Learned, seen: Seen, metrics: Iterable[str], days: float = 1.0
) -> dict[str, Estimate | Refusal]:
    """Estimate several metrics on the rows counted in `seen`, which are those of `days` days."""
    known, made = learned.profile.metrics, _weighed(learned, seen)
    return {
        metric: Refusal(f"{metric} cannot be estimated without labels for this release")
        if metric not in known
        else made
        if isinstance(made, Refusal)
        else _estimated(learned, made, metric, days)
        for metric in metrics
    }


class _Weighed(NamedTuple):
    """The cells of the rows by the chances of the reference, and by those of the reference weighted
    like these rows, and by how much that makes the reference worth fewer rows."""

    plain: Cells
    weighted: Cells
    inflation: float


def _weighed(learned: Learned, seen: Seen) -> _Weighed | Refusal:
    """What all metrics of a block share, or why there is none of them."""
    n = seen.n
    if n < FEWEST:
        return Refusal(f"{many(n, 'row')} with an output, at least {FEWEST} are needed")
    if seen.strange > STRANGE * (n + seen.mute):
        share = seen.strange / (n + seen.mute)
        return Refusal(f"{share:.0%} of the rows have values that the reference never held")
    inflated = inflation(learned, seen)
    effective = learned.worth / inflated
    if effective < FEWEST:
        return Refusal(
            f"the inputs are so far from the reference that it is worth {effective:.0f} rows, "
            f"at least {FEWEST} are needed"
        )
    rows, profile = np.array(seen.cells, dtype=np.float64), learned.profile
    plain = cells_at(profile, rows, learned.chance)
    return _Weighed(plain, cells_at(profile, rows, recalibrated(learned, seen)), inflated)


class _Corrected(NamedTuple):
    """A metric after the correction for covariate shift, by how much it `moved`, what its interval
    is made of but the differences of days, and the rows of the reference that it is worth."""

    value: float
    moved: float
    parts: tuple[Part, Part]
    effective: float


def _corrected(learned: Learned, made: _Weighed, metric: str) -> _Corrected | Refusal:
    plain = expected(learned.profile, made.plain, metric)
    weighted = expected(learned.profile, made.weighted, metric)
    if plain is None or weighted is None:
        return Refusal(f"{metric} is not defined for these rows: too few of a class are expected")
    # The metric goes by its slope from one set of chances to another (infinitesimal jackknife).
    known = float(learned.variance((made.plain.rows * plain.slope).ravel()))
    noise = known * (made.inflation - 1.0)
    moved = weighted.value - plain.value
    # James and Stein: a correction that is smaller than its own noise is not made.
    kept = max(1.0 - noise / moved**2, 0.0) if moved else 0.0
    # What was shrunk away, and half of what was not: the ratio is but linear in its features.
    off = 1.0 - kept / 2.0
    ratio = Part(known + noise + (off * moved) ** 2, len(learned.profile.rows) - 1)
    parts, value = (Part(plain.variance), ratio), plain.value + kept * moved
    return _Corrected(value, kept * moved, parts, learned.worth / made.inflation)


def _estimated(learned: Learned, made: _Weighed, metric: str, days: float) -> Estimate | Refusal:
    found, profile = _corrected(learned, made, metric), learned.profile
    if isinstance(found, Refusal):
        return found
    daily = Part(wobble_of(profile, metric) / days, max(profile.days - 1, 1))
    interval = combined_interval(found.value, [*found.parts, daily])
    return Estimate(
        found.value,
        max(interval.lower, 0.0),
        min(interval.upper, 1.0),
        int(made.plain.rows.sum()),
        found.effective,
        found.moved,
    )


def values(learned: Learned, seen: Seen, metrics: Iterable[str]) -> dict[str, float | None]:
    """The values alone of what `estimates` says of metrics that can be estimated; None for what it
    refuses."""
    made = _weighed(learned, seen)
    found = {
        metric: made if isinstance(made, Refusal) else _corrected(learned, made, metric)
        for metric in metrics
    }
    return {m: None if isinstance(each, Refusal) else each.value for m, each in found.items()}


def with_costs(
    profile: EstimateProfile, quality: QualityProfile, cells: Sequence[int] = ()
) -> EstimateProfile:
    """The profile of a binary model with the costs of a deployment among its metrics.

    `cells` are the rows of the reference by cell, those of all rows unless given. The decisions of
    a day are known, so its cost moves with its error and its precision alone; that
    both move together is the worst that these let expect.
    """
    if "precision" not in profile.metrics or not quality.costs:
        return profile
    size = len(profile.chance) // 2
    (true_no, missed), (false_yes, true_yes) = quality.costs
    up, down = (missed,) * size + (true_yes,) * size, (true_no,) * size + (false_yes,) * size
    rows = np.array(cells, dtype=np.float64) if cells else np.sum(profile.rows, axis=0)
    decided = float(rows[size:].sum() / rows.sum())
    error, precision = (math.sqrt(wobble_of(profile, name)) for name in ("error", "precision"))
    by_error, by_precision = missed - true_no, false_yes - true_yes - (missed - true_no)
    sway = abs(by_error) * error + abs(by_precision) * decided * precision
    return msgspec.structs.replace(
        profile,
        metrics=(*profile.metrics, quality.metric),
        costs={**profile.costs, quality.metric: (up, down)},
        wobbles=(*profile.wobbles, Wobble(quality.metric, sway**2)),
    )


def wobble_of(profile: EstimateProfile, metric: str) -> float:
    """The variance of a metric between days, beyond chance; 0.0 without days."""
    return next((each.variance for each in profile.wobbles if each.metric == metric), 0.0)


MEASURES: Mapping[str, Callable[[Cells], Expected | None]] = {
    "error": Cells.error,
    "roc_auc": Cells.roc_auc,
    "precision": Cells.precision,
    "recall": Cells.recall,
    "f1": Cells.f1,
}
"""Metrics of what is decided by a threshold."""


def cells_at(profile: EstimateProfile, rows: Floats, chance: Floats) -> Cells:
    """The cells of `rows` (C,) at these chances (C,), side by side."""
    shape = (len(profile.sides), -1)
    return Cells(rows.reshape(shape), chance.reshape(shape))


def expected(profile: EstimateProfile, cells: Cells, metric: str) -> Expected | None:
    """The metric of these cells; None where it is not defined."""
    if profile.residual:
        lost, rows = cells.mean_cost(1.0, 0.0), cells.rows.ravel()
        variance = float(rows @ np.array(profile.residual)) / float(rows.sum()) ** 2
        return lost._replace(variance=variance)
    if metric in profile.costs:
        positive, negative = (np.reshape(cost, cells.rows.shape) for cost in profile.costs[metric])
        return cells.mean_cost(positive, negative)
    if "roc_auc" not in profile.metrics:
        return cells.mean_cost(0.0, 1.0)
    return MEASURES[metric](cells)


def inflation(learned: Learned, seen: Seen) -> float:
    """Rows of the reference that are worth one for rows with these features, at least 1."""
    return 1.0 if learned.ratio is None else learned.ratio.inflation(_mean(seen))


def recalibrated(learned: Learned, seen: Seen) -> Floats:
    """The chance of each cell on the reference weighted like the live rows."""
    chance, known = learned.chance, learned.pulled
    if known is None or learned.ratio is None:
        return chance
    alpha = learned.ratio.slope(_mean(seen))
    weight = known.share + known.mass @ alpha
    fit = weight > EMPTIED * known.share
    step = np.where(fit, known.pull @ alpha / np.where(fit, weight, 1.0), 0.0)
    moved = np.clip(chance + step[known.group], 0.0, 1.0)
    return monotone(learned.profile, moved, known.rows)


def fold_chances(profile: EstimateProfile) -> list[Floats]:
    """The chances as they would be without each fold of the reference."""
    rows, hits = np.array(profile.rows, dtype=np.float64), np.array(profile.hits)
    return [
        calibrated(profile, rows.sum(axis=0) - left, hits.sum(axis=0) - gone)
        for left, gone in zip(rows, hits, strict=True)
    ]


def calibrated(profile: EstimateProfile, rows: Floats, hits: Floats) -> Floats:
    """The rising chance of each cell from rows and outcomes per cell."""
    chance = np.divide(hits, rows, out=np.zeros(rows.size), where=rows > 0.0)
    return monotone(profile, chance, rows)


def monotone(profile: EstimateProfile, chance: Floats, rows: Floats) -> Floats:
    """Chances that rise with the score on each side; a side without rows has the overall one."""
    overall, shape = float(chance @ rows / rows.sum()), (len(profile.sides), -1)
    pairs = zip(chance.reshape(shape), rows.reshape(shape), strict=True)
    made = [
        isotonic(part * mass, mass) if mass.any() else np.full(mass.size, overall)
        for part, mass in pairs
    ]
    return np.concatenate(made)


def _ratio(shift: ShiftProfile) -> DensityRatio:
    size = len(shift.mean)
    upper = np.zeros((size, size))
    upper[np.triu_indices(size)] = shift.inverse
    return DensityRatio(np.array(shift.mean), upper + np.triu(upper, 1).T)


def _mean(seen: Seen) -> Floats:
    return np.array(seen.features, dtype=np.float64) / seen.n


def _sums(left: list[int], right: list[int]) -> list[int]:
    return [a + b for a, b in zip(left, right, strict=True)] if left and right else left or right
