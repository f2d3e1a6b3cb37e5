"""Messages of inference over gRPC, written and read by the classes of Triton's client."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.gateway.support import NUMERIC, SIGNATURE, target
from tritonclient.grpc import service_pb2 as pb

from trimtab.gateway import grpc_messages
from trimtab.gateway.faults import Fault
from trimtab.gateway.grpc_messages import InferRequest, parse_infer
from trimtab.gateway.plan import NUMPY_TYPES, Plan
from trimtab.gateway.protobuf import nested
from trimtab.gateway.raw_inputs import RAW
from trimtab.gateway.tensors import inputs_of
from trimtab.worker.frames import encode_texts

CONTENTS = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
}


def asked(**fields: Any) -> pb.ModelInferRequest:
    return pb.ModelInferRequest(model_name="d", **fields)


def tensor(datatype: str, shape: list[int], **contents: Any) -> Any:
    message = pb.ModelInferRequest.InferInputTensor(name="x", datatype=datatype, shape=shape)
    for name, values in contents.items():
        getattr(message.contents, name).extend(values)
    return message


def parsed(message: Any) -> InferRequest:
    return parse_infer(message.SerializeToString())


def refusal(message: Any) -> str:
    with pytest.raises(Fault) as caught:
        parsed(message)
    assert caught.value.status == 400
    return caught.value.text


def refused_with(read: Callable[[], object]) -> int | None:
    try:
        read()
    except Fault as fault:
        return fault.status
    return None


def arrays(datatype: str) -> st.SearchStrategy[list[Any]]:
    kind = NUMPY_TYPES[datatype]
    if kind.kind == "b":
        return st.lists(st.booleans(), min_size=1)
    if kind.kind == "f":
        return st.lists(st.floats(width=8 * kind.itemsize), min_size=1)  # type: ignore[arg-type]
    info = np.iinfo(kind)
    return st.lists(st.integers(int(info.min), int(info.max)), min_size=1)


@pytest.mark.parametrize("datatype", CONTENTS)
@given(data=st.data())
def test_typed_contents_are_read_as_the_same_raw_bytes(datatype: str, data: st.DataObject) -> None:
    values = data.draw(arrays(datatype))
    raw = np.array(values, NUMPY_TYPES[datatype]).tobytes()
    shape = [len(values)]
    typed = parsed(asked(inputs=[tensor(datatype, shape, **{CONTENTS[datatype]: values})]))
    bare = parsed(asked(inputs=[tensor(datatype, shape)], raw_input_contents=[raw]))
    assert (typed.raw, bare.raw) == (False, True)
    (one,), (other,) = typed.tensors, bare.tensors
    assert (one.name, one.datatype, one.shape) == (other.name, other.datatype, other.shape)
    assert bytes(one.data) == bytes(other.data) == raw


@given(st.lists(st.text(), min_size=1))
def test_typed_texts_are_read_as_the_same_raw_bytes(texts: list[str]) -> None:
    contents = [text.encode() for text in texts]
    (found,) = parsed(
        asked(inputs=[tensor("BYTES", [len(texts)], bytes_contents=contents)])
    ).tensors
    assert found.data == encode_texts(texts)


def test_values_that_are_not_packed_are_read_too() -> None:
    single = b"\x35\x00\x00\xc0\x3f\x35\x00\x00\x20\xc0"
    whole = b"\x10\x05\x10\xfb\xff\xff\xff\xff\xff\xff\xff\xff\x01"
    for datatype, contents, values in (("FP32", single, [1.5, -2.5]), ("INT32", whole, [5, -5])):
        declared = tensor(datatype, [2]).SerializeToString()
        inner = declared + b"\x2a" + bytes([len(contents)]) + contents
        message = b"\x0a\x01d" + b"\x2a" + bytes([len(inner)]) + inner
        assert pb.ModelInferRequest.FromString(message).inputs[0].shape == [2]
        (found,) = parse_infer(message).tensors
        assert np.frombuffer(found.data, NUMPY_TYPES[datatype]).tolist() == values


def test_everything_else_of_a_request_is_read() -> None:
    message = asked(model_version="3", id="q-1")
    message.parameters["unit"].string_param = "customer-7"
    message.parameters["priority"].int64_param = 2
    message.parameters["minus"].int64_param = -2
    message.parameters["ratio"].double_param = 0.5
    message.parameters["large"].uint64_param = 2**64 - 1
    message.parameters["flag"].bool_param = True
    message.parameters["nothing"].SetInParent()
    message.outputs.add(name="score")
    message.outputs.add(name="label")
    found = parsed(message)
    assert (found.model, found.version, found.id) == ("d", "3", "q-1")
    assert found.outputs == ["score", "label"]
    assert found.parameters == {
        "unit": "customer-7",
        "priority": 2,
        "minus": -2,
        "ratio": 0.5,
        "large": 2**64 - 1,
        "flag": True,
    }


def test_a_tensor_that_was_declared_before_is_the_same_again() -> None:
    message = asked(inputs=[tensor("FP64", [1])], raw_input_contents=[b"a" * 8])
    first = parsed(message)
    message.raw_input_contents[0] = b"b" * 8
    second = parsed(message)
    assert (bytes(first.tensors[0].data), bytes(second.tensors[0].data)) == (b"a" * 8, b"b" * 8)
    assert first.tensors[0].shape == second.tensors[0].shape == [1]


def test_a_large_matrix_is_not_copied_out_of_its_message() -> None:
    rows = 10_000
    raw = np.arange(2.0 * rows).tobytes()
    found = parsed(asked(inputs=[tensor("FP64", [rows, 2])], raw_input_contents=[raw]))
    assert isinstance(found.tensors[0].data, memoryview)
    inputs = inputs_of(found.tensors, RAW, Plan(target(1, signature=NUMERIC)), None)
    assert inputs.matrix == raw


def test_raw_and_typed_values_do_not_mix() -> None:
    both = asked(inputs=[tensor("FP64", [1], fp64_contents=[1.0])], raw_input_contents=[b"a" * 8])
    assert "beside raw_input_contents" in refusal(both)


def test_raw_values_have_one_entry_per_input() -> None:
    inputs = [tensor("FP64", [1]), tensor("FP64", [1])]
    assert "1 entries for 2" in refusal(asked(inputs=inputs, raw_input_contents=[b"a" * 8]))


def test_half_precision_has_to_be_raw() -> None:
    assert "FP16" in refusal(asked(inputs=[tensor("FP16", [1], fp32_contents=[1.0])]))


def test_contents_of_another_datatype_are_refused() -> None:
    assert "FP64" in refusal(asked(inputs=[tensor("FP64", [1], fp32_contents=[1.0])]))


@pytest.mark.parametrize(
    ("datatype", "field", "value"),
    [
        ("INT8", "int_contents", 128),
        ("UINT16", "uint_contents", 65536),
        ("INT16", "int_contents", -40_000),
    ],
)
def test_a_number_outside_of_its_datatype_is_refused(datatype: str, field: str, value: int) -> None:
    assert f"{value} is not" in refusal(asked(inputs=[tensor(datatype, [1], **{field: [value]})]))


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (b"\x40\x00" * 200_001, "too many fields"),
        (nested(5, b"\x40\x00" * 200_000), "too many fields"),
        (nested(5, nested(5, b"\x42\x00" * 200_000)), "too many fields"),
        (nested(5, b"\x40\x00" * 900) * 300, "too many fields"),
        (nested(5, nested(3, b"\x01" * 641)), "too many dimensions"),
    ],
)
def test_a_message_of_many_parts_is_refused_before_it_is_taken_apart(
    message: bytes, told: str
) -> None:
    with pytest.raises(Fault) as caught:
        parse_infer(message)
    assert told in caught.value.text


def test_very_many_typed_numbers_are_refused_before_they_are_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(grpc_messages, "MOST_NUMBERS", 20)
    tensors = [tensor("INT8", [8], int_contents=[1] * 8) for _ in range(3)]
    assert len(parsed(asked(inputs=tensors[:2])).tensors) == 2
    assert "raw_input_contents" in refusal(asked(inputs=tensors))


def test_an_id_that_is_too_long_is_refused() -> None:
    assert "id" in refusal(asked(id="x" * 300))


@given(st.binary(max_size=80))
def test_any_bytes_are_a_request_or_a_refusal(data: bytes) -> None:
    assert refused_with(lambda: parse_infer(data)) in (None, 400)


@given(st.data())
def test_a_damaged_request_is_a_request_or_a_refusal(data: st.DataObject) -> None:
    message = asked(
        inputs=[
            tensor("INT32", [2], int_contents=[1, -1]),
            tensor("BYTES", [1], bytes_contents=[b"a"]),
        ]
    )
    message.parameters["unit"].string_param = "u"
    whole = bytearray(message.SerializeToString())
    for _ in range(data.draw(st.integers(1, 3))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    plan = Plan(target(1, signature=SIGNATURE))

    def read() -> object:
        return inputs_of(parse_infer(bytes(whole)).tensors, RAW, plan, "key")

    assert refused_with(read) in (None, 400)
