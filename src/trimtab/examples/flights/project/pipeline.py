"""How the model is made. Each function is a step; its arguments name the steps that it needs."""

import json
from pathlib import Path

import pandas as pd
import skops.io
from features import CATEGORIES, features
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OrdinalEncoder

TARGET = "late"
TIME = "sched_at"
KEY = "flight_id"
INPUTS = [
    "carrier",
    "origin",
    "dest",
    "distance",
    "hour",
    "minute",
    "weekday",
    "temp",
    "dewp",
    "humid",
    "wind_dir",
    "wind_speed",
    "precip",
    "pressure",
    "visib",
    "aircraft_age",
]


def dataset(source: Path, labelled: Path, params: dict[str, str], out: Path) -> None:
    """Split what has a label in time: the newest `holdout_days` are never trained on."""
    rows = _rows(source, labelled)
    cut = rows[TIME].max() - pd.Timedelta(days=float(params["holdout_days"]))
    rows[rows[TIME] < cut].to_parquet(out / "train.parquet", index=False)
    rows[rows[TIME] >= cut].to_parquet(out / "holdout.parquet", index=False)


def model(dataset: Path, params: dict[str, str], out: Path) -> None:
    """Fit on the older rows; the newer ones become the reference that quality is judged by.

    The model is not fitted again on everything: its reference would then hold rows that it has
    learned, and no later week could look as good.
    """
    train = pd.read_parquet(dataset / "train.parquet")
    holdout = pd.read_parquet(dataset / "holdout.parquet")
    fitted = classifier(params).fit(features(train), train[TARGET])
    skops.io.dump(fitted, out / "model.skops")
    holdout.to_parquet(out / "reference.parquet", index=False)
    scores = fitted.predict_proba(features(holdout))[:, 1]
    metrics = {
        "train_rows": len(train),
        "holdout_rows": len(holdout),
        "holdout_since": holdout[TIME].min().isoformat(),
        "roc_auc": roc_auc_score(holdout[TARGET], scores),
        "brier": brier_score_loss(holdout[TARGET], scores),
        "log_loss": log_loss(holdout[TARGET], scores),
    }
    (out / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")


def classifier(params: dict[str, str]) -> Pipeline:
    """An unfitted model: small trees, because what is learned in winter must hold in spring."""
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    return make_pipeline(
        make_column_transformer((codes, CATEGORIES), remainder="passthrough"),
        HistGradientBoostingClassifier(
            max_iter=int(params["trees"]),
            learning_rate=0.06,
            max_leaf_nodes=8,
            min_samples_leaf=500,
            categorical_features=None,
            early_stopping=False,
            random_state=int(params["seed"]),
        ),
    )


def _rows(source: Path, labelled: Path) -> pd.DataFrame:
    """The history and what was served since, in time order, each flight once."""
    columns = [KEY, TIME, *INPUTS, TARGET]
    history = pd.read_parquet(source, columns=columns)
    live = pd.read_parquet(labelled)
    live = live.rename(columns={"label": TARGET, "event_time": TIME}).reindex(columns=columns)
    live[TIME] = pd.to_datetime(live[TIME], unit="s", utc=True)
    parts = [part for part in (history, live) if not part.empty]
    rows = pd.concat([part.dropna(subset=[TARGET]) for part in parts], ignore_index=True)
    rows = rows.drop_duplicates(KEY, keep="last")
    rows[TIME] = pd.to_datetime(rows[TIME], utc=True)
    rows[TARGET] = rows[TARGET].astype("int8")
    return rows.sort_values([TIME, KEY], ignore_index=True)
