"""How the model is made. Each function is a step; its arguments name what it needs.

A step may ask for earlier steps (their output folders), `labelled` (a Parquet file of what was
served and has a label by now), `params`, and `out` (its own output folder). A step whose code and
inputs are as before is taken from the cache.
"""

from pathlib import Path

import pandas as pd
import skops.io
from features import MEASURES, features
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

TARGET = "malignant"
KEY = "case"


def dataset(labelled: Path, params: dict[str, str], out: Path) -> None:
    """Put past and served cases together; part of them is never trained on."""
    rows = pd.concat([past(), _served(labelled)], ignore_index=True)
    rows = rows.drop_duplicates(KEY, keep="last")
    holdout = rows.sample(frac=float(params["holdout"]), random_state=int(params["seed"]))
    rows.drop(holdout.index).to_parquet(out / "train.parquet", index=False)
    holdout.to_parquet(out / "reference.parquet", index=False)


def model(dataset: Path, out: Path) -> None:
    """Fit on one part; the other becomes the reference that quality is judged by."""
    train = pd.read_parquet(dataset / "train.parquet")
    reference = pd.read_parquet(dataset / "reference.parquet")
    fitted = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    fitted.fit(features(train), train[TARGET])
    skops.io.dump(fitted, out / "model.skops")
    reference.to_parquet(out / "reference.parquet", index=False)


def past() -> pd.DataFrame:
    """Replace this by your own data. These are the cases that come with scikit-learn."""
    bunch = load_breast_cancer(as_frame=True)
    rows = pd.DataFrame({name: bunch.data[f"mean {name}"] for name in MEASURES})
    rows[KEY] = [f"case-{number}" for number in range(len(rows))]
    rows[TARGET] = (bunch.target == 0).astype("int8")
    return rows


def _served(labelled: Path) -> pd.DataFrame:
    rows = pd.read_parquet(labelled).rename(columns={"label": TARGET})
    rows = rows.reindex(columns=[KEY, *MEASURES, TARGET]).dropna(subset=[TARGET])
    return rows.astype({TARGET: "int8"})
