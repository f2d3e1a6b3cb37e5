"""Quality estimated without labels in each segment of a stream, beside NannyML on its rows."""

import importlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from judgement.label_free import (
    Chunk,
    Found,
    Line,
    chunks_of,
    family_of,
    line,
    peers_of,
    profiled,
    realised,
    target_of,
)
from trimtab.domain.profile import ReferenceProfile
from trimtab.judge.estimate import FEWEST, Learned, Refusal, estimates
from trimtab.judge.signals.estimate import Estimated
from trimtab.judge.signals.estimated_segments import Segment, learned_segments

streams = importlib.import_module("judgement.streams")

METRICS = ("error", "roc_auc", "squared_error")
"""Of each task those that `auto` watches."""


@dataclass(frozen=True)
class Side:
    """A stream with what a deployment knows of its segments."""

    stream: Any
    profile: ReferenceProfile
    family: Estimated
    segments: tuple[Segment, ...]

    @classmethod
    def of(cls, stream: Any) -> "Side":
        """Build a release, and begin to watch it."""
        profile = profiled(stream)
        family = family_of(stream, profile)
        assert profile.estimate is not None
        whole = Learned.of(profile.estimate)
        return cls(stream, profile, family, learned_segments(target_of(stream, profile), whole))

    @property
    def metrics(self) -> list[str]:
        """What is compared."""
        return [metric for metric in self.stream.metrics if metric in METRICS]

    def ours(self, chunk: Chunk, segment: Segment) -> dict[str, Any] | None:
        """Value and interval of each metric (None where it is refused) of the segment's rows of a
        chunk; None where these are too few."""
        counted = next(iter(self.family.count(chunk.rows).values()))
        part = counted.segments.get(segment.of.name)
        if part is None or part.seen.n < FEWEST:
            return None
        made = estimates(segment.learned, part.seen, self.metrics, chunk.days)
        return {
            metric: None if isinstance(each, Refusal) else (each.value, each.lower, each.upper)
            for metric, each in made.items()
        }


def segment_lines(stream: Any) -> list[Line]:
    """A line for each column of segments and metric."""
    found: Found = {}
    for column, metric, row in _rows(Side.of(stream)):
        found.setdefault(f"{column} {metric}", []).append(row)
    return [
        line(f"{stream.name}: {name.split()[0]}", name.split()[1], rows)
        for name, rows in found.items()
    ]


def _rows(side: Side) -> Iterator[tuple[str, str, Any]]:
    """Ours, NannyML's and what labels say, of each segment of each chunk that has rows enough."""
    stream = side.stream
    peers = _theirs(stream, side.segments)
    chunks = list(chunks_of(stream, side.profile))
    live = [rows for _, rows in stream.live.groupby("chunk")]
    for number, (chunk, rows) in enumerate(zip(chunks, live, strict=True)):
        for segment in side.segments:
            made = side.ours(chunk, segment)
            if made is None:
                continue
            mine = rows[rows[segment.of.column] == segment.of.value]
            real = realised(stream, mine, side.profile)
            for metric in side.metrics:
                peer = peers[segment.of.name][metric][number]
                raw = real.get("raw", real[metric])
                yield segment.of.column, metric, (made[metric], peer, real[metric], raw)


Peer = dict[str, dict[int, NDArray[np.float64]]]
"""NannyML's value and band, by metric and chunk."""


def _theirs(stream: Any, segments: Sequence[Segment]) -> dict[str, Peer]:
    """What NannyML says by segment, given the rows of that alone."""
    pairs = [_alone(stream, each) for each in segments]
    found = peers_of(stream, pairs, 0, "D")
    made = {}
    for segment, (_, live), values in zip(segments, pairs, found, strict=True):
        places = sorted(live["chunk"].unique().tolist())
        by_chunk = {m: dict(zip(places, each, strict=True)) for m, each in values.items()}
        made[segment.of.name] = by_chunk
    return made


def _alone(stream: Any, segment: Segment) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Reference and live rows of a segment. Its chunks differ in size: each is given a day."""
    reference, live = (
        rows[rows[segment.of.column] == segment.of.value].reset_index(drop=True)
        for rows in (stream.reference, stream.live)
    )
    day = pd.Timestamp("2100-01-01") + pd.to_timedelta(live["chunk"], unit="D")
    parts = np.arange(len(reference)) * 10 // len(reference)
    earlier = pd.Timestamp("2000-01-01") + pd.to_timedelta(parts, unit="D")
    return reference.assign(timestamp=earlier), live.assign(timestamp=day)
