"""Canary against stable: the conditional rate-ratio e-process, and the interval for the ratio.

A request goes to the candidate with known probability w, fixed before its outcome. Given that a
request went *bad*, it was the candidate's with probability ``theta(rho) = w rho / (w rho + 1 - w)``
where ``rho`` is the candidate's bad rate over stable's: the common rate, its daily cycle and its
bursts cancel, and only bad events carry evidence. The likelihood ratio of any ``rho_j`` beyond the
null against the null's edge is a supermartingale under the whole null (monotone likelihood ratio);
so is the mean over a grid of them, and its chance of ever reaching ``1/alpha`` is at most alpha.

Paired (shadow) comparison is the same kernel: among discordant pairs the candidate is the worse one
with probability 1/2 at ratio 1, which is ``weight = 0.5``.

Source: Lindon & Malek, Anytime-valid inference for multinomial count data, NeurIPS 2022.
"""

import math
from dataclasses import dataclass, field
from typing import Literal, Self

import numpy as np

from trimtab.stats import saved
from trimtab.stats.bad_events import Bad, BadEvents
from trimtab.stats.logspace import LN10, log_mean_exp
from trimtab.stats.ratio_interval import RatioInterval, RatioSequence, ratio_interval

__all__ = [
    "Bad",
    "BadEvents",
    "Direction",
    "RateRatio",
    "RatioInterval",
    "RatioSequence",
    "ratio_grid",
    "ratio_interval",
]

Direction = Literal["worse", "not_worse"]

GRID = 48
REACH = {"worse": 100.0, "not_worse": 1.0 / 20.0}


def ratio_grid(ratio_null: float, direction: Direction, size: int = GRID) -> tuple[float, ...]:
    """Return log-spaced alternatives beyond the null ratio, nearest first.

    "worse" reaches to 100 times the null, "not_worse" down to a twentieth of it. Raises
    ``ValueError`` when the ratio is not positive and finite or the direction is unknown.

    >>> [round(ratio, 9) for ratio in ratio_grid(1.0, "worse", 2)]
    [10.0, 100.0]
    """
    if not 0.0 < ratio_null < math.inf or direction not in REACH or size < 1:
        raise ValueError(
            f"need a positive ratio, a direction and a size, not {ratio_null!r}, "
            f"{direction!r}, {size!r}"
        )
    steps = np.arange(1, size + 1, dtype=np.float64) / size
    return tuple((ratio_null * np.power(REACH[direction], steps)).tolist())


@dataclass(slots=True)
class RateRatio:
    """Evidence about the candidate's bad rate over stable's.

    "worse": that the ratio is above ``ratio_null`` (null: at most that). "not_worse": that it is
    below ``ratio_null`` (null: at least that).

    >>> guard = RateRatio.against(1.0, "worse")
    >>> guard.update(weight=0.01, candidate_bad=3, stable_bad=2)
    >>> guard.log10_max > 2
    True
    """

    ratio_null: float
    direction: Direction
    grid: tuple[float, ...] = field(repr=False)
    events: BadEvents = field(default_factory=BadEvents)
    log10_max: float = 0.0

    @classmethod
    def against(cls, ratio_null: float, direction: Direction, size: int = GRID) -> Self:
        """Bet with ``size`` alternatives; raises as :func:`ratio_grid`."""
        return cls(ratio_null, direction, ratio_grid(ratio_null, direction, size))

    def update(self, weight: float, candidate_bad: int, stable_bad: int) -> None:
        """Take in bad events that shared one candidate weight; raises as :meth:`BadEvents.add`."""
        self.update_events(BadEvents().add(weight, candidate_bad, stable_bad))

    def update_pairs(self, candidate_worse: int, stable_worse: int) -> None:
        """Take in discordant pairs: the same request answered by both, one of them worse."""
        self.update(0.5, candidate_worse, stable_worse)

    def update_events(self, events: BadEvents) -> None:
        """Take in merged events."""
        self.events = self.events.merge(events)
        self.log10_max = max(self.log10_max, self.log10_evidence)

    @property
    def log_evidence(self) -> float:
        """Natural logarithm of the evidence; 0.0 before any bad event."""
        edge = np.array([math.log(self.ratio_null)])
        at_null = self.events.log_likelihood(edge)
        return log_mean_exp(self.events.log_likelihood(np.log(self.grid)) - at_null)

    @property
    def log10_evidence(self) -> float:
        """Decimal logarithm of the evidence now; always finite."""
        return self.log_evidence / LN10

    @property
    def p_value(self) -> float:
        """Anytime-valid p-value: the inverse of the largest evidence seen after any update."""
        return float(10.0**-self.log10_max)

    def to_dict(self) -> dict[str, object]:
        """Return parameters and state as plain JSON values."""
        state: dict[str, object] = {"ratio_null": self.ratio_null, "direction": self.direction}
        state |= {"grid": list(self.grid), "events": self.events.to_dict()}
        return state | {"log10_max": self.log10_max}

    @classmethod
    def from_dict(cls, state: saved.Saved) -> Self:
        """Rebuild what :meth:`to_dict` wrote, bit for bit."""
        direction = saved.text(state, "direction")
        if direction not in REACH:
            raise ValueError(f"saved state: unknown direction {direction!r}")
        return cls(
            saved.real(state, "ratio_null"),
            "worse" if direction == "worse" else "not_worse",
            tuple(saved.reals(state, "grid")),
            BadEvents.from_dict(saved.part(state, "events")),
            saved.real(state, "log10_max"),
        )
