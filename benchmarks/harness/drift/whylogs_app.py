"""A whylogs profile of each table: no drift is judged yet."""

import pandas as pd
import whylogs
from told import measured


def run(reference: str, live: list[str]) -> str:
    """How many columns were profiled."""
    whylogs.log(pd.read_parquet(reference))
    views = [whylogs.log(pd.read_parquet(path)).view() for path in live]
    return f"{len(views[0].get_columns())} columns"


measured(run)
