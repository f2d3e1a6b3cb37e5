"""The description says for each deployment exactly which rows its release takes."""

from typing import Any

from tests.unit.gateway.support import target

from trimtab.domain.signature import Column, Datatype, Output, Signature
from trimtab.gateway.openapi import description
from trimtab.gateway.plan import Plan
from trimtab.gateway.schemas import rows_of

SIGNATURE = Signature(
    (
        Column("x", Datatype.FP32, nullable=True),
        Column("n", Datatype.UINT8),
        Column("t", Datatype.BYTES),
        Column("grid", Datatype.BOOL, shape=(2, 3)),
    ),
    (Output("y", Datatype.FP64), Output("z", Datatype.FP64)),
)


def test_rows_are_described_cell_by_cell() -> None:
    schema = rows_of(Plan(target(1, signature=SIGNATURE)), "key")
    split, records, instances = schema["oneOf"]
    record = records["properties"]["dataframe_records"]["items"]
    assert record["required"] == ["x", "n", "t", "grid"]
    cells: dict[str, Any] = record["properties"]
    assert cells["x"]["type"] == ["number", "null"]
    assert (cells["n"]["type"], cells["n"]["maximum"]) == ("integer", 255)
    assert cells["t"] == {"type": "string"}
    assert (cells["grid"]["maxItems"], cells["grid"]["items"]["minItems"]) == (2, 3)
    assert cells["grid"]["items"]["items"] == {"type": "boolean"}
    assert "key" in cells
    assert split["properties"]["dataframe_split"]["properties"]["columns"] == {
        "const": ["x", "n", "t", "grid"]
    }
    assert instances["properties"]["instances"]["items"] == record
    assert instances["properties"]["dataframe_records"] == {"type": "null"}


def test_every_deployment_has_a_path_of_its_own_beside_the_general_ones() -> None:
    told = description({"d": {"type": "object"}})
    assert {"/invocations", "/invocations/{model}", "/invocations/d"} <= set(told["paths"])
    assert told["components"]["schemas"]["RowsOf.d"] == {"type": "object"}
    assert "RowsOf.d" not in description({})["components"]["schemas"]
