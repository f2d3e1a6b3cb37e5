"""NannyML's alerts over chunks of rows, by its defaults; run in the environment of its own lock.

usage: python nannyml_alerts.py FOLDER

FOLDER holds folders 0, 1, … with `reference.parquet`, `live.parquet` and `told.json`: the columns
and the rows of a chunk (0: its default, ten chunks). Prints, for each folder and chunk, the columns
that drifted, false, whether realised accuracy did, and its last row, as JSON.
"""

import json
import os
import sys
import warnings
from itertools import compress
from pathlib import Path
from typing import Any

warnings.filterwarnings("ignore")
# It would tell its makers of each use.
os.environ["NML_DISABLE_USAGE_LOGGING"] = "1"

import nannyml  # noqa: E402  its own imports warn
import pandas as pd  # noqa: E402


def judged(folder: Path) -> list[list[Any]]:
    """The alerts of each chunk."""
    told = json.loads((folder / "told.json").read_text(encoding="utf-8"))
    reference, live = (
        pd.read_parquet(folder / f"{name}.parquet") for name in ("reference", "live")
    )
    chunked = {"chunk_size": told["rows"]} if told["rows"] else {}
    drift = nannyml.UnivariateDriftCalculator(column_names=told["columns"], **chunked)
    quality = nannyml.PerformanceCalculator(
        y_true="y_true",
        y_pred="y_pred",
        y_pred_proba="score",
        problem_type="classification_binary",
        metrics=["accuracy"],
        **chunked,
    )
    found = [
        each.fit(reference).calculate(live).filter(period="analysis").to_df()
        for each in (drift, quality)
    ]
    moved, lost = ([name for name in table.columns if name[-1] == "alert"] for table in found)
    ends = found[1][("chunk", "end_index")].tolist()
    alarmed = found[0][moved].astype(bool).to_numpy()
    names = [sorted({name[0] for name in compress(moved, row)}) for row in alarmed]
    fell = found[1][lost].astype(bool).any(axis=1).tolist()
    return [[*each] for each in zip(names, [False] * len(ends), fell, ends, strict=True)]


def main() -> None:
    """Print those of all folders."""
    parts = sorted(Path(sys.argv[1]).iterdir(), key=lambda each: int(each.name))
    sys.stdout.write("\n" + json.dumps([judged(part) for part in parts]) + "\n")


if __name__ == "__main__":
    main()
