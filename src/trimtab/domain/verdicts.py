"""What the judge says: verdicts with their evidence, incidents with their causes."""

from enum import StrEnum
from typing import Literal

import msgspec

Tier = Literal["page", "ticket", "note"]
Word = Literal["ok", "bad", "unknown"]


class Cause(StrEnum):
    """Why something went wrong; each has an action that is right for it."""

    DATA_DRIFT = "data_drift"
    CONCEPT_DRIFT = "concept_drift"
    TRAINING_SERVING_SKEW = "training_serving_skew"
    UPSTREAM_BREAK = "upstream_break"
    ENVIRONMENT_MISALIGNMENT = "environment_misalignment"
    INFRASTRUCTURE = "infrastructure"
    BAD_RELEASE = "bad_release"
    BAD_WORKER = "bad_worker"
    HOSTILE_CLIENT = "hostile_client"
    LABEL_FAULT = "label_fault"
    UNKNOWN = "unknown"


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The judgement of one signal. `unknown` never advances and never rolls back.

    `evidence_log10` against `threshold_log10` is the decision; `estimate`, `lower` and `upper`
    are the size of the effect; `tolerance` is the harm-free zone; `n` counts what was observed;
    `since` is the event time of the first block of the evidence that alarmed.
    `scope` is e.g. {"column": "temp"} or {"origin": "JFK"}. `detectable` is the lasting change, in
    the unit of `estimate`, that today's traffic is expected to prove within `detectable_seconds`;
    None where none would show within 30 days, or nothing is known of the traffic yet.
    """

    signal: str
    tier: Tier
    verdict: Word
    reason: str
    release: str
    scope: dict[str, str] = {}
    evidence_log10: float = 0.0
    threshold_log10: float = 0.0
    estimate: float | None = None
    lower: float | None = None
    upper: float | None = None
    reference: float | None = None
    tolerance: float | None = None
    n: int = 0
    since: float | None = None
    detectable: float | None = None
    detectable_seconds: float | None = None


class RankedCause(msgspec.Struct, frozen=True):
    """A cause with its rank (1 is likeliest) and the observations that speak for it."""

    cause: Cause
    rank: int
    evidence: tuple[str, ...]


class RuledOut(msgspec.Struct, frozen=True):
    """A cause that cannot be, and the observation that excludes it."""

    cause: Cause
    by: str


class Diagnosis(msgspec.Struct, frozen=True):
    """Ranked causes and what was ruled out; `causes[0]` is the one acted on."""

    causes: tuple[RankedCause, ...]
    ruled_out: tuple[RuledOut, ...] = ()


class Sample(msgspec.Struct, frozen=True):
    """A row of the request log that shows what a signal is about: `value` is what it holds."""

    request_id: str
    row: int
    at: float
    value: str


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """What a bad signal looks like in rows.

    `share` of the `of` rows are concerned, None where that cannot be told of single rows; `column`
    names what the samples hold, the most telling first. `cut` says that there are more rows, of
    which only the newest were looked at.
    """

    signal: str
    said: str
    column: str = ""
    of: int = 0
    share: float | None = None
    samples: tuple[Sample, ...] = ()
    cut: bool = False


class Concentration(msgspec.Struct, frozen=True, kw_only=True):
    """A segment that holds most of an excess of harm: rows whose `column` is `value`, in words.

    `share` of the excess is theirs, with a 95 % interval, and `rows` of all rows; their mean harm
    was `before` and is `since`.
    """

    column: str
    value: str
    share: float
    lower: float
    upper: float
    rows: float
    before: float
    since: float


class Incident(msgspec.Struct, frozen=True, kw_only=True):
    """Verdicts that belong together. Times are event-time epoch seconds; None while open."""

    id: str
    deployment: str
    release: str
    tier: Tier
    opened_at: float
    first_evidence_at: float
    closed_at: float | None = None
    signals: tuple[str, ...]
    severity: str
    causes: tuple[RankedCause, ...]
    ruled_out: tuple[RuledOut, ...] = ()
    action: str = ""
    undo: str = ""
    bound: str = ""
    """How often an incident like this one may be a false alarm."""
    verdicts: tuple[Verdict, ...] = ()
    shown: tuple[Shown, ...] = ()
    """The loudest signals in rows of the request log, as they were when they were last news."""
    concentration: Concentration | None = None
    """The segment that most of the harm lies in; None where it is not known to lie in one."""
