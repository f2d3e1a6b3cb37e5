"""Reference columns with a shape per row: between Arrow's lists and arrays of numbers."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from trimtab import errors
from trimtab.domain.signature import Column, Datatype

if TYPE_CHECKING:
    Chunked: TypeAlias = pa.ChunkedArray[Any]
else:
    Chunked = pa.ChunkedArray  # not subscriptable at run time

DATATYPES: dict[pa.DataType, Datatype] = {
    pa.bool_(): Datatype.BOOL,
    pa.uint8(): Datatype.UINT8,
    pa.uint16(): Datatype.UINT16,
    pa.uint32(): Datatype.UINT32,
    pa.uint64(): Datatype.UINT64,
    pa.int8(): Datatype.INT8,
    pa.int16(): Datatype.INT16,
    pa.int32(): Datatype.INT32,
    pa.int64(): Datatype.INT64,
    pa.float16(): Datatype.FP16,
    pa.float32(): Datatype.FP32,
    pa.float64(): Datatype.FP64,
}

_OF_NUMPY: dict[Any, Datatype] = {
    kind.to_pandas_dtype(): datatype for kind, datatype in DATATYPES.items()
}


def is_tensor(kind: pa.DataType) -> bool:
    """Whether a column's rows are lists, or tensors as Arrow itself knows them."""
    if isinstance(kind, pa.BaseExtensionType):
        kind = kind.storage_type
    return _is_list(kind)


def tensor_values(name: str, values: Chunked, path: Path) -> NDArray[Any]:
    """[rows, …] of a column of lists; NaN for a missing number. Raises `Usage` TT-205."""
    kind: Any = values.type
    shape = [len(values)]
    if isinstance(kind, pa.FixedShapeTensorType):
        shape += kind.shape
    array: Any = values.combine_chunks()
    if isinstance(kind, pa.BaseExtensionType):
        array = array.storage
    while _is_list(array.type):
        array, size = _opened(name, array, path)
        shape.append(size)
    if array.type not in DATATYPES:
        raise bad_reference(path, f"column {name!r} holds {array.type}; tensors are of numbers")
    if array.null_count and not pa.types.is_floating(array.type):
        raise bad_reference(path, f"column {name!r} lacks numbers, and {array.type} cannot say so")
    if isinstance(kind, pa.FixedShapeTensorType):
        shape.pop()
    flat: NDArray[Any] = array.to_numpy(zero_copy_only=False)
    return flat.reshape(shape)


def tensor_column(name: str, values: NDArray[Any]) -> Column:
    """The input that [rows, …] values are of."""
    floating = values.dtype.kind == "f"
    finite = values[np.isfinite(values)] if floating else values
    return Column(
        name,
        _OF_NUMPY[values.dtype.type],
        nullable=bool(floating and np.isnan(values).any()),
        minimum=float(finite.min()) if finite.size else None,
        maximum=float(finite.max()) if finite.size else None,
        shape=values.shape[1:],
    )


def table_of(arrays: Mapping[str, Any]) -> pa.Table:
    """Equally long arrays by name as a table; rows with a shape are lists of fixed sizes.

    Raises `ValueError` for arrays that no table can hold."""
    return pa.table({name: _column_of(np.asarray(arrays[name])) for name in arrays})


def bad_reference(path: Path, problem: str) -> errors.Usage:
    """The refusal of reference data."""
    return errors.Usage(
        errors.BAD_REFERENCE,
        "read reference data",
        path.name,
        problem,
        unchanged="no release was made",
        hint="trimtab build --help",
    )


def _is_list(kind: pa.DataType) -> bool:
    types = pa.types
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _opened(name: str, lists: Any, path: Path) -> tuple[Any, int]:
    """The elements of lists of one size, and that size."""
    sizes = lists.value_lengths().unique()
    if len(sizes) != 1 or not sizes[0].as_py():
        raise bad_reference(path, f"the rows of column {name!r} are not all of one shape")
    return lists.flatten(), int(sizes[0].as_py())


def _column_of(values: NDArray[Any]) -> Any:
    if values.ndim == 0:
        raise ValueError("a single value is no column")
    flat: Any = pa.array(values.reshape(-1))
    for size in reversed(values.shape[1:]):
        flat = pa.FixedSizeListArray.from_arrays(flat, size)
    return flat
