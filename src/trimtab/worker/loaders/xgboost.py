"""XGBoost's own model files, JSON or UBJSON."""

import json
from typing import Any

from ..config import WorkerConfig
from .contract import Facts, Probabilities
from .formats import model_file, threads


def load(config: WorkerConfig) -> "XGBoost":
    """Load what `save_model` wrote."""
    path = model_file(config)
    import xgboost

    booster = xgboost.Booster(model_file=str(path))
    booster.set_param({"nthread": threads(), "device": "cpu"})
    return XGBoost(booster)


class XGBoost:
    """A booster; classes are numbered, so their names come from the signature."""

    def __init__(self, booster: Any) -> None:
        self._booster = booster
        learner = json.loads(booster.save_config())["learner"]
        self.objective = str(learner["objective"]["name"])
        best = booster.attr("best_iteration")
        self._rounds = (0, int(best) + 1) if best is not None else (0, 0)

    @property
    def facts(self) -> Facts:
        """The task that the objective means, and the names of the features."""
        task = {"binary:logistic": "binary", "multi:softprob": "multiclass"}.get(
            self.objective,
            "regression" if self.objective.startswith(("reg:", "count:")) else "other",
        )
        return Facts(
            task=task,
            features=int(self._booster.num_features()),
            feature_names=tuple(self._booster.feature_names or ()),
            probabilities=task in {"binary", "multiclass"},
        )

    def used(self) -> Any:
        """The booster without the trees after its best iteration."""
        return self._booster[: self._rounds[1]] if self._rounds[1] else self._booster

    def probabilities(self, given: Any) -> Probabilities:
        """The prediction of an objective that is a probability."""
        if not self.facts.probabilities:
            raise TypeError(f"the objective {self.objective} gives no probabilities")
        return Probabilities(self.values(given))

    def values(self, given: Any) -> Any:
        """The prediction, stopped at the best iteration when training found one."""
        import xgboost

        data = xgboost.DMatrix(given, enable_categorical=True, nthread=threads())
        return self._booster.predict(data, iteration_range=self._rounds)
