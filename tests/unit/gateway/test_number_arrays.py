"""Arrays of nothing but numbers, whoever parses them."""

import struct

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.gateway import number_arrays
from trimtab.gateway.number_arrays import LONG, packed_numbers

NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**70), 2**70)
FILLING = ", 0.25" * (LONG // 5)


def packed_one_by_one(text: bytes) -> bytes:
    values = msgspec.json.decode(text, type=list[float])
    return struct.pack(f"<{len(values)}d", *values)


@given(st.lists(NUMBERS, min_size=1, max_size=9), st.booleans())
def test_long_arrays_are_the_same_to_the_bit_as_short_ones(
    numbers: list[float], long: bool
) -> None:
    text = msgspec.json.encode(numbers)
    if long:
        text = text[:-1] + FILLING.encode() + b"]"
        assert len(text) >= LONG
    assert packed_numbers(text) == packed_one_by_one(text)
    assert packed_numbers(msgspec.Raw(text)) == packed_one_by_one(text)
    assert packed_numbers(memoryview(text)) == packed_one_by_one(text)


def test_a_long_array_makes_no_object_for_each_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(number_arrays, "_decode")
    assert packed_numbers(f"[1{FILLING}]".encode())[:16] == struct.pack("<2d", 1.0, 0.25)


@pytest.mark.parametrize(
    "first", ["null", "true", '"1"', "[1]", "{}", "NaN", "1e400", "01", "1,", "1]["]
)
@pytest.mark.parametrize("filling", ["", FILLING])
def test_any_other_array_is_refused(first: str, filling: str) -> None:
    with pytest.raises(msgspec.DecodeError):
        packed_numbers(f"[{first}{filling}]".encode())


@pytest.mark.parametrize("text", ["1", '"', "{}", "[1, 2"])
def test_what_is_no_array_is_refused(text: str) -> None:
    for filled in (text, text + " " * LONG):
        with pytest.raises(msgspec.DecodeError):
            packed_numbers(filled.encode())
