"""How states are said: an icon, a word and a tone, so that colour is never alone."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Mark:
    """An icon with its tone: `good`, `busy`, `held`, `bad`, `warn` or `quiet`."""

    icon: str
    tone: str


HEALTH = {
    "healthy": Mark("✔", "good"),
    "progressing": Mark("◌", "busy"),
    "paused": Mark("॥", "held"),
    "degraded": Mark("✖", "bad"),
    "down": Mark("✖", "bad"),
}
VERDICT = {"ok": Mark("✔", "good"), "bad": Mark("✖", "bad"), "unknown": Mark("?", "quiet")}
TIER = {"page": Mark("✖", "bad"), "ticket": Mark("⚠", "warn"), "note": Mark("·", "quiet")}
OUTCOME = {
    "promoted": Mark("✔", "good"),
    "rolled_back": Mark("✖", "bad"),
    "aborted": Mark("⚠", "warn"),
    "superseded": Mark("·", "quiet"),
}
RUN = {
    "running": Mark("◌", "busy"),
    "succeeded": Mark("✔", "good"),
    "failed": Mark("✖", "bad"),
}
QUIET = Mark("·", "quiet")


def plain(word: str) -> str:
    """A word of the contract as a person reads it."""
    return word.replace("_", " ")


def span(seconds: float) -> str:
    """A duration with one unit, two below ten: `850 ms`, `42 s`, `3 h`, `12 d`."""
    if seconds < 0.001:
        return f"{seconds * 1e6:.0f} µs"
    if seconds < 1:
        return f"{seconds * 1000:.3g} ms"
    for size, unit in ((86_400.0, "d"), (3600.0, "h"), (60.0, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"


def ago(then: datetime | None, now: datetime | None) -> str:
    """The age of `then`; empty when either is missing."""
    if then is None or now is None:
        return ""
    seconds = (now - then).total_seconds()
    return (
        "now" if abs(seconds) < 1 else f"{span(abs(seconds))} {'ago' if seconds > 0 else 'ahead'}"
    )


def percent(ratio: float) -> str:
    """A share: `5 %`, `0.1 %`."""
    return f"{ratio * 100:.3g} %"


def number(value: float | None) -> str:
    """Four significant digits; a dash for nothing."""
    return "–" if value is None else f"{value:.4g}"


def clock(time: datetime | None) -> str:
    """A time to the second, UTC."""
    return "–" if time is None else time.strftime("%Y-%m-%d %H:%M:%S")


def interval(lower: float | None, upper: float | None) -> str:
    """`[lower, upper]`; empty without one."""
    if lower is None and upper is None:
        return ""
    return f"[{number(lower)}, {number(upper)}]"
