"""HTTP/2 without sockets: the protocol's rules, and hostile clients."""

import struct
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import hpack
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.gateway.frames import HEADERS, START, Speaker, Talk, code_of, short_answer, split

from trimtab.gateway import http2, http2_frames
from trimtab.gateway.http2 import (
    MAX_NOISE,
    MAX_STREAMS,
)
from trimtab.gateway.http2_frames import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    MAX_FRAME,
    PADDED,
    PING,
    PREFACE,
    PRIORITY,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    WITH_PRIORITY,
    Code,
    Setting,
    frame,
    reset,
    settings,
    window_update,
)

HEADER = http2_frames.HEADERS


def test_a_request_is_answered_in_one_write() -> None:
    talk = Talk(short_answer)
    seen = talk.hear(talk.speaker.request(1, b"question"))
    assert talk.listeners[1].events == [b"question", "end"]
    assert [(each.kind, each.flags, each.stream) for each in seen] == [
        (HEADER, END_HEADERS, 1),
        (DATA, 0, 1),
        (HEADER, END_HEADERS | END_STREAM, 1),
    ]
    assert seen[1].payload == b"body"
    assert not talk.http2.streams


def conversation(speaker: Speaker) -> bytes:
    """All that a good client says: padding, priorities, trailers, CONTINUATION, pings, resets."""
    first = speaker.request(1, b"one")
    block = speaker.encoder.encode(HEADERS)
    parts = [
        START,
        first,
        frame(PING, 0, 0, b"12345678"),
        frame(
            HEADER,
            END_HEADERS | PADDED | WITH_PRIORITY,
            3,
            b"\x02" + b"\0\0\0\0\x10" + block + b"\0\0",
        ),
        frame(DATA, PADDED, 3, b"\x03two\0\0\0"),
        frame(PRIORITY, 0, 3, b"\0\0\0\0\x01"),
        frame(DATA, 0, 3, b""),
        speaker.headers(3, END_HEADERS | END_STREAM, [(b"x-trailer", b"1")]),
    ]
    block = speaker.encoder.encode(HEADERS)
    parts += [
        frame(HEADER, 0, 5, block[:2]),
        frame(CONTINUATION, 0, 5, block[2:4]),
        frame(CONTINUATION, END_HEADERS, 5, block[4:]),
        frame(DATA, 0, 5, b"thr"),
        frame(0x42, 0x7, 5, b"unknown"),
        frame(DATA, END_STREAM, 5, b"ee"),
        speaker.headers(7),
        reset(7, Code.CANCEL),
        settings({Setting.INITIAL_WINDOW_SIZE: 1000, Setting.HEADER_TABLE_SIZE: 0}),
        frame(SETTINGS, ACK, 0),
        window_update(0, 1000),
        speaker.request(9, b"last"),
    ]
    return b"".join(parts)


def effects(pieces: list[bytes]) -> tuple[Any, ...]:
    talk = Talk(short_answer, start=b"")
    for piece in pieces:
        talk.http2.receive(piece)
    events = {number: each.events for number, each in talk.listeners.items()}
    return events, bytes(talk.sent), talk.http2.closing


@given(st.lists(st.integers(0, 700), max_size=20))
def test_the_pieces_in_which_bytes_arrive_do_not_matter(cuts: list[int]) -> None:
    data = conversation(Speaker())
    edges = sorted({0, len(data), *(min(cut, len(data)) for cut in cuts)})
    pieces = [data[a:b] for a, b in pairwise(edges)]
    whole = effects([data])
    assert effects(pieces) == whole
    assert effects([data[i : i + 1] for i in range(len(data))]) == whole
    assert whole[0][1] == [b"one", "end"]
    assert whole[0][3] == [b"two", "end"]
    assert whole[0][5] == [b"three", "end"]
    assert whole[0][7] == ["lost"]
    assert whole[0][9] == [b"last", "end"]
    assert not whole[2]


def bare(payload: bytes) -> bytes:
    return frame(HEADER, END_HEADERS | END_STREAM, 1, payload)


