"""From what a model returned to the outputs that its signature promises."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .config import Output, Signature
from .failures import StageFailure
from .frames import Tensor, encode_texts
from .loaders.contract import Probabilities
from .tensors import DTYPES, datatype_of, tensor_of, text_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

Shaper = Callable[[Any, int], list[Tensor]]
"""Makes the outputs of the signature out of what the model returned for so many rows.

Raises `StageFailure` at `output` when they are not what the signature promises."""

_ROUNDING = 1e-6
"""How far a float32 probability may be outside [0, 1]."""


def shaper(signature: Signature, allow_nan: bool) -> Shaper:
    """How answers of the signature's task become outputs; what no answer changes is done once."""
    if signature.task in {"binary", "multiclass"}:
        return ClassOutputs(signature, allow_nan).of
    return lambda answer, rows: value_outputs(signature, answer, rows, allow_nan)


class ClassOutputs:
    """`score` and `label` of a binary task, `scores` and `label` of a multiclass one."""

    def __init__(self, signature: Signature, allow_nan: bool) -> None:
        self._signature = signature
        self._allow_nan = allow_nan
        self._binary = signature.task == "binary"
        self._orders: dict[tuple[str, ...], list[int]] = {}
        self._labels: dict[tuple[str, ...], _Labels] = {}
        self._first = _declared(signature, "score" if self._binary else "scores", "FP64")
        self._plain = self._first == Output("score", "FP64", ())

    def of(self, answer: Probabilities, rows: int) -> list[Tensor]:
        """The outputs of `rows` rows. Raises `StageFailure` for what are no probabilities."""
        import numpy as np

        values = _counted(np.asarray(answer.values, dtype=np.float64), rows)
        within = bool(values.min() >= -_ROUNDING and values.max() <= 1 + _ROUNDING)
        named = self._signature.classes or answer.classes
        if self._binary:
            classes = named or ("0", "1")
            scores = self._positive(values, answer.classes, classes)
            chosen = scores >= self._signature.threshold
        else:
            classes = named or tuple(map(str, range(values.shape[-1])))
            scores = self._every(values, answer.classes, classes)
            chosen = scores.argmax(axis=1)
        if within and self._plain:
            first = Tensor("score", "FP64", scores.shape, scores.tobytes())
        else:
            first = conformed(self._declared(classes), scores, self._allow_nan)
            _check_probabilities(values)
        if classes not in self._labels:
            self._labels[classes] = _Labels(self._signature, classes)
        return [first, self._labels[classes].of(chosen)]

    def _declared(self, classes: Sequence[str]) -> Output:
        """The declared output; while a build learns it, one score for each class."""
        if self._binary or self._signature.outputs:
            return self._first
        return Output("scores", "FP64", (len(classes),))

    def _positive(
        self, values: "NDArray[Any]", given: tuple[str, ...], classes: tuple[str, ...]
    ) -> "NDArray[Any]":
        """The probability of the positive class, which is the last of `classes`."""
        if values.ndim == 1 or values.shape[1:] == (1,):
            return values.reshape(len(values))
        if values.shape[1:] != (2,):
            shape = list(values.shape)
            raise StageFailure("output", f"a binary model returned the shape {shape}")
        return values[:, self._order(given, classes)[-1] if given else 1]

    def _every(
        self, values: "NDArray[Any]", given: tuple[str, ...], classes: tuple[str, ...]
    ) -> "NDArray[Any]":
        if values.shape[1:] != (len(classes),):
            raise StageFailure(
                "output",
                f"probabilities have the shape {list(values.shape)} for {len(classes)} classes",
            )
        return values[:, self._order(given, classes)] if given else values

    def _order(self, given: tuple[str, ...], classes: tuple[str, ...]) -> list[int]:
        """Positions in `given` of each of `classes`, which are the same in every request."""
        if given not in self._orders:
            self._orders[given] = _order(given, classes)
        return self._orders[given]


def value_outputs(signature: Signature, answer: Any, rows: int, allow_nan: bool) -> list[Tensor]:
    """`prediction` of a regression, or the named outputs of any other task."""
    import numpy as np

    named = _named(answer, signature)
    if signature.task == "regression":
        values = _counted(np.asarray(next(iter(named.values()))), rows)
        one = values.reshape(rows) if values.shape == (rows, 1) else values
        return [conformed(_declared(signature, "prediction", "FP64"), one, allow_nan)]
    outputs = signature.outputs or _inferred(named)
    if missing := [output.name for output in outputs if output.name not in named]:
        raise StageFailure("output", f"the model gave {list(named)} and lacks {missing}")
    return [
        conformed(output, _counted(np.asarray(named[output.name]), rows), allow_nan)
        for output in outputs
    ]


