"""Metrics of quality at the very border of their zones, what is watched by default, how alarms end,
and audits looked at after every block."""

from collections.abc import Callable

import numpy as np
import pytest
from tests.support.traffic import BINARY, STABLE, spec

from trimtab.domain.profile import Metric, QualityProfile, ReferenceProfile
from trimtab.judge.budget import YEAR, share
from trimtab.judge.quality import AUC_BINS, RATIOS, Decided
from trimtab.judge.signals.family import Breaks, Target
from trimtab.judge.signals.quality import Cohort, Quality
from trimtab.judge.watch import RECOVERED, Watch, Zone
from trimtab.stats.audits import AuditedCells, AuditSequence
from trimtab.stats.fixed_point import MICRO

pytestmark = pytest.mark.slow

BLOCKS, ROWS = 20_000, 300
LIMIT = 2.0
"""log10: a false alarm in at least a hundred blocks is promised."""

Draw = Callable[[np.random.Generator], tuple[float, int] | None]


def ratio(metric: str, border: float) -> Draw:
    """Counts of a block in which the metric is at its border, numbers of each class differing."""

    def recall_like(rng: np.random.Generator) -> Decided:
        up = int(rng.binomial(ROWS, rng.beta(4.0, 16.0)))
        right = int(rng.binomial(up, border))
        return Decided([ROWS - up, right], [0, up - right])

    def precision(rng: np.random.Generator) -> Decided:
        said = int(rng.binomial(ROWS, rng.beta(4.0, 16.0)))
        right = int(rng.binomial(said, border))
        return Decided([ROWS - said, right], [said - right, 0])

    def f1(rng: np.random.Generator) -> Decided:
        union = int(rng.binomial(ROWS, rng.beta(4.0, 12.0)))
        right = int(rng.binomial(union, border / (2.0 - border)))
        false = int(rng.binomial(union - right, rng.random()))
        return Decided([ROWS - union, right], [false, union - right - false])

    def macro_recall(rng: np.random.Generator) -> Decided:
        sizes = rng.multinomial(ROWS, (0.6, 0.3, 0.1))
        right = rng.binomial(sizes, np.clip(border + np.array([0.1, 0.0, -0.1]), 0.0, 1.0))
        return Decided(right.tolist(), (sizes - right).tolist())

    made = {"recall": recall_like, "precision": precision, "f1": f1, "macro_recall": macro_recall}
    return lambda rng: made[metric](rng).measured(metric)


def alarms(draw: Draw, border: float, seed: int) -> int:
    """False alarms of a watch that is re-armed at each of them."""
    rng, found = np.random.default_rng(seed), 0
    watch = Watch((Zone(border, None),), None, LIMIT, summed=True)
    for block in range(BLOCKS):
        measured = draw(rng)
        if measured is not None:
            watch.take(float(block), [measured[0] * measured[1]], measured[1])
        if watch.frozen is not None:
            found += 1
            watch.rearm()
    return found


@pytest.mark.parametrize("border", [0.3, 0.7])
@pytest.mark.parametrize("metric", RATIOS)
def test_a_ratio_at_its_border_alarms_no_more_often_than_promised(
    metric: str, border: float
) -> None:
    found = alarms(ratio(metric, border), border, seed=7)
    print(f"{metric} at {border}: {found} false alarms, at most {BLOCKS / 10**LIMIT:.0f}")
    assert found <= BLOCKS / 10**LIMIT


@pytest.mark.parametrize("spread", [0.05, 0.5])
def test_a_loss_at_its_border_alarms_no_more_often_than_promised(spread: float) -> None:
    """Losses anywhere in [0, 1], as log losses and costs are: narrow, or at both ends."""
    rng, found = np.random.default_rng(8), 0
    mean = 0.1
    watch = Watch((Zone(None, mean),), None, LIMIT, summed=True)
    shape = mean * (1.0 - mean) / (mean * spread) ** 2
    for block in range(BLOCKS):
        lost = rng.beta(mean * shape, (1.0 - mean) * shape, ROWS)
        watch.take(float(block), [float(lost.sum())], ROWS)
        if watch.frozen is not None:
            found += 1
            watch.rearm()
    print(f"loss, spread {spread}: {found} false alarms, at most {BLOCKS / 10**LIMIT:.0f}")
    assert found <= BLOCKS / 10**LIMIT


RUNS, LENGTH = 400, 60