OPEN = Speaker().headers(1)
BLOCK = Speaker().encoder.encode(HEADERS)
VIOLATIONS: dict[str, tuple[bytes, Code]] = {
    "DATA on stream 0": (frame(DATA, 0, 0, b"x"), Code.PROTOCOL_ERROR),
    "DATA on an idle stream": (frame(DATA, 0, 5, b"x"), Code.PROTOCOL_ERROR),
    "DATA with too much padding": (OPEN + frame(DATA, PADDED, 1, b"\x05abcd"), Code.PROTOCOL_ERROR),
    "padding without a length": (OPEN + frame(DATA, PADDED, 1, b""), Code.PROTOCOL_ERROR),
    "HEADERS on stream 0": (Speaker().headers(0), Code.PROTOCOL_ERROR),
    "HEADERS on an even stream": (Speaker().headers(2), Code.PROTOCOL_ERROR),
    "HEADERS cut off in their priority": (
        frame(HEADER, END_HEADERS | WITH_PRIORITY, 1, b"\0\0"),
        Code.FRAME_SIZE_ERROR,
    ),
    "a block that is no HPACK": (bare(b"\xff\xff\xff\xff\xff\xff"), Code.COMPRESSION_ERROR),
    "a reference beyond the table": (bare(b"\xfe"), Code.COMPRESSION_ERROR),
    "a table larger than allowed": (bare(b"\x3f\xff\x7f"), Code.COMPRESSION_ERROR),
    "a frame between header parts": (
        frame(HEADER, 0, 1, BLOCK) + frame(PING, 0, 0, bytes(8)),
        Code.PROTOCOL_ERROR,
    ),
    "CONTINUATION of another stream": (
        frame(HEADER, 0, 1, BLOCK) + frame(CONTINUATION, END_HEADERS, 3, b""),
        Code.PROTOCOL_ERROR,
    ),
    "an unknown frame between header parts": (
        frame(HEADER, 0, 1, BLOCK) + frame(0x42, 0, 0, b""),
        Code.PROTOCOL_ERROR,
    ),
    "CONTINUATION of nothing": (frame(CONTINUATION, END_HEADERS, 1, b""), Code.PROTOCOL_ERROR),
    "PRIORITY on stream 0": (frame(PRIORITY, 0, 0, bytes(5)), Code.PROTOCOL_ERROR),
    "RST_STREAM on stream 0": (reset(0, Code.CANCEL), Code.PROTOCOL_ERROR),
    "RST_STREAM on an idle stream": (reset(1, Code.CANCEL), Code.PROTOCOL_ERROR),
    "RST_STREAM of 3 bytes": (OPEN + frame(RST_STREAM, 0, 1, b"abc"), Code.FRAME_SIZE_ERROR),
    "SETTINGS on a stream": (frame(SETTINGS, 0, 1), Code.PROTOCOL_ERROR),
    "SETTINGS of 5 bytes": (frame(SETTINGS, 0, 0, bytes(5)), Code.FRAME_SIZE_ERROR),
    "an acknowledgement with content": (frame(SETTINGS, ACK, 0, bytes(6)), Code.FRAME_SIZE_ERROR),
    "ENABLE_PUSH of 2": (settings({Setting.ENABLE_PUSH: 2}), Code.PROTOCOL_ERROR),
    "a window of 2^31": (settings({Setting.INITIAL_WINDOW_SIZE: 2**31}), Code.FLOW_CONTROL_ERROR),
    "a largest frame of 16383": (settings({Setting.MAX_FRAME_SIZE: 16383}), Code.PROTOCOL_ERROR),
    "a largest frame of 2^24": (settings({Setting.MAX_FRAME_SIZE: 2**24}), Code.PROTOCOL_ERROR),
    "PUSH_PROMISE": (OPEN + frame(PUSH_PROMISE, END_HEADERS, 1, bytes(4)), Code.PROTOCOL_ERROR),
    "PING on a stream": (frame(PING, 0, 1, bytes(8)), Code.PROTOCOL_ERROR),
    "PING of 7 bytes": (frame(PING, 0, 0, bytes(7)), Code.FRAME_SIZE_ERROR),
    "GOAWAY on a stream": (frame(GOAWAY, 0, 1, bytes(8)), Code.PROTOCOL_ERROR),
    "GOAWAY of 4 bytes": (frame(GOAWAY, 0, 0, bytes(4)), Code.FRAME_SIZE_ERROR),
    "WINDOW_UPDATE of 0": (window_update(0, 0), Code.PROTOCOL_ERROR),
    "WINDOW_UPDATE of 3 bytes": (frame(WINDOW_UPDATE, 0, 0, b"abc"), Code.FRAME_SIZE_ERROR),
    "WINDOW_UPDATE on an idle stream": (window_update(1, 1), Code.PROTOCOL_ERROR),
    "a window over 2^31-1": (window_update(0, 2**31 - 1), Code.FLOW_CONTROL_ERROR),
    "a frame that is too large": (frame(DATA, 0, 1, bytes(MAX_FRAME + 1)), Code.FRAME_SIZE_ERROR),
    "DATA on a closed stream": (
        OPEN + reset(1, Code.CANCEL) + frame(DATA, 0, 1, b"x"),
        Code.STREAM_CLOSED,
    ),
    "a stream of a number passed over": (Speaker().request(5) + OPEN, Code.STREAM_CLOSED),
    "settings that widen a stream too far": (
        OPEN + window_update(1, 2**31 - 1 - 65535) + settings({Setting.INITIAL_WINDOW_SIZE: 65536}),
        Code.FLOW_CONTROL_ERROR,
    ),
}


