"""Confidence sequences cover the truth at all times at once as often as they promise."""

import math

import numpy as np
import pytest

from trimtab.stats.confidence import (
    MeanSequence,
    RateSequence,
    clopper_pearson,
    dkw_half_width,
)
from trimtab.stats.paired import PairedSequence
from trimtab.stats.rate_ratio import BadEvents, ratio_interval

pytestmark = pytest.mark.slow

RUNS = 400
ALPHA = 0.1


def covered(misses: int) -> bool:
    """Whether a count of misses is within three standard errors of its bound."""
    print(f"{misses / RUNS:.2%} of {RUNS} runs missed, at most {ALPHA:.0%}")
    return misses / RUNS <= ALPHA + 3.0 * math.sqrt(ALPHA * (1.0 - ALPHA) / RUNS)


@pytest.mark.parametrize("rate", [0.02, 0.3])
def test_a_rate_is_covered_at_every_look(rate: float) -> None:
    """Forty looks, from five rows to two thousand."""
    generator = np.random.default_rng(20240201)
    misses = 0
    for _ in range(RUNS):
        sequence = RateSequence(ALPHA)
        inside = True
        for trials in [5] * 20 + [95] * 20:
            sequence.update(int(generator.binomial(trials, rate)), trials)
            lower, upper = sequence.interval
            inside = inside and lower <= rate <= upper
        misses += not inside
    assert covered(misses)


@pytest.mark.parametrize("centre", [0.1, 0.9])
def test_the_running_mean_of_a_drifting_signal_is_covered_at_every_look(centre: float) -> None:
    """The mean moves from 0.1 to 0.5; a good and a bad centre are both valid."""
    generator = np.random.default_rng(20240202)
    means = np.linspace(0.1, 0.5, 40)
    running = np.cumsum(means) / np.arange(1, 41)
    misses = 0
    for _ in range(RUNS):
        sequence = MeanSequence(ALPHA, centre)
        inside = True
        for mean, truth in zip(means.tolist(), running.tolist(), strict=True):
            sequence.update_values(generator.beta(2 * mean, 2 * (1 - mean), size=20))
            lower, upper = sequence.interval
            inside = inside and lower <= truth <= upper
        misses += not inside
    assert covered(misses)


def test_the_gap_of_paired_losses_is_covered_at_every_look() -> None:
    """Mostly equal, sometimes far apart."""
    generator = np.random.default_rng(20240203)
    misses = 0
    for _ in range(RUNS):
        gap = PairedSequence.at(ALPHA)
        inside = True
        for _ in range(30):
            gap.update_differences(generator.choice([0.0, 1.0, -0.5], size=20, p=[0.8, 0.1, 0.1]))
            lower, upper = gap.interval
            inside = inside and lower <= 0.05 <= upper
        misses += not inside
    assert covered(misses)


@pytest.mark.parametrize("ratio", [1.0, 4.0])
def test_the_ratio_of_rates_is_covered_at_every_look(ratio: float) -> None:
    """While the weight climbs through the steps of a canary."""
    generator = np.random.default_rng(20240204)
    misses = 0
    for _ in range(RUNS):
        events, inside = BadEvents(), True
        for weight in (0.01, 0.05, 0.25, 0.5):
            chance = weight * ratio / (weight * ratio + 1.0 - weight)
            for ours in generator.binomial(10, chance, size=5).tolist():
                events = events.add(weight, ours, 10 - ours)
                found = ratio_interval(events, ALPHA)
                inside = inside and found.lower <= ratio
                inside = inside and (found.upper is None or ratio <= found.upper)
        misses += not inside
    assert covered(misses)


@pytest.mark.parametrize(("trials", "rate"), [(50, 0.03), (400, 0.2)])
def test_the_exact_interval_covers_a_fixed_sample(trials: int, rate: float) -> None:
    """Clopper–Pearson, one look."""
    generator = np.random.default_rng(20240205)
    misses = 0
    for successes in generator.binomial(trials, rate, size=RUNS).tolist():
        lower, upper = clopper_pearson(successes, trials, 1.0 - ALPHA)
        misses += not lower <= rate <= upper
    assert covered(misses)


def test_the_band_covers_the_whole_distribution_function() -> None:
    """Dvoretzky–Kiefer–Wolfowitz on uniform rows."""
    generator = np.random.default_rng(20240206)
    misses = 0
    for _ in range(RUNS):
        rows = np.sort(generator.random(200))
        steps = np.arange(201) / 200
        distance = max((steps[1:] - rows).max(), (rows - steps[:-1]).max())
        misses += distance > dkw_half_width(200, ALPHA)
    assert covered(misses)
