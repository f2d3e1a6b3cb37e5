"""The golden set: stored inputs and outputs, replayed to see whether the model still is itself."""

import contextlib
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from .failures import EXIT_GOLDEN, GOLDEN_FAILED, Refusal, StageFailure
from .frames import FrameError, Kind, Tensor, decode_all, encode_tensors, tensors_of
from .model import Model
from .tensors import array_of, tensor_of

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class GoldenSet:
    """Inputs of `rows` rows, with outputs unless a build is about to make them."""

    rows: int
    inputs: list[Tensor]
    outputs: list[Tensor]


class Decision(Protocol):
    """The part of a signature that says how a label follows from the scores."""

    @property
    def task(self) -> str:
        """`binary`, `multiclass`, `regression` or `other`."""

    @property
    def threshold(self) -> float:
        """The score from which on a binary label is positive."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """`difference` is the largest absolute difference of two numbers; `problems` are all others:
    another name or shape, a text that differs, a number that is missing on one side only."""

    difference: float
    problems: tuple[str, ...]

    def within(self, tolerance: float) -> bool:
        """Whether this counts as the same."""
        return not self.problems and self.difference <= tolerance


def read(path: Path) -> GoldenSet:
    """The set in a GOLDEN file. Raises `FrameError` or `OSError`."""
    frames = decode_all(path.read_bytes())
    if len(frames) != 1 or frames[0].kind is not Kind.GOLDEN:
        raise FrameError(f"{path.name} holds no golden set")
    inputs, outputs = tensors_of(frames[0], "inputs", "outputs")
    return GoldenSet(int(frames[0].header["rows"]), inputs, outputs)


def write(path: Path, golden: GoldenSet) -> None:
    """Write the set to `path`, which is replaced at once or not at all."""
    lists = {"inputs": golden.inputs, "outputs": golden.outputs}
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    with unfinished.open("wb") as file:
        file.writelines(encode_tensors(Kind.GOLDEN, {"rows": golden.rows}, lists))
    unfinished.replace(path)


def batches(golden: GoldenSet, batch: int = 0) -> Iterator[tuple[list[Tensor], int]]:
    """The set's inputs, `batch` rows at a time (0: all at once), with the number of rows."""
    if batch <= 0 or batch >= golden.rows:
        yield golden.inputs, golden.rows
        return
    columns = [(tensor, array_of(tensor)) for tensor in golden.inputs]
    for start in range(0, golden.rows, batch):
        end = min(start + batch, golden.rows)
        inputs = [tensor_of(each.name, rows[start:end], each.datatype) for each, rows in columns]
        yield inputs, end - start


def answers(model: Model, golden: GoldenSet, batch: int = 0) -> list[Tensor]:
    """The model's outputs for the set's inputs, asked `batch` rows at a time (0: all at once)."""
    return joined([model.predict(inputs, rows).outputs for inputs, rows in batches(golden, batch)])


def compare(
    expected: Sequence[Tensor], got: Sequence[Tensor], signature: Decision, tolerance: float
) -> Comparison:
    """How far two lists of outputs are apart.

    Texts must be equal, but the label of a row whose probabilities are within `tolerance` of a
    decision may fall either way.
    """
    problems, difference = [], 0.0
    found = {tensor.name: tensor for tensor in got}
    undecided = _undecided(expected, signature, tolerance)
    for tensor in expected:
        other = found.pop(tensor.name, None)
        if other is None or (other.shape, other.datatype) != (tensor.shape, tensor.datatype):
            problems.append(f"{tensor.name!r} is missing or of another shape or type")
            continue
        decides = tensor.name == "label" and signature.task in {"binary", "multiclass"}
        apart, mismatches = _apart(tensor, other, undecided if decides else None)
        difference = max(difference, 0.0 if decides else apart)
        mismatches += apart > 0 if decides else 0
        if mismatches:
            problems.append(f"{tensor.name!r} differs in {mismatches} of its values")
    problems += [f"{name!r} is new" for name in found]
    return Comparison(difference, tuple(problems))


