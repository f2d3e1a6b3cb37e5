"""Fifty streams of a deployment's rows, each with a detector that knows nothing of the others."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
from numpy.typing import NDArray

from judgement.case import Case, Injected
from judgement.peers import Job, river
from judgement.streams import Stream
from judgement.watching import Raised

STREAMS = 50
FEWEST = 0.02
"""Share of the rows that a category must have to be one of the streams."""

DELTAS = (0.002, 1e-4, 1e-6, 1e-8)
"""ADWIN's, from its default to the quietest."""


class Streams:
    """Error, score, each number, and whether a category has one of its commonest values."""

    def __init__(self, stream: Stream) -> None:
        known = stream.reference
        self._numbers = {
            name: (*known[name].quantile([0.005, 0.995]).tolist(), known[name].mean())
            for name in stream.inputs
            if pd.api.types.is_float_dtype(known[name])
        }
        words = [name for name in stream.inputs if name not in self._numbers]
        shares = {
            f"{name}={value}": share
            for name in words
            for value, share in known[name].value_counts(normalize=True).items()
            if FEWEST <= share <= 1.0 - FEWEST
        }
        commonest = sorted(shares, key=lambda each: -shares[each])
        self._values = commonest[: STREAMS - 2 - len(self._numbers)]

    def __len__(self) -> int:
        return 2 + len(self._numbers) + len(self._values)

    def of(self, rows: pd.DataFrame) -> dict[str, NDArray[Any]]:
        """The values of each stream; numbers so that nearly all of the reference lies in [0, 1],
        missing ones at its mean."""
        made: dict[str, NDArray[Any]] = {
            "error": (rows["y_true"] != rows["y_pred"]).to_numpy(),
            "score": rows["score"].to_numpy(),
        }
        for name, (low, high, mean) in self._numbers.items():
            made[name] = ((rows[name].fillna(mean) - low) / ((high - low) or 1.0)).to_numpy()
        for each in self._values:
            name, _, value = each.partition("=")
            made[each] = (rows[name] == value).to_numpy()
        return made


@dataclass(frozen=True)
class Fifty:
    """A detector of river on each of the streams of a case."""

    case: Case
    name: str
    said: str
    options: dict[str, Any]

    def watch(self, parts: Sequence[Stream], since: int | None = None) -> list[list[Raised]]:
        """All alarms over the live rows of each, in their order."""
        streams = {
            f"{place} {name}": values
            for place, part in enumerate(parts)
            for name, values in Streams(part).of(part.live).items()
        }
        error = {name for name in streams if name.endswith(" error")}
        jobs = [Job(self.name, each, self.options, since, each in error) for each in streams]
        made: list[list[Raised]] = [[] for _ in parts]
        for each, rows in zip(streams, river(jobs, streams), strict=True):
            place, _, name = each.partition(" ")
            made[int(place)] += [Raised(row, "alarm", (name.partition("=")[0],)) for row in rows]
        return [sorted(raised, key=lambda each: each.row) for raised in made]

    def after(self, faults: Sequence[Injected]) -> list[list[Raised]]:
        """Alarms after each fault, rows counted from its beginning."""
        warm, live = self.case.warm, self.case.sound.live
        kept = [pd.concat([live.iloc[f.since - warm : f.since], f.rows]) for f in faults]
        parts = [replace(self.case.sound, live=each) for each in kept]
        return [
            [Raised(each.row - warm, each.tier, each.columns) for each in made if each.row >= warm]
            for made in self.watch(parts, warm)
        ]


def tuned(case: Case, null: Stream, granted: float) -> Fifty:
    """ADWIN at the quickest setting with no more alarms a year on a null than granted."""
    settings = [Fifty(case, "ADWIN", f"tuned: delta {each:g}", {"delta": each}) for each in DELTAS]
    most = granted * len(null.live) / case.yearly
    few = (each for each in settings if len(each.watch([null])[0]) <= most)
    return next(few, settings[-1])
