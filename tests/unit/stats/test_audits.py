"""Means of all rows from an audit of few."""

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab.stats.audits import AuditedCells, AuditSequence


def cells(seed: int, rate: float, rows: int = 400) -> tuple[AuditedCells, np.ndarray]:
    """A block of five cells, and Z of each of its rows by the definition."""
    rng = np.random.default_rng(seed)
    predicted = np.linspace(0.1, 0.7, 5)
    cell = rng.integers(0, 5, rows)
    lost, audited = rng.random(rows) ** 2, rng.random(rows) < rate
    z = predicted[cell] + audited * (lost - predicted[cell]) / rate
    counted = [
        np.bincount(cell, weights, minlength=5).astype(np.float64)
        for weights in (np.ones(rows), audited, audited * lost, audited * lost**2)
    ]
    return AuditedCells(predicted, *counted), z


@given(st.integers(0, 50), st.floats(0.05, 1.0))
def test_sums_of_counts_are_those_of_the_rows(seed: int, rate: float) -> None:
    block, z = cells(seed, rate)
    assert block.sums(rate) == pytest.approx((z.size, z.sum(), (z**2).sum()))


def test_the_interval_is_around_the_mean_and_narrows() -> None:
    seen, widths = AuditSequence(0.1, 0.3), []
    for seed in range(6):
        seen.update(cells(seed, 0.1)[0], 0.1)
        ends = seen.interval()
        assert seen.estimate is not None
        assert ends.lower <= seen.estimate <= ends.upper
        widths.append(ends.upper - ends.lower)
    assert widths == sorted(widths, reverse=True)
    assert seen.interval(0.5).upper < seen.interval(0.01).upper


def test_nothing_is_known_before_rows() -> None:
    assert AuditSequence(0.1, 0.3).estimate is None
    assert AuditSequence(0.1, 0.3).interval() == (0.0, 1.0)


@pytest.mark.parametrize(("least", "centre"), [(0.0, 0.5), (1.1, 0.5), (0.5, -0.1), (0.5, 1.1)])
def test_what_is_no_chance_is_refused(least: float, centre: float) -> None:
    with pytest.raises(ValueError, match="need chances"):
        AuditSequence(least, centre)


@pytest.mark.parametrize("rate", [0.04, 1.1])
def test_a_block_audited_less_than_was_said_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="rate"):
        AuditSequence(0.05, 0.5).update(cells(0, 0.5)[0], rate)


@settings(max_examples=20)
@given(st.integers(0, 20))
def test_a_saved_sequence_goes_on_bit_for_bit(seed: int) -> None:
    straight = AuditSequence(0.1, 0.3)
    straight.update(cells(seed, 0.1)[0], 0.1)
    resumed = msgspec.msgpack.decode(msgspec.msgpack.encode(straight), type=AuditSequence)
    for each in (straight, resumed):
        each.update(cells(seed + 1, 0.1)[0], 0.1)
    assert resumed == straight


def test_an_audit_of_all_rows_is_their_mean() -> None:
    block, z = cells(3, 1.0)
    seen = AuditSequence(1.0, 0.3)
    seen.update(block, 1.0)
    assert seen.estimate == pytest.approx(float(z.mean()))