@pytest.mark.parametrize("name", VIOLATIONS)
def test_a_broken_connection_is_told_why_and_ends(name: str) -> None:
    said, code = VIOLATIONS[name]
    talk = Talk(short_answer)
    seen = talk.hear(said)
    assert code_of(seen) is code
    assert seen[-1].kind == GOAWAY
    assert talk.http2.closing
    assert all(each.stream.abandoned or "end" in each.events for each in talk.listeners.values())
    assert talk.hear(Speaker().request(101)) == []


STREAM_VIOLATIONS: dict[str, tuple[bytes, Code]] = {
    "headers that are malformed": (
        Speaker().headers(1, END_HEADERS, HEADERS[1:]),
        Code.PROTOCOL_ERROR,
    ),
    "trailers that do not end the stream": (
        OPEN + frame(HEADER, END_HEADERS, 1, b""),
        Code.PROTOCOL_ERROR,
    ),
    "a content-length that is wrong": (
        Speaker().headers(1, END_HEADERS, [*HEADERS, (b"content-length", b"5")])
        + frame(DATA, END_STREAM, 1, b"four"),
        Code.PROTOCOL_ERROR,
    ),
    "DATA after the end": (
        OPEN + frame(DATA, END_STREAM, 1, b"x") + frame(DATA, 0, 1, b"y"),
        Code.STREAM_CLOSED,
    ),
    "HEADERS after the end": (
        OPEN + frame(DATA, END_STREAM, 1, b"x") + frame(HEADER, END_HEADERS | END_STREAM, 1, b""),
        Code.STREAM_CLOSED,
    ),
    "PRIORITY of 4 bytes": (OPEN + frame(PRIORITY, 0, 1, bytes(4)), Code.FRAME_SIZE_ERROR),
    "WINDOW_UPDATE of 0": (OPEN + window_update(1, 0), Code.PROTOCOL_ERROR),
    "a window over 2^31-1": (OPEN + window_update(1, 2**31 - 1), Code.FLOW_CONTROL_ERROR),
}


@pytest.mark.parametrize("name", STREAM_VIOLATIONS)
def test_a_broken_stream_is_reset_and_the_others_go_on(name: str) -> None:
    said, code = STREAM_VIOLATIONS[name]
    talk = Talk()
    seen = talk.hear(said)
    assert code_of(seen) is code
    assert seen[-1].kind == RST_STREAM
    assert not talk.http2.closing
    assert not talk.http2.streams
    assert all(each.events[-1] == "lost" for each in talk.listeners.values())
    talk.hear(frame(HEADER, END_HEADERS, 3, Speaker().encoder.encode(HEADERS)))
    assert 3 in talk.http2.streams


@pytest.mark.parametrize(
    "start",
    [b"GET / HTTP/1.1\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nXX", PREFACE + frame(PING, 0, 0, bytes(8))],
)
def test_what_does_not_begin_as_it_should_is_left(start: bytes) -> None:
    talk = Talk(start=b"")
    assert code_of(talk.hear(start)) is Code.PROTOCOL_ERROR


