"""scikit-learn's trees and their ensembles, in float64 from threshold to probability."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .contract import Unconvertible
from .forest import Forest, Tree
from .nodes import Nodes

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SIGMOIDS = {"HalfBinomialLoss": 1.0, "ExponentialLoss": 2.0}
"""What the sum of the trees is multiplied by before the logistic function."""


def register() -> None:
    """Put these converters in the place of skl2onnx's own."""
    from skl2onnx import update_registered_converter
    from skl2onnx.common.shape_calculator import (
        calculate_linear_classifier_output_shapes,
        calculate_linear_regressor_output_shapes,
    )
    from sklearn import ensemble, tree

    labelled = {"zipmap": [True, False, "columns"], "nocl": [True, False]}
    for name, converter in _CLASSIFIERS.items():
        kind = getattr(ensemble, name, None) or getattr(tree, name)
        shapes = calculate_linear_classifier_output_shapes
        update_registered_converter(kind, f"Exact{name}", shapes, converter, options=labelled)
    for name, converter in _REGRESSORS.items():
        kind = getattr(ensemble, name, None) or getattr(tree, name)
        shapes = calculate_linear_regressor_output_shapes
        update_registered_converter(kind, f"Exact{name}", shapes, converter)


def _converter(convert: Callable[[Nodes], None]) -> Callable[[Any, Any, Any], None]:
    return lambda scope, operator, container: convert(Nodes(scope, operator, container))


def _averaging_classifier(nodes: Nodes) -> None:
    """The mean of the class shares in the leaves of all trees."""
    model = nodes.model
    trees = _trees(model)
    classes = len(model.classes_)
    targets = range(1, 2) if classes == 2 else range(classes)
    forest = Forest(len(targets))
    for target, column in enumerate(targets):
        for tree in trees:
            shares = _values(tree) / _values(tree).sum(axis=1, keepdims=True)
            forest.add(_tree(tree, shares[:, column]), target)
    mean = _mean(nodes, nodes.forest(forest, _rounded(nodes)), len(trees))
    _labelled(nodes, _both(nodes, mean) if classes == 2 else mean)


def _averaging_regressor(nodes: Nodes) -> None:
    """The mean of the values in the leaves of all trees."""
    trees = _trees(nodes.model)
    forest = Forest(1)
    for tree in trees:
        forest.add(_tree(tree, _values(tree)[:, 0]))
    sums = nodes.forest(forest, _rounded(nodes))
    nodes.add("Div", sums, _scalar(nodes, len(trees)), into=nodes.outputs[0])


def _mean(nodes: Nodes, sums: str, count: int) -> str:
    return nodes.add("Div", sums, _scalar(nodes, count))


def _scalar(nodes: Nodes, value: float) -> str:
    import numpy as np

    return nodes.constant(np.array([float(value)]))


def _trees(model: Any) -> list[Any]:
    """The fitted trees of a forest, or the tree that the model itself is."""
    if getattr(model, "n_outputs_", 1) != 1:
        raise Unconvertible("a tree of several outputs has no converter")
    return [each.tree_ for each in getattr(model, "estimators_", [model])]


def _values(tree: Any) -> "NDArray[Any]":
    """What the leaves hold: [nodes, classes or 1]."""
    values: NDArray[Any] = tree.value[:, 0, :]
    return values


def _tree(tree: Any, values: "NDArray[Any]") -> Tree:
    import numpy as np

    nodes = tree.__getstate__()["nodes"]
    known = nodes.dtype.names or ()
    missing = nodes["missing_go_to_left"] if "missing_go_to_left" in known else np.zeros(len(nodes))
    return Tree(
        leaf=nodes["left_child"] == -1,
        feature=nodes["feature"],
        threshold=nodes["threshold"],
        left=nodes["left_child"],
        right=nodes["right_child"],
        missing_left=missing.astype(bool),
        value=values,
    )


def _gradient_classifier(nodes: Nodes) -> None:
    _linked_classes(nodes, _gradient_sums(nodes))


def _gradient_regressor(nodes: Nodes) -> None:
    """Every loss of this regressor has the identity for its link."""
    nodes.add("Identity", _gradient_sums(nodes), into=nodes.outputs[0])


def _gradient_sums(nodes: Nodes) -> str:
    import numpy as np

    model = nodes.model
    if model.init_ != "zero" and type(model.init_).__module__ != "sklearn.dummy":
        raise Unconvertible("gradient boosting that starts from another estimator has no converter")
    start = model._raw_predict_init(np.zeros((1, model.n_features_in_)))
    forest = Forest(model.estimators_.shape[1])
    for stage in model.estimators_:
        for target, each in enumerate(stage):
            values = _values(each.tree_)[:, 0] * model.learning_rate
            forest.add(_tree(each.tree_, values), target)
    return _raised(nodes, nodes.forest(forest, _rounded(nodes)), start)


