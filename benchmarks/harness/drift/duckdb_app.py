"""DuckDB: counts against the tenths of the reference, by day. Nothing is judged: it is a limit."""

import duckdb
from told import measured

TENTHS = [tenth / 10 for tenth in range(1, 10)]


def run(reference: str, live: list[str]) -> str:
    """How many numbers were counted."""
    database = duckdb.connect()
    known = database.read_parquet(reference)
    kinds = dict(zip(known.columns, map(str, known.types), strict=True))
    texts = [name for name, kind in kinds.items() if kind == "VARCHAR"]
    numbers = [name for name, kind in kinds.items() if kind in ("DOUBLE", "BIGINT")]
    asked = ", ".join(f"quantile_disc({name}, {TENTHS})" for name in numbers)
    (cuts,) = known.aggregate(asked).fetchall()
    counts = [
        f"count(*) FILTER ({name} <= {cut})"
        for name, row in zip(numbers, cuts, strict=True)
        for cut in row
    ]
    counts += [f'count(*) - count("{name}")' for name in kinds]
    counts += [f"histogram({name})" for name in texts]
    table = database.read_parquet(live)
    days = table.aggregate(", ".join(["date_trunc('day', \"when\") AS day", *counts]), "day")
    rows = days.fetchall()
    return f"{len(rows)} days of {len(counts)} counts"


measured(run)
