"""How often shares that may rise by little are said to have jumped, at the border of what they may.

The border follows the past, and the share follows the border: each block is drawn as bad as it may
be. Where that has driven the past beyond a half, and after each alarm, the stream begins anew.
"""

import numpy as np
import pytest

from trimtab.domain.profile import ColumnProfile
from trimtab.domain.records import Floats
from trimtab.judge.signals.breaks import JUMP, UNSEEN, BreakWatch, Recent
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


FOG = 0.05
CLEAR = ColumnProfile(
    name="visib", kind="continuous", n=10_000, missing=0.0, minimum=0.0, maximum=10.0
)


def foggy(rng: np.random.Generator) -> Floats:
    """A day on which nobody sees farther than a few miles."""
    return rng.uniform(0.0, 4.0, 60)


def clear(rng: np.random.Generator) -> Floats:
    """A day on which one sees for ten miles, nearly always."""
    return np.minimum(rng.uniform(9.0, 14.0, 60), 10.0)


def cold(rng: np.random.Generator, level: float) -> Floats:
    """A day by how warm it is, within what a year holds."""
    return np.clip(5.0 + level + 0.3 * rng.standard_normal(60), 0.0, 10.0)


@pytest.mark.parametrize("lasting", [None, 0.6, 0.9, 0.99])
def test_days_that_differ_as_wholes_break_no_more_than_is_promised(lasting: float | None) -> None:
    """One in twenty of fog among clear ones, or levels that follow each other so closely."""
    rng, found, level = np.random.default_rng([7]), 0, 0.0
    watch, recent = BreakWatch("visib", "strange", "", 0.0), Recent.of(CLEAR)
    for block in range(BLOCKS):
        if lasting is None:
            day = foggy(rng) if rng.random() < FOG else clear(rng)
        else:
            level = lasting * level + 1.5 * np.sqrt(1.0 - lasting**2) * rng.standard_normal()
            day = cold(rng, level)
        seen, strange = recent.look(CLEAR, day)
        watch.take(float(block), float(strange.mean()), day.size, LIMIT)
        recent.close(float(block), seen)
        if watch.broken:
            found += 1
            watch, recent = BreakWatch("visib", "strange", "", 0.0), Recent.of(CLEAR)
    print(lasting, found)
    assert found <= BLOCKS / 10**LIMIT


def test_a_feed_that_goes_elsewhere_in_what_the_reference_held_breaks_on_the_second_day() -> None:
    rng, watch, recent = (
        np.random.default_rng([8]),
        BreakWatch("v", "strange", "", 0.0),
        Recent.of(CLEAR),
    )
    for block in range(12):
        day = clear(rng) if block < 10 else foggy(rng)
        seen, strange = recent.look(CLEAR, day)
        watch.take(float(block), float(strange.mean()), day.size, LIMIT)
        recent.close(float(block), seen)
        assert watch.broken == (block == 11)
