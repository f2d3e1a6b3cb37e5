"""LightGBM's text model files."""

from typing import Any

from ..config import WorkerConfig
from .contract import Facts, Probabilities
from .formats import model_file, threads


def load(config: WorkerConfig) -> "LightGBM":
    """Load what `save_model` wrote."""
    path = model_file(config)
    import lightgbm

    return LightGBM(lightgbm.Booster(model_file=str(path)), _objective(path.read_text("utf-8")))


class LightGBM:
    """A booster; classes are numbered, so their names come from the signature."""

    def __init__(self, booster: Any, objective: str) -> None:
        self.booster = booster
        self._objective = objective

    @property
    def facts(self) -> Facts:
        """The task that the objective means, and the names of the features."""
        classes = {"binary": "binary", "multiclass": "multiclass", "multiclassova": "multiclass"}
        regressions = {"regression", "regression_l1", "huber", "fair", "poisson", "quantile"}
        regressions |= {"mape", "gamma", "tweedie"}
        task = classes.get(
            self._objective, "regression" if self._objective in regressions else "other"
        )
        return Facts(
            task=task,
            features=int(self.booster.num_feature()),
            feature_names=tuple(self.booster.feature_name()),
            probabilities=self._objective in classes,
        )

    def probabilities(self, given: Any) -> Probabilities:
        """The prediction of an objective that is a probability."""
        if not self.facts.probabilities:
            raise TypeError(f"the objective {self._objective!r} gives no probabilities")
        return Probabilities(self.values(given))

    def values(self, given: Any) -> Any:
        """The prediction, stopped at the best iteration when training found one."""
        return self.booster.predict(self._categories(given), num_threads=threads())

    def _categories(self, given: Any) -> Any:
        """Texts as categories, where the booster was fitted on a frame of such: it knows them by
        their type alone, and what it has not seen is missing to it, as in training."""
        if not self.booster.pandas_categorical or not hasattr(given, "columns"):
            return given
        texts = [name for name in given.columns if given[name].dtype.kind == "O"]
        return given.astype(dict.fromkeys(texts, "category"))


def _objective(text: str) -> str:
    """The first word of the header's `objective` line, which no method of a booster tells."""
    for line in text.splitlines():
        if line.startswith("objective="):
            return line.removeprefix("objective=").split(" ")[0]
        if line.startswith("Tree="):
            break
    return ""
