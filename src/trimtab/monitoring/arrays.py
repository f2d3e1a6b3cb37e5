"""Arrow columns as the arrays that are counted: numbers with NaN, texts as positions in a list."""

import ctypes
import sys
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from trimtab.build import memory
from trimtab.build.memory import Array, absent, viewed
from trimtab.build.reference import spelled
from trimtab.monitoring.columns import Kind
from trimtab.stats.edges import Numbers

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


def give_freed_back() -> None:
    """Give to the system what was freed so far: up to 65 MB where a reference was learned.

    Arrow's allocator gives back what this thread freed and keeps some of it, the C library keeps
    what lies below anything still in use.
    """
    pa.default_memory_pool().release_unused()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:  # which musl has not
            trim(0)


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
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_decimal(column.type):
        column = column.cast(pa.float64())
    gone, values = absent(column), viewed(column)
    if gone is None:
        return values
    made = values.copy() if values.dtype.kind == "f" else values.astype(np.float64)
    made[gone] = np.nan
    return made


def floats(column: Array) -> NDArray[np.float64]:
    """Numbers as float64, NaN where missing."""
    return np.asarray(numbers(column), dtype=np.float64)


def labels(column: Array) -> Coded:
    """Labels of any type by their text: 1, 1.0 and "1" are the same one, NaN is missing."""
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), pa.nulls(1, column.type)[0], column)
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    told = spelled(pa.chunked_array([column.dictionary]))
    return coded(pa.DictionaryArray.from_arrays(column.indices, told))


def coded(column: Array) -> Coded:
    """Texts by position; a dictionary that came with the column is kept."""
    if pa.types.is_null(column.type):
        return Coded(memory.texts_of([], pa.string()), np.zeros(len(column), dtype=np.int32))
    if pa.types.is_string(column.type):
        column = column.dictionary_encode()
    elif not pa.types.is_dictionary(column.type) or column.dictionary.null_count:
        column = column.cast(pa.large_string()).dictionary_encode()
    texts: Array = column.dictionary
    if pa.types.is_string_view(texts.type):
        texts = texts.cast(pa.large_string())
    gone, places = absent(column.indices), viewed(column.indices)
    if gone is not None:
        # A narrow index could not hold one more place.
        places = np.where(gone, np.int32(len(texts)), places.astype(np.int32))
    return Coded(texts, places)


MOST_REMEMBERED = 1_024
"""Texts of a column that are remembered from batch to batch, at most."""


class Lexicon:
    """The texts of a column in one list. Each batch lists its own in the order in which they come
    there; what they mean is asked once where the list stays the same."""

    def __init__(self) -> None:
        self._known: Array | None = None
        self._last: tuple[Array, Coded] | None = None

    def placed(self, given: Coded) -> Coded:
        """The same texts by their places in the list, which grows as new ones come."""
        if self._known is None or self._known.type != given.texts.type:
            self._known = given.texts
        if len(given.texts) > MOST_REMEMBERED or self._known.equals(given.texts):
            return given
        # Several batches of a file share their list.
        if self._last is None or not self._last[0].equals(given.texts):
            self._last = given.texts, self._listed(self._known, given.texts)
        listed = self._last[1]
        return Coded(listed.texts, listed.places.take(given.places))

    def _listed(self, known: Array, texts: Array) -> Coded:
        """The texts of a batch, and behind them a missing one, by their places among those that
        are known with them."""
        place = _among(known, texts)
        if place.null_count:
            known = pa.concat_arrays([known, texts.filter(place.is_null())])
            place = _among(known, texts)
        # A list that grew too long begins again with the texts of this batch.
        self._known = known if len(known) <= MOST_REMEMBERED else texts
        return Coded(known, np.append(viewed(place), len(known)).astype(np.int32))


def _among(known: Array, texts: Array) -> Array:
    return pc.index_in(texts, value_set=known)
