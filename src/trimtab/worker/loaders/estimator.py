"""Objects with `predict` and perhaps `predict_proba`, as scikit-learn defined them."""

from typing import Any

from ..tensors import text_of
from .contract import Facts, Probabilities


class Estimator:
    """Wraps an object with `predict(frame)`; `predict_proba` and `classes_` are optional."""

    def __init__(self, model: Any) -> None:
        if not callable(getattr(model, "predict", None)):
            raise TypeError(f"{type(model).__name__} has no method 'predict'")
        self.model = model
        self._classes = _classes(model)
        self._probabilities = callable(getattr(model, "predict_proba", None))

    @property
    def facts(self) -> Facts:
        """What the object tells about itself in scikit-learn's attributes."""
        features = getattr(self.model, "n_features_in_", None)
        names = getattr(self.model, "feature_names_in_", ())
        return Facts(
            task=self._task(),
            classes=self._classes,
            features=None if features is None else int(features),
            feature_names=tuple(map(str, names)),
            probabilities=self._probabilities,
        )

    def probabilities(self, given: Any) -> Probabilities:
        """`predict_proba`, columns in the order of `classes_`."""
        if not self._probabilities:
            raise TypeError(
                f"{type(self.model).__name__} has no predict_proba, which this task needs"
            )
        return Probabilities(self.model.predict_proba(given), self._classes)

    def values(self, given: Any) -> Any:
        """`predict`."""
        return self.model.predict(given)

    def _task(self) -> str:
        if self._classes and self._probabilities:
            return "binary" if len(self._classes) == 2 else "multiclass"
        return "regression" if _kind(self.model) == "regressor" else "other"


def _classes(model: Any) -> tuple[str, ...]:
    """`classes_` as text; a list of lists (several targets) is no list of classes."""
    classes = getattr(model, "classes_", None)
    if classes is None or getattr(classes, "ndim", 1) != 1:
        return ()
    texts = [text_of(name) if not isinstance(name, list) else None for name in classes]
    return tuple(text for text in texts if text is not None)


def _kind(model: Any) -> str | None:
    """scikit-learn's kind of estimator: a tag since 1.6, an attribute before."""
    try:
        tags = model.__sklearn_tags__()
    except AttributeError:
        return getattr(model, "_estimator_type", None)
    kind: str | None = tags.estimator_type
    return kind