def verified(model: Model) -> float | None:
    """Replay the release's golden set; returns the largest difference, None without a set.

    Raises `Refusal` (exit code 10) when the outputs are not the stored ones within tolerance.
    """
    if model.config.golden is None:
        return None
    return settled(model, replayed(model))


def settled(model: Model, result: Comparison) -> float:
    """The largest difference of a replay. Raises `Refusal` when it is beyond the tolerance."""
    tolerance = 0.0 if model.config.golden is None else model.config.golden.tolerance
    if result.within(tolerance):
        return result.difference
    why = "; ".join(result.problems) or (
        f"the largest difference is {result.difference:.3g}, the tolerance {tolerance:.3g}"
    )
    raise _not_reproduced(model, why, result.difference)


def replayed(model: Model) -> Comparison:
    """Replay the release's golden set and compare. Raises `Refusal` when it cannot be replayed."""
    stored = model.config.golden
    if stored is None:
        raise _not_reproduced(model, "the release has no golden set", None)
    with replaying(model):
        golden = read(stored.path)
        got = answers(model, golden)
    return compare(golden.outputs, got, model.config.signature, stored.tolerance)


@contextlib.contextmanager
def replaying(model: Model) -> Iterator[None]:
    """Turn what goes wrong in a replay into the `Refusal` that says so."""
    try:
        yield
    except StageFailure as failure:
        raise _not_reproduced(model, f"at {failure.stage}: {failure}", None) from failure
    except (OSError, FrameError, KeyError, ValueError) as error:
        raise _not_reproduced(model, f"the golden set cannot be read: {error}", None) from error


def _not_reproduced(model: Model, why: str, difference: float | None) -> Refusal:
    message = f"the golden set of {model.config.name} is not reproduced: {why}"
    return Refusal(EXIT_GOLDEN, GOLDEN_FAILED, message, difference)


def joined(parts: Sequence[Sequence[Tensor]]) -> list[Tensor]:
    """Outputs of parts of the rows, as those of all."""
    return [_joined(each) for each in zip(*parts, strict=True)] if len(parts) > 1 else [*parts[0]]


def _joined(parts: Sequence[Tensor]) -> Tensor:
    import numpy as np

    whole = np.concatenate([array_of(part) for part in parts])
    return tensor_of(parts[0].name, whole, parts[0].datatype)


def _apart(one: Tensor, other: Tensor, ignored: "NDArray[Any] | None") -> tuple[float, int]:
    """Largest difference of numbers, and how many values cannot be compared but by being equal."""
    import numpy as np

    a, b = array_of(one), array_of(other)
    if ignored is not None:
        a, b = a[~ignored], b[~ignored]
    if one.datatype == "BYTES":
        return 0.0, int(np.count_nonzero(a != b))
    a, b = a.astype(np.float64), b.astype(np.float64)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    with np.errstate(invalid="ignore"):
        apart = np.where(same, 0.0, np.abs(a - b))
    finite = np.isfinite(apart)
    return float(apart[finite].max(initial=0.0)), int(np.count_nonzero(~finite))


def _undecided(
    expected: Sequence[Tensor], signature: Decision, tolerance: float
) -> "NDArray[Any] | None":
    """Rows whose label hangs on less than the tolerance."""
    import numpy as np

    scores = {tensor.name: array_of(tensor) for tensor in expected if tensor.datatype != "BYTES"}
    if signature.task == "binary" and "score" in scores:
        return np.asarray(np.abs(scores["score"] - signature.threshold) <= tolerance)
    if signature.task == "multiclass" and "scores" in scores:
        best = np.sort(scores["scores"], axis=1)
        lead = best[:, -1] - best[:, -2] if best.shape[1] > 1 else np.full(len(best), math.inf)
        return np.asarray(lead <= 2 * tolerance)
    return None
