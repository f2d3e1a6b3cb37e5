"""NannyML's univariate drift by day, with its default methods."""

import os

# It would tell its makers of each use.
os.environ["NML_DISABLE_USAGE_LOGGING"] = "1"

import nannyml as nml
import pandas as pd
from told import measured


def run(reference: str, live: list[str]) -> str:
    """How many chunks of columns alarmed."""
    known = pd.read_parquet(reference)
    table = pd.concat([pd.read_parquet(path) for path in live])
    columns = [name for name in known.columns if name not in ("when", "label")]
    calculator = nml.UnivariateDriftCalculator(
        column_names=columns, timestamp_column_name="when", chunk_period="D"
    ).fit(known)
    result = calculator.calculate(table).filter(period="analysis").to_df()
    return (
        f"{sum(int(result[name].sum()) for name in result.columns if name[-1] == 'alert')} alerts"
    )


measured(run)
