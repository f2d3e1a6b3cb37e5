"""The wire format, held to Google's implementation of it."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.grpc import service_pb2 as pb

from trimtab.gateway import protobuf
from trimtab.gateway.protobuf import BYTES, FIXED32, FIXED64, VARINT, ProtobufError, tag

UINT64 = st.integers(0, 2**64 - 1)
INT64 = st.integers(-(2**63), 2**63 - 1)


@given(st.lists(INT64))
def test_packed_numbers_are_read_as_they_are_written(values: list[int]) -> None:
    data = pb.InferTensorContents(int64_contents=values).SerializeToString()
    fields = protobuf.fields(data)
    assert len(fields) == bool(values)
    for mark, packed in fields:
        assert mark == tag(3, BYTES)
        assert protobuf.varints(packed).view(np.int64).tolist() == values
    assert protobuf.integers(3, values) == data


@given(UINT64)
def test_a_number_comes_back(value: int) -> None:
    data = protobuf.encoded_varint(value)
    assert protobuf.varint(data, 0) == (value, len(data))
    assert protobuf.varints(data).tolist() == [value]


@given(INT64)
def test_a_negative_number_comes_back(value: int) -> None:
    assert protobuf.signed(protobuf.varint(protobuf.encoded_varint(value), 0)[0]) == value


@given(st.text(), st.text(), st.lists(st.text()))
def test_a_message_is_written_as_google_writes_it(
    name: str, version: str, extensions: list[str]
) -> None:
    message = pb.ServerMetadataResponse(name=name, version=version, extensions=extensions)
    parts = [protobuf.text(1, name), protobuf.text(2, version)]
    parts += [protobuf.nested(3, each.encode()) for each in extensions]
    assert b"".join(parts) == message.SerializeToString()


def test_every_wire_type_is_read_from_bytes_and_from_a_view() -> None:
    data = b"\x08\x96\x01" + b"\x11" + b"a" * 8 + b"\x1a\x02hi" + b"\x25" + b"b" * 4
    expected: list[tuple[int, Any]] = [
        (tag(1, VARINT), 150),
        (tag(2, FIXED64), b"a" * 8),
        (tag(3, BYTES), b"hi"),
        (tag(4, FIXED32), b"b" * 4),
    ]
    assert protobuf.fields(data) == expected
    assert protobuf.fields(memoryview(data)) == expected


@pytest.mark.parametrize(
    "data",
    [
        b"\x08",
        b"\x08\x80",
        b"\x0a\x05abc",
        b"\x0a",
        b"\x11abc",
        b"\x25abc",
        b"\x0b\x0c",
        b"\x02\x00",
        b"\x08" + b"\xff" * 10 + b"\x01",
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00",
    ],
)
def test_what_is_no_message_is_refused(data: bytes) -> None:
    with pytest.raises(ProtobufError):
        protobuf.fields(data)


@pytest.mark.parametrize("data", [b"\x80", b"\x01\x80", b"\xff" * 10 + b"\x01"])
def test_what_are_no_packed_numbers_is_refused(data: bytes) -> None:
    with pytest.raises(ProtobufError):
        protobuf.varints(data)


def test_a_text_has_to_be_utf_8() -> None:
    with pytest.raises(ProtobufError):
        protobuf.text_of(b"\xff")


@given(st.binary(max_size=64))
def test_any_bytes_are_fields_or_an_error(data: bytes) -> None:
    try:
        protobuf.fields(data)
    except ProtobufError:
        return
