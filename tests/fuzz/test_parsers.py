"""Whatever bytes come, every parser takes them or refuses them as it promises, at bounded cost."""

import sys
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tests.fuzz.targets import TARGETS, Target

CALLS = 5_000
CALLS_PER_BYTE = 60
"""Function calls that a target may make, whatever the machine: cost that grows with the square of
the bytes is beyond them."""
MEMORY = 8 * 1024 * 1024
MEMORY_PER_BYTE = 500

NAMES = sorted(TARGETS)
PHASES = (Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink)
_HUGE = b"1" * 400
REGRESSIONS: dict[str, list[bytes]] = {
    "json": [b'{"inputs":[],"parameters":{"timeout":%b}}' % _HUGE],
    "mlflow": [
        b'{"instances":[],"params":{"timeout":%b}}' % _HUGE,
        b'{"inputs":{"x":[1],"a\xff":[1]}}',
        b'{"instances":[{"x":"\xff"}]}',
    ],
}
"""Bytes that were not taken well once."""


def mutated(target: Target) -> st.SearchStrategy[bytes]:
    """Seeds that are cut, joined, repeated and changed, and bytes out of nowhere."""
    words = st.sampled_from(target.words) if target.words else st.binary(max_size=4)
    piece = words | st.binary(max_size=8) | st.integers(0, 255).map(lambda byte: bytes((byte,)))
    seed = st.sampled_from(target.seeds)

    @st.composite
    def changed(draw: st.DrawFn) -> bytes:
        data = draw(seed)
        for _ in range(draw(st.integers(0, 6))):
            start = draw(st.integers(0, len(data)))
            end = min(len(data), start + draw(st.integers(0, 8)))
            how = draw(st.sampled_from(["replace", "insert", "cut", "repeat", "join"]))
            match how:
                case "replace":
                    data = data[:start] + draw(piece) + data[end:]
                case "insert":
                    data = data[:start] + draw(piece) * draw(st.integers(1, 40)) + data[start:]
                case "cut":
                    data = data[:start] + data[end:]
                case "repeat":
                    data = data[:start] + data[start:end] * draw(st.integers(1, 40)) + data[end:]
                case _:
                    data = data[:start] + draw(seed)
        return data

    return changed() | st.binary(max_size=64)


@contextmanager
def calls_at_most(most: int) -> Iterator[None]:
    """Count function calls inside, and refuse more."""
    count = 0

    def counted(_: Any, event: str, __: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(counted)
    try:
        yield
    finally:
        sys.setprofile(before)
    assert count <= most


def survives(name: str, examples: int) -> None:
    target = TARGETS[name]
    for seed in target.seeds:  # what is made once is not to be counted
        target.take(seed)

    @settings(
        max_examples=examples, phases=PHASES, suppress_health_check=list(HealthCheck), database=None
    )
    @given(mutated(target))
    def taken(data: bytes) -> None:
        with calls_at_most(CALLS + CALLS_PER_BYTE * len(data)):
            target.take(data)

    taken()


@pytest.mark.parametrize("name", NAMES)
def test_seeds_and_what_went_wrong_once_are_taken_or_refused(name: str) -> None:
    for data in (*TARGETS[name].seeds, *REGRESSIONS.get(name, ()), b""):
        TARGETS[name].take(data)


@pytest.mark.parametrize("name", NAMES)
def test_changed_bytes_are_taken_or_refused(name: str) -> None:
    survives(name, 25)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_many_changed_bytes_are_taken_or_refused(name: str) -> None:
    survives(name, 5_000)


LONG: dict[str, Callable[[int], bytes]] = {
    "http11": lambda n: b"\x10GET / HTTP/1.1\r\n" + b"a: b\r\n" * (n // 6) + b"\r\n",
    "http2": lambda n: TARGETS["http2"].seeds[0] * (n // 100),
    "hpack": lambda n: b"\x01\x82" * (n // 2),
    "protobuf": lambda n: b"\x0a\x01d" * (n // 3),
    "json": lambda n: b'{"inputs":' + b"[" * n,
    "feedback": lambda n: b'{"labels":[' + b'{"id":"a","label":1},' * (n // 21),
    "mlflow": lambda n: b'{"instances":[' + b"[1]," * (n // 4) + b"[1]]}",
    "csv": lambda n: b"a,b\n" + b"1,2\n" * (n // 4),
    "binary": lambda n: b"\0\0" + bytes(n),
    "inbox": lambda n: b"\0\0\0\0\0" * (n // 5),
    "worker_frames": lambda n: TARGETS["worker_frames"].seeds[0] * (n // 100),
}


@pytest.mark.parametrize("name", sorted(LONG))
def test_long_input_costs_in_proportion(name: str) -> None:
    for size in (1_000, 60_000):
        data = LONG[name](size)
        with calls_at_most(CALLS + CALLS_PER_BYTE * len(data)):
            TARGETS[name].take(data)
    tracemalloc.start()
    try:
        TARGETS[name].take(data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak <= MEMORY + MEMORY_PER_BYTE * len(data)
