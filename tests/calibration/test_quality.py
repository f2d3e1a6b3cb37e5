"""Metrics of quality at the very border of their zones, and audits looked at after every block."""

from collections.abc import Callable

import numpy as np
import pytest

from trimtab.judge.quality import RATIOS, Decided
from trimtab.judge.watch import Watch, Zone
from trimtab.stats.audits import AuditedCells, AuditSequence

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
