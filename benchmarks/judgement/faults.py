"""What goes wrong with a deployment, in doses, and whether it does harm: by a model of our own.

Each fault turns the rows from its beginning on into what would have arrived; the model then answers
them, so that the loss which a fault really costs is known.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier

from judgement.streams import CENSUS, census

Change = Callable[[pd.DataFrame, np.random.Generator], pd.DataFrame]


@dataclass(frozen=True)
class Fault:
    """A change of rows by a generator of its own; `column` is where it happens, if in one."""

    name: str
    change: Change
    column: str = ""


def numbers(rows: pd.DataFrame) -> pd.DataFrame:
    """The inputs as the model takes them."""
    return rows[CENSUS].apply(pd.to_numeric, errors="coerce").astype(float)


@cache
def model() -> HistGradientBoostingClassifier:
    """Fitted on every other row of 2015."""
    rows = census()[0].iloc[::2]
    made = HistGradientBoostingClassifier(max_iter=80, early_stopping=False, random_state=0)
    return made.fit(numbers(rows), rows["y_true"])


def answered(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with what the model answers on them."""
    score = model().predict_proba(numbers(rows))[:, 1]
    return rows.assign(score=score, y_pred=(score >= 0.5).astype(int))


def flip(points: float, column: str = "", value: str = "") -> Change:
    """Labels turned around, so that the error (of a group) rises by so much."""

    def change(rows: pd.DataFrame, generator: np.random.Generator) -> pd.DataFrame:
        mine = np.ones(len(rows), bool) if not column else (rows[column] == value).to_numpy()
        wrong = float((rows["y_true"] != rows["y_pred"]).to_numpy()[mine].mean())
        turned = mine & (generator.random(len(rows)) < points / (1.0 - 2.0 * wrong))
        return rows.assign(y_true=np.where(turned, 1 - rows["y_true"], rows["y_true"]))

    return change


def put(column: str, new: Callable[[pd.Series, np.random.Generator], object]) -> Change:
    """Another column in the place of one."""
    return lambda rows, generator: rows.assign(**{column: new(rows[column], generator)})


FAULTS = (
    Fault("labels: +3 points of error", flip(0.03)),
    Fault("labels: +25 points, 6 % of rows", flip(0.25, "RAC1P", "6")),
    Fault("age: half a deviation up", put("AGEP", lambda x, _: x + 11.0), "AGEP"),
    Fault("age: unit × 1000", put("AGEP", lambda x, _: x * 1000.0), "AGEP"),
    Fault("age: of other rows", put("AGEP", lambda x, g: g.permutation(x)), "AGEP"),
    Fault(
        "disability: half missing",
        put("DIS", lambda x, g: x.where(g.random(len(x)) < 0.5, None)),
        "DIS",
    ),
)
"""Injected at random times. A stale value keeps the distribution of its column."""
