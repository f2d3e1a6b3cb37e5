"""Tensors of the wire as numpy arrays, and back. numpy is the release's own."""

from typing import TYPE_CHECKING, Any

from .frames import FrameError, Tensor, decode_texts, encode_texts

if TYPE_CHECKING:
    from numpy.typing import NDArray

DTYPES = {
    "BOOL": "?",
    "UINT8": "<u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "INT8": "<i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "FP16": "<f2",
    "FP32": "<f4",
    "FP64": "<f8",
}
"""numpy's name of each numeric datatype; BYTES becomes an object array of str and None."""

_DATATYPES = {
    ("b", 1): "BOOL",
    **{("u", size): f"UINT{8 * size}" for size in (1, 2, 4, 8)},
    **{("i", size): f"INT{8 * size}" for size in (1, 2, 4, 8)},
    **{("f", size): f"FP{8 * size}" for size in (2, 4, 8)},
}


def array_of(tensor: Tensor) -> "NDArray[Any]":
    """The tensor as an array of its shape that its owner may change: where the tensor's bytes may
    be changed it is those."""
    import numpy as np

    if tensor.datatype == "BYTES":
        array = np.empty(tensor.elements, dtype=object)
        array[:] = decode_texts(tensor.data, tensor.elements)
        return array.reshape(tensor.shape)
    array = np.frombuffer(tensor.data, DTYPES[tensor.datatype]).reshape(tensor.shape)
    return array if array.flags.writeable and array.flags.aligned else array.copy()


def tensor_of(name: str, array: "NDArray[Any]", datatype: str | None = None) -> Tensor:
    """The array as a tensor, cast to `datatype` (default: the array's own)."""
    import numpy as np

    datatype = datatype or datatype_of(array)
    if datatype == "BYTES":
        return Tensor(name, datatype, array.shape, encode_texts(map(text_of, array.flat)))
    data = np.ascontiguousarray(array, dtype=DTYPES[datatype]).tobytes()
    return Tensor(name, datatype, array.shape, data)


def datatype_of(array: "NDArray[Any]") -> str:
    """The datatype that holds the array's values. Raises `FrameError` when none does."""
    if array.dtype.kind in "OUST":
        return "BYTES"
    try:
        return _DATATYPES[array.dtype.kind, array.dtype.itemsize]
    except KeyError:
        raise FrameError(f"an array of {array.dtype} has no datatype on the wire") from None


def is_missing(value: Any) -> bool:
    """Whether a value is None or NaN."""
    return value is None or bool(value != value)  # noqa: PLR0124 - only NaN differs from itself


def text_of(value: Any) -> str | None:
    """A value as the wire's text: None and NaN are missing, numbers are in shortest form.

    A whole float loses its `.0` and a truth value is `true` or `false`, so that a class is the
    same text whether it came from a model, from JSON or from a data file.
    """
    if hasattr(value, "item"):
        value = value.item()
    if is_missing(value):
        return None
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
