"""The shapes of what was sent to a deployment: labels, values of training, a table to score.

A part of the contract of `shapes`.
"""

from datetime import datetime

import msgspec


class LabelView(msgspec.Struct, frozen=True):
    """Labels that are durably stored. By `unusable` of them the release that serves cannot be
    judged: they are none of its classes, or no number."""

    deployment: str
    accepted: int
    seconds: float
    unusable: int = 0


class AskedView(msgspec.Struct, frozen=True):
    """A prediction whose truth is asked for: `id` and `row` are what a label is about."""

    id: str
    row: int
    at: datetime


class AuditView(msgspec.Struct, frozen=True, kw_only=True):
    """What an audit of a share of all predictions asks for. `asked` of them are in it, of which
    `labelled` have a label; `waiting` are the others, the oldest first."""

    deployment: str
    rate_ratio: float
    predictions: int
    asked: int
    labelled: int
    waiting: tuple[AskedView, ...]


class ParityView(msgspec.Struct, frozen=True):
    """Told rows: those that were compared with an answer, those whose answer was compared before,
    and those that name no answer in the log. Pairs are durably stored."""

    deployment: str
    compared: int
    repeated: int
    unmatched: int
    seconds: float


class ScoreView(msgspec.Struct, frozen=True):
    """A table that was scored. `resumed_rows` were kept from an earlier run; `releases` counts the
    rows of this one by who answered; `refusals` are requests the server had no room for at first.
    """

    deployment: str
    output: str
    rows: int
    resumed_rows: int
    rows_per_second: float
    refusals: int
    releases: dict[str, int]
    seconds: float
