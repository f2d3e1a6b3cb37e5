"""NannyML's estimates of the chunks of streams, as JSON; run in the environment of its own lock.

usage: python nannyml_side.py FOLDER ...

Each FOLDER holds `reference.parquet`, `live.parquet` and `stream.json`: the task, the columns of
inputs and of class scores, the metrics by NannyML's names, and the rows of a chunk or its period.
"""

import json
import os
import sys
import warnings
from pathlib import Path

warnings.filterwarnings("ignore")
# It would tell its makers of each use.
os.environ["NML_DISABLE_USAGE_LOGGING"] = "1"

import nannyml  # noqa: E402  its own imports warn
import pandas as pd  # noqa: E402


def main() -> None:
    """Print for each stream, by metric, the value and both ends of the band for each chunk."""
    told = [json.dumps(estimated(Path(folder))) for folder in sys.argv[1:]]
    sys.stdout.write("\n" + "\n".join(told) + "\n")


def estimated(folder: Path) -> dict[str, list[list[float]]]:
    """What is printed of a stream."""
    stream = json.loads((folder / "stream.json").read_text(encoding="utf-8"))
    reference, live = (
        pd.read_parquet(folder / f"{name}.parquet") for name in ("reference", "live")
    )
    chunks = (
        {"chunk_size": stream["rows"]}
        if stream["rows"]
        else {"chunk_period": stream["period"], "timestamp_column_name": "timestamp"}
    )
    shared = {"y_true": "y_true", "y_pred": "y_pred", "metrics": stream["metrics"], **chunks}
    if stream["task"] == "regression":
        estimator = nannyml.DLE(feature_column_names=stream["inputs"], **shared)
    else:
        binary = stream["task"] == "binary"
        estimator = nannyml.CBPE(
            problem_type=f"classification_{stream['task']}",
            y_pred_proba="score" if binary else {name: name for name in stream["classes"]},
            **shared,
        )
    estimator.fit(reference)
    found = estimator.estimate(live.drop(columns="y_true")).filter(period="analysis").to_df()
    ends = ("value", "lower_confidence_boundary", "upper_confidence_boundary")
    return {
        metric: [[float(x) for x in row] for row in found[metric][list(ends)].to_numpy()]
        for metric in stream["metrics"]
    }


if __name__ == "__main__":
    main()
