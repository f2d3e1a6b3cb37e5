"""Schedules in cron's five fields: checked when they are set. Nothing acts on them yet."""

import re

_FIELDS = (
    ("minute", 0, 59),
    ("hour", 0, 23),
    ("day", 1, 31),
    ("month", 1, 12),
    ("weekday", 0, 7),
)
_ITEM = re.compile(r"(?:\*|(\d{1,2})(?:-(\d{1,2}))?)(?:/([1-9]\d?))?")


def fault(schedule: str) -> str:
    """What is wrong with a schedule such as `0 4 * * 1`; "" when it is right."""
    parts = schedule.split()
    if len(parts) != len(_FIELDS):
        return "a schedule has five fields: minute hour day month weekday"
    for part, (name, low, high) in zip(parts, _FIELDS, strict=True):
        if not all(_valid(item, low, high) for item in part.split(",")):
            return f"{part!r} is no {name} ({low}–{high}, *, lists, ranges and steps)"
    return ""


def _valid(item: str, low: int, high: int) -> bool:
    match = _ITEM.fullmatch(item)
    if match is None:
        return False
    numbers = [int(text) for text in match.groups()[:2] if text]
    return numbers == sorted(numbers) and all(low <= number <= high for number in numbers)
