"""Whether a worker stays within its limits, and on which processors and GPU it runs."""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from trimtab.agent.usage import Usage
from trimtab.domain.processes import WorkerLimits

RELIEVED_AT = 0.8
"""Share of the room between a fresh worker and its limit at which another takes its place."""

FORESEEN = 5
"""Looks at a worker in which another takes its place, with room to spare."""

Standing = Literal["fine", "worn", "over"]


class Growth:
    """How a worker's memory grows, by the last looks at it."""

    def __init__(self) -> None:
        self._sizes: deque[int] = deque(maxlen=3)

    def saw(self, resident_bytes: int) -> None:
        """One more look."""
        self._sizes.append(resident_bytes)

    @property
    def foreseen_bytes(self) -> int:
        """What is added until another worker can have taken its place, if it goes on as slowly as
        in the slower of the last two looks: memory that one batch needs is no growth."""
        if len(self._sizes) < 3:
            return 0
        first, second, third = self._sizes
        return FORESEEN * max(0, min(second - first, third - second))


def standing(
    limits: WorkerLimits, used: Usage, fresh_bytes: int, foreseen_bytes: int = 0
) -> Standing:
    """What to do about a worker: leave it, relieve it before it reaches its limit, or end it.

    `fresh_bytes` is what it used when it became ready: one that needs nearly all of its limit from
    the start would otherwise be relieved for ever. `foreseen_bytes` is what is added before another
    could take its place."""
    most = limits.memory_bytes
    if used.processes > limits.processes or (most is not None and used.resident_bytes > most):
        return "over"
    if most is None:
        return "fine"
    worn_at = fresh_bytes + RELIEVED_AT * max(0, most - fresh_bytes)
    foreseen = used.resident_bytes + foreseen_bytes
    return "worn" if used.resident_bytes > worn_at or foreseen > most else "fine"


def told(limits: WorkerLimits, used: Usage) -> str:
    """The usage beside the limits, for people."""
    size = f"{used.resident_bytes / 2**20:.0f} MiB"
    if limits.memory_bytes is not None:
        size += f" of its {limits.memory_bytes / 2**20:.0f} MiB"
    return f"uses {size} and {used.processes} of its {limits.processes} processes"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a worker runs; None is every processor, and no GPU."""

    processors: tuple[int, ...] | None = None
    gpu: str | None = None


def placed(limits: WorkerLimits, index: int, present: Sequence[int]) -> Place:
    """The place of a worker: processors that are neighbours, another set for each index, and the
    next GPU."""
    gpus = limits.gpus
    return Place(_processors(limits, index, present), gpus[index % len(gpus)] if gpus else None)


def _processors(limits: WorkerLimits, index: int, present: Sequence[int]) -> tuple[int, ...] | None:
    if limits.cpus is None or limits.cpus >= len(present):
        return None
    count = math.ceil(limits.cpus)
    return tuple(sorted(present[(index * count + each) % len(present)] for each in range(count)))
