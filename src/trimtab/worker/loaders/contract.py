"""What every loader returns."""

from dataclasses import asdict, dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Facts:
    """What a model tells about itself, from which a build fills the signature.

    `task` is `binary`, `multiclass`, `regression` or `other`; `classes` (as text, in the model's
    order) and `feature_names` are empty and `features` is None when the format does not say.
    `probabilities` tells whether the model can give them. `inputs` are name, datatype and shape per
    row of every input, where the format says so and one of them is a tensor.
    """

    task: str
    classes: tuple[str, ...] = ()
    features: int | None = None
    feature_names: tuple[str, ...] = ()
    probabilities: bool = False
    inputs: tuple[tuple[str, str, tuple[int, ...]], ...] = ()

    def described(self) -> dict[str, Any]:
        """The facts as JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Probabilities:
    """Class probabilities: `values` is [rows, classes], or [rows] for the positive class alone.

    `classes` names the columns of `values`; empty means the order of the signature.
    """

    values: Any
    classes: tuple[str, ...] = ()


class Predictor(Protocol):
    """A loaded model. `given` is what the feature code or the release's `frame` made."""

    @property
    def facts(self) -> Facts:
        """What the model tells about itself."""
        ...

    def probabilities(self, given: Any) -> Probabilities:
        """Probabilities of the classes; raises `TypeError` when the model has none."""
        ...

    def values(self, given: Any) -> Any:
        """The prediction: one array, or arrays by name."""
        ...
