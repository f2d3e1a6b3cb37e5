"""The compiled engine of a release: a graph that the build made of its model (`..converters`).

The graph has at most two inputs: `numbers`, float64 of [rows, number columns], and `texts`, of
[rows, text columns]. Its metadata name the columns of each and say what the model itself would
refuse, because a graph answers everything.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config import WorkerConfig
from ..inputs import Parts
from ..tensors import is_missing
from .contract import Facts, Probabilities
from .formats import threads

if TYPE_CHECKING:
    from numpy.typing import NDArray

FLOAT32_LARGEST = 3.4028234663852886e38
FLOAT64_LARGEST = 1.7976931348623157e308

METADATA = "trimtab"
"""The key of the graph's metadata that holds `Promise` as JSON."""

_MARK = "\uffff"
NONE, NAN = f"{_MARK}none", f"{_MARK}nan"
"""Stand for the two kinds of missing texts, which encoders tell apart and graphs do not know."""

STRANGER = "refused category"
"""Name of the nodes that fail at a category which the model refuses."""


@dataclass(frozen=True, slots=True)
class Promise:
    """What a graph takes and gives. `classes` are in the order of its probabilities.

    `may_lack` are the columns in which the model does with missing values, `largest` is the
    largest absolute number that it takes; infinite when it takes infinities. `missing` is what the
    model is given for a text that a request lacks: `NONE` or `NAN`.
    """

    task: str
    numbers: tuple[str, ...]
    texts: tuple[str, ...]
    classes: tuple[str, ...] = ()
    may_lack: tuple[str, ...] = ()
    largest: float = float("inf")
    missing: str = NONE

    def written(self) -> str:
        """The JSON of the metadata."""
        return json.dumps(asdict(self))

    @classmethod
    def read(cls, text: str) -> "Promise":
        """What `written` wrote."""
        fields = json.loads(text)
        lists = {name: tuple(fields[name]) for name in ("numbers", "texts", "classes", "may_lack")}
        return cls(fields["task"], **lists, largest=fields["largest"], missing=fields["missing"])


def load(config: WorkerConfig) -> "Compiled":
    """Open the engine of the release."""
    assert config.engine is not None
    return opened((config.folder / config.engine).read_bytes())


def opened(graph: bytes | Path) -> "Compiled":
    """Open a graph with as many threads as the execution profile allows."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads()
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return Compiled(
        onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    )


class Compiled:
    """A session whose graph keeps a `Promise`."""

    def __init__(self, session: Any) -> None:
        import numpy as np

        self._run = session.run
        self._outputs = [session.get_outputs()[0].name]
        self._asked = {each.name for each in session.get_inputs()}
        self.promise = Promise.read(session.get_modelmeta().custom_metadata_map[METADATA])
        promise = self.promise
        self._gaps = np.array([name in promise.may_lack for name in promise.numbers], dtype=bool)
        self._checked = promise.largest < np.inf or not self._gaps.all()
        self._whole = tuple(
            place for place, name in enumerate(promise.texts) if name not in promise.may_lack
        )

    @property
    def facts(self) -> Facts:
        """What the graph promises."""
        promise = self.promise
        names = (*promise.numbers, *promise.texts)
        classified = promise.task in {"binary", "multiclass"}
        return Facts(promise.task, promise.classes, len(names), names, classified)

    def probabilities(self, given: Any) -> Probabilities:
        """The probabilities, columns in the order of the promised classes."""
        return Probabilities(self.values(given), self.promise.classes)

    def values(self, given: Any) -> Any:
        """The graph's output. Raises `ValueError` for what the model would have refused."""
        asked = isinstance(given, Parts)
        parts = given if asked else parts_of(given, self.promise)
        feeds: dict[str, Any] = {}
        if "numbers" in self._asked:
            if self._checked:
                self._check(parts.numbers)
            feeds["numbers"] = parts.numbers
        if "texts" in self._asked:
            feeds["texts"] = self._texts(parts.texts, self.promise.missing if asked else NONE)
        try:
            return self._run(self._outputs, feeds)[0]
        except Exception as error:
            if STRANGER in str(error):
                raise ValueError(
                    "a category that the model refuses, as it has not learned it"
                ) from error
            raise

    def _check(self, numbers: "NDArray[Any]") -> None:
        import numpy as np

        # A sum that is finite has no term that is not, and costs a third of looking at each.
        if self.promise.largest >= FLOAT64_LARGEST and math.isfinite(numbers.sum()):
            return
        # A comparison with NaN is false, so one pass finds both what is missing and too large.
        fine = np.abs(numbers) <= self.promise.largest
        if fine.all():
            return
        bad = ~(fine | (np.isnan(numbers) & self._gaps))
        if bad.any():
            row, place = map(int, np.argwhere(bad)[0])
            what = "is missing" if np.isnan(numbers[row, place]) else "is infinite or too large"
            raise ValueError(f"{self.promise.numbers[place]!r} {what} in row {row}")

    def _texts(self, texts: "NDArray[Any]", none: str) -> "NDArray[Any]":
        import numpy as np

        spelled = [[text_in_graph(value, none) for value in row] for row in texts.tolist()]
        for place in self._whole:
            for number, row in enumerate(spelled):
                if row[place] in {NONE, NAN}:
                    name = self.promise.texts[place]
                    raise ValueError(f"{name!r} is missing in row {number}")
        return np.array(spelled, dtype=object)


def text_in_graph(value: Any, none: str = NONE) -> str:
    """How a graph knows a text, one that begins with the mark of missing ones included.

    Raises `TypeError` for what is neither a text nor missing."""
    if isinstance(value, str):
        return f"{_MARK}{value}" if value.startswith(_MARK) else value
    if value is None:
        return none
    if is_missing(value):
        return NAN
    raise TypeError(f"{value!r} is no text")


def parts_of(given: Any, promise: Promise) -> Parts:
    """What feature code made (a DataFrame, a dict of arrays, a matrix) as the graph's parts."""
    import numpy as np

    if not (hasattr(given, "columns") or isinstance(given, dict)):
        matrix = np.ascontiguousarray(given, dtype=np.float64)
        return Parts(matrix, np.empty((len(matrix), 0), dtype=object))
    numbers = [_numbers(given[name]) for name in promise.numbers]
    texts = [np.asarray(given[name], dtype=object) for name in promise.texts]
    rows = len((numbers or texts)[0])
    return Parts(_beside(numbers, rows, np.float64), _beside(texts, rows, object))


def _numbers(values: Any) -> "NDArray[Any]":
    import numpy as np

    if hasattr(values, "to_numpy"):
        made: NDArray[Any] = values.to_numpy(dtype=np.float64, na_value=np.nan)
        return made
    return np.asarray(values, dtype=np.float64)


def _beside(columns: Sequence["NDArray[Any]"], rows: int, dtype: Any) -> "NDArray[Any]":
    import numpy as np

    made = np.empty((rows, len(columns)), dtype=dtype)
    for place, values in enumerate(columns):
        made[:, place] = values
    return made
