"""`traceparent` and `tracestate` are read as the W3C recommendation says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.domain.trace_context import TraceContext, trace_context

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
PARENT = f"00-{TRACE}-{SPAN}-01".encode()


def state(value: bytes) -> str:
    """What is handed on of a `tracestate`."""
    found = trace_context(PARENT, value)
    assert found is not None
    return found.state


@given(st.integers(1, 2**128 - 1), st.integers(1, 2**64 - 1), st.integers(0, 3))
def test_what_is_written_is_read(trace: int, span: int, flags: int) -> None:
    context = TraceContext(f"{trace:032x}", f"{span:016x}", flags, "a=1,b=2")
    headers = {name: value.encode() for name, value in context.headers.items()}
    assert trace_context(headers["traceparent"], headers["tracestate"]) == context


@pytest.mark.parametrize(
    "parent",
    [
        b"",
        b"00",
        PARENT.upper(),
        PARENT[:-1],
        PARENT + b"-",
        PARENT + b"-what-the-future-will-be-like",
        PARENT + b", " + PARENT,
        b"ff" + PARENT[2:],
        b"cc" + PARENT[2:] + b".",
        b"0x" + PARENT[2:],
        PARENT.replace(TRACE.encode(), b"0" * 32),
        PARENT.replace(SPAN.encode(), b"0" * 16),
        PARENT.replace(TRACE.encode(), b"." + TRACE[1:].encode()),
        PARENT[:-2] + b"zz",
        PARENT.replace(b"-", b"_"),
    ],
)
def test_a_malformed_traceparent_is_as_good_as_none(parent: bytes) -> None:
    assert trace_context(parent, b"a=1") is None


def test_without_a_traceparent_the_tracestate_means_nothing() -> None:
    assert trace_context(None, b"a=1") is None


@pytest.mark.parametrize("more", [b"", b"-", b"-what-the-future-will-be-like"])
def test_of_a_later_version_what_is_known_is_read(more: bytes) -> None:
    assert trace_context(b"cc" + PARENT[2:] + more, None) == TraceContext(TRACE, SPAN, 1)


def test_space_around_it_does_not_count() -> None:
    assert trace_context(b" \t" + PARENT + b" ", None) == TraceContext(TRACE, SPAN, 1)


def test_flags_that_are_not_known_are_not_handed_on() -> None:
    context = trace_context(PARENT[:-2] + b"ff", None)
    assert context is not None
    assert context.sampled
    assert context.traceparent.endswith("-03")


def test_an_unsampled_trace_is_told_from_a_sampled_one() -> None:
    context = trace_context(PARENT[:-2] + b"00", None)
    assert context is not None
    assert not context.sampled
    assert context.headers == {"traceparent": f"00-{TRACE}-{SPAN}-00"}


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (b"a=1", "a=1"),
        (b"a=1 , b=2\t,c=3", "a=1,b=2,c=3"),
        (b",a=1,,b=2,", "a=1,b=2"),
        (b"tenant@vendor=x y!", "tenant@vendor=x y!"),
        (b"0/a-_*=1", "0/a-_*=1"),
        (b"a=1,a=2", "a=1,a=2"),
        (b"a" * 256 + b"=" + b"v" * 256, "a" * 256 + "=" + "v" * 256),
        (b",".join(b"k%d=v" % n for n in range(32)), ",".join(f"k{n}=v" for n in range(32))),
        (b"", ""),
    ],
)
def test_what_other_tracers_wrote_is_handed_on(value: bytes, kept: str) -> None:
    assert state(value) == kept


@pytest.mark.parametrize(
    "value",
    [
        b"a",
        b"a=",
        b"=1",
        b"A=1",
        b"a =1",
        b"a=1=2",
        b"a=\x80",
        b"@v=1",
        b"t@=1",
        b"t@v@w=1",
        b"a" * 257 + b"=1",
        b"a=" + b"v" * 257,
        b",".join(b"k%d=v" % n for n in range(33)),
        "a=é".encode(),
    ],
)
def test_a_malformed_tracestate_is_dropped_and_the_trace_kept(value: bytes) -> None:
    assert state(value) == ""
