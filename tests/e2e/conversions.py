"""Fits models, converts them and compares them on rows that were in no sample; prints what it saw.

Runs in an environment that has scikit-learn and the converters, with the worker's copy on its path:
one process for all cases, because each start would import the libraries again.
"""

import json
import sys
import warnings
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.ensemble import (
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
)
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    Binarizer,
    FunctionTransformer,
    Normalizer,
    OneHotEncoder,
    OrdinalEncoder,
    StandardScaler,
)
from sklearn.tree import DecisionTreeClassifier
from trimtab_worker import (  # type: ignore[import-not-found]
    config,
    convert,
    golden,
    model,
    tensors,
)

SAMPLE = 100
RNG = np.random.default_rng(3)
ROWS = 1200
MATRIX = RNG.normal(size=(ROWS, 6))
GAPS = np.where(RNG.random(MATRIX.shape) < 0.1, np.nan, MATRIX)
BORDERS = MATRIX.copy()
"""Rows of 0.1, which float32 does not know, and of zeros, neither of them in the sample."""
BORDERS[SAMPLE : SAMPLE + 2], BORDERS[SAMPLE + 2 : SAMPLE + 4] = 0.1, 0.0
LATE = (MATRIX[:, 0] + MATRIX[:, 1] ** 2 + RNG.normal(size=ROWS) > 1).astype(int)
THREE = LATE + (MATRIX[:, 2] > 0)
VALUE = 50 * MATRIX[:, 0] + RNG.normal(size=ROWS)
FRAME = pd.DataFrame(
    {
        "carrier": RNG.choice(np.array(["AA", "UA", "DL", None], dtype=object), ROWS),
        "age": GAPS[:, 0],
        "origin": RNG.choice(["JFK", "LGA"], ROWS),
        "weekday": RNG.integers(1, 8, ROWS),
        "distance": RNG.gamma(2, 300, ROWS),
    }
)
FRAME_LATE = (FRAME["carrier"].eq("UA") + (FRAME["distance"] > 600) + LATE > 1).astype(int)
TEXTS, NUMBERS = ["carrier", "origin"], ["distance", "age", "weekday"]


def encoded(encoder: Any, numbers: Any = "passthrough") -> Any:
    """Texts through the encoder, numbers in another order than the frame's."""
    return make_column_transformer((encoder, TEXTS), (numbers, NUMBERS), sparse_threshold=0)


def scaled() -> Any:
    """Numbers for a linear model."""
    return make_pipeline(SimpleImputer(strategy="median"), StandardScaler())


def ordinal() -> Any:
    """An encoder that knows what to do with an unknown text."""
    return OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)


def ignoring() -> Any:
    """Another one."""
    return OneHotEncoder(handle_unknown="ignore")


def mixed() -> Any:
    """Encoders of texts and numbers together, out of order."""
    return make_column_transformer(
        (ignoring(), ["weekday", "carrier"]), (ordinal(), ["origin"]), remainder="passthrough"
    )


def boosted() -> Any:
    """A classifier that takes what is missing."""
    return HistGradientBoostingClassifier(max_iter=20)


NAMED = np.array(["early", "late", "lost"])[THREE]
CASES: dict[str, tuple[Callable[[], Any], Any, Any]] = {
    "logistic": (lambda: make_pipeline(StandardScaler(), LogisticRegression()), MATRIX, LATE),
    "logistic, named classes": (LogisticRegression, MATRIX, NAMED),
    "ridge": (lambda: make_pipeline(StandardScaler(), Ridge()), MATRIX, VALUE),
    "histogram boosting": (boosted, GAPS, LATE),
    "histogram boosting, classes": (boosted, GAPS, THREE),
    "histogram boosting, counts": (
        lambda: HistGradientBoostingRegressor(loss="poisson", max_iter=20),
        GAPS,
        np.abs(VALUE),
    ),
    "random forest": (lambda: RandomForestClassifier(10, random_state=0), GAPS, LATE),
    "random forest, classes": (lambda: RandomForestClassifier(10, random_state=0), MATRIX, NAMED),
    "extra trees": (lambda: ExtraTreesRegressor(10, random_state=0), MATRIX, VALUE),
    "gradient boosting": (lambda: GradientBoostingClassifier(n_estimators=20), MATRIX, LATE),
    "gradient boosting, classes": (
        lambda: GradientBoostingClassifier(n_estimators=20),
        MATRIX,
        THREE,
    ),
    "binarized": (
        lambda: make_pipeline(Binarizer(threshold=0.1), LogisticRegression()),
        BORDERS,
        LATE,
    ),
    "normalized": (lambda: make_pipeline(Normalizer(), LogisticRegression()), BORDERS, LATE),
    "normalized by sums": (
        lambda: make_pipeline(Normalizer("l1"), LogisticRegression()),
        BORDERS,
        LATE,
    ),
    "tree": (lambda: DecisionTreeClassifier(random_state=0), GAPS, LATE),
    "one-hot": (
        lambda: make_pipeline(encoded(ignoring(), scaled()), LogisticRegression()),
        FRAME,
        FRAME_LATE,
    ),
    "imputed texts": (
        lambda: make_pipeline(
            encoded(make_pipeline(SimpleImputer(strategy="most_frequent"), ignoring()), scaled()),
            LogisticRegression(),
        ),
        FRAME,
        FRAME_LATE,
    ),
    "refusing encoder": (
        lambda: make_pipeline(encoded(OneHotEncoder(), scaled()), LogisticRegression()),
        FRAME,
        FRAME_LATE,
    ),
    "ordinal": (lambda: make_pipeline(encoded(ordinal()), boosted()), FRAME, FRAME_LATE),
    "mixed": (lambda: make_pipeline(mixed(), boosted()), FRAME, FRAME_LATE),
    "a function": (
        lambda: make_pipeline(FunctionTransformer(np.expm1), LogisticRegression()),
        MATRIX,
        LATE,
    ),
    "neighbours": (
        lambda: make_pipeline(StandardScaler(), KNeighborsClassifier()),
        MATRIX,
        LATE,
    ),
    "neighbours of numbers": (KNeighborsRegressor, MATRIX, VALUE),
    "words": (
        lambda: make_pipeline(
            make_column_transformer((CountVectorizer(), "origin"), ("passthrough", ["distance"])),
            LogisticRegression(),
        ),
        FRAME,
        FRAME_LATE,
    ),
    "by category": (
        lambda: HistGradientBoostingClassifier(max_iter=5, categorical_features=[0]),
        np.column_stack([RNG.integers(0, 5, ROWS), MATRIX]),
        LATE,
    ),
}


