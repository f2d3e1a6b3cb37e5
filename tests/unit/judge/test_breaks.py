"""Which values of a column are strange for what it held before."""

import numpy as np
import pytest

from trimtab.domain.profile import ColumnProfile
from trimtab.judge.signals.breaks import Recent, Seen


def column(*values: float) -> ColumnProfile:
    """A rounded measurement that takes these values, rising."""
    return ColumnProfile(
        name="x",
        kind="continuous",
        n=1000,
        missing=0.0,
        values=values,
        minimum=values[0],
        maximum=values[-1],
    )


HALVES = column(*(1000.0 + 0.5 * i for i in range(41)))


@pytest.mark.parametrize(
    ("value", "strange"),
    [
        (1003.5, False),
        (1003.3, True),
        (1020.3, False),
        (996.7, False),
        (1040.0, True),
        (np.nan, False),
        (np.inf, True),
    ],
)
def test_between_neighbours_and_far_outside_a_number_is_strange(
    value: float, strange: bool
) -> None:
    found = Recent.of(HALVES).strange(HALVES, np.array([value]))
    assert found.tolist() == [strange]


def test_one_rare_value_makes_none_on_the_way_to_it_strange() -> None:
    recent = Recent.of(HALVES)
    for value in (994.1, 1002.0, 1003.0, 1004.0):
        day = np.array([value])
        recent.close(Seen.of(recent, day, recent.strange(HALVES, day)))
    assert 994.1 in recent.known
    assert not recent.strange(HALVES, np.array([997.2, 998.4, 999.8])).any()
    assert recent.strange(HALVES, np.array([1003.3])).all()


def test_a_column_that_took_a_single_value_has_no_neighbours() -> None:
    one = column(3.0)
    assert Recent.of(one).strange(one, np.array([3.0, 7.0])).tolist() == [False, True]
