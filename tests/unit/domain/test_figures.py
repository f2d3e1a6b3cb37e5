"""Numbers in words."""

import pytest

from trimtab.domain.figures import figures, within


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (0.0, "0"),
        (0.173456, "0.1735"),
        (-3.5, "-3.5"),
        (1e-9, "1e-09"),
        (1.694e-21, "<1e-9"),
        (-1.694e-21, ">-1e-9"),
    ],
)
def test_what_is_nearly_nothing_is_told_by_its_side(value: float, told: str) -> None:
    assert figures(value) == told


def test_fewer_digits_may_be_asked_for() -> None:
    assert figures(0.173456, 2) == "0.17"


def test_an_interval_may_begin_at_next_to_nothing() -> None:
    assert within(0.02, 1.694e-21, 0.04) == "0.02 [<1e-9, 0.04]"