def columns_of(rows: Any) -> list[tuple[str, str, Any]]:
    """Name, datatype and values of every column."""
    if not isinstance(rows, pd.DataFrame):
        return [(f"x{place}", "FP64", rows[:, place]) for place in range(rows.shape[1])]
    kinds = {name: rows[name].dtype.kind for name in rows}
    types = {name: {"i": "INT64", "f": "FP64"}.get(kind, "BYTES") for name, kind in kinds.items()}
    return [
        (str(name), types[name], rows[name].to_numpy(dtype=None if kinds[name] in "if" else object))
        for name in rows
    ]


def told(rows: Any, labels: Any, fitted: Any) -> dict[str, Any]:
    """The `worker.json` of a model."""
    classes = [str(each) for each in getattr(fitted, "classes_", [])]
    task = {0: "regression", 2: "binary"}.get(len(classes), "multiclass")
    gaps = {"carrier", "age"}
    return {
        "release": "sha256:0",
        "name": "case@1",
        "format": "joblib",
        "model_path": "model.joblib",
        "frame": "pandas" if isinstance(rows, pd.DataFrame) else "matrix",
        "signature": {
            "inputs": [
                {"name": name, "datatype": kind, "nullable": name in gaps or rows is GAPS}
                for name, kind, _ in columns_of(rows)
            ],
            "task": task,
            "classes": classes,
        },
    }


def seen(folder: Path, make: Callable[[], Any], rows: Any, labels: Any) -> dict[str, Any]:
    """What the conversion said, and how far its graph is from the model on all rows."""
    fitted = make().fit(rows, labels)
    joblib.dump(fitted, folder / "model.joblib")
    (folder / "worker.json").write_text(json.dumps(told(rows, labels, fitted)))
    settings = config.read(folder / "worker.json")
    native = model.load(settings)
    columns = columns_of(rows)

    def inputs(part: slice) -> Any:
        return [tensors.tensor_of(name, values[part], kind) for name, kind, values in columns]

    sample = golden.GoldenSet(SAMPLE, inputs(slice(0, SAMPLE)), [])
    conversion = convert.convert(native, sample, folder / "graph.onnx")
    if conversion.reason:
        return asdict(conversion)
    compiled = model.load(replace(settings, engine="graph.onnx"))
    asked = inputs(slice(None))
    one, other = (each.predict(asked, len(labels)).outputs for each in (native, compiled))
    compared = golden.compare(one, other, settings.signature, 1e-9)
    return {
        **asdict(conversion),
        "apart": compared.difference,
        "problems": list(compared.problems),
        "strangers": [refusal(each, columns) for each in (native, compiled)],
    }


def refusal(asked: Any, columns: list[tuple[str, str, Any]]) -> str | None:
    """The stage at which a text that was never seen is refused; None when it is answered."""
    row = [
        tensors.tensor_of(name, values[:1] if kind != "BYTES" else np.array(["?"], object), kind)
        for name, kind, values in columns
    ]
    try:
        asked.predict(row, 1)
    except Exception as failure:
        return str(getattr(failure, "stage", type(failure).__name__))
    return None


def main(folder: Path) -> None:
    """Print one JSON object: what was seen of every case."""
    warnings.simplefilter("ignore")
    print(json.dumps({name: seen(folder, *case) for name, case in CASES.items()}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
