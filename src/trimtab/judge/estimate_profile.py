"""What a release learns at build to estimate its quality without labels. Deterministic, bounded."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from trimtab.domain.profile import (
    Coarse,
    ColumnProfile,
    EstimateProfile,
    LossModel,
    QualityProfile,
    ShiftProfile,
    Wobble,
)
from trimtab.domain.records import CodedTexts, Column, Floats, Ints, Texts
from trimtab.domain.signature import Signature
from trimtab.judge.estimate import (
    FEWEST,
    calibrated,
    cells_at,
    cells_of,
    coarse_bins,
    expected,
    fold_chances,
    scores_and_sides,
)
from trimtab.judge.quality import (
    LOG_LOSS_BOUND,
    log_losses,
    losses,
    positives,
    scaled_losses,
    texts,
)
from trimtab.stats.bins import above_values, below_values, quantile_cuts
from trimtab.stats.boosting import Boosted
from trimtab.stats.density_ratio import DensityRatio
from trimtab.stats.shrinkage import spread_of_effects

BINS = 50
ROWS_PER_BIN = 20
MOST_SIDES = 16
FOLDS = 20
DAY_FOLDS = 30
TREES = 120
DEPTH = 4
MOST_ASKED = 16
"""Categories of a column that a loss model tells apart."""
GROUPS = 10
FEATURES = 64
CATEGORIES = 5
DIGITS = 6
LEAST_MASS = 0.01
"""A category of a smaller share is one of the others."""

BINARY = ("roc_auc", "error", "brier", "log_loss", "precision", "recall", "f1")


@dataclass(frozen=True, slots=True)
class Known:
    """The labelled reference: outcome in [0, 1], cell and fold of each row; `day` counts days."""

    outcome: Floats
    cell: Ints
    fold: Ints
    day: Ints | None
    columns: Mapping[str, Column]

    def take(self, rows: NDArray[np.bool_]) -> "Known":
        """The rows where the mask is true, of the same days, without their columns."""
        day = None if self.day is None else self.day[rows]
        return Known(self.outcome[rows], self.cell[rows], self.fold[rows], day, {})


def build_estimate(
    signature: Signature,
    columns: tuple[ColumnProfile, ...],
    quality: tuple[QualityProfile, ...],
    rows: "LabelledRows",
    metrics: tuple[str, ...] | None = None,
) -> tuple[EstimateProfile, Known] | None:
    """The profile of labelled reference rows, and these rows as it knows them; None with fewer than
    100 that have an output.

    `metrics` are those of a binary task that will be asked for, None for all."""
    empty = _empty(signature, quality, BINARY if metrics is None else metrics)
    if empty is None:
        return None
    outcome = outcomes(signature, quality[0], rows.outputs, rows.label)
    usable = np.isfinite(outcome)
    rows, outcome = rows.take(usable), outcome[usable]
    if outcome.size < FEWEST:
        return None
    fold = _folds(rows.day, outcome.size)
    values = {**rows.inputs, **_predicted(signature, rows)}
    if signature.task == "regression":
        # What the loss model has learned from says nothing of how good it is.
        learned = fold % 2 == 0
        model = _loss_model(columns, _rows_of(values, learned), outcome[learned])
        empty = msgspec.structs.replace(empty, loss=model)
        kept = ~learned
        rows, outcome, values = rows.take(kept), outcome[kept], _rows_of(values, kept)
        fold = fold[kept] // 2
    score, side = scores_and_sides(empty, signature, rows.inputs, rows.outputs)
    shaped = msgspec.structs.replace(empty, cuts=_cuts(signature, score))
    known = Known(outcome, cells_of(shaped, score, side), fold, rows.day, values)
    made = _counted(shaped, known)
    costs = _costs(signature, quality, rows, made, known)
    return _learned(msgspec.structs.replace(made, costs=costs), known, columns), known


@dataclass(frozen=True, slots=True)
class LabelledRows:
    """Reference rows with a label; `day` is the day of each, None when days are too few."""

    inputs: Mapping[str, Column]
    outputs: Mapping[str, NDArray[Any]]
    label: Texts
    day: Ints | None

    def take(self, rows: NDArray[np.bool_]) -> "LabelledRows":
        """The rows where the mask is true."""
        if rows.all():
            return self
        return LabelledRows(
            {name: column[rows] for name, column in self.inputs.items()},
            {name: column[rows] for name, column in self.outputs.items()},
            self.label[rows],
            None if self.day is None else np.unique(self.day[rows], return_inverse=True)[1],
        )


def _empty(
    signature: Signature, quality: tuple[QualityProfile, ...], binary: tuple[str, ...]
) -> EstimateProfile | None:
    """The shape of the profile, by task; of a `binary` one are these metrics."""
    known = {each.metric for each in quality}
    metrics: dict[str, tuple[str, ...]] = {
        "binary": tuple(each for each in BINARY if each in binary),
        "multiclass": ("error", "log_loss") if "log_loss" in known else ("error",),
        "regression": tuple(each.metric for each in quality[:1]),
    }
    sides = {"binary": ("no", "yes"), "multiclass": signature.classes, "regression": ("",)}
    if not quality or len(sides.get(signature.task, ())) not in range(1, MOST_SIDES + 1):
        return None
    return EstimateProfile(
        metrics=metrics[signature.task],
        sides=sides[signature.task],
        cuts=(),
        chance=(),
        rows=(),
        hits=(),
        group=(),
    )


def outcomes(
    signature: Signature, quality: QualityProfile, outputs: Mapping[str, NDArray[Any]], label: Texts
) -> Floats:
    """What the cells' chances are chances of, in [0, 1]; NaN without a usable output or label.

    `quality` is the first of the release.
    """
    lost = losses(quality.metric, signature, outputs, label)
    if signature.task == "binary":
        return np.where(np.isnan(lost), np.nan, positives(signature, label) * 1.0)
    if signature.task == "multiclass":
        return np.where(texts(outputs["label"]) == "", np.nan, 1.0 - lost)
    return np.minimum(lost / quality.scale, 1.0)


def _predicted(signature: Signature, rows: LabelledRows) -> dict[str, Floats]:
    """What is predicted is a feature of its own where no score sorts rows into cells."""
    return {"": rows.outputs["prediction"]} if signature.task == "regression" else {}


def _rows_of(values: Mapping[str, Column], rows: NDArray[np.bool_]) -> dict[str, Column]:
    return {name: column[rows] for name, column in values.items()}


def _loss_model(
    columns: tuple[ColumnProfile, ...], values: Mapping[str, Column], lost: Floats
) -> LossModel:
    coarse = (
        *(Coarse(name=c.name, cuts=c.cuts, categories=c.categories[:MOST_ASKED]) for c in columns),
        _coarse_prediction(values[""]),
    )
    codes = np.column_stack([coarse_bins(column, values[column.name]) for column in coarse])
    fitted = Boosted.fit(codes, lost, TREES, DEPTH)
    return LossModel(
        columns=coarse,
        base=fitted.base,
        feature=tuple(map(tuple, fitted.feature.tolist())),
        above=tuple(map(tuple, fitted.above.tolist())),
        leaf=tuple(rounded(leaf) for leaf in fitted.leaf),
    )


def _cuts(signature: Signature, score: Floats) -> tuple[float, ...]:
    bins = max(min(BINS, score.size // ROWS_PER_BIN), 2)
    known = np.sort(score[np.isfinite(score)])
    threshold = [signature.threshold] if signature.task == "binary" else []
    cuts = np.setdiff1d(quantile_cuts(known, bins), threshold)
    return tuple(sorted([*below_values(cuts, known).tolist(), *threshold]))


def _folds(day: Ints | None, size: int) -> Ints:
    """Spans of days, so that what rows of a day share is not taken for knowledge."""
    if day is None:
        return np.arange(size, dtype=np.int64) % FOLDS
    days = int(day.max()) + 1
    return np.asarray(day * min(days, DAY_FOLDS) // days, dtype=np.int64)


def _counted(shaped: EstimateProfile, known: Known) -> EstimateProfile:
    cells = len(shaped.sides) * (len(shaped.cuts) + 1)
    folds = int(known.fold.max()) + 1
    place = known.fold * cells + known.cell
    rows = np.bincount(place, minlength=folds * cells).reshape(folds, cells)
    hits = np.bincount(place, known.outcome, minlength=folds * cells).reshape(folds, cells)
    total = rows.sum(axis=0).astype(np.float64)
    chance = calibrated(shaped, total, hits.sum(axis=0))
    return msgspec.structs.replace(
        shaped,
        chance=rounded(chance),
        rows=tuple(tuple(fold) for fold in rows.tolist()),
        hits=tuple(rounded(fold) for fold in hits),
        group=tuple(_groups(chance, total).tolist()),
    )


def _groups(chance: Floats, rows: Floats) -> Ints:
    """The group of each cell: cells of like chance, in groups of about equal mass."""
    order = np.argsort(chance, kind="stable")
    middle = (np.cumsum(rows[order]) - rows[order] / 2.0) / rows.sum()
    group = np.empty(chance.size, dtype=np.int64)
    group[order] = np.clip(middle * GROUPS, 0, GROUPS - 1).astype(np.int64)
    return group


def _learned(
    profile: EstimateProfile, known: Known, columns: tuple[ColumnProfile, ...]
) -> EstimateProfile:
    """All that goes by outcome minus the chance that the other folds give."""
    chances = np.array(fold_chances(profile))
    left = known.outcome - chances[known.fold, known.cell]
    full = msgspec.structs.replace(
        profile,
        residual=()
        if profile.loss is None
        else _by_cell(profile, known, left**2, np.ones(left.size, dtype=np.bool_)),
        shift=_shift(profile, known, columns, left) if columns or "" in known.columns else None,
    )
    if known.day is None:
        return full
    gaps = metric_gaps(full, days_of(full, known, known.day), chances)
    return msgspec.structs.replace(
        full,
        days=int(known.day.max()) + 1,
        wobbles=tuple(Wobble(metric, beyond(*gap)) for metric, gap in gaps),
        drifts=tuple(beyond(*gap) for gap in outcome_gaps(full, known, known.day, left)),
    )


Costs = dict[str, tuple[tuple[float, ...], tuple[float, ...]]]


def _costs(
    signature: Signature,
    quality: tuple[QualityProfile, ...],
    rows: "LabelledRows",
    profile: EstimateProfile,
    known: Known,
) -> Costs:
    """Per cell, what a row loses by its outcome, where the cell does not say so by itself."""
    every = np.ones(known.outcome.size, dtype=np.bool_)
    if signature.task == "binary":
        score = np.asarray(rows.outputs["score"], dtype=np.float64)
        pairs = {
            "brier": ((1.0 - score) ** 2, score**2),
            "log_loss": (
                log_losses(score) / LOG_LOSS_BOUND,
                log_losses(1.0 - score) / LOG_LOSS_BOUND,
            ),
        }
        return {
            name: (_by_cell(profile, known, up, every), _by_cell(profile, known, down, every))
            for name, (up, down) in pairs.items()
        }
    if "log_loss" not in profile.metrics:
        return {}
    logged = next(each for each in quality if each.metric == "log_loss")
    lost = scaled_losses(logged, signature, rows.outputs, rows.label)
    told, right = np.isfinite(lost), known.outcome > 0.5
    return {
        "log_loss": (
            _by_cell(profile, known, lost, told & right),
            _by_cell(profile, known, lost, told & ~right),
        )
    }


def _by_cell(
    profile: EstimateProfile, known: Known, values: Floats, mask: NDArray[np.bool_]
) -> tuple[float, ...]:
    """Mean per cell of the rows in `mask`; an empty cell has that of those around it, or 0.0."""
    if not mask.any():
        return (0.0,) * len(profile.chance)
    cells = len(profile.chance)
    cell, chosen = known.cell[mask], values[mask]
    rows = np.bincount(cell, minlength=cells)
    means = np.bincount(cell, chosen, minlength=cells) / np.maximum(rows, 1)
    places = np.flatnonzero(rows)
    return rounded(np.interp(np.arange(cells), places, means[places]))


def _shift(
    profile: EstimateProfile, known: Known, columns: tuple[ColumnProfile, ...], left: Floats
) -> ShiftProfile:
    """The columns that outcomes go by most, in bins, as long as there is room for them."""
    coarse = [_coarse(column) for column in columns]
    if "" in known.columns:
        coarse.append(_coarse_prediction(known.columns[""]))
    bins = {c.name: (coarse_bins(c, known.columns[c.name]), c.size) for c in coarse}
    told = told_beyond_chance(bins, left)
    chosen: list[Coarse] = []
    for column in sorted(coarse, key=lambda c: -told[c.name]):
        if sum(c.size for c in [*chosen, column]) <= FEATURES:
            chosen.append(column)
    features = [bins[c.name] for c in chosen]
    shares = np.hstack([np.bincount(each, minlength=size) for each, size in features]) / left.size
    ratio = DensityRatio.of_moments(shares, _joint(features) - np.outer(shares, shares))
    group = np.array(profile.group)[known.cell], max(profile.group) + 1
    rows, lost = (np.bincount(group[0], each, group[1]) / left.size for each in (None, left))
    mass = _beside(group, features, None) - np.outer(rows, shares)
    pull = _beside(group, features, left) - np.outer(lost, shares)
    return ShiftProfile(
        columns=tuple(chosen),
        mean=rounded(ratio.mean),
        inverse=rounded(ratio.inverse[np.triu_indices(ratio.mean.size)]),
        mass=tuple(rounded(row) for row in mass),
        pull=tuple(rounded(row) for row in pull),
    )


Places = tuple[Ints, int]
"""The bin of each row, and how many bins there are: a feature of zeros and a one for each bin."""


def _joint(features: list[Places]) -> Floats:
    """Mean product of each two bins' features, by counting: a matrix of the rows' zeros and ones
    would take a hundred times the memory of their places."""
    return np.vstack([_beside(each, features, None) for each in features])


def _beside(rows: Places, features: list[Places], weight: Floats | None) -> Floats:
    """Mean (weighted by `weight`) of each bin's feature among `features`, by the bins of `rows`."""
    (places, count), made = rows, []
    for bins, size in features:
        sums = np.bincount(places * size + bins, weight, count * size)
        made.append(sums.reshape(count, size) / places.size)
    return np.hstack(made)


