"""XGBoost's boosters, tree by tree from their own JSON."""

import json
import math
from collections.abc import Mapping
from typing import Any

from ..loaders.xgboost import XGBoost
from .contract import Graph, Shown, Unconvertible
from .forest import BELOW, Forest, Tree
from .links import linked

_LINKS = {
    "binary:logistic": "sigmoid",
    "multi:softprob": "softmax",
    "reg:squarederror": "identity",
    "reg:absoluteerror": "identity",
    "reg:pseudohubererror": "identity",
    "reg:quantileerror": "identity",
    "reg:logistic": "sigmoid",
    "reg:gamma": "exp",
    "reg:tweedie": "exp",
    "count:poisson": "exp",
}


def converted(predictor: XGBoost, shown: Shown) -> Graph:
    """The graph of a booster, whose trees compute in float32 as its own do."""
    import numpy as np

    if shown.texts:
        raise Unconvertible("splits of XGBoost by category have no exact converter")
    learner = json.loads(bytes(predictor.used().save_raw("json")))["learner"]
    booster = learner["gradient_booster"]
    link = _LINKS.get(predictor.objective)
    if booster["name"] != "gbtree" or link is None:
        raise Unconvertible(f"{booster['name']} with {predictor.objective} has no exact converter")
    model = booster["model"]
    targets = max(1, int(learner["learner_model_param"]["num_class"]))
    forest = Forest(targets, BELOW)
    for target, tree in zip(model["tree_info"], model["trees"], strict=True):
        forest.add(_tree(tree), int(target))
    base = np.array(_base(learner["learner_model_param"]["base_score"], link, targets))
    return Graph(linked(forest, link, shown, base, single=True))


def _base(text: str, link: str, targets: int) -> list[float]:
    """The score before the first tree, as a margin: one number for all targets, or one for each."""
    values = json.loads(text) if text.startswith("[") else [text]
    numbers = [float(value) for value in values]
    if link == "sigmoid":
        numbers = [-math.log(1.0 / value - 1.0) for value in numbers]
    if link == "exp":
        numbers = [math.log(value) for value in numbers]
    return numbers if len(numbers) == targets else numbers * targets


def _tree(tree: Mapping[str, Any]) -> Tree:
    """The arrays of a tree; the condition of a leaf is its value."""
    import numpy as np

    if any(tree["split_type"]):
        raise Unconvertible("splits of XGBoost by category have no exact converter")
    if int(tree["tree_param"].get("size_leaf_vector", "1") or 1) > 1:
        raise Unconvertible("trees of several targets have no exact converter")
    left = np.array(tree["left_children"])
    conditions = np.array(tree["split_conditions"], dtype=np.float32).astype(np.float64)
    return Tree(
        leaf=left == -1,
        feature=np.array(tree["split_indices"]),
        threshold=conditions,
        left=left,
        right=np.array(tree["right_children"]),
        missing_left=np.array(tree["default_left"]).astype(bool),
        value=conditions,
    )
