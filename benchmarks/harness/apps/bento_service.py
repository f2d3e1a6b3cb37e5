"""A BentoML service, with adaptive batching where BENCH_BATCHING says so."""

import os
from typing import Annotated

import bentoml
import joblib
import numpy as np
from bentoml.validators import DType, Shape

BATCHING = os.environ.get("BENCH_BATCHING") == "1"
Rows = Annotated[np.ndarray, DType("float64"), Shape((-1, 30))]


@bentoml.service(
    workers=int(os.environ["BENCH_PROCESSES"]),
    traffic={"timeout": 60},
    logging={"access": {"enabled": False}},
)
class Classifier:
    """One model per worker process."""

    def __init__(self) -> None:
        self.model = joblib.load(os.environ["BENCH_MODEL"])

    @bentoml.api(batchable=BATCHING, max_batch_size=256, max_latency_ms=1000)
    def predict(self, rows: Rows) -> np.ndarray:
        """Probabilities of the positive class."""
        return self.model.predict_proba(rows)[:, 1]