def _coarse(column: ColumnProfile) -> Coarse:
    if column.kind == "continuous":
        return Coarse(name=column.name, cuts=column.cuts[1::2])
    common = zip(column.categories[:CATEGORIES], column.masses, strict=False)
    return Coarse(name=column.name, categories=tuple(c for c, mass in common if mass > LEAST_MASS))


def _coarse_prediction(values: Column) -> Coarse:
    """What is predicted, which is a number, by its tenths."""
    assert not isinstance(values, CodedTexts)
    known = np.sort(values[np.isfinite(values)])
    return Coarse(name="", cuts=tuple(above_values(quantile_cuts(known, 10), known).tolist()))


def told_beyond_chance(columns: Mapping[str, Places], left: Floats) -> dict[str, float]:
    """Variance of the outcome that the bins of each column explain, beyond what chance would."""
    apart, variance = left - left.mean(), float(left.var())
    told: dict[str, float] = {}
    for name, (bins, size) in columns.items():
        rows, sums = (np.bincount(bins, each, minlength=size) for each in (None, apart))
        present = rows > 0
        explained = float((sums[present] ** 2 / rows[present]).sum()) / left.size
        told[name] = explained - (int(present.sum()) - 1) * variance / left.size
    return told


class Day(NamedTuple):
    """Rows and outcomes per cell of one day, and the fold that it is in."""

    rows: Floats
    hits: Floats
    fold: int


