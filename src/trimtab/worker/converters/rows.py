"""Rows as a model is given them, with single values changed."""

import math
from collections.abc import Sequence
from typing import Any

from ..config import WorkerConfig
from ..loaders.compiled import text_in_graph
from .contract import Shown, Unconvertible


class Rows:
    """Golden rows as the model is given them: a DataFrame, a dict of arrays or a matrix."""

    def __init__(self, given: Any, shown: Shown) -> None:
        self._given = given
        self._count = len(given[shown.columns[0]]) if named(given) else len(given)
        self.shown = shown

    def missing(self, name: str) -> float | None:
        """What stands for a missing value in a column."""
        return math.nan if name in self.shown.numbers else None

    def given_for_missing(self, name: str) -> str:
        """How a graph would know what a frame holds for a missing text."""
        import numpy as np

        (value,) = np.asarray(self.changed([(name, None)])[name], dtype=object)
        return text_in_graph(value)

    def span(self, name: str) -> tuple[float, float]:
        """The smallest and the largest number of a column; zeros when it has none."""
        import numpy as np

        values = self._numbers(name)
        found = values[np.isfinite(values)]
        return (float(found.min()), float(found.max())) if found.size else (0.0, 0.0)

    def changed(self, changes: Sequence[tuple[str, Any]]) -> Any:
        """One row for each change: a golden row with that value in that column."""
        import numpy as np

        takes = np.arange(len(changes)) % self._count
        made = taken(self._given, takes)
        places: dict[str, list[int]] = {}
        for row, (name, _) in enumerate(changes):
            places.setdefault(name, []).append(row)
        for name, rows in places.items():
            _set(made, self._place(name), rows, [changes[row][1] for row in rows])
        return made

    def _place(self, name: str) -> str | int:
        return name if named(self._given) else self.shown.columns.index(name)

    def _numbers(self, name: str) -> Any:
        import numpy as np

        if named(self._given):
            return np.asarray(self._given[name], dtype=np.float64)
        return np.asarray(self._given, dtype=np.float64)[:, self.shown.columns.index(name)]


def named(given: Any) -> bool:
    """Whether columns are found by name."""
    return hasattr(given, "columns") or isinstance(given, dict)


def taken(given: Any, rows: Any) -> Any:
    """A copy of some rows: places or a slice."""
    import numpy as np

    if isinstance(given, dict):
        return {name: np.asarray(values)[rows].copy() for name, values in given.items()}
    return (
        given.iloc[rows].reset_index(drop=True) if named(given) else np.asarray(given)[rows].copy()
    )


def _set(made: Any, place: str | int, rows: Sequence[int], values: Sequence[Any]) -> None:
    """Put values into one column; numbers become float64, as they may be missing."""
    import numpy as np

    if isinstance(place, int):
        made[rows, place] = values
        return
    texts = made[place].dtype.kind not in "biuf"
    column = np.array(made[place], dtype=object if texts else np.float64)
    column[rows] = values
    kept = texts and not isinstance(made, dict)
    made[place] = type(made[place])(column, dtype=made[place].dtype) if kept else column


def shown_columns(config: WorkerConfig, given: Any) -> Shown:
    """The columns of what the model is given, by what they hold."""
    import numpy as np

    task = config.signature.task
    if not named(given):
        width = np.asarray(given).shape[1]
        names = tuple(column.name for column in config.signature.inputs)
        if config.features is not None or len(names) != width:
            names = tuple(f"x{place}" for place in range(width))
        return Shown(task, names, names)
    found: list[Any] = list(given)
    if odd := [name for name in found if not isinstance(name, str)]:
        raise Unconvertible(f"the feature code names columns {odd[:3]}, which are no texts")
    return Shown(task, tuple(found), tuple(name for name in found if _numeric(name, given[name])))


def _numeric(name: str, values: Any) -> bool:
    """Whether a column holds numbers and not texts."""
    kind = str(values.dtype)
    if kind in {"object", "str", "string"} or values.dtype.kind == "U":
        return False
    if values.dtype.kind in "biuf":
        return True
    raise Unconvertible(f"column {name!r} is {kind}, which a graph does not know")
