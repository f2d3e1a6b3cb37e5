"""Which told values can be compared, and what is said about the others."""

import math
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from trimtab import errors
from trimtab.domain.records import Told
from trimtab.domain.signature import Column, Datatype, Signature
from trimtab.domain.telling import Telling

SIGNATURE = Signature(
    (
        Column("age", Datatype.FP64),
        Column("visits", Datatype.INT64),
        Column("vip", Datatype.BOOL),
        Column("plan", Datatype.BYTES),
        Column("image", Datatype.FP32, shape=(4,)),
    ),
    (),
)


def told(**given: Any) -> Told:
    """What a deployment with a key makes of a body."""
    return msgspec.convert(given, Telling).checked(SIGNATURE, "person")


def test_rows_by_id_become_columns_of_the_log() -> None:
    values = {"age": [1, None], "vip": [True, False], "plan": ["pro", None]}
    made = told(id=["a", "b"], row=[0, 3], at=["2026-01-01T00:00:00Z", None], values=values)
    assert len(made) == 2
    assert made.request_id.tolist() == ["a", "b"]
    assert made.row.tolist() == [0, 3]
    assert made.key.tolist() == [None, None]
    assert made.at[0] == datetime(2026, 1, 1, tzinfo=UTC).timestamp()
    assert math.isnan(made.at[1])
    assert made.values["age"][0] == 1.0
    assert math.isnan(made.values["age"][1])
    assert made.values["vip"].tolist() == [1.0, 0.0]
    assert made.values["plan"].tolist() == ["pro", None]


def test_rows_by_key_need_neither_row_nor_time() -> None:
    made = told(key=["a", 7], values={"visits": [1, 2]})
    assert made.key.tolist() == ["a", "7"]
    assert made.row.tolist() == [0, 0]
    assert all(math.isnan(at) for at in made.at)


def test_no_rows_are_nothing_to_compare() -> None:
    assert len(told(id=[], values={"age": []})) == 0


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"values": {"age": [1]}}, "either by id or by key"),
        ({"id": ["a"], "key": ["a"], "values": {"age": [1]}}, "either by id or by key"),
        ({"key": ["a"], "row": [0], "values": {"age": [1]}}, "a row number belongs to an id"),
        ({"id": ["a"], "values": {}}, "no values"),
        ({"id": ["a"], "within": -1.0, "values": {"age": [1]}}, "within is -1.0"),
        ({"id": ["a", "b"], "values": {"age": [1]}}, "id has 2 rows"),
        ({"id": ["a"], "values": {"age": [1], "vip": []}}, "vip has 0 rows"),
        ({"id": [""], "values": {"age": [1]}}, "id[0] has 0 characters"),
        ({"key": ["k" * 257], "values": {"age": [1]}}, "key[0] has 257 characters"),
        ({"id": ["a"], "row": [-1], "values": {"age": [1]}}, "row[0] is -1"),
        ({"id": ["a"], "values": {"size": [1]}}, "size is no input"),
        ({"id": ["a"], "values": {"image": [1]}}, "image is a tensor"),
        ({"id": ["a"], "values": {"age": ["old"]}}, "age[0] is old, not a number"),
        ({"id": ["a"], "values": {"age": [10**400]}}, "not a number of 64 bits"),
        ({"id": ["a"], "values": {"plan": [3]}}, "plan[0] is 3, not a text"),
    ],
)
def test_what_cannot_be_compared_is_refused_by_its_place(given: dict[str, Any], said: str) -> None:
    with pytest.raises(errors.Usage) as caught:
        told(**given)
    assert said in str(caught.value)
    assert caught.value.code == errors.BAD_PARITY
    assert caught.value.hint


def test_without_a_key_rows_are_named_by_id_only() -> None:
    with pytest.raises(errors.Usage, match="has no key"):
        Telling({"age": [1]}, key=["a"]).checked(SIGNATURE, None)


def test_a_time_without_a_zone_is_no_moment() -> None:
    with pytest.raises(msgspec.ValidationError):
        told(id=["a"], at=["2026-01-01T00:00:00"], values={"age": [1]})