FLOODS: dict[str, Callable[[Speaker, int], bytes]] = {
    "rapid reset": lambda speaker, i: speaker.headers(2 * i + 1) + reset(2 * i + 1, Code.CANCEL),
    "pings": lambda _, i: frame(PING, 0, 0, bytes(8)),
    "settings": lambda _, i: settings({}),
    "priorities": lambda _, i: frame(PRIORITY, 0, 1, bytes(5)),
    "unknown frames": lambda _, i: frame(0x42, 0, 0),
    "empty data": lambda speaker, i: speaker.headers(1) if i == 0 else frame(DATA, 0, 1),
    "broken streams": lambda _, i: frame(HEADER, END_HEADERS, 2 * i + 1, b""),
}


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_is_ended(name: str) -> None:
    talk = Talk()
    for number in range(MAX_NOISE + 2):
        talk.http2.receive(FLOODS[name](talk.speaker, number))
    assert talk.http2.closing
    assert code_of(talk.heard()) is Code.ENHANCE_YOUR_CALM


@pytest.mark.parametrize("name", FLOODS)
def test_the_same_frames_over_more_time_are_no_flood(name: str) -> None:
    talk = Talk()
    for number in range(MAX_NOISE + 2):
        if number % 100 == 0:
            talk.http2.tick(0.0, 10.0)
        talk.http2.receive(FLOODS[name](talk.speaker, number))
    assert not talk.http2.closing


@pytest.mark.parametrize("part", [b"", bytes(4096)])
def test_headers_without_end_are_ended(part: bytes) -> None:
    talk = Talk()
    talk.http2.receive(frame(HEADER, 0, 1, BLOCK))
    for _ in range(http2.MAX_CONTINUATIONS):
        talk.http2.receive(frame(CONTINUATION, 0, 1, part))
    assert code_of(talk.heard()) is Code.ENHANCE_YOUR_CALM


def test_headers_that_unpack_to_too_much_end_the_connection() -> None:
    talk = Talk()
    large = hpack.Encoder()
    block = large.encode([*HEADERS, (b"x", b"y" * 3000)]) + large.encode([(b"x", b"y" * 3000)]) * 99
    assert code_of(talk.hear(frame(HEADER, END_HEADERS, 1, block))) is Code.ENHANCE_YOUR_CALM


def test_more_streams_than_announced_are_refused_one_by_one() -> None:
    talk = Talk()
    for number in range(MAX_STREAMS):
        talk.http2.receive(talk.speaker.headers(2 * number + 1))
    talk.heard()
    seen = talk.hear(talk.speaker.headers(2 * MAX_STREAMS + 1))
    assert code_of(seen) is Code.REFUSED_STREAM
    assert len(talk.http2.streams) == MAX_STREAMS
    assert not talk.http2.closing


def test_a_cancelled_stream_is_abandoned_and_its_late_answer_goes_nowhere() -> None:
    talk = Talk()
    talk.http2.receive(talk.speaker.request(1))
    stream = talk.listeners[1].stream
    assert talk.hear(reset(1, Code.CANCEL)) == []
    assert stream.abandoned
    assert talk.listeners[1].events[-1] == "lost"
    short_answer(stream)
    assert talk.heard() == []


def test_a_lost_connection_abandons_every_stream() -> None:
    talk = Talk()
    talk.http2.receive(talk.speaker.request(1) + talk.speaker.headers(3))
    talk.http2.lose()
    assert all(each.stream.abandoned for each in talk.listeners.values())
    assert all(each.events[-1] == "lost" for each in talk.listeners.values())


def test_a_stream_answered_early_is_ended_and_what_follows_is_ignored() -> None:
    talk = Talk()
    talk.http2.receive(talk.speaker.headers(1))
    talk.listeners[1].stream.refuse(b"\x88")
    seen = talk.heard()
    assert [each.kind for each in seen] == [HEADER, RST_STREAM]
    assert code_of(seen) is Code.NO_ERROR
    late = frame(DATA, 0, 1, b"x") + talk.speaker.headers(
        1, END_HEADERS | END_STREAM, [(b"a", b"b")]
    )
    assert talk.hear(late) == []
    assert talk.listeners[1].events == []


