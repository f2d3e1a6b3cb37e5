"""Reading back what ``to_dict`` wrote: plain JSON values, checked, never guessed."""

import math
from collections.abc import Mapping

Saved = Mapping[str, object]


def real(saved: Saved, key: str) -> float:
    """Return the finite number stored under ``key``.

    Raises ``ValueError`` when it is missing, not a number, or not finite.

    >>> real({"m": 0.25}, "m")
    0.25
    """
    value = saved.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"saved state: {key!r} must be a finite number, not {value!r}")
    return float(value)


def whole(saved: Saved, key: str) -> int:
    """Return the integer stored under ``key``, written as a number or as decimal text.

    Text keeps integers beyond 2**53 exact in every JSON reader.

    >>> whole({"n": "36893488147419103232"}, "n") == 2**65
    True
    """
    return _whole(saved.get(key), key)


def text(saved: Saved, key: str) -> str:
    """Return the string stored under ``key``."""
    value = saved.get(key)
    if not isinstance(value, str):
        raise ValueError(f"saved state: {key!r} must be text, not {value!r}")
    return value


def reals(saved: Saved, key: str) -> list[float]:
    """Return the list of finite numbers stored under ``key``."""
    return [real({key: value}, key) for value in items(saved, key)]


def wholes(saved: Saved, key: str) -> list[int]:
    """Return the list of integers stored under ``key``."""
    return [_whole(value, key) for value in items(saved, key)]


def items(saved: Saved, key: str) -> list[object]:
    """Return the list stored under ``key``, its entries unchecked."""
    value = saved.get(key)
    if not isinstance(value, list | tuple):
        raise ValueError(f"saved state: {key!r} must be a list, not {value!r}")
    return list(value)


def part(saved: Saved, key: str) -> Saved:
    """Return the nested state stored under ``key``."""
    value = saved.get(key)
    if not isinstance(value, Mapping):
        raise ValueError(f"saved state: {key!r} must be an object, not {value!r}")
    return value


def _whole(value: object, key: str) -> int:
    if isinstance(value, str) and value.removeprefix("-").isdecimal():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"saved state: {key!r} must hold integers, not {value!r}")
    return value
