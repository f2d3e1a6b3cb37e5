"""A column of the reference: what of it goes into a release, and the bins that it is counted in."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from trimtab.domain.profile import ColumnProfile
from trimtab.domain.records import CodedTexts, Floats, Ints, Texts
from trimtab.judge import strata
from trimtab.judge.quality import texts
from trimtab.judge.strata import When
from trimtab.stats.bins import above_values
from trimtab.stats.edges import bins_of
from trimtab.stats.order import in_order

CUTS = 9
LARGEST_CATEGORIES = 64
LARGEST_LATTICE = 512
ROWS_PER_LATTICE_VALUE = 50
Column = NDArray[Any] | CodedTexts

NO_STRATA = strata.Strata((), 0.0)


class Learned(NamedTuple):
    """The profile of a column, and whether it is of numbers of which none comes again."""

    profile: ColumnProfile
    alone: bool = False


def column_profile(name: str, values: Column, week: When | None) -> ColumnProfile:
    """The profile of one column: float64 is continuous, everything else categorical."""
    return learned_column(name, values, week).profile


def learned_column(name: str, values: Column, week: When | None) -> Learned:
    """The profile of one column, with what else is known of it by then."""
    if isinstance(values, CodedTexts):
        return Learned(coded_profile(name, values.names, values.places, week))
    if values.dtype.kind == "f":
        return _continuous(name, values, week)
    return Learned(_categorical(name, values, week))


def _continuous(name: str, values: NDArray[Any], week: When | None) -> Learned:
    missing = np.isnan(values)
    known = values[~missing]
    rising = in_order(known)
    cuts = _cuts(rising)
    bins = bins_of(known, cuts)
    days = None if week is None else week.take(~missing)
    spread, jump = _by_day(bins, len(cuts) + 1, days, True)
    hourly = _strata(bins, len(cuts) + 1, days, spread, True)
    distinct = rising[np.append([True], rising[1:] != rising[:-1])[: rising.size]]
    lattice = distinct.size <= min(LARGEST_LATTICE, known.size / ROWS_PER_LATTICE_VALUE)
    profile = ColumnProfile(
        name=name,
        kind="continuous",
        n=values.size,
        missing=float(missing.mean()),
        missing_spread=_missing_spread(missing, week),
        cuts=tuple(cuts.tolist()),
        masses=_masses(bins, len(cuts) + 1),
        minimum=float(rising[0]) if known.size else None,
        maximum=float(rising[-1]) if known.size else None,
        spread=spread,
        jump=jump,
        values=tuple(distinct.tolist()) if lattice else (),
        strata=hourly.shares,
        strata_spread=hourly.spread if hourly.shares else None,
    )
    return Learned(profile, distinct.size == known.size)


def _categorical(name: str, values: NDArray[Any], week: When | None) -> ColumnProfile:
    missing = np.array([value is None for value in values.tolist()], dtype=np.bool_)
    names, places = np.unique(texts(values[~missing]).astype(np.str_), return_inverse=True)
    coded = np.full(values.size, -1, dtype=np.int64)
    coded[~missing] = places
    return coded_profile(name, names.tolist(), coded, week)


def coded_profile(
    name: str, names: Sequence[str], places: Ints, week: When | None
) -> ColumnProfile:
    """The profile of a text column given by positions among its different `names`, -1 = missing."""
    missing = places < 0
    known, counts = places[~missing], np.bincount(places[~missing], minlength=len(names))
    listed = np.flatnonzero(counts)
    texts_listed = np.array([names[i] for i in listed.tolist()], dtype=np.str_)
    order = listed[np.lexsort((texts_listed, -counts[listed]))][:LARGEST_CATEGORIES]
    categories = tuple(names[i] for i in order.tolist())
    bin_of = np.full(len(names), len(categories), dtype=np.int64)
    bin_of[order] = np.arange(len(categories))
    bins = bin_of[known]
    days = None if week is None else week.take(~missing)
    spread, jump = _by_day(bins, len(categories) + 1, days, False)
    hourly = _strata(bins, len(categories) + 1, days, spread, False)
    return ColumnProfile(
        name=name,
        kind="categorical",
        n=places.size,
        missing=float(missing.mean()),
        missing_spread=_missing_spread(missing, week),
        categories=categories,
        masses=_masses(bins, len(categories) + 1),
        spread=spread,
        jump=jump,
        strata=hourly.shares,
        strata_spread=hourly.spread if hourly.shares else None,
    )


def category_bins(categories: tuple[str, ...], values: Texts) -> Ints:
    """The position of each value among `categories`, `len(categories)` for all others."""
    place = {category: i for i, category in enumerate(categories)}
    others = len(categories)
    return np.array([place.get(value, others) for value in values.tolist()], dtype=np.int64)


def _cuts(rising: Floats) -> Floats:
    """Quantiles (inverted distribution function) of the finite values of a sorted column, beside
    the values that they are."""
    finite = rising[np.isfinite(rising)]
    if not finite.size:
        return np.empty(0)
    levels = np.arange(1, CUTS + 1) / (CUTS + 1)
    places = np.maximum(np.ceil(finite.size * levels - 1.0), 0.0).astype(np.int64)
    return above_values(np.unique(finite[places]), finite)


def _masses(bins: Ints, size: int) -> tuple[float, ...]:
    return tuple((np.bincount(bins, minlength=size) / max(bins.size, 1)).tolist())


def _by_day(
    bins: Ints, size: int, week: When | None, cumulative: bool
) -> tuple[float | None, float | None]:
    """Distance of a day from the whole, and of a day from the day before (99 % quantiles)."""
    if week is None or not bins.size:
        return None, None
    day = week.day
    counts = np.bincount(day * size + bins, minlength=(day.max() + 1) * size).reshape(-1, size)
    shares = counts[counts.sum(axis=1) > 0].astype(np.float64)
    shares /= shares.sum(axis=1, keepdims=True)
    if cumulative:
        shares = np.cumsum(shares, axis=1)
    from_whole = np.abs(shares - shares.mean(axis=0)).max(axis=1)
    steps = np.abs(np.diff(shares, axis=0)).max(axis=1, initial=0.0)
    return float(np.quantile(from_whole, 0.99)), float(np.quantile([0.0, *steps], 0.99))


def _strata(
    bins: Ints, size: int, week: When | None, spread: float | None, cumulative: bool
) -> strata.Strata:
    """The strata where they explain enough of how days differ, else none."""
    if week is None or not week.hours or spread is None or size > CUTS + 1:
        return NO_STRATA
    made = strata.learn(bins, size, week, cumulative)
    return made if made.spread < strata.WORTH * spread else NO_STRATA


def _missing_spread(missing: NDArray[np.bool_], week: When | None) -> float | None:
    if week is None:
        return None
    if not missing.any():
        return 0.0
    day = week.day
    daily = np.bincount(day, weights=missing) / np.bincount(day)
    return float(np.quantile(np.abs(daily - missing.mean()), 0.99))