def days_of(profile: EstimateProfile, known: Known, day: Ints) -> list[Day]:
    """The days that `day` counts, which is that of each known row."""
    cells, made = len(profile.chance), []
    for number in range(int(day.max()) + 1):
        mask = day == number
        rows = np.bincount(known.cell[mask], minlength=cells).astype(np.float64)
        hits = np.bincount(known.cell[mask], known.outcome[mask], minlength=cells)
        made.append(Day(rows, hits.astype(np.float64), int(known.fold[mask][0])))
    return made


Gaps = tuple[list[float], list[float]]
"""By how much days differ from what is expected of them, and the variance of that by chance."""


def metric_gaps(
    profile: EstimateProfile, days: list[Day], chances: Floats
) -> list[tuple[str, Gaps]]:
    """Realised metrics of days beside their estimates, by the chances without each fold (F, C)."""
    cells = []
    for day in days:
        without = chances[day.fold]
        share = np.divide(day.hits, day.rows, out=without.copy(), where=day.rows > 0.0)
        both = without, np.clip(share, 0.0, 1.0)
        cells.append([cells_at(profile, day.rows, each) for each in both])
    made: list[tuple[str, Gaps]] = []
    for metric in profile.metrics:
        apart, chance = [], []
        for told in cells:
            usual, real = (expected(profile, each, metric) for each in told)
            if usual is not None and real is not None:
                apart.append(real.value - usual.value)
                chance.append(usual.variance)
        made.append((metric, (apart, chance)))
    return made


