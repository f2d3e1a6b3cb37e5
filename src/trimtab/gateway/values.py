"""The values of requests and answers on their way: decoded as late and as seldom as possible."""

import math
import struct
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, cast

import msgspec
import numpy as np
from numpy.typing import NDArray

from trimtab.domain.signature import MOST_LOGGED
from trimtab.gateway.plan import CELL_BYTES, NUMPY_TYPES, OutputPlan, Plan
from trimtab.ports.logsink import Texts
from trimtab.stats.summary import summary
from trimtab.worker.frames import Bytes, decode_texts, encode_texts

WRITTEN_TOGETHER = 1024
"""Rows of a batch up to which the answers of single rows are encoded at once: with more of them,
most belong to answers that are long."""

_encode_json = msgspec.json.Encoder().encode
_encode_lines = msgspec.json.Encoder().encode_lines


class Inputs:
    """The values of a request's rows, and the business key of each if one was sent.

    Where all columns of the plan are exact in float64 they lie in `matrix`, row by row, with NaN
    for missing; otherwise `columns` has one list per column, with None for missing, and an array of
    [rows, values of a row] in its own datatype for a tensor.
    """

    __slots__ = ("columns", "key", "matrix", "rows")

    def __init__(
        self, rows: int, matrix: Bytes | None, columns: list[list[Any]] | None, key: Texts | None
    ) -> None:
        self.rows = rows
        self.matrix = matrix
        self.columns = columns
        self.key = key

    @property
    def logged(self) -> bytes | list[Any] | None:
        """The values as the request log takes them; it writes a view like the bytes it shows."""
        return self.columns if self.matrix is None else cast(bytes, self.matrix)

    @property
    def held_bytes(self) -> int:
        """About how much memory the values hold, what texts are longer than nothing aside."""
        if self.matrix is not None:
            return len(self.matrix)
        return CELL_BYTES * self.rows * len(self.columns or ())


class TensorInputs(Inputs):
    """The values of a request some of whose inputs, at `tensors`, have a shape per row."""

    __slots__ = ("_kept", "_tensors")

    def __init__(
        self, rows: int, columns: list[Any], key: Texts | None, tensors: tuple[int, ...]
    ) -> None:
        super().__init__(rows, None, columns, key)
        self._tensors = tensors
        self._kept: list[Any] | None = None

    @property
    def held_bytes(self) -> int:
        """The same, with the arrays of tensors."""
        cells = CELL_BYTES * self.rows
        return sum(getattr(column, "nbytes", cells) for column in self.columns or ())

    @property
    def logged(self) -> list[Any]:
        """Tensors as their summary, and the small ones also whole, as the log's columns are."""
        if self._kept is None:
            self._kept = []
            columns: list[Any] = self.columns or []
            for position, column in enumerate(columns):
                self._kept += _tensor_log(column) if position in self._tensors else [column]
        return self._kept


def _tensor_log(values: NDArray[Any]) -> list[Any]:
    kept: list[Any] = [each.tolist() for each in summary(values)]
    if values.shape[1] <= MOST_LOGGED:
        kept.append(values.astype("<f8").tobytes())
    return kept


def inputs_of_columns(plan: Plan, rows: int, columns: list[Any], key: Texts | None) -> Inputs:
    """Checked columns as the plan wants them."""
    if plan.tensors:
        return TensorInputs(rows, columns, key, plan.tensors)
    if not plan.matrix:
        return Inputs(rows, None, columns, key)
    if rows == 1:
        return Inputs(rows, packed([column[0] for column in columns]), None, key)
    matrix = np.array(columns, dtype=np.float64).T.tobytes()
    return Inputs(rows, matrix, None, key)


def packed(values: Sequence[float | None]) -> bytes:
    """Numbers as float64, one after another; None as NaN."""
    pack = packer(len(values))
    try:
        return pack(*values)
    except struct.error:
        return pack(*[math.nan if value is None else value for value in values])


@lru_cache(maxsize=256)
def packer(count: int) -> Callable[..., bytes]:
    """What packs so many numbers, given one by one, as float64."""
    return struct.Struct(f"<{count}d").pack


