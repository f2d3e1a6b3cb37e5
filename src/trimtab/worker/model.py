"""A loaded release: tensors in, tensors out, with the stage at which a request failed."""

import importlib
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from .config import WorkerConfig
from .failures import (
    EXIT_LOAD,
    FEATURES_FAILED,
    MODEL_FAILED,
    Refusal,
    StageFailure,
    failing_at,
    refusing,
)
from .frames import Tensor
from .inputs import given
from .loaders import load_predictor
from .loaders.contract import Predictor
from .outputs import class_outputs, same_classes, value_outputs

Features = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """Outputs of one request, and the seconds that features and model took."""

    outputs: list[Tensor]
    features_seconds: float
    model_seconds: float


class Model:
    """The model and its feature code. Not safe for two threads at once."""

    def __init__(
        self, config: WorkerConfig, predictor: Predictor, features: Features | None
    ) -> None:
        self.config = config
        self.predictor = predictor
        self._features = features

    def predict(self, inputs: Sequence[Tensor], rows: int) -> Answer:
        """Answer `rows` rows. Raises `StageFailure`, and nothing else that is an `Exception`."""
        if rows < 1:
            raise StageFailure("input", "a request has at least one row")
        signature, allow_nan = self.config.signature, self.config.allow_nan
        with failing_at("input"):
            frame = given(self.config.frame, signature, inputs, rows)
        started = time.perf_counter()
        with failing_at("features"):
            frame = self._with_features(frame, rows)
        featured = time.perf_counter()
        classifies = signature.task in {"binary", "multiclass"}
        with failing_at("model"):
            answer = (self.predictor.probabilities if classifies else self.predictor.values)(frame)
        ended = time.perf_counter()
        shaped = class_outputs if classifies else value_outputs
        with failing_at("output"):
            outputs = shaped(signature, answer, rows, allow_nan)
        return Answer(outputs, featured - started, ended - featured)

    def _with_features(self, frame: Any, rows: int) -> Any:
        if self._features is None:
            return frame
        made = self._features(frame)
        columns = made.values() if isinstance(made, dict) else [made]
        for column in columns:
            if len(column) != rows:
                raise StageFailure(
                    "features", f"the feature code returned {len(column)} rows for {rows}"
                )
        return made


def load(config: WorkerConfig) -> Model:
    """Import the feature code and load the model. Raises `Refusal` (exit code 11)."""
    # Compiled files must not appear among the files whose digests make the release.
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(config.folder))
    features = None
    if config.features:
        with refusing(FEATURES_FAILED, f"cannot import the feature code {config.features!r}"):
            features = named(config.features)
    with refusing(MODEL_FAILED, f"cannot load the model {config.model_path!r}"):
        predictor = load_predictor(config)
    classes, wanted = predictor.facts.classes, config.signature.classes
    if classes and wanted and not same_classes(classes, wanted):
        message = f"the model has the classes {[*classes]}, the signature {[*wanted]}"
        raise Refusal(EXIT_LOAD, MODEL_FAILED, message)
    return Model(config, predictor, features)


def named(reference: str) -> Any:
    """The attribute that `module:name` refers to, imported from the checkout."""
    module, colon, name = reference.partition(":")
    if not (module and colon and name):
        raise ValueError(f"{reference!r} is not written as module:name")
    return getattr(importlib.import_module(module), name)
