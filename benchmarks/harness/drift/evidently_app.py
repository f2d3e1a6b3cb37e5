"""Evidently's preset of drift over all columns, against the whole live table."""

import pandas as pd
from evidently import Report
from evidently.presets import DataDriftPreset
from told import measured


def run(reference: str, live: list[str]) -> str:
    """How many columns drifted."""
    known = pd.read_parquet(reference).drop(columns=["when"])
    table = pd.concat([pd.read_parquet(path) for path in live]).drop(columns=["when"])
    result = Report([DataDriftPreset()]).run(table, known)
    return str(result.dict()["metrics"][0]["value"])


measured(run)
