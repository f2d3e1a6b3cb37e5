"""ONNX models by ONNX Runtime on the CPU."""

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from ..config import WorkerConfig
from ..tensors import text_of
from .contract import Facts, Probabilities
from .formats import model_file, threads

_TYPES = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(float16)": "float16",
    "tensor(int64)": "int64",
    "tensor(int32)": "int32",
    "tensor(int16)": "int16",
    "tensor(int8)": "int8",
    "tensor(uint8)": "uint8",
    "tensor(bool)": "bool",
    "tensor(string)": "object",
}
_DATATYPES = {
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(float16)": "FP16",
    "tensor(int64)": "INT64",
    "tensor(int32)": "INT32",
    "tensor(int16)": "INT16",
    "tensor(int8)": "INT8",
    "tensor(uint8)": "UINT8",
    "tensor(bool)": "BOOL",
    "tensor(string)": "BYTES",
}
_ROUNDING = 1e-3
"""How far from 1 the probabilities of a row may add up to."""

_FLOATS = {"tensor(float)", "tensor(double)", "tensor(float16)"}


def load(config: WorkerConfig) -> "Onnx":
    """Open the model with as many threads as the execution profile allows."""
    path = model_file(config)
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads()
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return Onnx(session, config.settings.get("output"))


class Onnx:
    """A session. `output` names the output to use where a model has several that could be it."""

    def __init__(self, session: Any, output: str | None) -> None:
        self._session = session
        self._inputs = list(session.get_inputs())
        self._outputs = list(session.get_outputs())
        names = [each.name for each in self._outputs]
        if output is not None and output not in names:
            raise ValueError(f"the model has no output {output!r} but {names}")
        self._output = output
        self._one_by_one = all(each.shape[:1] == [1] for each in self._inputs)

    @property
    def facts(self) -> Facts:
        """What the graph tells, and the answer to one row of zeros where it does not.

        A lone output of one number a row is taken for a regression: a graph does not say whether
        it is a probability. Several numbers a row are probabilities if they add up to 1."""
        single = len(self._inputs) == 1
        shape = self._inputs[0].shape
        width = len(self._inputs) if not single else shape[-1] if 1 <= len(shape) <= 2 else None
        classes, task = self._sampled()
        return Facts(
            task=task,
            classes=classes,
            features=width if isinstance(width, int) else None,
            feature_names=() if single else tuple(each.name for each in self._inputs),
            probabilities=task in {"binary", "multiclass"},
            inputs=self._tensors(),
        )

    def probabilities(self, given: Any) -> Probabilities:
        """The float output, or the map of class to probability that converters write."""
        name = self._chosen()
        (answer,) = self._run([name], self._fed(given))
        if isinstance(answer, list):
            classes = tuple(answer[0])
            values = [[row[key] for key in classes] for row in answer]
            return Probabilities(values, tuple(text_of(key) or "" for key in classes))
        return Probabilities(answer)

    def values(self, given: Any) -> Any:
        """Every output by name, or the one that was chosen."""
        wanted = [self._output] if self._output else [each.name for each in self._outputs]
        return dict(zip(wanted, self._run(wanted, self._fed(given)), strict=True))

    def _run(self, wanted: list[str], fed: dict[str, Any]) -> list[Any]:
        """The outputs; row by row where the graph was exported for exactly one."""
        rows = len(next(iter(fed.values())))
        if not self._one_by_one or rows == 1:
            return list(self._session.run(wanted, fed))
        import numpy as np

        single = [
            self._session.run(wanted, {name: each[row : row + 1] for name, each in fed.items()})
            for row in range(rows)
        ]
        return [
            list(chain.from_iterable(parts))
            if isinstance(parts[0], list)
            else np.concatenate(parts)
            for parts in zip(*single, strict=True)
        ]

    def _tensors(self) -> tuple[tuple[str, str, tuple[int, ...]], ...]:
        """Every input where one is a tensor of numbers; none where a size is open.

        A lone input of two axes is taken for a table of numbers."""
        if len(self._inputs) == 1 and len(self._inputs[0].shape) <= 2:
            return ()
        found = [
            (each.name, _DATATYPES.get(each.type, ""), _row_shape(each.shape))
            for each in self._inputs
        ]
        sizes = [size for _, _, own in found for size in own]
        if not sizes or not all(isinstance(size, int) for size in sizes):
            return ()
        unfit = any(not datatype or (own and datatype == "BYTES") for _, datatype, own in found)
        return () if unfit else tuple(found)

    def _candidates(self) -> list[Any]:
        return [each for each in self._outputs if each.type in _FLOATS or "map(" in each.type]

    def _chosen(self) -> str:
        if self._output:
            return self._output
        candidates = self._candidates()
        if len(candidates) != 1:
            raise TypeError(
                f"which of {[each.name for each in self._outputs]} holds the probabilities? "
                "name it as 'output' in the config of the model"
            )
        name: str = candidates[0].name
        return name

    def _sampled(self) -> tuple[tuple[str, ...], str]:
        """Classes and task, as the answer to one row shows them."""
        import numpy as np

        if self._output is None and len(self._candidates()) != 1:
            return (), "other"
        zeros = {each.name: _zeros(each) for each in self._inputs}
        name = self._chosen()
        try:
            (answer,) = self._session.run([name], zeros)
        except Exception:  # a model may reject zeros and empty texts
            return (), self._declared_task(name)
        if isinstance(answer, list):
            classes = tuple(text_of(key) or "" for key in answer[0])
            return classes, "binary" if len(classes) == 2 else "multiclass"
        array = np.asarray(answer)
        if array.size > 1 and not _adds_up(array):
            return (), "other"
        return (), self._task(array.size)

    def _declared_task(self, output: str) -> str:
        (shape,) = (each.shape for each in self._outputs if each.name == output)
        width = shape[-1] if shape else None
        return self._task(width) if isinstance(width, int) else "other"

    def _task(self, columns: int) -> str:
        if columns == 1 and len(self._outputs) == 1:
            return "regression"
        return "binary" if columns <= 2 else "multiclass"

    def _fed(self, given: Any) -> dict[str, Any]:
        if len(self._inputs) == 1:
            only = self._inputs[0]
            return {only.name: _cast(_stacked(given, only.name), only)}
        missing = [each.name for each in self._inputs if each.name not in _names(given)]
        if missing:
            raise ValueError(f"the model's inputs {missing} are not among {_names(given)}")
        return {each.name: _cast(given[each.name], each) for each in self._inputs}