def test_only_the_first_answer_counts() -> None:
    talk = Talk()
    talk.http2.receive(talk.speaker.request(1))
    stream = talk.listeners[1].stream
    short_answer(stream)
    talk.heard()
    short_answer(stream)
    stream.refuse(b"\x88")
    stream.send(b"x")
    stream.finish(b"\x88")
    assert talk.heard() == []


def test_an_answer_may_come_in_pieces() -> None:
    talk = Talk()
    talk.http2.receive(talk.speaker.request(1))
    stream = talk.listeners[1].stream
    stream.begin(b"\x88")
    stream.send(b"one")
    stream.send(b"two")
    stream.finish(b"\x88")
    assert [each.payload for each in talk.heard()] == [b"\x88", b"one", b"two", b"\x88"]
    assert not talk.http2.streams


def test_a_client_that_changes_its_table_is_told_that_none_is_used() -> None:
    talk = Talk(short_answer)
    talk.hear(settings({Setting.HEADER_TABLE_SIZE: 0}))
    decoder = hpack.Decoder()
    decoder.max_allowed_table_size = 0
    seen = talk.hear(talk.speaker.request(1)) + talk.hear(talk.speaker.request(3))
    blocks = [each.payload for each in seen if each.kind == HEADER]
    for block in blocks:
        assert decoder.decode(block, raw=True) == [(b":status", b"200")]


def test_draining_takes_what_was_sent_before_it_was_heard_of() -> None:
    talk = Talk(short_answer)
    talk.http2.receive(talk.speaker.headers(1))
    talk.http2.drain()
    first, ping = talk.heard()
    assert struct.unpack_from(">LL", first.payload) == (2**31 - 1, Code.NO_ERROR)
    assert talk.hear(talk.speaker.request(3))[0].stream == 3
    (last,) = talk.hear(frame(PING, ACK, 0, ping.payload))
    assert struct.unpack_from(">LL", last.payload) == (3, Code.NO_ERROR)
    assert talk.hear(talk.speaker.request(5) + window_update(5, 1) + reset(5, Code.CANCEL)) == []
    assert 5 not in talk.listeners
    assert talk.hear(frame(DATA, END_STREAM, 1, b"x"))[-1].flags & END_STREAM


def test_a_body_that_stays_out_is_told_to_its_receiver() -> None:
    talk = Talk()
    talk.http2.receive(talk.speaker.headers(1) + talk.speaker.request(3))
    talk.http2.tick(0.0, 10.0)
    talk.http2.tick(9.0, 10.0)
    talk.http2.receive(frame(DATA, 0, 1, b"x"))
    talk.http2.tick(10.0, 10.0)
    assert talk.listeners[1].events == [b"x"]
    talk.http2.tick(21.0, 10.0)
    assert talk.listeners[1].events == [b"x", "late"]
    assert "late" not in talk.listeners[3].events


ANY_FRAME = st.builds(
    frame,
    st.integers(0, 10),
    st.sampled_from([0, 1, 4, 5, 8, 0x20, 0x2D, 255]),
    st.integers(0, 6),
    st.one_of(
        st.binary(max_size=20),
        st.sampled_from(
            [BLOCK, bytes(4), bytes(5), bytes(8), b"\0\0\0\x01", b"\0\x04\x7f\xff\xff\xff"]
        ),
    ),
)


@given(st.lists(ANY_FRAME, max_size=25))
def test_any_frames_are_taken_or_end_the_connection_cleanly(said: list[bytes]) -> None:
    """Whatever comes, what goes back is frames, and a connection that ended says nothing more."""
    talk = Talk(short_answer)
    for each in said:
        talk.http2.receive(each)
    seen = talk.heard()
    ends = [i for i, each in enumerate(seen) if each.kind == GOAWAY]
    assert talk.http2.closing == bool(ends)
    assert ends in ([], [len(seen) - 1])
    assert all(number % 2 for number in talk.listeners)
    if talk.http2.closing:
        assert not talk.http2.streams


@given(st.binary(max_size=200))
def test_any_bytes_are_taken_or_end_the_connection_cleanly(said: bytes) -> None:
    talk = Talk(short_answer)
    talk.http2.receive(said)
    split(bytes(talk.sent))
