"""The FastAPI app that people write: a pydantic model, numpy, predict_proba.

`async def`, because FastAPI's other way, a thread per request, costs more than these models do.
"""

import os

import joblib
import numpy as np
from fastapi import FastAPI
from pydantic import BaseModel

model = joblib.load(os.environ["BENCH_MODEL"])
app = FastAPI()


class Rows(BaseModel):
    """The request."""

    rows: list[list[float]]


class Scores(BaseModel):
    """The answer."""

    scores: list[float]


@app.post("/predict")
async def predict(body: Rows) -> Scores:
    """Probabilities of the positive class."""
    return Scores(scores=model.predict_proba(np.array(body.rows))[:, 1].tolist())
