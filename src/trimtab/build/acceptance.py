"""Whether a compiled engine may answer in the model's place. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from trimtab.domain.release import Speed

ROUNDING: Mapping[str, float] = {"float64": 1e-9, "float32": 1e-6}
"""The largest difference that rounding alone may make, as a share of the largest output, by the
precision of the model's own answers. float64 keeps 16 digits, of which the sums of a model lose a
few; float32, in which XGBoost computes, keeps 7. A learned tolerance of 0 says that the model
repeats its own sums bit by bit, which no other order of the same sums does."""

LEAST_GAIN = 1.2
"""How many times faster a single row must be; less is within what two measurements differ by."""


@dataclass(frozen=True, slots=True)
class Findings:
    """What is known of an engine. `difference` and `problems` are of `rows` rows of golden set and
    reference; `tried` is the largest difference, as a share of the outputs, on rows that were made
    up to tell the two apart, and `rounding` what it may be. `speeds` is empty until measured.
    """

    rows: int
    tolerance: float
    difference: float
    problems: tuple[str, ...]
    tried: float
    rounding: float
    speeds: tuple[Speed, ...] = ()


def tolerance(learned: float, precision: str, largest: float) -> float:
    """The largest absolute difference that counts as the same.

    `learned` is the tolerance of the golden set, `largest` the largest absolute number among the
    outputs (1 for probabilities).
    """
    return max(learned, ROUNDING[precision] * largest)


def objection(found: Findings) -> str | None:
    """Why the model itself must serve, in words; None when the engine may."""
    if found.problems:
        return f"its answers are others: {'; '.join(found.problems)}"
    if found.difference > found.tolerance:
        return _too_far("on the reference", found.difference, found.tolerance)
    if found.tried > found.rounding:
        return _too_far("on rows beyond the reference", found.tried, found.rounding)
    return _slow(found.speeds)


def told(speeds: tuple[Speed, ...]) -> str:
    """Both figures of every size, for a person."""
    return ", ".join(
        f"{_rows(speed.rows)} {_micro(speed.native_seconds)} → {_micro(speed.engine_seconds)} µs "
        f"({speed.times:.1f} times)"
        for speed in speeds
    )


def _too_far(where: str, difference: float, allowed: float) -> str:
    return f"the largest difference {where} is {difference:.1e}, the tolerance {allowed:.1e}"


def _slow(speeds: tuple[Speed, ...]) -> str | None:
    least = {speed.rows: LEAST_GAIN if speed.rows == 1 else 1.0 for speed in speeds}
    if all(speed.times >= least[speed.rows] for speed in speeds):
        return None
    return f"it is not measurably faster: {told(speeds)}"


def _rows(count: int) -> str:
    return "one row" if count == 1 else f"{count} rows"


def _micro(seconds: float) -> str:
    return f"{seconds * 1e6:,.0f}"
