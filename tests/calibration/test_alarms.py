"""Null simulations: false alarms, false rollbacks and false promotions keep their promise.

Each share is compared with its bound plus three standard errors of the simulation.
"""

import math
from collections.abc import Callable

import numpy as np
import pytest

from trimtab.stats.edetector import EAverage, EDetector
from trimtab.stats.eprocess import EProcess
from trimtab.stats.paired import PairedTest
from trimtab.stats.rate_ratio import Direction, RateRatio

pytestmark = pytest.mark.slow

RUNS = 400
Generator = np.random.Generator


def at_most(share: float, bound: float) -> bool:
    """Whether a simulated share is within three standard errors of its bound."""
    print(f"{share:.2%} of {RUNS} runs wrong, at most {bound:.0%}")
    return share <= bound + 3.0 * math.sqrt(bound * (1.0 - bound) / RUNS)


def counts_at_the_edge(generator: Generator) -> Callable[[], bool]:
    """Failures at exactly the tolerated rate, in blocks of 25."""
    detector = EDetector.against(0.1, "above")

    def step() -> bool:
        detector.update_counts(int(generator.binomial(25, 0.1)), 25)
        return detector.alarm(2.0)

    return step


def values_at_the_edge(generator: Generator) -> Callable[[], bool]:
    """Real values with exactly the tolerated mean, watched from below."""
    detector = EDetector.against(0.4, "below")

    def step() -> bool:
        detector.update_values(generator.beta(2.0, 3.0, size=10))
        return detector.alarm(2.0)

    return step


def dependent_average(generator: Generator) -> Callable[[], bool]:
    """Cut points of one feature: as dependent as can be, both sides, averaged."""
    cuts = (0.1, 0.3, 0.5, 0.7, 0.9)
    detectors = [EDetector.against(cut, side, 6) for cut in cuts for side in ("above", "below")]

    def step() -> bool:
        rows = generator.random(20)
        for place, detector in enumerate(detectors):
            detector.update_counts(int((rows <= cuts[place // 2]).sum()), 20)
        return EAverage.of(detectors).alarm(2.0)

    return step


@pytest.mark.parametrize(
    ("start", "runs", "cap"),
    [
        (counts_at_the_edge, RUNS, 400),
        (values_at_the_edge, RUNS, 300),
        (dependent_average, 150, 200),
    ],
)
def test_false_alarms_are_at_least_c_blocks_apart_on_average(
    start: Callable[[Generator], Callable[[], bool]], runs: int, cap: int
) -> None:
    """c = 100; runs are cut off at a cap, which only lowers the measured mean."""
    generator = np.random.default_rng(20240101)
    blocks = []
    for _ in range(runs):
        step = start(generator)
        blocks.append(next((block for block in range(1, cap) if step()), cap))
    print(f"{start.__name__}: {np.mean(blocks):.0f} blocks to a false alarm, at least 100")
    assert np.mean(blocks) >= 100


@pytest.mark.parametrize(
    ("direction", "null", "truth", "alpha"),
    [
        ("worse", 1.0, 1.0, 0.05),
        ("worse", 1.2, 1.2, 0.01),
        ("worse", 1.0, 0.7, 0.01),
        ("not_worse", 2.0, 2.0, 0.05),
        ("not_worse", 1.25, 1.6, 0.05),
    ],
)
def test_looking_at_every_bad_event_keeps_the_error_of_a_rollout(
    direction: Direction, null: float, truth: float, alpha: float
) -> None:
    """While the weight climbs through the steps of a canary."""
    generator = np.random.default_rng(20240102)
    weights = np.repeat([0.01, 0.05, 0.25, 0.5], 60)
    chances = weights * truth / (weights * truth + 1.0 - weights)
    wrong = 0
    for _ in range(RUNS):
        guard = RateRatio.against(null, direction)
        candidate = generator.random(weights.size) < chances
        for weight, ours in zip(weights.tolist(), candidate.tolist(), strict=True):
            guard.update(weight, int(ours), int(not ours))
        wrong += guard.p_value <= alpha
    assert at_most(wrong / RUNS, alpha)


def test_a_rate_that_is_not_below_x_is_rarely_proven_below() -> None:
    """Peeking after every ten rows, at exactly x."""
    generator = np.random.default_rng(20240103)
    wrong = 0
    for _ in range(RUNS):
        process = EProcess.against(0.1, "below")
        for bad in generator.binomial(10, 0.1, size=150).tolist():
            process.update_counts(bad, 10)
        wrong += process.p_value <= 0.05
    assert at_most(wrong / RUNS, 0.05)


@pytest.mark.parametrize(("question", "mean"), [("worse", 0.0), ("not_worse", 0.05)])
def test_paired_losses_keep_their_error(question: str, mean: float) -> None:
    """Differences with the mean at the margin, skewed, peeked at every block."""
    generator = np.random.default_rng(20240104)
    wrong = 0
    for _ in range(RUNS):
        test = PairedTest.against(mean, "worse" if question == "worse" else "not_worse")
        for _ in range(60):
            changed = generator.random(15) < 0.3
            moves = np.where(generator.random(15) < 0.2, 0.8, -0.2) * changed
            test.update_differences(np.clip(moves + mean, -1.0, 1.0))
        wrong += test.log10_max >= -math.log10(0.05)
    assert at_most(wrong / RUNS, 0.05)


def test_an_outage_of_a_canary_is_found_within_a_handful_of_its_failures() -> None:
    """Power, so that calibration is not bought by blindness: 1 % to 100 % at a weight of 10 %."""
    generator = np.random.default_rng(20240105)
    requests = []
    for _ in range(200):
        guard = RateRatio.against(1.0, "worse")
        request = 0
        while guard.log10_max < 2.0:
            request += 1
            ours = generator.random() < 0.1
            if ours or generator.random() < 0.01:
                guard.update(0.1, int(ours), int(not ours))
        requests.append(request)
    print(f"{np.median(requests):.0f} requests to see an outage")
    assert np.median(requests) <= 40


def test_a_rise_of_the_error_rate_is_found_about_as_soon_as_theory_allows() -> None:
    """5 % to 10 % with a tolerance of one point, c = 10**6, row by row: about 850 rows."""
    generator = np.random.default_rng(20240106)
    delays = []
    for _ in range(40):
        detector = EDetector.against(0.06, "above")
        rows = 0
        while not detector.alarm(6.0):
            rows += 1
            detector.update_counts(int(generator.random() < 0.10), 1)
        delays.append(rows)
    print(f"{np.median(delays):.0f} rows to see 5 % become 10 %")
    assert np.median(delays) <= 1100
