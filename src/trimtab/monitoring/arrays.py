"""Arrow columns as the arrays that are counted: numbers with NaN, texts as positions in a list."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from trimtab.build.reference import texts
from trimtab.monitoring.columns import Kind
from trimtab.stats.edges import Numbers

Array: TypeAlias = Any
"""An Arrow array; the published types know less of one than Arrow does."""


KEPT = 4 * 2**20
"""Bytes of the largest piece of memory that is not given back to the system at once."""


def keep_freed() -> None:
    """Have arrays of some thousand rows made where others were before.

    The GNU C library asks the system for each piece of 128 kB, and gives it back, so that every
    page of it is cleared and mapped anew, until it sees one freed that is larger: then it keeps
    what is of that size, and twice as much at its end (`mallopt(3)`, M_MMAP_THRESHOLD). Elsewhere
    this does nothing.
    """
    np.empty(KEPT, dtype=np.uint8)


@dataclass(frozen=True)
class Coded:
    """Texts as positions among `texts`; `len(texts)` stands for a missing one."""

    texts: Array
    places: NDArray[Any]

    def take(self, rows: slice | NDArray[Any]) -> "Coded":
        """Some of the rows."""
        return Coded(self.texts, self.places[rows])

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """How often each text comes, and behind them how many are missing."""
        return np.bincount(self.places, minlength=len(self.texts) + 1)

    @property
    def present(self) -> NDArray[np.bool_]:
        """Which rows hold a text."""
        return np.asarray(self.places != len(self.texts))

    def objects(self) -> NDArray[np.object_]:
        """The texts themselves, None for a missing one."""
        known = np.array([*self.texts.to_pylist(), None], dtype=object)
        return np.asarray(known[self.places])


def array_of(column: Array, kind: Kind) -> Numbers | Coded:
    """A column as it is counted; one without any value becomes what its kind has for missing."""
    if kind == "label":
        return labels(column)
    return coded(column) if kind == "text" else numbers(column)


def numbers(column: Array) -> Numbers:
    """Numbers in their own type where none is missing, else as floats; truth values as uint8."""
    if pa.types.is_null(column.type):
        return np.full(len(column), np.nan)
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.uint8())
    elif pa.types.is_decimal(column.type):
        column = column.cast(pa.float64())
    if column.null_count == 0:
        return np.asarray(column.to_numpy())
    if not pa.types.is_floating(column.type):
        column = column.cast(pa.float64(), safe=False)
    return np.asarray(pc.fill_null(column, np.nan).to_numpy())


def floats(column: Array) -> NDArray[np.float64]:
    """Numbers as float64, NaN where missing."""
    return np.asarray(numbers(column), dtype=np.float64)


def labels(column: Array) -> Coded:
    """Labels of any type by their text: 1, 1.0 and "1" are the same one, NaN is missing."""
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    told = pa.array(texts(pa.chunked_array([column.dictionary])), pa.string())
    return coded(pa.DictionaryArray.from_arrays(column.indices, told))


def coded(column: Array) -> Coded:
    """Texts by position; a dictionary that came with the column is kept."""
    if pa.types.is_null(column.type):
        return Coded(pa.array([], pa.string()), np.zeros(len(column), dtype=np.int32))
    if not pa.types.is_dictionary(column.type) or column.dictionary.null_count:
        column = column.cast(pa.large_string()).dictionary_encode()
    texts: Array = column.dictionary
    if pa.types.is_string_view(texts.type):
        texts = texts.cast(pa.large_string())
    places = column.indices
    if places.null_count:
        if len(texts) >= 127:  # a narrow index could not hold one more place
            places = places.cast(pa.int32())
        places = places.fill_null(len(texts))
    return Coded(texts, np.asarray(places.to_numpy()))