def outcome_gaps(profile: EstimateProfile, known: Known, day: Ints, left: Floats) -> list[Gaps]:
    """The mean of outcome minus chance (`left`) of days: over all rows, then by group of cells."""
    group = np.array(profile.group)[known.cell]
    masks = [group >= 0, *(group == number for number in range(max(profile.group) + 1))]
    made: list[Gaps] = []
    for mask in masks:
        rows, sums = np.bincount(day[mask]), np.bincount(day[mask], left[mask])
        there = rows > 0
        chance = float((left[mask] ** 2).sum()) / max(int(rows.sum()), 1) / rows[there]
        made.append(((sums[there] / rows[there]).tolist(), chance.tolist()))
    return made


def beyond(apart: list[float], chance: list[float]) -> float:
    """The variance of days beyond chance; each counts by what it tells, for days may be of few
    rows. 0.0 for fewer than two."""
    if len(apart) < 2:
        return 0.0
    told = np.array(chance) > 0.0
    spread = spread_of_effects(np.array(apart)[told], np.array(chance)[told])
    return rounded(np.array([spread]))[0]


def rounded(values: NDArray[Any]) -> tuple[float, ...]:
    """Six digits, so that a profile is small and does not hang on the last bit of a library."""
    return tuple(0.0 if value == 0.0 else float(f"{value:.{DIGITS}g}") for value in values.tolist())
