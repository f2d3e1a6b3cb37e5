"""What the guard counts of a rollout, and the evidence that counts amount to."""

import math
from typing import Any

import msgspec
import numpy as np

from trimtab.domain.records import Floats
from trimtab.domain.routing import TOTAL_WEIGHT
from trimtab.stats.bad_events import BadEvents
from trimtab.stats.eprocess import EProcess
from trimtab.stats.paired import PairedTest, Question
from trimtab.stats.rate_ratio import RateRatio
from trimtab.stats.ratio_interval import RatioInterval, ratio_interval


class Arm(msgspec.Struct):
    """Attempts of one release and how many of them went bad."""

    n: int = 0
    bad: int = 0

    @property
    def rate(self) -> float:
        """Share of bad attempts; 0 without any."""
        return self.bad / max(self.n, 1)

    def below(self, limit: float) -> float:
        """log10 of the evidence that the rate is below `limit`."""
        return _settled(EProcess.against(limit, "below"), self)

    def above(self, limit: float) -> float:
        """log10 of the evidence that the rate is above `limit`."""
        return _settled(EProcess.against(limit, "above"), self)


def _settled(process: EProcess, arm: Arm) -> float:
    process.update_counts(arm.bad, arm.n)
    return process.log10_evidence


class Compared(msgspec.Struct):
    """Bad events of candidate and stable by the candidate's weight, and attempts of both."""

    events: dict[int, list[int]] = {}
    candidate: Arm = msgspec.field(default_factory=Arm)
    stable: Arm = msgspec.field(default_factory=Arm)
    units: list[str] = []
    """The first two units that went bad on the candidate: one client alone decides nothing."""

    def add(self, weight: int, candidate: bool, bad: bool, unit: str) -> None:
        """Count one attempt made while the candidate's weight was `weight` (of 10,000)."""
        arm = self.candidate if candidate else self.stable
        arm.n += 1
        arm.bad += bad
        if bad:
            found = self.events.setdefault(weight, [0, 0])
            found[0 if candidate else 1] += 1
            if candidate:
                self.units = sorted({*self.units[:1], unit})

    def worse(self, ratio: float) -> float:
        """log10 of the evidence that the candidate's bad rate is above `ratio` times stable's."""
        test = RateRatio.against(ratio, "worse")
        test.update_events(self._events())
        return test.log10_evidence

    def not_worse(self, ratio: float) -> float:
        """log10 of the evidence that it is below `ratio` times stable's."""
        test = RateRatio.against(ratio, "not_worse")
        test.update_events(self._events())
        return test.log10_evidence

    @property
    def interval(self) -> RatioInterval:
        """The ratio of the bad rates with its 95 % interval, valid at any time of looking."""
        return ratio_interval(self._events(), 0.05)

    def _events(self) -> BadEvents:
        total = BadEvents()
        for weight, (candidate, stable) in self.events.items():
            total = total.add(weight / TOTAL_WEIGHT, candidate, stable)
        return total


class Paired(msgspec.Struct):
    """Losses of both releases on the same rows: candidate minus stable, in [-1, 1]."""

    margin: float
    worse: dict[str, Any] | None = None
    not_worse: dict[str, Any] | None = None
    rows: int = 0
    total: float = 0.0

    def add(self, differences: Floats) -> None:
        """Take in differences."""
        worse, not_worse = self.test("worse"), self.test("not_worse")
        worse.update_differences(differences)
        not_worse.update_differences(differences)
        self.worse, self.not_worse = worse.to_dict(), not_worse.to_dict()
        self.rows += differences.size
        self.total += float(math.fsum(differences.tolist()))

    def test(self, question: Question) -> PairedTest:
        """The test of one question in its present state."""
        state = self.worse if question == "worse" else self.not_worse
        return PairedTest.against(self.margin, question) if state is None else _restored(state)

    @property
    def mean(self) -> float | None:
        """Mean difference; None without pairs."""
        return self.total / self.rows if self.rows else None


def _restored(state: dict[str, Any]) -> PairedTest:
    return PairedTest.from_dict(state)


def frozen_quantiles(seconds: list[float]) -> list[float]:
    """Stable's p90 and p99, beyond which an answer of the candidate counts as slow."""
    return [float(q) for q in np.quantile(seconds, [0.90, 0.99], method="higher")]
