"""How a file of values becomes orders, and what a file cannot be."""

import datetime
import decimal
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trimtab import errors
from trimtab.cli import parity
from trimtab.cli.api import Api
from trimtab.cli.parity import compared, named, opened
from trimtab.scoring.fit import Deployment
from trimtab.views.sent_shapes import ParityView

INPUTS = {"age": "FP64", "plan": "BYTES", "image": "FP32"}
RISK = Deployment("risk", INPUTS, {}, "person", frozenset({"image"}))
NOON = datetime.datetime(2026, 1, 1, 12, 30, tzinfo=datetime.UTC)


class Server(Api):
    """An admin API that compares all but the last row of each order."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:1")
        self.orders: list[dict[str, Any]] = []

    def post(self, shape: type[Any], *path: str, **order: Any) -> Any:
        """Keep the order as it would be sent."""
        assert path == ("deployments", "risk", "parity")
        given = {name: value for name, value in order.items() if value is not None}
        self.orders.append(json.loads(json.dumps(given, allow_nan=False)))
        n = len(order["values"]["age"])
        return ParityView("risk", n - 1, 0, 1, 0.0)


def sent(path: Path, deployment: Deployment = RISK, time: str | None = None) -> Server:
    """What is sent of a file."""
    server = Server()
    source = opened(path, deployment)
    columns = named(source.schema.names, deployment, time)
    compared(server, "risk", source, columns, 60.0)
    return server


def parquet(folder: Path, **columns: Any) -> Path:
    """A Parquet file."""
    pq.write_table(pa.table(columns), folder / "told.parquet")
    return folder / "told.parquet"


def test_a_csv_file_is_told_by_id_and_row_with_its_time(tmp_path: Path) -> None:
    path = tmp_path / "told.csv"
    path.write_text("id,row,at,age,plan,left\n7,1,2026-01-01T12:30:00Z,,0042,yes\n")
    assert sent(path).orders == [
        {
            "within": 60.0,
            "id": ["7"],
            "row": [1],
            "at": ["2026-01-01T12:30:00Z"],
            "values": {"age": [None], "plan": ["0042"]},
        }
    ]


def test_a_parquet_file_is_told_by_key_with_what_is_missing(tmp_path: Path) -> None:
    path = parquet(tmp_path, person=[1.0, 2.0], age=[np.nan, 3.5], image=[[1.0], [2.0]])
    (order,) = sent(path).orders
    assert order == {"within": 60.0, "key": ["1", "2"], "values": {"age": [None, 3.5]}}


def test_values_of_any_type_that_the_model_takes_are_told(tmp_path: Path) -> None:
    plans = pa.array(["pro", "pro"]).dictionary_encode()
    ages = pa.array([decimal.Decimal("1.5"), None])
    path = parquet(tmp_path, person=["a", "b"], age=ages, plan=plans)
    assert sent(path).orders[0]["values"] == {"age": [1.5, None], "plan": ["pro", "pro"]}


@pytest.mark.parametrize(
    ("moments", "told"),
    [
        (pa.array([NOON, None], pa.timestamp("us")), ["2026-01-01T12:30:00Z", None]),
        (pa.array([NOON, NOON], pa.timestamp("s", tz="UTC")), ["2026-01-01T12:30:00Z"] * 2),
        (pa.array([NOON.date()] * 2), ["2026-01-01T00:00:00Z"] * 2),
        (pa.array(["2026-01-01T12:30:00Z", None]), ["2026-01-01T12:30:00Z", None]),
    ],
)
def test_times_of_any_type_are_told_in_utc(tmp_path: Path, moments: Any, told: list[Any]) -> None:
    path = parquet(tmp_path, person=["a", "b"], age=[1.0, 2.0], seen=moments)
    assert sent(path, time="seen").orders[0]["at"] == told


def test_a_long_file_is_told_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parity, "MOST_CELLS", 3)
    path = parquet(tmp_path, person=["a", "b", "c", "d"], age=[1.0, 2.0, 3.0, 4.0])
    server = Server()
    source = opened(path, RISK)
    view = compared(server, "risk", source, named(source.schema.names, RISK, None), 1.0)
    assert [order["key"] for order in server.orders] == [["a", "b", "c"], ["d"]]
    assert (view.compared, view.repeated, view.unmatched) == (2, 0, 2)


def test_a_column_of_the_model_that_is_called_id_names_no_request() -> None:
    deployment = Deployment("risk", {"id": "INT64", "row": "INT64", "age": "FP64"}, {}, "person")
    columns = named(["id", "row", "person", "age", "note"], deployment, None)
    assert (columns.name, columns.row, columns.values) == ("person", None, ("id", "row", "age"))
    assert columns.ignored(["id", "row", "person", "age", "note"]) == ["note"]


@pytest.mark.parametrize(
    ("names", "time", "said"),
    [
        (["age"], None, "needs a column 'id' or 'person', the"),
        (["person", "age"], "when", "no column 'when'"),
        (["person", "image", "left"], None, "no column is an input"),
    ],
)
def test_a_file_of_which_nothing_can_be_compared_is_refused(
    names: list[str], time: str | None, said: str
) -> None:
    with pytest.raises(errors.Usage, match=said):
        named(names, RISK, time)


def test_without_a_key_a_file_needs_ids() -> None:
    with pytest.raises(errors.Usage, match="needs a column 'id', for there is no key"):
        named(["age"], Deployment("risk", INPUTS, {}, None), None)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"person": ["a", None], "age": [1.0, 2.0]}, "1 rows name no answer"),
        ({"person": [1.5], "age": [1.0]}, "a name is no whole number"),
        ({"id": ["a"], "row": [None], "age": [1.0]}, "row is missing in 1 rows"),
        ({"id": ["a"], "row": ["first"], "age": [1.0]}, "row is no whole number"),
        ({"person": ["a"], "age": [1.0], "at": [3]}, "at is int64, not a time"),
        ({"person": ["a"], "age": [1.0], "at": ["noon"]}, "no time in RFC 3339"),
    ],
)
def test_a_row_that_cannot_be_told_is_refused(
    tmp_path: Path, columns: dict[str, Any], said: str
) -> None:
    with pytest.raises(errors.Usage, match=said):
        sent(parquet(tmp_path, **columns))
