"""Shapes of requests that show what an incident is about; a contract as `shapes` is."""

from datetime import datetime

import msgspec


class SampleView(msgspec.Struct, frozen=True):
    """A row that shows it: `value` is what the signal is about."""

    request_id: str
    row: int
    at: datetime
    value: str


class SignalSamplesView(msgspec.Struct, frozen=True, kw_only=True):
    """A bad signal in rows. `share` of the `of` rows are concerned; null where it cannot be told of
    single rows. `cut` is true when there are more rows, of which the newest were looked at."""

    signal: str
    said: str
    column: str
    of: int
    share: float | None
    samples: tuple[SampleView, ...]
    cut: bool = False


class ConcentrationView(msgspec.Struct, frozen=True, kw_only=True):
    """The segment that most of the harm lies in: `share` of the excess with a 95 % interval, and
    `rows_ratio` of the rows; a row's mean harm was `before` and is `since`."""

    column: str
    value: str
    share: float
    lower: float
    upper: float
    rows_ratio: float
    before: float
    since: float


class SamplesView(msgspec.Struct, frozen=True, kw_only=True):
    """An incident in the request log, from its first evidence to its end (null while it lasts).
    `concentration` is null where the harm is not known to lie in one segment."""

    incident: str
    deployment: str
    release: str
    since: datetime
    until: datetime | None
    signals: tuple[SignalSamplesView, ...]
    concentration: ConcentrationView | None = None
