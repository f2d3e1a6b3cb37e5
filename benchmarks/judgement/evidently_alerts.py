"""Evidently's alerts over chunks of rows, by its defaults; run in the environment of its own lock.

usage: python evidently_alerts.py FOLDER

FOLDER holds folders 0, 1, … with `reference.parquet`, `live.parquet` and `told.json`: the columns
and the rows of a chunk. Prints, for each folder and chunk, the columns that drifted, whether the
data set did, whether the test of accuracy failed, and its last row, as JSON.
"""

import json
import sys
import warnings
from pathlib import Path
from typing import Any

warnings.filterwarnings("ignore")

import pandas as pd  # noqa: E402
from evidently import BinaryClassification, DataDefinition, Dataset, Report  # noqa: E402
from evidently.metrics import Accuracy  # noqa: E402
from evidently.presets import DataDriftPreset  # noqa: E402


def alerts(live: pd.DataFrame, reference: pd.DataFrame, columns: list[str]) -> list[Any]:
    """Columns that drifted, whether the data set did, whether accuracy failed its test."""
    drift = Report([DataDriftPreset(columns=columns)], include_tests=True)
    found = drift.run(live[columns], reference[columns]).dict()
    failed = [test for test in found["tests"] if test["status"] == "FAIL"]
    moved = [test["metric_config"]["params"].get("column") for test in failed]
    kind = BinaryClassification(target="y_true", prediction_labels="y_pred")
    asked = DataDefinition(classification=[kind])
    both = (Dataset.from_pandas(t[["y_true", "y_pred"]], asked) for t in (live, reference))
    quality = Report([Accuracy()], include_tests=True).run(*both).dict()
    lost = [test["status"] == "FAIL" for test in quality["tests"]]
    return [[name for name in moved if name], None in moved, any(lost)]


def judged(folder: Path) -> list[list[Any]]:
    """The alerts of each chunk."""
    told = json.loads((folder / "told.json").read_text(encoding="utf-8"))
    reference, live = (
        pd.read_parquet(folder / f"{name}.parquet") for name in ("reference", "live")
    )
    size = told["rows"]
    return [
        [*alerts(live.iloc[first : first + size], reference, told["columns"]), first + size - 1]
        for first in range(0, len(live) - size + 1, size)
    ]


def main() -> None:
    """Print those of all folders."""
    parts = sorted(Path(sys.argv[1]).iterdir(), key=lambda each: int(each.name))
    sys.stdout.write("\n" + json.dumps([judged(part) for part in parts]) + "\n")


if __name__ == "__main__":
    main()