def conformed(output: Output, values: "NDArray[Any]", allow_nan: bool) -> Tensor:
    """`values` as the declared output. Raises `StageFailure` for another shape, type, or NaN."""
    import numpy as np

    if values.shape[1:] != output.shape:
        raise StageFailure(
            "output",
            f"{output.name!r} has the shape {list(values.shape[1:])} a row, "
            f"not {list(output.shape)}",
        )
    if output.datatype != "BYTES" and values.dtype.kind not in "biuf":
        raise StageFailure("output", f"{output.name!r} {_strange(values)}, not {output.datatype}")
    if values.dtype.kind == "f" and not allow_nan and not np.isfinite(values).all():
        bad = int(np.flatnonzero(~np.isfinite(values.reshape(len(values), -1)).all(axis=1))[0])
        raise StageFailure("output", f"{output.name!r} is not finite in row {bad}")
    return tensor_of(output.name, values, output.datatype)


def _strange(values: "NDArray[Any]") -> str:
    """What is wrong with values that are no array of numbers: the first of them that is none."""
    if values.dtype.kind == "O":
        for row, value in enumerate(values):
            if not isinstance(value, (bool, int, float)) and not hasattr(value, "dtype"):
                return f"holds {type(value).__name__} in row {row}"
    return f"is {values.dtype}"


def same_classes(one: Sequence[str], other: Sequence[str]) -> bool:
    """Whether two lists name the same classes, in whatever order and spelling of numbers."""
    return sorted(map(_plain, one)) == sorted(map(_plain, other))


def _counted(values: "NDArray[Any]", rows: int) -> "NDArray[Any]":
    if values.ndim == 0 or len(values) != rows:
        got = len(values) if values.ndim else "a single value instead of"
        raise StageFailure("output", f"the model returned {got} rows for {rows}")
    return values


def _order(given: Sequence[str], classes: Sequence[str]) -> list[int]:
    """Positions in `given` of each of `classes`."""
    if not same_classes(given, classes):
        raise StageFailure("output", f"the model has the classes {[*given]}, not {[*classes]}")
    places = {_plain(name): place for place, name in enumerate(given)}
    return [places[_plain(name)] for name in classes]


def _plain(name: str) -> str:
    """The class as it would be written by `text_of`, so that `1.0` and `True` find their like."""
    if name in {"True", "False"}:
        return name.lower()
    try:
        return text_of(float(name)) or name
    except (ValueError, OverflowError):
        return name


def _check_flat(name: str, array: "NDArray[Any]") -> None:
    """Of an object with parts, as a dict is, nobody would have more than its text."""
    if array.dtype.kind != "O":
        return
    for row, value in enumerate(array.flat):
        if isinstance(value, (Mapping, list, tuple, set)):
            raise StageFailure(
                "output",
                f"{name!r} holds a {type(value).__name__} in row {row}; several values a row are a "
                "dict of columns",
            )


class _Labels:
    """The names of classes as the bytes that stand for them on the wire."""

    def __init__(self, signature: Signature, classes: Sequence[str]) -> None:
        import numpy as np

        self._datatype = _declared(signature, "label", "BYTES").datatype
        values: list[Any] = [_label(name, self._datatype) for name in classes]
        if self._datatype == "BYTES":
            self._encoded = [encode_texts([value]) for value in values]
        else:
            self._encoded = [np.array([v], DTYPES[self._datatype]).tobytes() for v in values]
        size = len(self._encoded[0])
        alike = all(len(each) == size for each in self._encoded)
        self._alike = np.array(self._encoded, dtype=f"V{size}") if alike else None

    def of(self, chosen: "NDArray[Any]") -> Tensor:
        """The tensor `label` for the places of the chosen classes, or for yes and no."""
        encoded = self._encoded
        if self._alike is None:
            data = b"".join([encoded[place] for place in chosen.tolist()])
        else:
            data = self._alike.take(chosen).tobytes()
        return Tensor("label", self._datatype, chosen.shape, data)


def _label(name: str, datatype: str) -> str | float | bool:
    if datatype == "BYTES":
        return name
    if datatype == "BOOL":
        return _plain(name) in {"true", "1"}
    return float(name) if datatype.startswith("FP") else int(_plain(name))


def _declared(
    signature: Signature, name: str, datatype: str, shape: tuple[int, ...] = ()
) -> Output:
    found = (output for output in signature.outputs if output.name == name)
    return next(found, Output(name, datatype, shape))


def _check_probabilities(values: "NDArray[Any]") -> None:
    outside = (values < -_ROUNDING) | (values > 1 + _ROUNDING)
    if outside.any():
        worst = float(values[outside].flat[0])
        raise StageFailure("output", f"{worst:g} is no probability")


def _named(answer: Any, signature: Signature) -> dict[str, Any]:
    """What the model returned, by name; a bare array has the name of the only output."""
    if isinstance(answer, Mapping):
        return dict(answer)
    if hasattr(answer, "columns"):
        return {str(name): answer[name] for name in answer.columns}
    name = signature.outputs[0].name if signature.outputs else "prediction"
    return {name: answer}


def _inferred(named: Mapping[str, Any]) -> tuple[Output, ...]:
    import numpy as np

    arrays = {name: np.asarray(values) for name, values in named.items()}
    for name, array in arrays.items():
        _check_flat(name, array)
    return tuple(
        Output(name, datatype_of(array), array.shape[1:]) for name, array in arrays.items()
    )
