"""The frame codec gives back what was put in, and refuses what is no frame."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.worker import frames
from trimtab.worker.frames import Decoder, Frame, FrameError, Kind, Tensor
from trimtab.worker.tensors import array_of

TEXTS = st.lists(st.none() | st.text(), max_size=20)
BODIES = st.lists(st.binary(max_size=300), max_size=6)


def joined(*parts: list[frames.Bytes]) -> bytes:
    return b"".join(bytes(part) for each in parts for part in each)


@given(bodies=BODIES, cuts=st.lists(st.integers(1, 97), min_size=1, max_size=5))
def test_frames_come_back_whole_whatever_pieces_they_arrive_in(
    bodies: list[bytes], cuts: list[int]
) -> None:
    stream = joined(*(frames.encode(Kind.PING, {"id": i}, [body]) for i, body in enumerate(bodies)))
    decoder, got, at, turn = Decoder(), list[Frame](), 0, 0
    while at < len(stream):
        step = cuts[turn % len(cuts)]
        got += decoder.feed(stream[at : at + step])
        at, turn = at + step, turn + 1
    assert [(f.header["id"], bytes(f.body)) for f in got] == list(enumerate(bodies))
    assert not decoder.waiting


def test_a_frame_within_one_piece_is_not_copied() -> None:
    data = joined(frames.encode(Kind.PREDICT, {"id": 1}, [b"abc"]))
    (frame,) = Decoder().feed(data)
    assert frame.body.obj is data


def test_a_header_may_be_encoded_by_the_caller() -> None:
    (frame,) = frames.decode_all(joined(frames.encode(Kind.PONG, b'{"id":7}')))
    assert (frame.kind, frame.header) == (Kind.PONG, {"id": 7})


@given(values=TEXTS)
def test_texts_survive_including_missing_and_empty(values: list[str | None]) -> None:
    assert frames.decode_texts(frames.encode_texts(values), len(values)) == values


@pytest.mark.parametrize(
    "values", [["no", "on"], ["0", "1"], ["é", "è"], ["", ""], ["a" * 200, "b" * 200], [None, None]]
)
def test_texts_as_long_as_one_another_survive(values: list[str | None]) -> None:
    assert frames.decode_texts(frames.encode_texts(values), len(values)) == values


@given(values=st.lists(st.sampled_from(["0", "1", "é", "ab"])))
def test_texts_survive_when_most_are_one_letter(values: list[str | None]) -> None:
    assert frames.decode_texts(frames.encode_texts(values), len(values)) == values


@pytest.mark.parametrize(
    ("data", "count"),
    [(b"\x01\0\0\0", 1), (b"\x01\0", 1), (b"\x01\0\0\0\xff", 1), (b"\0\0\0\0", 2), (b"\0" * 8, 1)],
)
def test_texts_that_do_not_fit_their_tensor_are_refused(data: bytes, count: int) -> None:
    with pytest.raises(FrameError):
        frames.decode_texts(data, count)


def test_tensor_lists_are_split_in_the_order_of_their_fields() -> None:
    x = Tensor("x", "FP64", (2,), struct.pack("<2d", 1, 2))
    y = Tensor("y", "BYTES", (2,), frames.encode_texts(["a", None]))
    buffers = frames.encode_tensors(Kind.GOLDEN, {"rows": 2}, {"inputs": [x], "outputs": [y]})
    (frame,) = frames.decode_all(joined(buffers))
    (inputs, outputs) = frames.tensors_of(frame, "inputs", "outputs")
    assert (inputs[0].name, bytes(inputs[0].data)) == ("x", x.data)
    assert (outputs[0].shape, bytes(outputs[0].data)) == ((2,), y.data)


def test_tensors_are_described_as_they_are_each_time_beside_an_encoded_header() -> None:
    for data in (b"12345678", b"1234567812345678", b"12345678"):
        tensor = Tensor("x", "FP64", (len(data) // 8,), data)
        sent = joined(frames.encode_tensors(Kind.RESULT, b'{"id":7}', {"outputs": [tensor]}))
        (frame,) = frames.decode_all(sent)
        assert frame.header["id"] == 7
        assert frame.header["outputs"] == [frames.described("x", "FP64", tensor.shape, len(data))]
        assert bytes(frame.body) == data


@pytest.mark.parametrize(
    "entry",
    [
        {"name": "x", "datatype": "FP64", "shape": [2], "size": 8},
        {"name": "x", "datatype": "FP64", "shape": [-1], "size": 8},
        {"name": "x", "datatype": "FP64", "shape": [2], "size": 16},
        {"name": "x", "datatype": "BYTES", "shape": [1], "size": 4},
        {"name": "x", "datatype": "COMPLEX", "shape": [1], "size": 8},
        {"name": "x", "datatype": "FP64", "shape": [1]},
        "x",
    ],
)
def test_a_tensor_that_does_not_describe_its_bytes_is_refused(entry: object) -> None:
    (frame,) = frames.decode_all(
        joined(frames.encode(Kind.PREDICT, {"inputs": [entry]}, [b"8" * 8]))
    )
    with pytest.raises(FrameError):
        frames.tensors_of(frame, "inputs")


def test_a_header_without_its_list_is_refused() -> None:
    (frame,) = frames.decode_all(joined(frames.encode(Kind.PREDICT, {})))
    with pytest.raises(FrameError, match="inputs"):
        frames.tensors_of(frame, "inputs")


@pytest.mark.parametrize(
    "data",
    [
        struct.pack("<IBI", 2**31, 2, 2),
        struct.pack("<IBI", 4, 2, 2),
        struct.pack("<IBI", 5, 2, 2),
        struct.pack("<IBI", 7, 2, 2) + b"[]",
        struct.pack("<IBI", 7, 2, 2) + b"{]",
        struct.pack("<IBI", 7, 99, 2) + b"{}",
    ],
    ids=["too long", "too short", "header too long", "not an object", "not JSON", "unknown kind"],
)
def test_bytes_that_are_no_frame_are_refused(data: bytes) -> None:
    with pytest.raises(FrameError):
        list(Decoder().feed(data))


def test_an_oversize_frame_is_refused_by_its_length_alone() -> None:
    decoder = Decoder(limit=100)
    with pytest.raises(FrameError, match="101"):
        list(decoder.feed(struct.pack("<I", 101)))


def test_a_frame_over_the_limit_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "MAX_FRAME", 10)
    with pytest.raises(FrameError, match="limit"):
        frames.encode(Kind.PREDICT, {"id": 1}, [b"12345"])


@pytest.mark.parametrize("length", range(9))
def test_numbers_behind_an_aligned_header_lie_as_they_are_read(length: int) -> None:
    header = frames.aligned(frames.dumped({"id": "x" * length}))
    data = bytearray(joined(frames.encode(Kind.PREDICT, header, [bytes(8)])))
    (frame,) = frames.decode_all(bytes(data))
    assert frame.header == {"id": "x" * length}
    assert data.rindex(bytes(8)) % 8 == 0


def test_an_array_is_the_bytes_of_its_tensor_where_those_may_be_changed() -> None:
    room = bytearray(24)
    for data, shared in ((room, True), (memoryview(room)[8:], True), (bytes(16), False)):
        whole = memoryview(data)[:16]
        array_of(Tensor("x", "FP64", (2,), whole))[0] = 7.0
        assert bool(np.frombuffer(whole)[0] == 7.0) is shared
    crooked = array_of(Tensor("x", "FP64", (2,), memoryview(room)[1:17]))
    assert crooked.flags.aligned
    assert crooked.flags.writeable


def test_a_file_that_is_cut_off_is_refused() -> None:
    data = joined(frames.encode(Kind.GOLDEN, {"rows": 0}, [b"abc"]))
    with pytest.raises(FrameError, match="cut off"):
        frames.decode_all(data[:-1])
