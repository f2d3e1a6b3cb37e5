"""Decision trees as one node of a graph: `TreeEnsemble` of ai.onnx.ml 5, the first version that
keeps thresholds, leaves and sums in float64."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

DOMAIN = "ai.onnx.ml"
VERSION = 5
"""The domain and version of the nodes written here."""
AT_MOST, BELOW = 0, 1
"""How a node compares a feature with its threshold: `<=` as scikit-learn, `<` as XGBoost."""


@dataclass(frozen=True, slots=True)
class Tree:
    """One tree, node by node; the root is node 0. `left` is where a feature at most (or below) the
    threshold goes, `missing_left` whether a missing one goes there too. Values are of leaves."""

    leaf: "NDArray[Any]"
    feature: "NDArray[Any]"
    threshold: "NDArray[Any]"
    left: "NDArray[Any]"
    right: "NDArray[Any]"
    missing_left: "NDArray[Any]"
    value: "NDArray[Any]"


class Forest:
    """Trees, each of which adds its leaf's value to one of `targets` sums."""

    def __init__(self, targets: int, compare: int = AT_MOST) -> None:
        self._targets = targets
        self._compare = compare
        self._parts: dict[str, list[Any]] = {name: [] for name in _ATTRIBUTES}
        self._inner = 0
        self._leaves = 0

    def add(self, tree: Tree, target: int = 0) -> None:
        """Add a tree; a root that is a leaf becomes a node whose two sides are alike."""
        import numpy as np

        if tree.leaf[0]:
            tree = _stump(float(tree.value[0]))
        inner, leaf = ~tree.leaf, tree.leaf
        place = np.where(
            inner, np.cumsum(inner) - 1 + self._inner, np.cumsum(leaf) - 1 + self._leaves
        )
        left, right = tree.left[inner], tree.right[inner]
        added = {
            "tree_roots": [self._inner],
            "nodes_featureids": tree.feature[inner],
            "nodes_splits": tree.threshold[inner],
            "nodes_truenodeids": place[left],
            "nodes_trueleafs": leaf[left],
            "nodes_falsenodeids": place[right],
            "nodes_falseleafs": leaf[right],
            "nodes_missing_value_tracks_true": tree.missing_left[inner],
            "leaf_targetids": np.full(int(leaf.sum()), target),
            "leaf_weights": tree.value[leaf],
        }
        for name, values in added.items():
            self._parts[name].append(np.asarray(values))
        self._inner += int(inner.sum())
        self._leaves += int(leaf.sum())

    def attributes(self, dtype: str = "float64") -> dict[str, Any]:
        """The attributes of the node; `dtype` is that of thresholds, leaves and sums."""
        import numpy as np
        from onnx import numpy_helper

        joined = {name: np.concatenate(parts) for name, parts in self._parts.items()}
        tensors = {
            name: numpy_helper.from_array(joined.pop(name).astype(dtype), name)
            for name in ("nodes_splits", "leaf_weights")
        }
        modes = np.full(self._inner, self._compare, dtype=np.uint8)
        return {
            **{name: values.astype(np.int64).tolist() for name, values in joined.items()},
            **tensors,
            "nodes_modes": numpy_helper.from_array(modes, "nodes_modes"),
            "n_targets": self._targets,
            "aggregate_function": 1,
            "post_transform": 0,
        }


_ATTRIBUTES = (
    "tree_roots",
    "nodes_featureids",
    "nodes_splits",
    "nodes_truenodeids",
    "nodes_trueleafs",
    "nodes_falsenodeids",
    "nodes_falseleafs",
    "nodes_missing_value_tracks_true",
    "leaf_targetids",
    "leaf_weights",
)


def tree_of(nodes: Sequence["Node"]) -> Tree:
    """A tree out of nodes in any order but with the root first."""
    import numpy as np

    return Tree(
        leaf=np.array([node.left < 0 for node in nodes]),
        feature=np.array([node.feature for node in nodes]),
        threshold=np.array([node.threshold for node in nodes]),
        left=np.array([node.left for node in nodes]),
        right=np.array([node.right for node in nodes]),
        missing_left=np.array([node.missing_left for node in nodes]),
        value=np.array([node.value for node in nodes]),
    )


@dataclass(frozen=True, slots=True)
class Node:
    """A node as libraries print them; a leaf has only its value."""

    value: float = 0.0
    feature: int = 0
    threshold: float = 0.0
    left: int = -1
    right: int = -1
    missing_left: bool = False


def _stump(value: float) -> Tree:
    return tree_of([Node(left=1, right=2), Node(value), Node(value)])
