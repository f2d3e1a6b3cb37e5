"""Header blocks: what is cached means what it says, and what RFC 9113 forbids is told."""

import hpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.gateway.header_blocks import (
    KNOWN_BLOCKS,
    BlockDecoder,
    BlockError,
    TooLarge,
    literal,
)

GOOD = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/s/m"), (b"te", b"trailers")]


def decoded(headers: list[tuple[bytes, bytes]]) -> str | None:
    return BlockDecoder().decode(hpack.Encoder().encode(headers)).malformed


def test_a_block_that_comes_again_is_the_same_head() -> None:
    encoder, decoder = hpack.Encoder(), BlockDecoder()
    first, again, third = (decoder.decode(encoder.encode(GOOD)) for _ in range(3))
    assert first.fields == dict(GOOD)
    assert first.fields == again.fields
    assert again is third


NAMES = st.sampled_from([b"a", b"b", b"grpc-timeout"])
VALUES = st.text("abcdef", max_size=30).map(str.encode)


@given(st.lists(st.tuples(NAMES, VALUES, st.integers(0, 1)), max_size=60), st.integers(32, 4096))
def test_whatever_the_table_does_each_block_means_its_own(
    changes: list[tuple[bytes, bytes, int]], size: int
) -> None:
    """Entries come and go and blocks repeat; the cache must never answer for another table."""
    encoder, decoder, plain = hpack.Encoder(), BlockDecoder(), hpack.Decoder()
    for number, (name, value, sensitive) in enumerate(changes):
        if number == len(changes) // 2:
            encoder.header_table_size = size
        block = encoder.encode([*GOOD, (name, value, bool(sensitive))])
        expected = dict(plain.decode(block, raw=True))
        assert decoder.decode(block).fields == expected
        again = encoder.encode([*GOOD])
        assert decoder.decode(again).fields == dict(plain.decode(again, raw=True))


def test_blocks_that_are_all_different_are_not_kept_for_ever() -> None:
    decoder = BlockDecoder()
    start = b"".join(literal(*each) for each in GOOD)
    for number in range(3 * KNOWN_BLOCKS):
        decoder.decode(start + literal(b"x-id", b"%d" % number))
    assert len(decoder._known) <= KNOWN_BLOCKS


def test_a_repeated_header_is_joined() -> None:
    block = hpack.Encoder().encode([*GOOD, (b"a", b"1"), (b"a", b"2")])
    assert BlockDecoder().decode(block).fields[b"a"] == b"1, 2"


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ([*GOOD[1:]], ":method"),
        ([GOOD[0], GOOD[2]], ":scheme"),
        ([*GOOD[:2]], ":path"),
        ([*GOOD[:2], (b":path", b"")], ":path"),
        ([*GOOD, (b":path", b"/x")], ":path"),
        ([*GOOD, (b":authority", b"x")], ":authority"),
        ([(b":status", b"200"), *GOOD], ":status"),
        ([*GOOD, (b"Upper", b"x")], "Upper"),
        ([*GOOD, (b"", b"x")], "b''"),
        ([*GOOD, (b"sp ace", b"x")], "sp ace"),
        ([*GOOD, (b"a", b"x\r\ny: z")], "'a'"),
        ([*GOOD, (b"a", b" x")], "'a'"),
        ([*GOOD, (b"connection", b"close")], "connection"),
        ([*GOOD, (b"transfer-encoding", b"chunked")], "transfer-encoding"),
        ([*GOOD[:3], (b"te", b"gzip")], "te"),
    ],
)
def test_malformed_headers_are_told(headers: list[tuple[bytes, bytes]], told: str) -> None:
    assert told in (decoded(headers) or "")


def test_good_headers_are_good() -> None:
    assert decoded(GOOD) is None


def test_headers_that_unpack_to_too_much_are_refused() -> None:
    encoder, decoder = hpack.Encoder(), BlockDecoder()
    decoder.decode(encoder.encode([(b"x", b"y" * 3000)]))
    with pytest.raises(TooLarge):
        decoder.decode(encoder.encode([(b"x", b"y" * 3000)]) * 100)


@given(st.binary(max_size=60))
def test_any_bytes_are_headers_or_an_error(data: bytes) -> None:
    try:
        BlockDecoder().decode(data)
    except BlockError:
        return


@given(st.from_regex(rb"[a-z-]{1,20}", fullmatch=True), st.binary(max_size=20_000))
def test_a_literal_is_read_as_it_was_written(name: bytes, value: bytes) -> None:
    assert hpack.Decoder().decode(literal(name, value), raw=True) == [(name, value)]
