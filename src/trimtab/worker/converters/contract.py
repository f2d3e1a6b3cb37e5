"""What converters are shown, what they make, and how they say no."""

from dataclasses import dataclass
from typing import Any


class Unconvertible(Exception):
    """The model has no exact graph; the text says why, for a person."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What the model is given, as its golden rows show it: the columns in their order, and which
    of them are numbers; all others are texts. `task` is that of the signature."""

    task: str
    columns: tuple[str, ...]
    numbers: tuple[str, ...]

    @property
    def texts(self) -> tuple[str, ...]:
        """The columns that are texts."""
        return tuple(name for name in self.columns if name not in self.numbers)


@dataclass(frozen=True, slots=True)
class Graph:
    """An ONNX model whose inputs are `numbers` and `texts` (either may be absent) and whose only
    output are the probabilities of `classes`, or the values when there are none."""

    model: Any
    classes: tuple[str, ...] = ()