def _row_shape(shape: Sequence[Any]) -> tuple[Any, ...]:
    """The shape of a row; `()` for one value, with or without an axis of its own."""
    return () if list(shape[1:]) == [1] else tuple(shape[1:])


def _adds_up(array: Any) -> bool:
    """Whether the numbers of one row are probabilities."""
    import numpy as np

    values = np.asarray(array, dtype=np.float64)
    inside = values.min() >= -_ROUNDING and values.max() <= 1 + _ROUNDING
    return bool(inside and abs(values.sum() - 1) <= _ROUNDING)


def _names(given: Any) -> Sequence[str]:
    if isinstance(given, Mapping):
        return list(given)
    return list(getattr(given, "columns", ()))


def _stacked(given: Any, name: str) -> Any:
    """One array for a model with one input: that column, or all of them side by side."""
    import numpy as np

    if not isinstance(given, Mapping):
        return given
    return given[name] if list(given) == [name] else np.column_stack(list(given.values()))


def _cast(values: Any, wanted: Any) -> Any:
    """An array of the input's type; one column becomes [rows, 1] where the model wants two axes."""
    import numpy as np

    if wanted.type not in _TYPES:
        raise ValueError(f"the model's input {wanted.name!r} is {wanted.type}, which has no column")
    array = np.ascontiguousarray(values, dtype=_TYPES[wanted.type])
    return array.reshape(-1, 1) if array.ndim == 1 and len(wanted.shape) == 2 else array


def _zeros(wanted: Any) -> Any:
    """One row of zeros, or of empty texts, for an input."""
    import numpy as np

    shape = [size if isinstance(size, int) and size > 0 else 1 for size in wanted.shape]
    if wanted.type == "tensor(string)":
        return np.full(shape, "", dtype=object)
    return np.zeros(shape, dtype=_TYPES.get(wanted.type, "float32"))
