"""How often segments, and feeds in parts, alarm at the very border of what is harmless."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from trimtab.domain.profile import Coarse, Sameness
from trimtab.judge.segment_watch import Borders, Part, SegmentWatch
from trimtab.judge.signals.breaks import Kind
from trimtab.judge.signals.parts import UNUSUAL, Brought, Odd, Parts, Unnamed
from trimtab.judge.signals.still import Moving

pytestmark = pytest.mark.slow

LIMIT = 2.0
BLOCKS = 4_000
ROWS = 600
COLUMNS, VALUES = 12, 5

Base = Callable[[int, np.random.Generator], float]

BASES: dict[str, Base] = {
    "still": lambda block, rng: 0.2,
    "in seasons": lambda block, rng: 0.3 + 0.2 * math.sin(block / 30.0),
    "jumping": lambda block, rng: float(rng.choice([0.05, 0.3, 0.7])),
    "rare": lambda block, rng: 0.01,
}
"""What the others lose, by block."""


def drawn(rng: np.random.Generator, base: float, gap: np.ndarray) -> tuple[Part, Part]:
    """Rows that each column parts otherwise, so that segments share rows. One value of each column
    is as far above all others as it may be; where that is not the same for all rows, the others of
    a segment lose as much as they do by chance."""
    value = rng.integers(0, VALUES, (COLUMNS, ROWS))
    lost = rng.random(ROWS) < base
    made = []
    for column, places in enumerate(value):
        worse = lost.copy()
        mine = places == 0
        worse[mine] = rng.random(int(mine.sum())) < np.clip(base + gap[column], 0.0, 1.0)
        n, bad = (np.bincount(places, w, VALUES) for w in (np.ones(ROWS), worse.astype(float)))
        rest = np.stack([(~mine).sum() - n, bad[1:].sum() - bad])
        rest[:, 0] = (~mine).sum(), bad[1:].sum()
        made.append(np.stack([n, bad, *rest]))
    n, bad, others_n, others_bad = np.concatenate(made, axis=1)
    return Part(n, bad, n), Part(others_n, others_bad, others_n)


@pytest.mark.parametrize("spread", [0.0, 0.05])
@pytest.mark.parametrize("base", BASES)
def test_segments_at_their_border_alarm_no_more_than_is_promised(base: str, spread: float) -> None:
    """Sixty segments of twelve columns that part the same rows; each alarm is re-armed at once."""
    rng = np.random.default_rng([7, len(base)])
    high, size = 0.06, COLUMNS * VALUES
    usual = np.full(size, 0.2)
    borders = Borders(usual, usual, np.full(size, high), np.full(size, spread**2))
    watch, found = SegmentWatch(), 0
    for block in range(BLOCKS):
        gap = rng.normal(high, spread, COLUMNS)
        parts = drawn(rng, BASES[base](block, rng), gap)
        watch.take(float(block), parts, borders, LIMIT)
        if watch.harmed:
            found, watch = found + 1, SegmentWatch()
    print(base, spread, found)
    assert found <= BLOCKS / 10**LIMIT


@pytest.mark.parametrize("rows", [8, 30, 300])
def test_parts_at_their_border_break_no_more_than_is_promised(rows: int) -> None:
    """Ten columns in thirty parts, of which each is odd as often as it may be."""
    rng = np.random.default_rng(rows)
    texts = tuple(
        Coarse(name=f"t{each}", categories=tuple(str(value) for value in range(10)))
        for each in range(3)
    )
    usual: dict[str, dict[Kind, float]] = {
        f"c{each}": {"missing": 0.0, "strange": 0.0} for each in range(10)
    }
    unnamed = Unnamed(texts, frozenset(), usual, Moving.of(Sameness(), texts))
    limit = LIMIT + math.log10(unnamed.streams)
    parts, found = Parts(), 0
    for block in range(BLOCKS // 4):
        share = rng.uniform(0.0, UNUSUAL + 0.25, (10, 30))
        odd = {
            f"c{column}\n{part}": Odd(*rng.binomial(rows, share[column, place], 2).tolist())
            for column in range(10)
            for place, part in enumerate(unnamed.names)
        }
        parts.take(float(block), unnamed, Brought(dict.fromkeys(unnamed.names, rows), odd), limit)
        if parts.broken:
            found, parts = found + 1, Parts()
    print(rows, found)
    assert found <= BLOCKS / 4 / 10**LIMIT
