"""Whether estimates may be believed: matured labels against the chances that stood for them.

The mean loss, the share of outcomes in all rows, and that in each group of cells of like chance
are bet to be outside of what was expected plus or minus a tolerance and the reference's own error.
These are e-detectors whose borders are known before the labels, so that trust is lost without
reason no more often than promised. It comes back by evidence that the share is inside again.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from trimtab.judge.bet import Bet, log_evidences, settle
from trimtab.judge.watch import RECOVERED, Z99, worth
from trimtab.stats.edetector import EAverage
from trimtab.stats.logspace import FloatArray, log_sums_exp

LOSS, ALL = 0, 1
"""The first two streams: the mean loss, and the outcomes of all rows; then come the groups."""

OVERALL_TOLERANCE = 0.01
GROUP_TOLERANCE = 0.05


class Told(NamedTuple):
    """Labels of `n` rows of a stream: the `real` mean, what was `expected`, within `error`, and the
    `spread` of days (None where rows are independent)."""

    n: int
    real: float
    expected: float
    error: float
    spread: float | None


class Doubt(msgspec.Struct):
    """Evidence of one stream, for a mean above and below what was expected.

    `n`, `real` and `expected` are of the cohorts since there was no evidence.
    """

    above: Bet = msgspec.field(default_factory=lambda: Bet(0.5, "above"))
    below: Bet = msgspec.field(default_factory=lambda: Bet(0.5, "below"))
    n: int = 0
    real: float = 0.0
    expected: float = 0.0

    def meet(self, told: Told, tolerance: float) -> None:
        """Count the labels of a cohort, and move the borders to where they are bet against."""
        width = tolerance + told.error
        if max([*self.above.wealth, *self.below.wealth], default=0.0) <= 0.0:
            self.n, self.real, self.expected = 0, 0.0, 0.0
        self.above.m, self.below.m = told.expected + width, told.expected - width
        self.n += told.n
        self.real += (told.real - self.real) * told.n / self.n
        self.expected += (told.expected - self.expected) * told.n / self.n

    @property
    def sides(self) -> tuple[Bet, Bet]:
        """The bets on either side."""
        return self.above, self.below


class Trust(msgspec.Struct):
    """Trust in the estimates of a release; `since` is the start of the cohort that cost it.

    `worst` is the stream that spoke loudest when trust was lost.
    """

    doubts: list[Doubt] = []
    since: float | None = None
    worst: int = 0
    back: list[Bet] = []
    evidence: float = 0.0

    def take(self, start: float, streams: Sequence[Told | None], log10_threshold: float) -> None:
        """Take in a matured cohort; None for a stream without labels in it."""
        self.doubts = self.doubts or [Doubt() for _ in streams]
        if self.since is not None:
            self._recover(streams[self.worst])
            return
        staked = []
        for number, (doubt, told) in enumerate(zip(self.doubts, streams, strict=True)):
            if told is not None:
                doubt.meet(told, _tolerance(number))
                staked += [(bet, told) for bet in doubt.sides]
        _settle(staked)
        average = EAverage.of_logs(_evidences(self.doubts))
        self.evidence = average.log10_evidence
        if average.alarm(log10_threshold):
            self.since, self.worst = start, int(np.argmax(average.contributions))
            self.back = [Bet(0.5, "below"), Bet(0.5, "above")]

    def _recover(self, told: Told | None) -> None:
        if told is None:
            return
        width = told.error + _tolerance(self.worst)
        for bet, border in zip(self.back, (width, -width), strict=True):
            bet.m = told.expected + border
        _settle([(bet, told) for bet in self.back])
        real = [bet for bet in self.back if 0.0 < bet.m < 1.0]
        if all(bet.log10_evidence >= RECOVERED for bet in real):
            self.doubts, self.since, self.worst, self.back = [], None, 0, []

    def reason(self, scale: float = 1.0) -> str:
        """What the labels said of the stream that cost the trust, a mean loss in the unit of which
        `scale` is a share of one."""
        doubt = self.doubts[self.worst]
        unit = scale if self.worst == LOSS else 1.0
        where = {LOSS: "the mean loss is", ALL: "of all rows"}
        group = f"of rows whose chance was about {doubt.expected:.2f}"
        return (
            f"labels contradict it: {where.get(self.worst, group)} {doubt.real * unit:.3f}"
            f"{'' if self.worst == LOSS else ' came true'} (n={doubt.n}), "
            f"{doubt.expected * unit:.3f} was expected"
        )


def _tolerance(stream: int) -> float:
    return OVERALL_TOLERANCE if stream in (LOSS, ALL) else GROUP_TOLERANCE


def _settle(staked: Sequence[tuple[Bet, Told]]) -> None:
    """Settle bets on borders that can be crossed."""
    real = [(bet, told) for bet, told in staked if 0.0 < bet.m < 1.0]
    worths = [worth(bet.m, told.spread, told.n) for bet, told in real]
    settle([bet for bet, _ in real], [told.real for _, told in real], worths)


def _evidences(doubts: Sequence[Doubt]) -> FloatArray:
    """Natural logarithm of the evidence of each, the average of its two sides."""
    sides = log_evidences([bet for doubt in doubts for bet in doubt.sides])
    return log_sums_exp(np.array(sides).reshape(-1, 2) + np.log(0.5))


def spread_of(variance: float | None) -> float | None:
    """The 99 % quantile of the distance of a day, from its variance; None without days."""
    return None if variance is None else Z99 * math.sqrt(variance)
