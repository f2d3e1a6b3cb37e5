"""Room in both directions: no side sends more than the other has said it takes."""

import struct

from hypothesis import given
from hypothesis import strategies as st
from tests.unit.gateway.frames import Talk, code_of

from trimtab.gateway import http2_frames
from trimtab.gateway.http2 import (
    CONNECTION_WINDOW,
    STREAM_WINDOW,
)
from trimtab.gateway.http2_frames import (
    DATA,
    END_HEADERS,
    END_STREAM,
    MAX_FRAME,
    SETTINGS,
    WINDOW_UPDATE,
    Code,
    Setting,
    frame,
    settings,
    window_update,
)
from trimtab.gateway.http2_send import Outlet

HEADER = http2_frames.HEADERS


def test_an_answer_waits_for_room_on_its_stream() -> None:
    talk = Talk(lambda stream: stream.answer(b"\x88", b"0123456789", b"\x88"))
    talk.hear(settings({Setting.INITIAL_WINDOW_SIZE: 4}))
    seen = talk.hear(talk.speaker.request(1))
    assert [each.payload for each in seen] == [b"\x88", b"0123"]
    assert talk.stuck()
    assert [each.payload for each in talk.hear(window_update(1, 3))] == [b"456"]
    seen = talk.hear(settings({Setting.INITIAL_WINDOW_SIZE: 8}))
    assert [each.payload for each in seen if each.kind == DATA] == [b"789"]
    assert any(each.flags == END_HEADERS | END_STREAM for each in seen)
    assert not talk.stuck()
    assert not talk.http2.streams


def test_a_window_may_become_negative_and_has_to_be_filled_again() -> None:
    talk = Talk(lambda stream: stream.answer(b"\x88", b"0123456789", b"\x88"))
    talk.hear(settings({Setting.INITIAL_WINDOW_SIZE: 4}))
    talk.hear(talk.speaker.request(1))
    assert [e.kind for e in talk.hear(settings({Setting.INITIAL_WINDOW_SIZE: 0}))] == [SETTINGS]
    assert talk.hear(window_update(1, 4)) == []
    assert [each.payload for each in talk.hear(window_update(1, 1))] == [b"4"]


def test_large_answers_take_turns_when_the_connection_gets_room() -> None:
    talk = Talk(lambda stream: stream.answer(b"\x88", bytes(3 * MAX_FRAME), b"\x88"))
    talk.hear(settings({Setting.INITIAL_WINDOW_SIZE: 2**30}))
    talk.hear(talk.speaker.request(1) + talk.speaker.request(3) + talk.speaker.request(5))
    seen = talk.hear(window_update(0, 4 * MAX_FRAME))
    assert [each.stream for each in seen if each.kind == DATA][:4] != [3, 3, 3, 5]
    rest = talk.hear(window_update(0, 9 * MAX_FRAME))
    ends = [each.stream for each in (*seen, *rest) if each.flags & END_STREAM]
    assert sorted(ends)[-2:] == [3, 5]
    assert not talk.http2.streams


class Watched:
    """`Sending` without room of its own, which counts how often it is looked at."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.window = 0
        self.trailers: bytes | None = b"\x88"
        self.looks = 0

    @property
    def outbox(self) -> bytearray:
        """What waits."""
        self.looks += 1
        return bytearray(b"0123456789")

    @outbox.setter
    def outbox(self, data: bytearray) -> None:
        raise NotImplementedError


def test_room_on_the_connection_costs_nothing_for_streams_that_have_none_of_their_own() -> None:
    """A frame of 13 bytes must not cost a look at each of a thousand answers."""
    outlet = Outlet(lambda data: None, lambda sending: None)
    streams = [Watched(number) for number in (1, 3, 5)]
    for stream in streams:
        outlet.rest(stream)
    before = [stream.looks for stream in streams]
    for _ in range(100):
        assert outlet.widen(1)
    assert [stream.looks for stream in streams] == before
    assert outlet.stuck


@given(
    st.lists(st.integers(1, 40_000), max_size=30), st.integers(0, 120_000), st.integers(0, 70_000)
)
def test_no_more_is_sent_than_there_is_room_and_at_last_everything(
    grants: list[int], size: int, window: int
) -> None:
    body = bytes(i % 251 for i in range(size))
    talk = Talk(lambda stream: stream.answer(b"\x88", body, b"\x88"))
    talk.hear(settings({Setting.INITIAL_WINDOW_SIZE: window}))
    got = b""
    room, shared = window, http2_frames.DEFAULT_WINDOW
    seen = talk.hear(talk.speaker.request(1))
    for by in [0, *grants, 200_000]:
        if by:
            seen = talk.hear(window_update(1, by) + window_update(0, by))
            room, shared = room + by, shared + by
        got += b"".join(each.payload for each in seen if each.kind == DATA)
        assert len(got) <= min(room, shared)
        if not talk.http2.streams:
            break
    assert got == body


def test_a_client_gets_room_as_its_data_is_read() -> None:
    talk = Talk()
    talk.http2.receive(talk.speaker.headers(1))
    sent = granted = shared = 0
    for _ in range(2 * CONNECTION_WINDOW // MAX_FRAME):
        seen = talk.hear(frame(DATA, 0, 1, bytes(MAX_FRAME)))
        sent += MAX_FRAME
        for each in seen:
            assert each.kind == WINDOW_UPDATE
            by = struct.unpack(">L", each.payload)[0]
            granted, shared = (granted + by, shared) if each.stream else (granted, shared + by)
        assert 0 < STREAM_WINDOW + granted - sent <= STREAM_WINDOW
        assert 0 < CONNECTION_WINDOW + shared - sent <= CONNECTION_WINDOW


def test_held_data_gives_no_room_until_it_is_released() -> None:
    talk = Talk()
    talk.http2.receive(talk.speaker.headers(1))
    stream = talk.listeners[1].stream
    stream.held = STREAM_WINDOW
    for _ in range(STREAM_WINDOW // MAX_FRAME):
        assert all(each.stream == 0 for each in talk.hear(frame(DATA, 0, 1, bytes(MAX_FRAME))))
    stream.release(STREAM_WINDOW)
    assert [(each.kind, each.stream) for each in talk.heard()] == [(WINDOW_UPDATE, 1)]


def test_more_data_than_a_stream_has_room_for_ends_the_stream() -> None:
    talk = Talk()
    talk.http2.receive(talk.speaker.headers(1))
    talk.listeners[1].stream.held = STREAM_WINDOW
    for _ in range(STREAM_WINDOW // MAX_FRAME):
        talk.http2.receive(frame(DATA, 0, 1, bytes(MAX_FRAME)))
    talk.heard()
    assert code_of(talk.hear(frame(DATA, 0, 1, b"x"))) is Code.FLOW_CONTROL_ERROR
    assert not talk.http2.closing
