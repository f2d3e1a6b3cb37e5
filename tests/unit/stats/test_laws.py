"""Laws of every monitor: it can be saved in mid-stream, and its blocks merge exactly."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.stats.bets import BernoulliBlock, BetGrid, BoundedBlock
from trimtab.stats.bins import BinCounts
from trimtab.stats.confidence import MeanBlock, MeanSequence, RateSequence
from trimtab.stats.edetector import EDetector
from trimtab.stats.eprocess import EProcess
from trimtab.stats.paired import PairedSequence, PairedTest
from trimtab.stats.rate_ratio import BadEvents, RateRatio, RatioSequence
from trimtab.stats.sketch import QuantileSketch

GRID = BetGrid(0.3, "above", 5)
Row = tuple[float, int, int]


class Saveable(Protocol):
    """What every monitor offers."""

    def to_dict(self) -> dict[str, object]:
        """Return the state."""
        ...


@dataclass(frozen=True)
class Monitor:
    """How a monitor starts, reads one generated row, and comes back from its saved state."""

    name: str
    start: Callable[[], Any]
    feed: Callable[[Any, Row], None]
    load: Callable[[Mapping[str, object]], Any]


def counts(monitor: Any, row: Row) -> None:
    """Feed the two counts of a row as successes of trials."""
    monitor.update_counts(row[1], row[1] + row[2])


def values(monitor: Any, row: Row) -> None:
    """Feed the real number of a row."""
    monitor.update_values([row[0], row[0] / 2])


def differences(monitor: Any, row: Row) -> None:
    """Feed the real number of a row as a signed difference."""
    monitor.update_differences([2 * row[0] - 1])


def bad_events(monitor: Any, row: Row) -> None:
    """Feed a row as weight and bad events."""
    monitor.update(round(row[0], 1), row[1], row[2])


MONITORS = [
    Monitor("e-detector", lambda: EDetector.against(0.2, "above"), counts, EDetector.from_dict),
    Monitor(
        "e-detector real", lambda: EDetector.against(0.4, "below"), values, EDetector.from_dict
    ),
    Monitor(
        "e-detector vacuous", lambda: EDetector.against(2, "above"), counts, EDetector.from_dict
    ),
    Monitor("e-process", lambda: EProcess.against(0.2, "below"), counts, EProcess.from_dict),
    Monitor("e-process real", lambda: EProcess.against(0.5, "above"), values, EProcess.from_dict),
    Monitor("paired", lambda: PairedTest.against(0.1, "worse"), differences, PairedTest.from_dict),
    Monitor("paired CS", lambda: PairedSequence.at(0.1), differences, PairedSequence.from_dict),
    Monitor("ratio", lambda: RateRatio.against(1.2, "worse"), bad_events, RateRatio.from_dict),
    Monitor(
        "not worse", lambda: RateRatio.against(2, "not_worse"), bad_events, RateRatio.from_dict
    ),
    Monitor("ratio CS", RatioSequence, bad_events, RatioSequence.from_dict),
    Monitor("mean CS", lambda: MeanSequence(0.05, 0.3), values, MeanSequence.from_dict),
    Monitor(
        "rate CS",
        RateSequence,
        lambda monitor, row: monitor.update(row[1], row[1] + row[2]),
        RateSequence.from_dict,
    ),
    Monitor(
        "sketch",
        QuantileSketch,
        lambda monitor, row: monitor.add([row[0], row[1]]),
        QuantileSketch.from_dict,
    ),
]

ROWS = st.lists(
    st.tuples(st.floats(0.0, 1.0, allow_subnormal=False), st.integers(0, 50), st.integers(0, 5000)),
    max_size=12,
)


def saved(monitor: Saveable) -> Mapping[str, object]:
    """Return the state as it comes back from strict JSON."""
    loaded: Mapping[str, object] = json.loads(json.dumps(monitor.to_dict(), allow_nan=False))
    return loaded


@pytest.mark.parametrize("monitor", MONITORS, ids=lambda monitor: monitor.name)
@given(rows=ROWS, cut=st.integers(0, 12))
def test_a_monitor_saved_in_mid_stream_ends_as_if_never_interrupted(
    monitor: Monitor, rows: list[Row], cut: int
) -> None:
    """Bit for bit, and every number is finite at every moment."""
    straight, first = monitor.start(), monitor.start()
    for row in rows:
        monitor.feed(straight, row)
    for row in rows[:cut]:
        monitor.feed(first, row)
    resumed = monitor.load(saved(first))
    for row in rows[cut:]:
        monitor.feed(resumed, row)
    assert saved(resumed) == saved(straight)


def bounded(row: Row) -> BoundedBlock:
    """Return a block of real values."""
    return BoundedBlock.of([row[0], row[0] ** 2], GRID)


def sketched(row: Row) -> QuantileSketch:
    """Return a sketch of the row's numbers."""
    sketch = QuantileSketch()
    sketch.add([*row, row[0] * 1e-3])
    return sketch


BLOCKS: list[Any] = [
    lambda row: BernoulliBlock(row[1], row[1] + row[2]),
    bounded,
    lambda row: MeanBlock.of([row[0], row[0] / 3]),
    lambda row: BinCounts.of([row[0], math.nan, row[1], -math.inf], [0.25, 3.0]),
    lambda row: BadEvents().add(round(row[0], 1), row[1], row[2]),
    lambda row: RateSequence(0.05, row[1], row[1] + row[2]),
    sketched,
]


@pytest.mark.parametrize("make", BLOCKS)
@given(rows=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 9), st.integers(0, 99)), min_size=3))
def test_blocks_merge_to_the_same_bits_in_any_grouping_and_order(
    make: Callable[[Row], Any], rows: list[Row]
) -> None:
    """Merging is associative and commutative, exactly, and survives saving."""
    left, middle, *rest = (make(row) for row in rows)
    right = rest[0]
    for block in rest[1:]:
        right = right.merge(block)
    whole = left.merge(middle).merge(right)
    assert whole == left.merge(middle.merge(right))
    assert whole == right.merge(left).merge(middle)
    assert type(whole).from_dict(saved(whole)) == whole


@given(rows=ROWS.filter(bool), seed=st.permutations(range(12)))
def test_the_order_of_blocks_does_not_change_what_a_one_off_decision_knows(
    rows: list[Row], seed: list[int]
) -> None:
    """E-processes and rate ratios are functions of sums alone."""
    shuffled = [rows[place] for place in seed if place < len(rows)]
    for start, feed in (
        (lambda: EProcess.against(0.2, "above"), counts),
        (lambda: EProcess.against(0.2, "above"), values),
        (lambda: RateRatio.against(1.0, "worse"), bad_events),
    ):
        one, other = start(), start()
        for row in rows:
            feed(one, row)
        for row in shuffled:
            feed(other, row)
        assert one.log10_evidence == other.log10_evidence
