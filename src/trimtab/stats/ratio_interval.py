"""Anytime-valid interval for the ratio of two bad rates, from bad events alone.

The ratios that Robbins' mixture over a log-uniform prior does not reject: ``L(rho) > alpha * mean_j
L(rho_j)``. The likelihood is concave in ``log(rho)``, so they form an interval; it covers the true
ratio at all times at once with probability at least 1 - alpha (Ville).

Source: Lindon & Malek, Anytime-valid inference for multinomial count data, NeurIPS 2022; Robbins,
Statistical methods related to the law of the iterated logarithm, 1970.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from trimtab.stats import saved
from trimtab.stats.bad_events import BadEvents
from trimtab.stats.logspace import log_mean_exp

PRIOR = np.linspace(-math.log(200.0), math.log(200.0), 513)


@dataclass(frozen=True, slots=True)
class RatioInterval:
    """Interval and most likely value of the ratio; 0 and ``None`` where the data set no bound."""

    lower: float
    upper: float | None
    estimate: float | None


def ratio_interval(events: BadEvents, alpha: float = 0.05) -> RatioInterval:
    """Return the ratios that the events do not reject at ``alpha``: valid at any time of looking.

    Ratios are sought in [1/200, 200]; an end beyond that is open (0, or ``None`` above). Raises
    ``ValueError`` unless 0 < alpha < 1.

    >>> found = ratio_interval(BadEvents().add(0.1, 40, 90), alpha=0.05)
    >>> [round(end, 2) for end in (found.lower, found.estimate, found.upper)]
    [1.99, 4.0, 7.6]
    """
    if not 0.0 < alpha < 1.0:
        raise ValueError(f"alpha must be in (0, 1), not {alpha!r}")
    likelihood = events.log_likelihood(PRIOR)
    cut = log_mean_exp(likelihood) + math.log(alpha)
    best = float(PRIOR[int(np.argmax(likelihood))])

    def kept(log_ratio: float) -> bool:
        return float(events.log_likelihood(np.array([log_ratio]))[0]) > cut

    low, high = float(PRIOR[0]), float(PRIOR[-1])
    lower = 0.0 if kept(low) else math.exp(_edge(kept, best, low))
    upper = None if kept(high) else math.exp(_edge(kept, best, high))
    return RatioInterval(lower, upper, _most_likely(events))


@dataclass(slots=True)
class RatioSequence:
    """Running intersection of :func:`ratio_interval`, for a ratio that stays what it is.

    When the running intersection becomes empty the ratio has changed: it starts anew from the
    current interval, and ``restarts`` counts it.

    >>> sequence = RatioSequence(alpha=0.05)
    >>> sequence.update(0.5, 10, 10)
    >>> sequence.interval.lower < 1 < sequence.interval.upper
    True
    """

    alpha: float = 0.05
    events: BadEvents = field(default_factory=BadEvents)
    lower: float = 0.0
    upper: float | None = None
    restarts: int = 0

    def update(self, weight: float, candidate_bad: int, stable_bad: int) -> None:
        """Take in bad events that shared one candidate weight; raises as :meth:`BadEvents.add`."""
        self.update_events(BadEvents().add(weight, candidate_bad, stable_bad))

    def update_events(self, events: BadEvents) -> None:
        """Take in merged events and narrow the interval."""
        self.events = self.events.merge(events)
        now = ratio_interval(self.events, self.alpha)
        lower = max(self.lower, now.lower)
        upper = min((end for end in (self.upper, now.upper) if end is not None), default=None)
        if upper is not None and lower > upper:
            lower, upper, self.restarts = now.lower, now.upper, self.restarts + 1
        self.lower, self.upper = lower, upper

    @property
    def interval(self) -> RatioInterval:
        """The running interval with the most likely ratio."""
        return RatioInterval(self.lower, self.upper, _most_likely(self.events))

    def to_dict(self) -> dict[str, object]:
        """Return parameters and state as plain JSON values."""
        state: dict[str, object] = {"alpha": self.alpha, "events": self.events.to_dict()}
        return state | {"lower": self.lower, "upper": self.upper, "restarts": self.restarts}

    @classmethod
    def from_dict(cls, state: saved.Saved) -> Self:
        """Rebuild what :meth:`to_dict` wrote, bit for bit."""
        upper = None if state.get("upper") is None else saved.real(state, "upper")
        events = BadEvents.from_dict(saved.part(state, "events"))
        alpha, lower = saved.real(state, "alpha"), saved.real(state, "lower")
        return cls(alpha, events, lower, upper, saved.whole(state, "restarts"))


def _edge(kept: Callable[[float], bool], inside: float, outside: float) -> float:
    """Return the kept/rejected border, from the rejected side so that rounding never narrows."""
    for _ in range(60):
        middle = 0.5 * (inside + outside)
        inside, outside = (middle, outside) if kept(middle) else (inside, middle)
    return outside


def _most_likely(events: BadEvents) -> float | None:
    """Return the maximum-likelihood ratio by bisection on the score, which falls in log(rho)."""
    if events.stable == 0:
        return None
    if events.candidate == 0:
        return 0.0

    def rising(log_ratio: float) -> bool:
        return _score(events, log_ratio) > 0.0

    return math.exp(_edge(rising, -50.0, 50.0))


def _score(events: BadEvents, log_ratio: float) -> float:
    expected = 0.0
    for weight, bad in events.by_weight.items():
        odds = log_ratio + math.log(weight) - math.log1p(-weight)
        expected += (bad.candidate + bad.stable) / (1.0 + math.exp(-odds))
    return events.candidate - expected
