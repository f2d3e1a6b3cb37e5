"""Segments that somebody declared: values of text columns that have rows enough to be watched."""

from collections.abc import Collection

from trimtab.domain.profile import Coarse, ColumnProfile

SEGMENT_MASS = 0.02
"""Values of a smaller share of the reference have too few rows to tell anything by."""


def declared(names: Collection[str], inputs: tuple[ColumnProfile, ...]) -> tuple[Coarse, ...]:
    """The columns among `inputs` that are named, with the values of each that are segments."""
    found = (
        Coarse(
            name=column.name,
            categories=tuple(
                value
                for value, mass in zip(column.categories, column.masses, strict=False)
                if mass >= SEGMENT_MASS
            ),
        )
        for column in inputs
        if column.name in names
    )
    return tuple(column for column in found if column.categories)
