"""Memory and processors of a release's workers, as verdicts: measured, so without a budget."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median

from trimtab.domain.plurals import many
from trimtab.domain.verdicts import Verdict, Word
from trimtab.judge.reports import Resources, Surroundings
from trimtab.judge.strain import STARVED

MEMORY, PROCESSORS = "resources:memory", "resources:cpu"

FEWEST_SIZES = 20
"""Minutes of which the size is known, from which on a growth is believed to go on."""

HORIZON = 6.0 * 3600.0
"""Seconds ahead within which running out is an alarm: some twelve times what was watched."""

LASTING = 5
"""Minutes in a row of which a worker must have waited too long: bursts are no lack."""

MIB = 2.0**20


@dataclass(frozen=True, slots=True)
class Growth:
    """How memory grows: bytes by the minute, and the seconds until none is left."""

    minute: float
    seconds: float

    @classmethod
    def of(cls, used: Resources) -> "Growth":
        """The growth of the slower half of what was watched, so that none is forecast of a warm-up
        that levels off; by the median of slopes (Theil & Sen), which single jumps do not move."""
        half = len(used.sizes) // 2
        minute = max(min(_slope(used.sizes[:half]), _slope(used.sizes[half:])), 0.0)
        room = _room(used)
        if minute == 0.0 or room is None:
            return cls(minute, math.inf)
        return cls(minute, 60.0 * max(room, 0.0) / minute)


def _slope(sizes: Sequence[int]) -> float:
    pairs = combinations(enumerate(sizes), 2)
    return median((after - before) / (j - i) for (i, before), (j, after) in pairs)


def _room(used: Resources) -> float | None:
    """Bytes that the largest worker may still grow by; None where nothing says how many."""
    left = None if used.limit is None else float(used.limit - used.sizes[-1])
    known = [each for each in (left, used.free) if each is not None]
    return min(known, default=None)


def verdicts(release: str, around: Surroundings) -> tuple[Verdict, ...]:
    """A verdict on memory and one on processors; none where there are no workers of ours."""
    used = around.resources
    return () if used is None else (_memory(release, used), _processors(release, used))


def _memory(release: str, used: Resources) -> Verdict:
    if len(used.sizes) < FEWEST_SIZES:
        known = many(len(used.sizes), "minute")
        told = f"the size of its workers is known of {known}, {FEWEST_SIZES} are"
        return _verdict(MEMORY, "unknown", f"{told} needed to tell a growth", release, used.sizes)
    growth, size = Growth.of(used), f"its largest worker has {_mib(used.sizes[-1])}"
    if growth.minute < MIB / 1024.0:
        return _verdict(MEMORY, "ok", f"{size} and does not grow", release, used.sizes)
    grows = f"{size} and grows by {_mib(growth.minute)} a minute"
    if growth.seconds > HORIZON:
        away = f"no limit is within {HORIZON / 3600.0:.0f} hours"
        return _verdict(MEMORY, "ok", f"{grows}; {away}", release, used.sizes)
    reached = f"at that, {_end(used)} in about {_time(growth.seconds)}"
    return _verdict(MEMORY, "bad", f"{grows}; {reached}", release, used.sizes)


def _end(used: Resources) -> str:
    """What will be reached first, in words."""
    left = math.inf if used.limit is None else used.limit - used.sizes[-1]
    if used.limit is not None and (used.free is None or left <= used.free):
        return f"it reaches its limit of {_mib(used.limit)} and is ended"
    return "the machine has no memory left"


def _processors(release: str, used: Resources) -> Verdict:
    lately = used.waits[-LASTING:]
    if len(lately) < LASTING:
        known = many(len(lately), "minute")
        told = f"how long its workers wait for a processor is known of {known}"
        return _verdict(PROCESSORS, "unknown", f"{told}, {LASTING} are needed", release, lately)
    share, waited = min(lately), "its workers waited for a processor for"
    if share < STARVED:
        told = f"{waited} {lately[-1]:.0%} of the time they had work"
        return _verdict(PROCESSORS, "ok", told, release, lately)
    told = f"{waited} {share:.0%} or more of the time they had work, for {LASTING} minutes"
    return _verdict(PROCESSORS, "bad", told, release, lately)


def _verdict(
    signal: str, word: Word, reason: str, release: str, watched: Sequence[float]
) -> Verdict:
    return Verdict(
        signal=signal, tier="ticket", verdict=word, reason=reason, release=release, n=len(watched)
    )


def _mib(size: float) -> str:
    mib = size / MIB
    return f"{mib:,.0f} MiB" if mib >= 10.0 else f"{mib:.2g} MiB"


def _time(seconds: float) -> str:
    minutes = seconds / 60.0
    return f"{minutes / 60.0:.1f} hours" if minutes >= 90.0 else many(round(minutes), "minute")
