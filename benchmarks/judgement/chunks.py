"""What products say that judge tables, by chunks of rows, each by its defaults."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Asked:
    """Live rows against the reference of a stream, in chunks of `size` rows (0: by the default)."""

    stream: Stream
    live: pd.DataFrame
    size: int

    def lay(self, folder: Path) -> None:
        """Put what the programs read into the folder."""
        folder.mkdir()
        columns = [*self.stream.inputs, "score"]
        for name, rows in (("reference", self.stream.reference), ("live", self.live)):
            kept = rows[[*columns, "y_true", "y_pred"]]
            kept.to_parquet(folder / f"{name}.parquet", index=False)
        told = json.dumps({"columns": columns, "rows": self.size})
        (folder / "told.json").write_text(told, encoding="utf-8")


def said(product: str, asked: Sequence[Asked]) -> list[list[Alerts]]:
    """What the product says of the chunks of each."""

    def write(folder: Path) -> None:
        for place, each in enumerate(asked):
            each.lay(folder / str(place))

    return [
        [Alerts(tuple(each[0]), bool(each[1]), bool(each[2]), each[3]) for each in found]
        for found in answer(product, f"{product}_alerts", write)
    ]


def told(counts: Sequence[int]) -> str:
    """How many alerts there were in how many chunks."""
    return f"{sum(counts)} in {sum(c > 0 for c in counts)} of {len(counts)} chunks"
