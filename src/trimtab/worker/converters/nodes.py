"""One operator of skl2onnx in the making: the nodes that a converter of ours adds for it."""

from typing import TYPE_CHECKING, Any

from .contract import Unconvertible
from .forest import Forest

if TYPE_CHECKING:
    from numpy.typing import NDArray


LATER = "trimtab.later"
"""Domain of nodes that belong to a version of ai.onnx.ml which skl2onnx refuses to write; `only`
gives them their right one."""


class Nodes:
    """Adds nodes to the container of one operator, each with an output of its own name."""

    def __init__(self, scope: Any, operator: Any, container: Any) -> None:
        self._scope = scope
        self._container = container
        self._inputs = operator.inputs
        self.model = operator.raw_operator
        self.outputs = [each.full_name for each in operator.outputs]

    @property
    def features(self) -> str:
        """The only tensor that the operator is given."""
        if len(self._inputs) != 1:
            raise Unconvertible(f"{type(self.model).__name__} is given several tensors")
        name: str = self._inputs[0].full_name
        return name

    @property
    def text(self) -> bool:
        """Whether the only tensor holds texts."""
        return _is_text(self._inputs[0])

    def columns(self) -> list[tuple[str, int, bool]]:
        """Each column of what the operator is given: its tensor, its place there, whether text."""
        found = []
        for each in self._inputs:
            width = each.type.shape[1]
            if not isinstance(width, int) and len(self._inputs) > 1:
                raise Unconvertible(
                    f"{type(self.model).__name__} is given tensors of unknown width"
                )
            known = width if isinstance(width, int) else len(self.model.categories_)
            found += [(each.full_name, place, _is_text(each)) for place in range(known)]
        return found

    def add(self, kind: str, *inputs: str, into: str | None = None, **attributes: Any) -> str:
        """Add a node, `named` if its name matters; returns the name of its output."""
        output = into or self._scope.get_unique_variable_name(kind.lower())
        name = self._scope.get_unique_operator_name(attributes.pop("named", kind))
        self._container.add_node(kind, list(inputs), output, name=name, **attributes)
        return output

    def forest(self, forest: Forest, features: str) -> str:
        """Add the node of a forest: its sums of [rows, targets]."""
        return self.later("TreeEnsemble", features, **forest.attributes())

    def later(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add a node of `forest.DOMAIN` in `forest.VERSION`."""
        return self.add(kind, *inputs, op_domain=LATER, op_version=1, **attributes)

    def constant(self, values: "NDArray[Any]") -> str:
        """Add an array."""
        from onnx import numpy_helper

        name: str = self._scope.get_unique_variable_name("constant")
        self._container.initializers.append(numpy_helper.from_array(values, name))
        return name


def _is_text(variable: Any) -> bool:
    return type(variable.type).__name__.startswith("String")
