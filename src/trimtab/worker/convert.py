"""The mode `convert`: the model as a compiled graph, proven on rows that try to tell them apart.

A reference holds what has come so far. What may come besides is tried here: every number missing,
infinite, far outside; every text missing, empty, unknown. Where the model refuses a row the graph
must refuse it, and elsewhere their answers are compared.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .config import WorkerConfig
from .converters import converted
from .converters.contract import Graph, Unconvertible
from .converters.graphs import noted
from .converters.rows import Rows, shown_columns, taken
from .failures import StageFailure
from .golden import GoldenSet
from .loaders.compiled import (
    FLOAT32_LARGEST,
    FLOAT64_LARGEST,
    METADATA,
    NONE,
    Compiled,
    Promise,
    opened,
)
from .loaders.contract import Probabilities
from .model import Model

STRANGERS = ("\u2603 was never seen", "", " ", "\uffff")


@dataclass(frozen=True, slots=True)
class Conversion:
    """What came of it. `reason` says why there is no graph, and is empty when there is one.

    `precision` is the floating-point type of the model's own answers and `largest` the largest
    absolute number among them (1 for probabilities). `difference` is the largest difference on the
    rows that were tried, as a share of `largest` or of the answer itself, `tried` their number.
    """

    reason: str = ""
    precision: str = "float64"
    largest: float = 1.0
    difference: float = 0.0
    tried: int = 0


def convert(model: Model, sample: GoldenSet, out: Path) -> Conversion:
    """Write the graph of `model` to `out`, unless there is no exact one."""
    try:
        given = model.with_features(model.given(sample.inputs, sample.rows), sample.rows)
        rows = Rows(given, shown_columns(model.config, given))
        asked = _Asked(model)
        graph = converted(model.predictor, rows.shown)
        promise = _promised(asked, graph, rows, model.config)
        written = noted(graph.model, METADATA, promise.written())
        changes = _changes(rows, promise)
        largest = asked.largest(given)
        pair = _Pair(asked, opened(written), largest)
        difference = pair.difference(rows.changed(changes), len(changes))
    except (Unconvertible, StageFailure) as why:
        return Conversion(str(why))
    except Exception as error:  # whatever a library raises, the native model can still serve
        text = " ".join(str(error).split())[:200]
        return Conversion(f"{type(error).__name__}: {text}")
    out.write_bytes(written)
    return Conversion("", asked.precision(given), largest, difference, len(changes))


class _Asked:
    """The model's own answers to what it would be given; None for what it refuses."""

    def __init__(self, model: Model) -> None:
        self._classified = model.config.signature.task in {"binary", "multiclass"}
        self._predictor = model.predictor

    def answer(self, given: Any) -> Any:
        """An array of [rows, ...], or None."""
        import numpy as np

        try:
            answer = self._called(given)
        except (Exception, SystemExit):
            return None
        values = np.asarray(answer)
        return values if np.isfinite(values.astype(np.float64)).all() else None

    def precision(self, given: Any) -> str:
        """The floating-point type of the answers."""
        import numpy as np

        return "float32" if np.asarray(self._called(given)).dtype == np.float32 else "float64"

    def largest(self, given: Any) -> float:
        """The largest absolute number among the answers; 1 for probabilities."""
        import numpy as np

        if self._classified:
            return 1.0
        return float(np.abs(np.asarray(self._called(given), dtype=np.float64)).max(initial=0.0))

    def takes(self, rows: Rows, changes: Sequence[tuple[str, Any]]) -> bool:
        """Whether the model answers rows with those values in those columns."""
        return self.answer(rows.changed(changes)) is not None

    def _called(self, given: Any) -> Any:
        if not self._classified:
            return self._predictor.values(given)
        answer: Probabilities = self._predictor.probabilities(given)
        return answer.values


def _promised(asked: _Asked, graph: Graph, rows: Rows, config: WorkerConfig) -> Promise:
    """What the graph must refuse, learned by asking the model."""
    shown = rows.shown
    numbers, texts = shown.numbers, shown.texts
    largest = math.inf
    if not asked.takes(rows, [(name, math.inf) for name in numbers]):
        wide = asked.takes(rows, [(name, 2 * FLOAT32_LARGEST) for name in numbers])
        largest = FLOAT64_LARGEST if wide else FLOAT32_LARGEST
    missing = rows.given_for_missing(texts[0]) if texts else NONE
    gaps = _gaps(asked, rows, config)
    return Promise(shown.task, numbers, texts, graph.classes, gaps, largest, missing)


def _gaps(asked: _Asked, rows: Rows, config: WorkerConfig) -> tuple[str, ...]:
    """The columns that may lack values: without feature code the build has found that out."""
    if config.features is None:
        return tuple(column.name for column in config.signature.inputs if column.nullable)
    columns = rows.shown.columns
    if asked.takes(rows, [(name, rows.missing(name)) for name in columns]):
        return columns
    return tuple(name for name in columns if asked.takes(rows, [(name, rows.missing(name))]))


def _changes(rows: Rows, promise: Promise) -> list[tuple[str, Any]]:
    """Columns with the values that are tried in them."""
    changes: list[tuple[str, Any]] = []
    for name in promise.numbers:
        low, high = rows.span(name)
        changes += [(name, value) for value in (low - 1.0, high + 1.0, 0.0, 0.5, -1e3 * high)]
        if promise.largest == math.inf:
            changes += [(name, math.inf), (name, -math.inf)]
    for name in promise.texts:
        changes += [(name, value) for value in STRANGERS]
    gaps = [(name, math.nan) for name in promise.may_lack]
    return changes + gaps + [(n, None) for n in promise.texts if n in promise.may_lack]


@dataclass(frozen=True, slots=True)
class _Pair:
    """Model and graph, and the size of what they answer."""

    asked: _Asked
    compiled: Compiled
    largest: float

    def difference(self, changed: Any, size: int) -> float:
        """The largest difference on changed rows, as a share of the answers.

        Raises `Unconvertible` when one refuses a row that the other answers. Rows that are refused
        together are asked in halves, down to those that it is for.
        """
        import numpy as np

        own = self.asked.answer(changed)
        other = _engine_answer(self.compiled, changed)
        if own is not None and other is not None:
            a, b = (np.asarray(each, dtype=np.float64).reshape(size, -1) for each in (own, other))
            apart, scale = np.abs(a - b), np.maximum(self.largest, np.abs(a))
            return float(np.divide(apart, scale, out=apart, where=apart > 0).max(initial=0.0))
        if size > 1:
            half = size // 2
            first, second = taken(changed, slice(0, half)), taken(changed, slice(half, size))
            return max(self.difference(first, half), self.difference(second, size - half))
        if (own is None) != (other is None):
            who = ("the model", "the graph") if own is None else ("the graph", "the model")
            raise Unconvertible(f"{who[0]} refuses a row that {who[1]} answers")
        return 0.0


def _engine_answer(compiled: Compiled, given: Any) -> Any:
    """The graph's answer, None where it refuses."""
    import numpy as np

    try:
        values = compiled.values(given)
    except Exception:  # ONNX Runtime has exceptions of its own, all of which mean no
        return None
    return values if np.isfinite(values).all() else None
