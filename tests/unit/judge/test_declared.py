"""Which values of declared columns are segments."""

from trimtab.domain.profile import Coarse, ColumnProfile
from trimtab.judge.declared import declared

SIDE = ColumnProfile(
    name="side",
    kind="categorical",
    n=1000,
    missing=0.0,
    categories=("left", "right", "rare"),
    masses=(0.60, 0.39, 0.01, 0.0),
)
LEVEL = ColumnProfile(name="level", kind="continuous", n=1000, missing=0.0, masses=(1.0,))


def test_values_with_two_per_cent_of_the_rows_are_segments() -> None:
    found = declared(("side",), (LEVEL, SIDE))
    assert found == (Coarse(name="side", categories=("left", "right")),)


def test_numbers_and_what_nobody_named_make_no_segments() -> None:
    assert declared(("level", "gone"), (LEVEL, SIDE)) == ()
