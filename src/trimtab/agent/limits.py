"""Whether a worker stays within its limits, and on which processors and GPU it runs."""

import math
from collections.abc import Sequence
from typing import Literal

from trimtab.agent.usage import Usage
from trimtab.domain.processes import WorkerLimits

RELIEVED_AT = 0.8
"""Share of the room between a fresh worker and its limit at which another takes its place."""

Standing = Literal["fine", "worn", "over"]


def standing(limits: WorkerLimits, used: Usage, fresh_bytes: int) -> Standing:
    """What to do about a worker: leave it, relieve it before it reaches its limit, or end it.

    `fresh_bytes` is what it used when it became ready: one that needs nearly all of its limit from
    the start would otherwise be relieved for ever."""
    most = limits.memory_bytes
    if used.processes > limits.processes or (most is not None and used.resident_bytes > most):
        return "over"
    if most is None:
        return "fine"
    worn_at = fresh_bytes + RELIEVED_AT * max(0, most - fresh_bytes)
    return "worn" if used.resident_bytes > worn_at else "fine"


def told(limits: WorkerLimits, used: Usage) -> str:
    """The usage beside the limits, for people."""
    size = f"{used.resident_bytes / 2**20:.0f} MiB"
    if limits.memory_bytes is not None:
        size += f" of its {limits.memory_bytes / 2**20:.0f} MiB"
    return f"uses {size} and {used.processes} of its {limits.processes} processes"


def gpu(limits: WorkerLimits, index: int) -> str | None:
    """The GPU of a worker, the next one for each index; None for none."""
    return limits.gpus[index % len(limits.gpus)] if limits.gpus else None


def processors(limits: WorkerLimits, index: int, present: Sequence[int]) -> tuple[int, ...] | None:
    """Which of the processors a worker may use: neighbours, another set for each index; None
    where it may use all."""
    if limits.cpus is None or limits.cpus >= len(present):
        return None
    count = math.ceil(limits.cpus)
    return tuple(sorted(present[(index * count + each) % len(present)] for each in range(count)))
