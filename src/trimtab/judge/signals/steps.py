"""Labels that know the threshold: the truth does not leap where a decision turns.

Just below the threshold and just above it rows are nearly alike, and come true nearly as often.
Only what goes by the decision leaps there: people who follow it and record what they did, or
outcomes that are filled in from a table of answers. So rows on both sides of the threshold are held
against each other, those of a cohort at a time: what makes a day's rows come true more or less
often, weather say, raises or lowers the odds on both sides, and their ratio stays what it is.
"""

from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from trimtab.domain.profile import EstimateProfile
from trimtab.domain.records import Floats
from trimtab.domain.verdicts import Verdict
from trimtab.judge import budget, describe
from trimtab.judge.estimate import FEWEST
from trimtab.judge.signals.breaks import CLUSTERS
from trimtab.judge.signals.family import Target
from trimtab.judge.watch import RECOVERED
from trimtab.stats.logspace import LN10, log_mean_exp
from trimtab.stats.odds_ratio import Table

REACH = 3.0
"""Rows are near the threshold whose odds are within so many times those at it."""

STEEPER = 2.0
"""The odds ratio of both sides may be so many times that of the reference."""

EDGE = 1e-3
"""No chance is taken to be nearer to none, or to certainty."""

LEAPS = (2.0, 4.0, 16.0, 64.0)
"""By how many times of that it may be larger where labels go by the decision."""


class Sides(NamedTuple):
    """Labelled rows near the threshold, above it and below: how many, how many came true, and how
    many were expected to."""

    above: float = 0.0
    above_true: float = 0.0
    above_expected: float = 0.0
    below: float = 0.0
    below_true: float = 0.0
    below_expected: float = 0.0

    def plus(self, other: "Sides") -> "Sides":
        """Both."""
        return Sides(*(a + b for a, b in zip(self, other, strict=True)))

    @property
    def usual(self) -> float:
        """The odds ratio that is expected."""
        above, below = self.above_expected / self.above, self.below_expected / self.below
        return above * (1.0 - below) / (below * (1.0 - above))

    @property
    def table(self) -> Table:
        """The rows as far as they count: those of a cohort share their time."""
        above = _worth(self.above, self.above_true)
        return Table(*above, *_worth(self.below, self.below_true))

    def __str__(self) -> str:
        shares = [
            self.above_true / self.above,
            self.below_true / self.below,
            self.above_expected / self.above,
            self.below_expected / self.below,
        ]
        return (
            "{:.0%} of the labels just above the threshold are positive and {:.0%} just below it, "
            "where scores let {:.0%} and {:.0%} be expected".format(*shares)
        )


def _worth(n: float, true: float) -> tuple[int, int]:
    counted = min(round(n), CLUSTERS)
    return counted, round(counted * true / n)


class StepWatch(msgspec.Struct):
    """Evidence that labels leap at the threshold: natural logarithms, one for each leap.

    An e-detector of the CUSUM form (`judge.bet.Bet`). `shown` are the rows since the evidence last
    was none, the first of which were predicted at `risen`; in alarm since `since`, `back` is the
    evidence that the odds ratio is what it was.
    """

    wealth: tuple[float, ...] = (0.0,) * len(LEAPS)
    shown: tuple[float, ...] = ()
    risen: float = 0.0
    since: float | None = None
    back: float = 0.0

    @property
    def log10_evidence(self) -> float:
        """The mean over the leaps."""
        return log_mean_exp(np.array(self.wealth)) / LN10

    def take(self, start: float, sides: Sides, log10_threshold: float) -> None:
        """Take in the cohort of the predictions of the block that began at `start`."""
        table, border = sides.table, STEEPER * sides.usual
        if not table.tells:
            return
        ratios = border * np.array([1.0, 1.0 / STEEPER, *LEAPS])
        at_border, at_usual, *leaps = table.log_likelihood(ratios).tolist()
        if self.since is not None:
            self._return(at_usual - at_border)
            self.shown = tuple(Sides(*self.shown).plus(sides))
            return
        if max(self.wealth) <= 0.0:
            self.risen, self.shown = start, ()
        self.shown = tuple(Sides(*self.shown).plus(sides))
        grown = (max(w, 0.0) + each - at_border for w, each in zip(self.wealth, leaps, strict=True))
        self.wealth = tuple(grown)
        if self.log10_evidence >= log10_threshold:
            self.since, self.back = self.risen, 0.0

    def _return(self, gained: float) -> None:
        self.back = max(self.back, 0.0) + gained
        if self.back >= RECOVERED * LN10:
            self.wealth, self.since = (0.0,) * len(LEAPS), None


class Steps:
    """Whether labels leap at the threshold, in cohorts whose labels have matured."""

    def __init__(self, target: Target, profile: EstimateProfile, log10_threshold: float) -> None:
        self._target, self._limit = target, log10_threshold
        self._chance = chances(profile)
        self._below, self._above = near(profile)

    def take(self, watch: StepWatch, start: float, rows: Floats, hits: Floats) -> None:
        """Take in a cohort: by cell, its labelled rows and those of them that came true."""
        found = Sides(*self._of(self._above, rows, hits), *self._of(self._below, rows, hits))
        if found.above and found.below:
            watch.take(start, found, self._limit)

    def _of(
        self, side: NDArray[np.bool_], rows: Floats, hits: Floats
    ) -> tuple[float, float, float]:
        expected = float(rows[side] @ self._chance[side])
        return float(rows[side].sum()), float(hits[side].sum()), expected

    def verdicts(self, watch: StepWatch) -> tuple[Verdict, ...]:
        """`feedback:echoed` while labels leap."""
        if watch.since is None:
            return ()
        shown = Sides(*watch.shown)
        verdict = Verdict(
            signal="feedback:echoed",
            tier=budget.tier("feedback"),
            verdict="bad",
            reason=f"{shown} since {describe.day(watch.since)}: labels repeat the answers",
            release=self._target.release,
            scope={"labels": "echoed"},
            evidence_log10=watch.log10_evidence,
            threshold_log10=self._limit,
            estimate=shown.above_true / shown.above,
            reference=shown.above_expected / shown.above,
            n=round(shown.above + shown.below),
            since=watch.since,
        )
        return (verdict,)


def chances(profile: EstimateProfile) -> Floats:
    """The chance of each cell, none of which is certain."""
    return np.asarray(np.clip(profile.chance, EDGE, 1.0 - EDGE))


def near(profile: EstimateProfile) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which cells of a binary task are near the threshold: below it, and above it.

    The odds at the threshold lie half way, in logarithms, between those of the last cell below it
    and of the first above it that the reference has rows in. None where either side has too few.
    """
    odds, held = chances(profile), np.sum(profile.rows, axis=0)
    odds = odds / (1.0 - odds)
    up = np.arange(odds.size) >= odds.size // 2
    at = np.sqrt(
        odds[~up][held[~up] > 0].max(initial=EDGE) * odds[up][held[up] > 0].min(initial=1.0 / EDGE)
    )
    below, above = ~up & (odds >= at / REACH), up & (odds <= at * REACH)
    if min(held[below].sum(), held[above].sum()) < FEWEST:
        return np.zeros_like(up), np.zeros_like(up)
    return below, above
