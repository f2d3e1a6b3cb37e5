"""The reference profile of a release: what its inputs, predictions and quality looked like."""

from typing import Literal

import msgspec


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
    day's own hours.
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

    @property
    def day_spread(self) -> float | None:
        """How far ordinary days lie from what is usual for them; None without time."""
        return self.strata_spread if self.strata else self.spread


class QualityProfile(msgspec.Struct, frozen=True, kw_only=True):
    """Quality measured out of time at build. `value` with a 99 % interval; higher is better only
    for `roc_auc`. `spread` is the 99 % quantile of the distance between one reference day (or
    as many rows) and the whole, None when the reference has no time."""

    metric: Literal["roc_auc", "error", "brier", "squared_error", "absolute_error"]
    value: float
    lower: float
    upper: float
    n: int
    spread: float | None = None
    scale: float = 1.0
    """Losses of regressions are divided by this and clipped to [0, 1]."""


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
