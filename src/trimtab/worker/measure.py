"""The mode `measure`: how long requests take by the compiled engine and by the model."""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from .frames import Tensor
from .golden import GoldenSet
from .model import Model, load
from .tensors import array_of, tensor_of

ROWS = (1, 64)
ROUNDS = 15
ROUND_SECONDS = 0.02
"""How long one of the two is asked without a break."""


def measure(compiled: Model, sample: GoldenSet) -> dict[str, Any]:
    """Median seconds of requests of each size, by the native model and by the engine.

    They take turns in this one process, so that whatever slows the machine slows both.
    """
    native = load(replace(compiled.config, engine=None))
    sizes = []
    for rows in ROWS:
        inputs = _first(sample, rows)
        times: list[list[float]] = [[], []]
        for _ in range(ROUNDS):
            for model, found in zip((native, compiled), times, strict=True):
                found.append(_pace(model, inputs, rows))
        sizes.append({"rows": rows, "native": _median(times[0]), "engine": _median(times[1])})
    return {"sizes": sizes}


def _pace(model: Model, inputs: Sequence[Tensor], rows: int) -> float:
    """Seconds of the fastest request within one turn, in which there is at least one."""
    end = time.perf_counter() + ROUND_SECONDS
    fastest = float("inf")
    while True:
        started = time.perf_counter()
        model.predict(inputs, rows)
        ended = time.perf_counter()
        fastest = min(fastest, ended - started)
        if ended >= end:
            return fastest


def _median(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2]


def _first(sample: GoldenSet, rows: int) -> list[Tensor]:
    """The first rows of the sample, from its beginning again when it has fewer."""
    import numpy as np

    places = np.arange(rows) % sample.rows
    return [tensor_of(each.name, array_of(each)[places], each.datatype) for each in sample.inputs]