def _raised(nodes: Nodes, sums: str, start: "NDArray[Any]") -> str:
    import numpy as np

    return nodes.add(
        "Add", sums, nodes.constant(np.asarray(start, dtype=np.float64).reshape(1, -1))
    )


def _histogram_classifier(nodes: Nodes) -> None:
    _linked_classes(nodes, _histogram_sums(nodes))


def _histogram_regressor(nodes: Nodes) -> None:
    link = type(nodes.model._loss.link).__name__
    kinds = {"IdentityLink": "Identity", "LogLink": "Exp"}
    if link not in kinds:
        raise Unconvertible(f"the loss {nodes.model.loss!r} has no exact converter")
    nodes.add(kinds[link], _histogram_sums(nodes), into=nodes.outputs[0])


def _histogram_sums(nodes: Nodes) -> str:
    model = nodes.model
    if getattr(model, "is_categorical_", None) is not None:
        raise Unconvertible("splits by category (categorical_features) have no exact converter")
    predictors = model._predictors
    forest = Forest(len(predictors[0]))
    for stage in predictors:
        for target, each in enumerate(stage):
            forest.add(_histogram_tree(each.nodes), target)
    return _raised(
        nodes,
        nodes.forest(forest, nodes.features),
        model._baseline_prediction,
    )


def _histogram_tree(nodes: Any) -> Tree:
    import numpy as np

    return Tree(
        leaf=nodes["is_leaf"].astype(bool),
        feature=nodes["feature_idx"].astype(np.int64),
        threshold=nodes["num_threshold"],
        left=nodes["left"].astype(np.int64),
        right=nodes["right"].astype(np.int64),
        missing_left=nodes["missing_go_to_left"].astype(bool),
        value=nodes["value"],
    )


def _linked_classes(nodes: Nodes, sums: str) -> None:
    """The sums of a boosted classifier through the link of its loss."""
    loss = type(nodes.model._loss).__name__
    if loss == "HalfMultinomialLoss":
        _labelled(nodes, nodes.add("Softmax", sums, axis=1))
        return
    if loss not in _SIGMOIDS:
        raise Unconvertible(f"the loss {nodes.model.loss!r} has no exact converter")
    scaled = nodes.add("Mul", sums, _scalar(nodes, _SIGMOIDS[loss]))
    _labelled(nodes, _both(nodes, nodes.add("Sigmoid", scaled)))


def _rounded(nodes: Nodes) -> str:
    """The features as float32, which is how scikit-learn's trees see them."""
    from onnx import TensorProto

    single = nodes.add("Cast", nodes.features, to=TensorProto.FLOAT)
    return nodes.add("Cast", single, to=TensorProto.DOUBLE)


def _labelled(nodes: Nodes, probabilities: str) -> None:
    """Finish a classifier: its probabilities, and the class of the largest."""
    import numpy as np

    classes = np.asarray(nodes.model.classes_)
    if classes.dtype.kind in "OU":
        held = nodes.constant(np.array([str(each) for each in classes], dtype=object))
    else:
        held = nodes.constant(classes.astype(np.int64))
    best = nodes.add("ArgMax", probabilities, axis=1, keepdims=0)
    nodes.add("Gather", held, best, axis=0, into=nodes.outputs[0])
    nodes.add("Identity", probabilities, into=nodes.outputs[1])


def _both(nodes: Nodes, positive: str) -> str:
    """The probabilities of both classes out of that of the second."""
    import numpy as np

    negative = nodes.add("Sub", nodes.constant(np.ones(1)), positive)
    return nodes.add("Concat", negative, positive, axis=1)


_CLASSIFIERS = {
    "DecisionTreeClassifier": _converter(_averaging_classifier),
    "ExtraTreeClassifier": _converter(_averaging_classifier),
    "ExtraTreesClassifier": _converter(_averaging_classifier),
    "RandomForestClassifier": _converter(_averaging_classifier),
    "GradientBoostingClassifier": _converter(_gradient_classifier),
    "HistGradientBoostingClassifier": _converter(_histogram_classifier),
}
_REGRESSORS = {
    "DecisionTreeRegressor": _converter(_averaging_regressor),
    "ExtraTreeRegressor": _converter(_averaging_regressor),
    "ExtraTreesRegressor": _converter(_averaging_regressor),
    "RandomForestRegressor": _converter(_averaging_regressor),
    "GradientBoostingRegressor": _converter(_gradient_regressor),
    "HistGradientBoostingRegressor": _converter(_histogram_regressor),
}
