"""What products say that judge tables: alerts by chunk, on null, natural and faulty rows."""

import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from judgement.peers import answer
from judgement.streams import CENSUS

COLUMNS = [*CENSUS, "score"]
SIZE = 5_000
SMALL = 1_000
"""Rows of a reference at which Evidently's defaults are p-values, not distances."""


def evidently(reference: pd.DataFrame, live: pd.DataFrame) -> list[list[int]]:
    """For each chunk: columns that drifted, whether the data set did, accuracy tests failed."""
    found: list[list[int]] = _asked("evidently", reference, live, SIZE)
    return found


def nannyml(reference: pd.DataFrame, live: pd.DataFrame, size: int) -> list[list[int]]:
    """For each chunk: columns that drifted, whether accuracy did, its last row."""
    found: list[list[int]] = _asked("nannyml", reference, live, size)
    return found


def _asked(product: str, reference: pd.DataFrame, live: pd.DataFrame, size: int) -> list[list[int]]:
    kept = [*COLUMNS, "y_true", "y_pred"]

    def write(folder: Path) -> None:
        reference[kept].to_parquet(folder / "reference.parquet", index=False)
        live[kept].to_parquet(folder / "live.parquet", index=False)
        told = json.dumps({"columns": COLUMNS, "rows": size})
        (folder / "told.json").write_text(told, encoding="utf-8")

    made: list[list[int]] = answer(product, f"{product}_alerts", write)
    return made


def told(found: Sequence[Sequence[int]], place: int) -> str:
    """How many alerts there were in how many chunks."""
    counts = [each[place] for each in found]
    return f"{sum(counts)} in {sum(c > 0 for c in counts)} of {len(counts)} chunks"
