"""Arrow's columns as numpy's, and back, by the memory that they lie in.

What Arrow offers for that (`to_numpy`, `pa.array`, and scalars among arguments) imports pandas
wherever it is installed, which takes a fifth of a second and 25 MB, and copies more than it must.
"""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Array: TypeAlias = Any
"""An Arrow array; the published types know less of one than Arrow does."""

NUMPY = {
    kind: np.dtype(kind.to_pandas_dtype())
    for kind in (
        *(pa.int8(), pa.int16(), pa.int32(), pa.int64()),
        *(pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()),
        *(pa.float16(), pa.float32(), pa.float64()),
    )
}
ARROW = {dtype: kind for kind, dtype in NUMPY.items()}


def viewed(array: Array) -> NDArray[Any]:
    """Numbers as they lie in memory, of any value where one is missing; truth values as uint8."""
    if not len(array):
        return np.empty(0, NUMPY.get(array.type, np.dtype(np.uint8)))
    data = array.buffers()[1]
    if pa.types.is_boolean(array.type):
        return _bits(data, array)
    dtype = NUMPY[array.type]
    return np.frombuffer(data, dtype, len(array), array.offset * dtype.itemsize)


def absent(array: Array) -> NDArray[np.bool_] | None:
    """Which values are missing; None when none is."""
    return _bits(array.buffers()[0], array) == 0 if array.null_count else None


def floats(array: Array) -> NDArray[np.float64]:
    """Numbers as float64, NaN where missing."""
    gone, values = absent(array), viewed(array)
    made = values.astype(np.float64, copy=gone is not None)
    if gone is not None:
        made[gone] = np.nan
    return made


def arrow_of(values: NDArray[Any]) -> Array:
    """Numbers, of which none is missing, as an Arrow array; truth values as such."""
    if values.dtype == np.bool_:
        bits = np.packbits(values, bitorder="little")
        return pa.Array.from_buffers(pa.bool_(), values.size, [None, _buffer(bits)])
    data = _buffer(np.ascontiguousarray(values))
    return pa.Array.from_buffers(ARROW[values.dtype], values.size, [None, data])


def texts_of(texts: Sequence[str], kind: pa.DataType) -> Array:
    """Texts as an Arrow array of this kind: `string` or `large_string`."""
    data = [text.encode() for text in texts]
    ends = np.cumsum([0, *map(len, data)])
    offsets = ends.astype(np.int64 if pa.types.is_large_string(kind) else np.int32)
    buffers = [None, _buffer(offsets), pa.py_buffer(b"".join(data))]
    return pa.Array.from_buffers(kind, len(texts), buffers)


def _buffer(values: Any) -> pa.Buffer:
    return pa.py_buffer(values)


def _bits(bits: Any, array: Array) -> NDArray[np.uint8]:
    """The bits of an array's rows, one byte each."""
    end = array.offset + len(array)
    found = np.unpackbits(np.frombuffer(bits, np.uint8), count=end, bitorder="little")
    return found[array.offset :]
