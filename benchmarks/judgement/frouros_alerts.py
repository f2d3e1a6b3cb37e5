"""Frouros's tests over chunks of rows; run in the environment of its own lock.

usage: python frouros_alerts.py FOLDER

FOLDER holds folders 0, 1, … with `reference.parquet`, `live.parquet` and `told.json`: the columns
and the rows of a chunk. Kolmogorov-Smirnov for numbers, chi-square for texts, as its guide has it:
a column has drifted when p is below .05. Prints, for each folder and chunk, these columns, false,
false, and its last row, as JSON.
"""

import json
import sys
import warnings
from pathlib import Path
from typing import Any

warnings.filterwarnings("ignore")

import pandas as pd  # noqa: E402
from frouros.detectors.data_drift import ChiSquareTest, KSTest  # noqa: E402

LEVEL = 0.05


def values(column: pd.Series) -> Any:
    """Numbers without the missing ones, which it does not take; texts with a word for them."""
    if pd.api.types.is_float_dtype(column):
        return column.dropna().to_numpy()
    return column.astype(object).where(column.notna(), "missing").to_numpy(dtype=str)


def drifted(test: Any, column: pd.Series) -> bool:
    """Whether the column alarmed. One that is nothing but missing cannot be compared."""
    found = values(column)
    return bool(found.size and test.compare(X=found)[0].p_value < LEVEL)


def judged(folder: Path) -> list[list[Any]]:
    """The alerts of each chunk."""
    told = json.loads((folder / "told.json").read_text(encoding="utf-8"))
    reference, live = (
        pd.read_parquet(folder / f"{name}.parquet") for name in ("reference", "live")
    )
    tests = {}
    for name in told["columns"]:
        tests[name] = KSTest() if reference[name].dtype.kind == "f" else ChiSquareTest()
        tests[name].fit(X=values(reference[name]))
    size, made = told["rows"], []
    for first in range(0, len(live) - size + 1, size):
        part = live.iloc[first : first + size]
        found = [name for name, test in tests.items() if drifted(test, part[name])]
        made.append([found, False, False, first + size - 1])
    return made


def main() -> None:
    """Print those of all folders."""
    parts = sorted(Path(sys.argv[1]).iterdir(), key=lambda each: int(each.name))
    sys.stdout.write(json.dumps([judged(part) for part in parts]) + "\n")


if __name__ == "__main__":
    main()
