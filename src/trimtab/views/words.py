"""How states are said: an icon, a word and a tone, so that colour is never alone."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

from trimtab.domain import durations
from trimtab.domain.figures import figures
from trimtab.views.sample_shapes import ConcentrationView, SignalSamplesView
from trimtab.views.shapes import DeploymentView, RequestsView, ServingView, Trend, VerdictView

span = durations.span


@dataclass(frozen=True, slots=True)
class Mark:
    """An icon with its tone: `good`, `busy`, `held`, `bad`, `warn` or `quiet`."""

    icon: str
    tone: str


HEALTH = {
    "healthy": Mark("✔", "good"),
    "progressing": Mark("◌", "busy"),
    "paused": Mark("‖", "held"),
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


NO_TARGET = "no other release is proven yet"


NAMED = 2
"""Signals of a group that wait for the same thing are named up to this many."""


def waiting(told: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Signals of which nothing is known, with why, in a line for each reason.

    `told` holds signal and reason; a deployment that is new has dozens that wait for the same."""
    reasons: dict[str, list[str]] = {}
    for signal, reason in told:
        reasons.setdefault(reason, []).append(signal)
    return [(", ".join(_named(signals)), reason) for reason, signals in reasons.items()]


def unknown(verdicts: Iterable[VerdictView]) -> list[tuple[str, str]]:
    """The unknown verdicts of a deployment, as `waiting` takes them; of several releases each with
    its own."""
    verdicts = tuple(verdicts)
    several = len({each.release for each in verdicts}) > 1
    return [
        (f"{each.label} of {each.release}" if several else each.label, each.reason)
        for each in verdicts
        if each.verdict == "unknown"
    ]


def _named(signals: Iterable[str]) -> Iterator[str]:
    groups: dict[str, list[str]] = {}
    for signal in signals:
        groups.setdefault(signal.partition(":")[0], []).append(signal)
    for group, members in groups.items():
        yield from members if len(members) <= NAMED else (f"{group}:* ({len(members)})",)


def broken(why: str) -> str:
    """That the history is not what was recorded, and what to do."""
    return f"✖ the journal is damaged: {why}; restore control.db from a backup"


def crowded(left_mib: int) -> str:
    """That the disk of the state folder is full or soon will be, and what that means."""
    if left_mib:
        room = f"⚠ {left_mib} MiB are left on the disk of the state folder; without room"
    else:
        room = "✖ the disk of the state folder is full:"
    return f"{room} requests are answered but not logged, and labels and orders are refused"


def ago(then: datetime | None, now: datetime | None) -> str:
    """The age of `then`; empty when either is missing."""
    if then is None or now is None:
        return ""
    seconds = (now - then).total_seconds()
    return (
        "now" if abs(seconds) < 1 else f"{span(abs(seconds))} {'ago' if seconds > 0 else 'ahead'}"
    )


def sees(change: float | None, seconds: float | None) -> str:
    """What a signal would show: `±0.018 in 1d`; empty where that is not known."""
    return "" if change is None or seconds is None else f"±{figures(change, 2)} in {span(seconds)}"


def rate(per_second: float) -> str:
    """Events per second: `0.25/s`, `820/s`, `12,000/s`."""
    return f"{figure(per_second)}/s"


def figure(value: float) -> str:
    """Three significant digits, and all of those before the point: `0.25`, `34.8`, `3,041`."""
    return figures(value, 3) if value < 100.0 else f"{value:,.0f}"


LATE_SECONDS = 5.0
"""From when on a reader of the traffic is told how late it is judged."""
_LATE = {
    "": "the control loop lacks processor time",
    "growing": "the control loop lacks processor time, and falls behind further",
    "shrinking": "the control loop catches up",
    "stopped": "what came before is read first",
}


def late(seconds: float, trend: Trend) -> str:
    """How late requests are judged, and why: `judged 41 s late: the control loop catches up`."""
    return f"judged {span(seconds)} late: {_LATE[trend]}"


def judged_late(view: RequestsView) -> str:
    """The same for those who read what comes in; empty where it is not worth a word."""
    return (
        late(view.behind_seconds, view.behind_trend) if view.behind_seconds >= LATE_SECONDS else ""
    )


def blocks(view: DeploymentView) -> str:
    """How long a block is and why, and when the next closes: until the first did, most signals are
    unknown.

    Empty where no block is known. How long event time takes is the callers' to know."""
    if view.blocks is None:
        return ""
    left = ""
    if view.clock == "wall" and view.at is not None:
        left = f", in {span(max((view.blocks.closes_at - view.at).total_seconds(), 0.0))}"
    closes = clock(view.blocks.closes_at)
    why = f", {view.blocks.reason}" if view.blocks.reason else ""
    return f"of {span(view.blocks.seconds)}{why}; the next closes at {closes} (UTC){left}"


def for_batch(view: ServingView) -> str:
    """`, 1/2 for batch work`: workers of the batch lane alone; empty where none are wanted."""
    ready, wanted = view.ready_batch_workers, view.batch_workers
    return f", {ready}/{wanted} for batch work" if wanted else ""


def percent(ratio: float) -> str:
    """A share: `5 %`, `0.1 %`."""
    return f"{ratio * 100:.3g} %"


def number(value: float | None) -> str:
    """Four significant digits; a dash for nothing."""
    return "–" if value is None else figures(value)


def clock(time: datetime | None) -> str:
    """A time to the second, UTC."""
    return "–" if time is None else time.strftime("%Y-%m-%d %H:%M:%S")


def interval(lower: float | None, upper: float | None) -> str:
    """`[lower, upper]`; empty without one."""
    if lower is None and upper is None:
        return ""
    return f"[{number(lower)}, {number(upper)}]"


def concerned(view: SignalSamplesView) -> str:
    """How many rows a signal is about: `12 % of 400 rows`."""
    share = "" if view.share is None else f"{percent(view.share)} of "
    cut = "; there are more, the newest were looked at" if view.cut else ""
    return f"{share}{view.of:,} rows{cut}"


def in_rows(
    concentration: ConcentrationView | None, shown: Iterable[SignalSamplesView]
) -> list[str]:
    """What an incident looks like in rows, in sentences; none where rows cannot show it."""
    where = [] if concentration is None else [concentrated(concentration)]
    return [*where, *(_requests(each) for each in shown if each.of)]


def _requests(view: SignalSamplesView) -> str:
    named = (
        f"{each.request_id}{f' row {each.row}' if each.row else ''} ({each.value})"
        for each in view.samples
    )
    samples = f", such as {', '.join(named)}" if view.samples else ""
    return f"{view.signal}: {view.said}, {concerned(view)}{samples}"


def concentrated(view: ConcentrationView) -> str:
    """The segment that most of the harm lies in, in a sentence."""
    sure = f"[{percent(view.lower)}, {percent(view.upper)}]"
    return (
        f"{percent(view.share)} {sure} of the excess lies in {view.column} {view.value}, which is "
        f"{percent(view.rows_ratio)} of the rows: a row's mean there was {number(view.before)} and "
        f"is {number(view.since)}"
    )


def unread(segments: int) -> str:
    """What it means that segments of the log could not be read."""
    these = "a segment" if segments == 1 else f"{segments} segments"
    return f"{these} of the request log cannot be read: nobody judges what was in it"


def damaged(files: int) -> str:
    """What it means that files of the log were set aside."""
    these = "a file" if files == 1 else f"{files} files"
    return f"{these} of the request log, damaged and set aside as *.unreadable, cannot be asked"
