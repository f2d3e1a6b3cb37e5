"""What a release tolerates by itself: the zones learned from its reference, stated beforehand."""

from collections.abc import Sequence
from typing import NamedTuple

from trimtab.domain.deployment import DeploymentSpec
from trimtab.domain.plurals import many
from trimtab.domain.profile import ColumnProfile, ReferenceProfile, SegmentProfile
from trimtab.domain.signature import Signature
from trimtab.judge.quality import DISTANCES, FEWEST_LABELS
from trimtab.judge.signals import columns
from trimtab.judge.signals.calibration import Calibration
from trimtab.judge.signals.family import Target
from trimtab.judge.signals.prediction import positive_zone
from trimtab.judge.signals.quality import quality_zone
from trimtab.judge.signals.segments import borders


class Tolerance(NamedTuple):
    """Of one signal: what the reference showed, how far from it is harmless, and who says so.

    `reference` is None for a distribution, whose distance is in shares; `tolerance` is None where
    the reference cannot judge, and `basis` then says why.
    """

    signal: str
    reference: float | None
    tolerance: float | None
    basis: str


def stated(profile: ReferenceProfile) -> tuple[Tolerance, ...]:
    """The tolerances of a deployment that sets none of its own."""
    target = Target(DeploymentSpec("", ""), Signature((), ()), profile, "", 0.0)
    made = [_quality(profile, place) for place in range(len(profile.quality))]
    if profile.segment_losses is not None and profile.segment_losses.segments:
        made.append(_segments(target, profile, profile.segment_losses.segments))
    calibrated = Calibration.of(target)
    if calibrated is not None:
        basis = f"{profile.calibration_rows:,} labels"
        days = basis if profile.calibration_spread is None else _days(profile)
        made.append(Tolerance("calibration", profile.calibration, calibrated.width, days))
    if profile.score is not None:
        made.append(_column(target, "prediction", profile.score))
    if profile.score is not None and profile.positive_rate is not None:
        zone = positive_zone(target, profile.score, profile.positive_rate)
        width = (zone.high or 0.0) - profile.positive_rate
        made.append(Tolerance("positive_rate", profile.positive_rate, width, _days(profile)))
    made += [_column(target, f"input:{each.name}", each) for each in profile.inputs]
    scores = () if profile.multivariate is None else profile.multivariate.scores
    return (*made, *(_column(target, f"multivariate:{each.name}", each) for each in scores))


def _quality(profile: ReferenceProfile, place: int) -> Tolerance:
    quality = profile.quality[place]
    signal = f"quality ({quality.metric})"
    value = quality.told(quality.value)
    if quality.n < FEWEST_LABELS:
        return Tolerance(signal, value, None, f"only {many(quality.n, 'label')}")
    zone = quality_zone(quality, None)
    border = zone.low if zone.high is None else zone.high
    width = quality.told(abs((border or 0.0) - quality.value))
    basis = f"{quality.n:,} labels" if quality.spread is None else _days(profile)
    return Tolerance(signal, value, width, basis)


def _segments(
    target: Target, profile: ReferenceProfile, segments: Sequence[SegmentProfile]
) -> Tolerance:
    """Of the segment whose gap the reference knows least."""
    known = borders(target, tuple(segments))
    scale = next((each.scale for each in profile.quality if each.metric in DISTANCES), 1.0)
    width = float((known.high - (known.usual - known.others)).max()) * scale
    basis = f"{many(len(segments), 'segment')}, {_days(profile)}"
    return Tolerance("segments", None, width, basis)


def _column(target: Target, signal: str, column: ColumnProfile) -> Tolerance:
    unfit = columns.unfit(column)
    if unfit or target.profile is None:
        return Tolerance(signal, None, None, unfit)
    width = columns.tolerance(target, column, signal) + columns.error(target, column)
    basis = f"{column.n:,} rows" if column.spread is None else _days(target.profile)
    hourly = ", by hour of the week" if column.strata else ""
    return Tolerance(signal, None, width, f"{basis}{hourly}")


def _days(profile: ReferenceProfile) -> str:
    return many(profile.days, "day") if profile.days else f"{profile.rows:,} rows"