@pytest.mark.parametrize("rate", [0.01, 0.1])
@pytest.mark.parametrize("useful", [True, False], ids=["useful", "useless"])
def test_an_audit_covers_the_mean_so_far_at_every_look(rate: float, useful: bool) -> None:
    """While the true loss moves, and whether or not the predicted loss says anything of it."""
    rng = np.random.default_rng(9)
    chance = np.linspace(0.02, 0.6, 20)
    predicted = chance if useful else chance[::-1].copy()
    missed = 0
    for _ in range(RUNS):
        audit, true, outside = AuditSequence(0.95 * rate, 0.2), 0.0, False
        phase = rng.random() * 6.0
        for block in range(LENGTH):
            moved = np.clip(chance * (1.0 + 0.5 * np.sin(block / 9.0 + phase)), 0.0, 1.0)
            rows = rng.multinomial(1000, np.full(20, 0.05))
            audited = rng.binomial(rows, rate)
            lost = rng.binomial(audited, moved).astype(np.float64)
            cells = AuditedCells(
                predicted, rows.astype(np.float64), audited.astype(np.float64), lost, lost
            )
            audit.update(cells, rate)
            true += float((rows * moved).sum())
            ends = audit.interval()
            outside |= not ends.lower <= true / (1000.0 * (block + 1)) <= ends.upper
        missed += outside
    print(f"audit of {rate:.0%}: {missed} of {RUNS} runs missed, at most 5 %")
    assert missed / RUNS <= 0.05


HOUR = 3600.0


def by_default(false_pages: float) -> Quality:
    """Quality as `auto` watches it: a reference with an AUC of .8 and .2 of errors."""
    known = tuple(exactly(*each) for each in (("roc_auc", 0.8), ("error", 0.2)))
    profile = ReferenceProfile(rows=90_000, inputs=(), quality=known)
    plan = spec(quality="auto", false_alarms_per_year=false_pages, maturity_seconds=0.0)
    return Quality(Target(plan, BINARY, profile, STABLE.digest, 0.0))


def exactly(metric: Metric, value: float) -> QualityProfile:
    """A metric that the reference knows to a hair."""
    return QualityProfile(metric=metric, value=value, lower=value, upper=value, n=90_000)


def decided(rng: np.random.Generator, rows: int, found: tuple[float, float]) -> Cohort:
    """Rows with two scores, three in ten of them positive. `found` are the shares that have the
    right one, of the positives and of the negatives; the AUC is the mean of both."""
    positive = int(rng.binomial(rows, 0.3))
    hit, spared = rng.binomial([positive, rows - positive], found).tolist()
    low, high = AUC_BINS // 4, 3 * AUC_BINS // 4
    up, down = np.zeros((2, AUC_BINS), dtype=np.int64)
    up[low], up[high] = positive - hit, hit
    down[low], down[high] = spared, rows - positive - spared
    wrong = positive - hit + rows - positive - spared
    lost = {"error": wrong * int(MICRO)}
    return Cohort(rows, rows, losses=lost, up=up.tolist(), down=down.tolist())


def border(quality: Quality) -> tuple[float, float]:
    """The shares of right scores at which AUC and error both lie at their borders."""
    auc = quality.state.watches["roc_auc"].zones[0].low or 0.0
    error = quality.state.watches["error"].zones[0].high or 0.0
    spared = (1.0 - error - 0.3 * 2.0 * auc) / 0.4
    return 2.0 * auc - spared, spared


@pytest.mark.parametrize(("false_pages", "years"), [(12.0, 6), (365.0, 2)])
def test_what_is_watched_by_default_pages_no_more_often_than_promised(
    false_pages: float, years: int
) -> None:
    """AUC and error of the same rows, both at the border of their own zones, hour after hour."""
    quality, rng, found = by_default(false_pages), np.random.default_rng(5), 0
    blocks, shares = round(years * YEAR / HOUR), border(quality)
    for number in range(blocks):
        quality.take({number: decided(rng, ROWS, shares)})
        quality.close((number + 2) * HOUR, Breaks())
        for watch in quality.state.watches.values():
            if watch.frozen is not None:
                found += 1
                watch.rearm()
    print(f"{found / years:.3g} a year, {false_pages * share('quality'):.3g} promised")
    assert found / years <= false_pages * share("quality")


@pytest.mark.parametrize("points", [0.01, 0.02, 0.03, 0.05])
def test_an_alarm_of_lasting_harm_ends_no_more_often_than_evidence_of_recovery_may_err(
    points: float,
) -> None:
    """By mistake at most once in twenty blocks, and then it comes back."""
    rng, ended = np.random.default_rng(6), 0
    watch = Watch((Zone(None, 0.206),), None, 3.6, summed=True, eased=True)
    for number in range(BLOCKS):
        before = watch.frozen
        watch.take(HOUR * number, [float(rng.binomial(ROWS, 0.2 + points))], ROWS)
        ended += before is not None and watch.frozen is None
    print(f"+{points}: {ended} of {BLOCKS} blocks")
    assert ended <= BLOCKS / 10**RECOVERED
