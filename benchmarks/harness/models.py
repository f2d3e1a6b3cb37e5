"""The models that every server serves, from one seed, and what they answer.

Two that cost differently: a scaled logistic regression and histogram gradient boosting with
scikit-learn's defaults, both on 30 numbers. They are fitted on plain arrays, so that no server
pays for a data frame.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import skops.io
from sklearn.datasets import make_classification
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

SEED = 20_260
FEATURES = 30
FITTED = 9_000
HELD_OUT = 3_000
MODELS = ("logreg", "hgb")


@dataclass(frozen=True, slots=True)
class Trained:
    """A fitted model on disk. `rows` are cases that it has not seen; `expected` is the probability
    of the positive class of each."""

    name: str
    folder: Path
    rows: np.ndarray
    expected: np.ndarray

    @property
    def joblib(self) -> Path:
        """The file that every peer loads."""
        return self.folder / f"{self.name}.joblib"

    @property
    def skops(self) -> Path:
        """The same object without code in it, for `trimtab build`."""
        return self.folder / f"{self.name}.skops"

    @property
    def reference(self) -> Path:
        """The held-out cases with their labels, column `y`."""
        return self.folder / "reference.parquet"


def train(folder: Path) -> dict[str, Trained]:
    """Fit both and write them to `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    inputs, labels = make_classification(
        n_samples=FITTED + HELD_OUT,
        n_features=FEATURES,
        n_informative=12,
        flip_y=0.05,
        random_state=SEED,
    )
    rows, truth = inputs[FITTED:], labels[FITTED:]
    columns = {f"x{number}": rows[:, number] for number in range(FEATURES)}
    pq.write_table(pa.table({**columns, "y": truth}), folder / "reference.parquet")
    trained = {}
    for name, model in _models().items():
        model.fit(inputs[:FITTED], labels[:FITTED])
        joblib.dump(model, folder / f"{name}.joblib")
        skops.io.dump(model, folder / f"{name}.skops")
        trained[name] = Trained(name, folder, rows, model.predict_proba(rows)[:, 1])
    return trained


def _models() -> dict[str, Any]:
    return {
        "logreg": make_pipeline(StandardScaler(), LogisticRegression()),
        "hgb": HistGradientBoostingClassifier(random_state=SEED),
    }
