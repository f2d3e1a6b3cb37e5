"""How often shares that may rise by little are said to have jumped, at the border of what they may.

The border follows the past, and the share follows the border: each block is drawn as bad as it may
be. Where that has driven the past beyond a half, and after each alarm, the stream begins anew.
"""

import numpy as np
import pytest

from trimtab.judge.signals.breaks import JUMP, UNSEEN, BreakWatch
from trimtab.judge.signals.denials import DENIED, MARGIN, Denials, Said

pytestmark = pytest.mark.slow

LIMIT = 2.0
BLOCKS = 10_000


def border(watch: BreakWatch, jump: float) -> float:
    """The largest mean that the next share may have."""
    return max([watch.base, *watch.recent[:-1]]) + jump


@pytest.mark.parametrize("rows", [16, 60, 300])
@pytest.mark.parametrize("jump", [UNSEEN, MARGIN, JUMP])
def test_a_share_at_its_border_breaks_no_more_than_is_promised(jump: float, rows: int) -> None:
    rng, found = np.random.default_rng([5, rows]), 0
    watch = BreakWatch("w", "strange", "", 0.0)
    for block in range(BLOCKS):
        share = rng.binomial(rows, border(watch, jump)) / rows
        watch.take(float(block), share, rows, LIMIT, jump)
        found += watch.broken
        if watch.broken or watch.before > 0.5:
            watch = BreakWatch("w", "strange", "", 0.0)
    print(jump, rows, found)
    assert found <= BLOCKS / 10**LIMIT


@pytest.mark.parametrize("given", [3, 15, 200])
@pytest.mark.parametrize("weekly", [0.0, 0.9])
def test_labels_denied_as_often_as_they_may_be_break_no_more_than_is_promised(
    given: int, weekly: float
) -> None:
    """Labels that are denied some days after they came, in weeks of many and of few."""
    rng, found, denials, waiting = np.random.default_rng([6, given]), 0, Denials(), [0] * 3
    for block in range(BLOCKS):
        came = int(rng.poisson(given * (1.0 + weekly * np.sin(2.0 * np.pi * block / 7.0))))
        watch = denials.watches.get("1", BreakWatch("1", "strange", "", DENIED))
        waiting.append(int(rng.binomial(came, border(watch, MARGIN))))
        denials.take(float(block), {"1": Said(came, waiting.pop(0))}, LIMIT)
        found += bool(denials.broken)
        if denials.broken or watch.before > 0.5:
            denials, waiting = Denials(), [0] * 3
    print(given, weekly, found)
    assert found <= BLOCKS / 10**LIMIT
