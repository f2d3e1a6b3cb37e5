"""Estimates of segments: how often the interval holds what labels say, and how near the value is.

Eight segments whose scores come true each in its own way, by effects that are drawn anew.
"""

from typing import NamedTuple

import msgspec
import numpy as np
import pytest
from tests.support.traffic import BINARY, DAY, STABLE, rows, spec

from trimtab.domain.records import Rows
from trimtab.judge.estimate import Estimate, Learned, estimate
from trimtab.judge.profile import Reference, build_profile
from trimtab.judge.signals.estimate import Estimated
from trimtab.judge.signals.estimated_segments import learned_segments
from trimtab.judge.signals.family import Breaks, Target

pytestmark = pytest.mark.slow

NAMES = np.array(list("abcdefgh"), dtype=object)
SPREAD = 0.1
"""Standard deviation of the effects, in what a chance of a half becomes."""
BLOCKS = 20
PER_BLOCK = 2_400
SEEDS = 6


class World(NamedTuple):
    """What a seed draws: the effect of each segment."""

    rng: np.random.Generator
    effects: np.ndarray

    def rows(self, n: int, start: float = 0.0) -> tuple[Rows, np.ndarray]:
        """Answered rows with their truth."""
        given = rows(n, seed=int(self.rng.integers(1 << 30)), start=start)
        segment = self.rng.integers(len(NAMES), size=n)
        score = self.rng.beta(2.0, 6.0, n)
        chance = score + self.effects[segment] * 4.0 * score * (1.0 - score)
        truth = self.rng.random(n) < np.clip(chance, 0.0, 1.0)
        inputs = {**given.inputs, "side": NAMES[segment]}
        return Rows(given.fixed, inputs, {"score": score}), truth


class Found(NamedTuple):
    """Of blocks of segments: how many, whose interval missed, and how far off the value was by the
    segment's own chances and by those of all rows; and alarms."""

    blocks: int
    missed: int
    off: float
    off_whole: float
    alarms: int


def lived(size: int, seed: int) -> Found:
    """A release with so many rows of reference, through blocks without any change."""
    rng = np.random.default_rng(seed)
    world = World(rng, rng.normal(0.0, SPREAD, len(NAMES)))
    known, truth = world.rows(size)
    label = np.where(truth, "1", "0").astype(object)
    profile = build_profile(
        Reference(BINARY, known.inputs, known.outputs, label, segments=("side",))
    )
    assert profile.estimate is not None
    target = Target(spec(block_seconds=DAY, quality="error"), BINARY, profile, STABLE.digest, 0.0)
    family = Estimated.of(target)
    assert family is not None
    segments = learned_segments(target, Learned.of(profile.estimate))
    whole = Learned.of(msgspec.structs.replace(profile.estimate, shift=None))
    missed, apart, alarmed = [], [], set()
    for number in range(BLOCKS):
        live, truth = world.rows(PER_BLOCK, number * DAY)
        (counted,) = family.count(live).values()
        for each in segments:
            inside = live.inputs["side"] == each.of.value
            wrong = (live.outputs["score"][inside] >= 0.5) != truth[inside]
            seen = counted.segments[each.of.name].seen
            mine, usual = (estimate(by, seen, "error") for by in (each.learned, whole))
            assert isinstance(mine, Estimate)
            assert isinstance(usual, Estimate)
            missed.append(not mine.lower <= wrong.mean() <= mine.upper)
            apart.append([abs(told.value - wrong.mean()) for told in (mine, usual)])
        family.take(family.count(live))
        family.close((number + 2) * DAY, Breaks())
        alarmed |= {each.signal for each in family.verdicts() if each.verdict == "bad"}
    own, every = np.mean(apart, axis=0).tolist()
    return Found(len(missed), sum(missed), own, every, len(alarmed))


@pytest.mark.parametrize("size", [1_600, 6_000, 30_000])
def test_the_interval_of_a_segment_holds_what_labels_say(
    size: int,
) -> None:
    every = [lived(size, seed) for seed in range(SEEDS)]
    blocks = sum(each.blocks for each in every)
    missed = sum(each.missed for each in every) / blocks
    off, whole = (float(np.mean([each[place] for each in every])) for place in (2, 3))
    alarms = sum(each.alarms for each in every)
    print(f"{size} rows: {missed:.1%} of {blocks} missed, off {off:.4f} or {whole:.4f}, {alarms}")
    assert missed < 0.10
    assert off < whole
