"""JSON arrays of nothing but numbers as float64, the long ones without an object for each number.

Why two parsers: docs/decisions/0063-long-arrays-of-numbers-by-simdjson.md.
"""

import contextlib

import msgspec
import simdjson

from trimtab.gateway.values import packer
from trimtab.worker.frames import Bytes

LONG = 1024
"""Bytes of an array from which on it goes to simdjson."""

_decode = msgspec.json.Decoder(list[float]).decode
_parser = simdjson.Parser()


def packed_numbers(text: Bytes | msgspec.Raw) -> bytes:
    """`[…]` of nothing but numbers, as float64.

    Raises a `ValueError`, or `RecursionError`, for any other text: null, nested lists, or numbers
    that float64 does not hold are others."""
    if len(data := memoryview(text)) >= LONG and (numbers := _long(bytes(data))) is not None:
        return numbers
    values = _decode(text)
    return packer(len(values))(*values)


def _long(text: bytes) -> bytes | None:
    """None where simdjson does not take it: whole numbers beyond 64 bits are numbers too.

    It would take a list of lists for one of their numbers."""
    if text.find(b"[", 1) < 0:
        with contextlib.suppress(ValueError, TypeError, RuntimeError):
            parsed = _parser.parse(text)
            if isinstance(parsed, simdjson.Array):
                return bytes(parsed.as_buffer(of_type="d"))
    return None
