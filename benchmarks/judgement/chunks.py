"""What products say that judge tables, by chunks of rows, each by its defaults."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd

from judgement.peers import answer
from judgement.streams import Stream


@dataclass(frozen=True)
class Alerts:
    """What was said of a chunk: the columns that drifted, whether the data set as a whole did,
    whether accuracy failed, and its last row."""

    columns: tuple[str, ...]
    whole: bool
    accuracy: bool
    end: int


def asked(product: str, stream: Stream, live: pd.DataFrame, size: int) -> list[Alerts]:
    """What the product says of each chunk of live rows (`size` 0: by its default of chunks)."""
    found = answer(product, f"{product}_alerts", partial(laid, stream, live, size))
    return [Alerts(tuple(each[0]), bool(each[1]), bool(each[2]), each[3]) for each in found]


def laid(stream: Stream, live: pd.DataFrame, size: int, folder: Path) -> None:
    """Put what the programs read into the folder."""
    columns = [*stream.inputs, "score"]
    for name, rows in (("reference", stream.reference), ("live", live)):
        kept = rows[[*columns, "y_true", "y_pred"]]
        kept.to_parquet(folder / f"{name}.parquet", index=False)
    told = json.dumps({"columns": columns, "rows": size})
    (folder / "told.json").write_text(told, encoding="utf-8")


def told(counts: Sequence[int]) -> str:
    """How many alerts there were in how many chunks."""
    return f"{sum(counts)} in {sum(c > 0 for c in counts)} of {len(counts)} chunks"
