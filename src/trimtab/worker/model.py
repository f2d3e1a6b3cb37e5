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
from .inputs import giver
from .loaders import load_predictor
from .loaders.contract import Predictor
from .outputs import same_classes, shaper

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
        signature = config.signature
        self._classifies = signature.task in {"binary", "multiclass"}
        self._shaped = shaper(signature, config.allow_nan)
        engine_alone = config.engine is not None and features is None
        self.given = giver("parts" if engine_alone else config.frame, signature)

    def predict(self, inputs: Sequence[Tensor], rows: int) -> Answer:
        """Answer `rows` rows. Raises `StageFailure`, and nothing else that is an `Exception`."""
        if rows < 1:
            raise StageFailure("input", "a request has at least one row")
        with failing_at("input"):
            frame = self.given(inputs, rows)
        started = time.perf_counter()
        with failing_at("features"):
            frame = self.with_features(frame, rows)
        featured = time.perf_counter()
        predictor = self.predictor
        with failing_at("model"):
            answer = (predictor.probabilities if self._classifies else predictor.values)(frame)
        ended = time.perf_counter()
        with failing_at("output"):
            outputs = self._shaped(answer, rows)
        return Answer(outputs, featured - started, ended - featured)

    def with_features(self, frame: Any, rows: int) -> Any:
        """What the feature code makes of the rows, which it must neither add to nor leave out."""
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
        doing = f"cannot import the feature code {config.features!r}"
        with refusing(FEATURES_FAILED, doing, config.folder):
            features = named(config.features)
    with refusing(MODEL_FAILED, f"cannot load the model {config.model_path!r}", config.folder):
        predictor = load_predictor(config)
        model = Model(config, predictor, features)
    classes, wanted = predictor.facts.classes, config.signature.classes
    if classes and wanted and not same_classes(classes, wanted):
        message = f"the model has the classes {[*classes]}, the signature {[*wanted]}"
        raise Refusal(EXIT_LOAD, MODEL_FAILED, message)
    return model


def named(reference: str) -> Any:
    """The attribute that `module:name` refers to, imported from the checkout."""
    module, colon, name = reference.partition(":")
    if not (module and colon and name):
        raise ValueError(f"{reference!r} is not written as module:name")
    return getattr(importlib.import_module(module), name)
