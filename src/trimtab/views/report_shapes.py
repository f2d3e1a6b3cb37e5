"""The shape of a monitoring report: the same for `--json`, the page, the notebook and the screen.

A contract like `shapes`: fields are added, never renamed or removed. Where rows have no time,
moments are null and blocks are counted; `block_rows` then says how many rows a block has.
"""

from datetime import datetime
from typing import Literal

import msgspec

from trimtab.domain.verdicts import Tier
from trimtab.views.shapes import CauseView, RuledOutView

StreamWord = Literal["ok", "watch", "bad", "unknown"]


class StreamView(msgspec.Struct, frozen=True, kw_only=True):
    """One watched stream. `watch` is no alarm yet, with at least half of the evidence for one.

    The numbers are null where nothing was observed; `reference` is null where the size shown is a
    distance. `since` and `since_block` are null unless it is bad.
    """

    signal: str
    scope: dict[str, str]
    tier: Tier
    verdict: StreamWord
    reason: str
    evidence_log10: float
    threshold_log10: float
    estimate: float | None
    lower: float | None
    upper: float | None
    reference: float | None
    tolerance: float | None
    n: int
    since: datetime | None
    since_block: int | None


class FindingView(msgspec.Struct, frozen=True, kw_only=True):
    """An incident found in the data. `closed_block` is null while it lasts at the end."""

    id: str
    tier: Tier
    signals: tuple[str, ...]
    severity: str
    first_evidence_at: datetime | None
    first_block: int
    opened_block: int
    closed_block: int | None
    causes: tuple[CauseView, ...]
    ruled_out: tuple[RuledOutView, ...]


class EvidenceStep(msgspec.Struct, frozen=True):
    """Evidence of a stream at the end of a block."""

    block: int
    at: datetime | None
    evidence_log10: float
    threshold_log10: float


class EvidenceLine(msgspec.Struct, frozen=True):
    """How the evidence of a stream grew."""

    signal: str
    steps: tuple[EvidenceStep, ...]


class CohortView(msgspec.Struct, frozen=True, kw_only=True):
    """Predictions of a block and their quality; `value` and its 95 % interval are null without
    labels. The interval is for looking at, the verdict does not rest on it."""

    block: int
    at: datetime | None
    predicted: int
    labelled: int
    value: float | None
    lower: float | None
    upper: float | None


class QualityView(msgspec.Struct, frozen=True, kw_only=True):
    """Quality over time. `value` is the reference's, `lower` and `upper` its 99 % interval;
    `coverage_ratio` is the share of predictions whose label is known."""

    metric: str
    value: float
    lower: float
    upper: float
    coverage_ratio: float
    cohorts: tuple[CohortView, ...]


class DistributionView(msgspec.Struct, frozen=True, kw_only=True):
    """A column in the reference and live, as shares of what is not missing. Distances are for
    looking at; null where a side holds no value. `psi_excess` is the population stability index
    beyond what it is without any change; `outside_ratio` is beyond the reference's least and
    largest number, null of categories, which have none: those that it has not are in the last bin.
    """

    column: str
    kind: Literal["continuous", "categorical"]
    bins: tuple[str, ...]
    reference: tuple[float, ...]
    live: tuple[float, ...]
    missing_reference_ratio: float
    missing_live_ratio: float
    outside_ratio: float | None
    n: int
    jensen_shannon: float | None
    psi_excess: float | None


class SegmentView(msgspec.Struct, frozen=True, kw_only=True):
    """A segment of the live data. Numbers are null where it is too small or nothing is known.

    `expected` is the quality of the last rows without labels, with its 95 % interval; where that is
    unknown, `expected_reason` says why, and is null where nothing is estimated at all."""

    segment: str
    rows: int
    labelled: int
    positive_ratio: float | None
    quality: float | None
    lower: float | None
    upper: float | None
    expected: float | None = None
    expected_lower: float | None = None
    expected_upper: float | None = None
    expected_reason: str | None = None


class GroupView(msgspec.Struct, frozen=True, kw_only=True):
    """One measure of a protected group: its gap to all others, with the 95 % interval that holds
    whenever it is looked at. Where it is unknown numbers are null, and `reason` says why."""

    group: str
    measure: str
    verdict: StreamWord
    reason: str
    gap: float | None
    lower: float | None
    upper: float | None
    reference: float | None
    harmless_lower: float | None
    harmless_upper: float | None
    n: int


class ReportView(msgspec.Struct, frozen=True, kw_only=True):
    """What `trimtab monitor` found. `verdict` is the gravest of the streams that can page or
    ticket, or `unknown` when nothing could be judged; drift of an input alone makes it `watch`.
    `quality` is null without labels or answers, `block_rows` when rows have a time.
    """

    name: str
    verdict: StreamWord
    summary: str
    rows: int
    reference_rows: int
    since: datetime | None
    until: datetime | None
    blocks: int
    block_seconds: float | None
    block_rows: int | None
    false_alarms_per_year: float
    streams: tuple[StreamView, ...]
    incidents: tuple[FindingView, ...]
    evidence: tuple[EvidenceLine, ...]
    quality: QualityView | None
    distributions: tuple[DistributionView, ...]
    segments: tuple[SegmentView, ...]
    notes: tuple[str, ...]
    trimtab: str
    release: str | None = None
    groups: tuple[GroupView, ...] = ()