def fits(plan: Plan, matrix: NDArray[np.float64]) -> bool:
    """Whether every value of [rows, columns] is one of its column's datatype, or may be missing."""
    bounds = plan.bounds
    inside = (matrix >= bounds.low) & (matrix <= bounds.high)
    inside |= np.isnan(matrix) & bounds.nullable
    if not inside.all():
        return False
    whole = matrix[:, bounds.whole]
    return bool(((whole == np.trunc(whole)) | np.isnan(whole)).all())


class OutputValues:
    """One output of a batch, as the worker sent it.

    `singles` has each row as the elements of an array in JSON once the first was `written` alone,
    as most rows of a batch then are.
    """

    __slots__ = ("_encoded", "_flat", "_logged", "_text_size", "data", "output", "rows", "singles")

    def __init__(self, output: OutputPlan, data: Bytes, rows: int) -> None:
        """Raises `FrameError` when `data` holds no `rows` texts."""
        self.output = output
        self.data = data
        self.rows = rows
        self._logged: Texts | bytes | None = None
        self._flat: list[Any] | None = None
        self.singles: list[bytes] = []
        self._encoded: dict[str | None, bytes] | None = None
        self._text_size = 0
        if output.kind == "text":
            self._flat = decode_texts(data, rows * output.width)

    @property
    def flat(self) -> list[Any]:
        """All values, row by row, for an answer in JSON."""
        if self._flat is None:
            self._flat = np.frombuffer(self.data, NUMPY_TYPES[self.output.datatype]).tolist()
        return self._flat

    def of(self, start: int, rows: int) -> list[Any]:
        """The values of some rows."""
        width = self.output.width
        return self.flat[start * width : (start + rows) * width]

    def fresh(self, start: int, rows: int) -> list[Any]:
        """The same, without making a list of all rows for whoever asks next."""
        if self._flat is not None:
            return self.of(start, rows)
        kind, width = NUMPY_TYPES[self.output.datatype], self.output.width
        size = kind.itemsize * width
        part: list[Any] = np.frombuffer(self.data, kind, rows * width, start * size).tolist()
        return part

    def written(self, start: int, rows: int) -> bytes:
        """Some rows as the elements of an array in JSON."""
        if rows * self.output.width != 1 or not 1 < self.rows <= WRITTEN_TOGETHER:
            return _encode_json(self.of(start, rows))[1:-1]
        self.singles = _encode_lines(self.flat).split(b"\n")
        return self.singles[start]

    def raw(self, start: int, rows: int) -> Bytes:
        """Some rows as bytes for an answer; a missing text cannot be told from an empty one."""
        output = self.output
        if output.kind != "text":
            size = NUMPY_TYPES[output.datatype].itemsize
        elif not (size := self._size_of_texts()):
            encoded = self._encoded or {}
            return b"".join([encoded[text] for text in self.of(start, rows)])
        size *= output.width
        return memoryview(self.data)[start * size : (start + rows) * size]

    def _size_of_texts(self) -> int:
        """Bytes of each text on the wire where all have as many, else 0; all that come are encoded
        once."""
        if self._encoded is None:
            texts = set(self.flat)
            self._encoded = {text: encode_texts([text or ""]) for text in texts}
            sizes = set(map(len, self._encoded.values()))
            self._text_size = sizes.pop() if len(sizes) == 1 and None not in texts else 0
        return self._text_size

    def logged(self, start: int, rows: int) -> Texts | bytes:
        """Some rows as the request log takes them: a text per row, or float64 numbers."""
        if self._logged is None:
            self._logged = self._log_form()
        size = 1 if self.output.kind == "text" else 8 * self.output.width
        part = self._logged[start * size : (start + rows) * size]
        return bytes(part) if isinstance(part, memoryview) else part

    def _log_form(self) -> Any:
        output = self.output
        if output.kind == "text":
            return _text_rows(self.flat, output, self.rows)
        if output.datatype == "FP64":
            return memoryview(self.data)
        return memoryview(
            np.frombuffer(self.data, NUMPY_TYPES[output.datatype]).astype("<f8").tobytes()
        )


def _text_rows(texts: list[Any], output: OutputPlan, rows: int) -> Texts:
    """The log has one text per row; several are kept as a JSON list."""
    if not output.shape:
        return texts
    width = output.width
    return [_encode_json(texts[r * width : (r + 1) * width]).decode() for r in range(rows)]
