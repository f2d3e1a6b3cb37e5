"""What the columns of a CSV file are, where nobody says it: no type that would lose a character."""

from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

TEXT = pa.string()
_WHOLE = r"^(0|-?[1-9]\d{0,17})$"
_NUMBER = r"^(-?((0|[1-9]\d*)(\.\d*)?|\.\d+)([eE][+-]?\d+)?|-?(?i:nan|inf))$"
_LONG = r"^-?\d{16,}"
"""Whole numbers that a double may change: they name something."""


def lossless(
    looks: Mapping[str, pa.DataType], batches: Iterable[pa.RecordBatch], decimal: str
) -> dict[str, pa.DataType]:
    """Types that hold all values of columns, which come as texts, as they are written.

    `looks` are the types that each seems to have by its first values: `00501` is no 501, though it
    looks like it, and what is no number further down makes a column of texts."""
    possible = {name: _candidates(kind) for name, kind in looks.items()}
    for batch in batches:
        for name, kinds in possible.items():
            texts = batch.column(name)
            possible[name] = [kind for kind in kinds if _holds(kind, texts, decimal)]
    return {name: kinds[0] for name, kinds in possible.items()}


def _candidates(kind: pa.DataType) -> list[pa.DataType]:
    """A type, and those that may hold what it does not."""
    if pa.types.is_null(kind):
        return [kind, *_candidates(pa.int64())]
    if pa.types.is_integer(kind):
        return [kind, *_candidates(pa.float64())]
    return list(dict.fromkeys([kind, TEXT]))


def _holds(kind: pa.DataType, texts: "pa.Array[Any]", decimal: str) -> bool:
    if kind == TEXT or texts.null_count == len(texts):
        return True
    if pa.types.is_null(kind):
        return False
    if pa.types.is_integer(kind):
        return _all(texts, _WHOLE)
    if pa.types.is_floating(kind):
        texts = pc.replace_substring(texts, decimal, ".") if decimal != "." else texts
        if not _all(texts, _NUMBER) or _any(texts, _LONG):
            return False
    try:
        texts.cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return False
    return True


def _all(texts: "pa.Array[Any]", pattern: str) -> bool:
    return bool(pc.all(pc.match_substring_regex(texts, pattern)).as_py())


def _any(texts: "pa.Array[Any]", pattern: str) -> bool:
    return bool(pc.any(pc.match_substring_regex(texts, pattern)).as_py())
