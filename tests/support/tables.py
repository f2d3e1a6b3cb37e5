"""A small table of predictions for `trimtab.monitor`, with changes on demand."""

from typing import Any

import numpy as np
import pyarrow as pa

START = np.datetime64("2026-01-01T00:00:00", "us")
DAY_MICROSECONDS = 86_400_000_000


def table(
    days: int = 30,
    per_day: int = 300,
    *,
    seed: int = 0,
    first_day: int = 0,
    flip: float = 0.0,
    shift: float = 0.0,
    broken_from: int | None = None,
) -> pa.Table:
    """Rows in time order: numbers, texts, a score, and a label that comes true as it says.

    `flip` turns labels around and `shift` moves `size`, both in the second half of the days; from
    day `broken_from` on, `rate` is missing in half of the rows of `north`.
    """
    rng = np.random.default_rng(seed)
    n = days * per_day
    day = np.repeat(np.arange(days), per_day)
    later = day >= days // 2
    region = rng.choice(np.array(["north", "south", "west"], dtype=object), n)
    rate = np.round(rng.normal(5.0, 1.0, n), 1)
    if broken_from is not None:
        rate[(day >= broken_from) & (region == "north") & (rng.random(n) < 0.9)] = np.nan
    score = np.round(rng.beta(2.0, 4.0, n), 4)
    label = (rng.random(n) < score) ^ ((rng.random(n) < flip) & later)
    times = START + (np.arange(n) * (DAY_MICROSECONDS // per_day)).astype("timedelta64[us]")
    times = times + np.timedelta64(first_day * DAY_MICROSECONDS, "us")
    columns: dict[str, Any] = {
        "when": pa.array(times),
        "size": pa.array(rng.normal(0.0, 1.0, n) + shift * later),
        "rate": pa.array(rate, from_pandas=True),
        "count": pa.array(rng.integers(0, 50, n)),
        "region": pa.array(region.tolist(), pa.string()),
        "score": pa.array(score),
        "label": pa.array(label.astype(np.int64)),
    }
    return pa.table(columns)


MEANING: dict[str, Any] = {
    "target": "label",
    "score": "score",
    "time": "when",
    "segments": ["region"],
}
"""What the columns of `table` are."""
