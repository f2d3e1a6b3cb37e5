"""LightGBM's boosters, tree by tree from their own dump."""

import math
from collections.abc import Mapping
from typing import Any

from ..loaders.lightgbm import LightGBM
from .contract import Graph, Shown, Unconvertible
from .forest import Forest, Node, Tree, tree_of
from .links import linked

_LINKS = {
    "binary": "sigmoid",
    "multiclass": "softmax",
    "regression": "identity",
    "regression_l1": "identity",
    "huber": "identity",
    "fair": "identity",
    "quantile": "identity",
    "mape": "identity",
    "poisson": "exp",
    "gamma": "exp",
    "tweedie": "exp",
}
_PRINTED_FOR_INFINITY = 1e300


def converted(predictor: LightGBM, shown: Shown) -> Graph:
    """The graph of a booster, which sums in float64 and in the order of the trees as it does."""
    if shown.texts:
        raise Unconvertible("texts are categories to LightGBM, which are not compiled")
    dump = predictor.booster.dump_model()
    link = _LINKS.get(_plain_objective(str(dump.get("objective", ""))))
    if link is None:
        raise Unconvertible(f"the objective {dump.get('objective')!r} has no exact converter")
    if dump.get("average_output"):
        raise Unconvertible("LightGBM's random forests have no exact converter")
    targets = int(dump["num_tree_per_iteration"])
    forest = Forest(targets)
    for number, entry in enumerate(dump["tree_info"]):
        forest.add(_tree(entry["tree_structure"]), number % targets)
    return Graph(linked(forest, link, shown))


def _plain_objective(text: str) -> str:
    """The objective's name, or nothing when it has an option that changes its output."""
    name, *options = text.split(" ")
    odd = [each for each in options if each == "sqrt" or _scaled(each)]
    return "" if odd else name


def _scaled(option: str) -> bool:
    return option.startswith("sigmoid:") and float(option.partition(":")[2]) != 1.0


def _tree(root: Mapping[str, Any]) -> Tree:
    """The nested nodes of a dump, numbered as they are met."""
    nodes: list[Node] = [Node()]
    waiting = [(0, root)]
    while waiting:
        place, node = waiting.pop()
        if "split_index" not in node:
            nodes[place] = _leaf(node)
            continue
        left, right = len(nodes), len(nodes) + 1
        nodes += [Node(), Node()]
        nodes[place] = _split(node, left, right)
        waiting += [(left, node["left_child"]), (right, node["right_child"])]
    return tree_of(nodes)


def _leaf(node: Mapping[str, Any]) -> Node:
    if node.get("leaf_coeff"):
        raise Unconvertible("linear trees have no exact converter")
    return Node(float(node["leaf_value"]))


def _split(node: Mapping[str, Any], left: int, right: int) -> Node:
    """Without missing values in training, LightGBM takes a missing one for zero."""
    missing = node["missing_type"]
    if node["decision_type"] != "<=":
        raise Unconvertible("splits of LightGBM by category have no exact converter")
    if missing == "Zero":
        raise Unconvertible("LightGBM's zero_as_missing has no exact converter")
    threshold = float(node["threshold"])
    if threshold >= _PRINTED_FOR_INFINITY:
        threshold = math.inf
    goes_left = bool(node["default_left"]) if missing == "NaN" else threshold >= 0.0
    return Node(0.0, int(node["split_feature"]), threshold, left, right, goes_left)
