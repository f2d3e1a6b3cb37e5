"""Labels themselves: floods of useless ones, labels that contradict each other, and their delay.

They say nothing of the model, but what is measured by them is worth no more than they are.
"""

import math
from collections.abc import Mapping
from typing import ClassVar, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from trimtab.domain.durations import span
from trimtab.domain.records import Fate, Heard, Ints, Labelled, Rows
from trimtab.domain.verdicts import Verdict
from trimtab.judge import budget, describe
from trimtab.judge.quality import losses, usable
from trimtab.judge.signals.breaks import (
    CLUSTERS,
    FEWEST_ROWS,
    QUARANTINE,
    RECENT,
    BreakWatch,
    settle_all,
)
from trimtab.judge.signals.counts import Blocks, Tally, merged, sums
from trimtab.judge.signals.denials import CLASSES, MARGIN, Denials, Said, said
from trimtab.judge.signals.family import Breaks, Target
from trimtab.judge.signals.of_class import OfClass
from trimtab.judge.signals.prominent import LOOKED_AT
from trimtab.judge.signals.unlike import Unlike, unlike
from trimtab.judge.watch import Watch, Zone

CONTRADICTED = 0.05
"""The share of labels that may correct an earlier one."""

DELAYS = 32
"""Delays are told apart by powers of two of seconds."""

TAIL = 0.05
"""What comes later, or sooner, than all but this share of the recent past is late, or early."""

ASKEW = 60.0
"""Seconds by which a label may be known before its prediction. Beyond that clocks disagree, and it
is not known how long the label took."""

SOURCES = 16
"""Senders of labels that are told apart."""

STREAMS = 7 + SOURCES
"""Those that there are of any labels, the two of echoes (`signals.echoes`, `.steps`) included."""

EACH = 3
"""Those that there are of each class besides: of labels that are denied, of strays, and of
corrections."""

ASKING = 1
"""The stream that callers share whose labels are looked at."""

_EACH_CALLER = math.log10(LOOKED_AT)
"""So much more evidence, as log10, one of them needs."""

_TOLD = {
    "useless": "repeat a label or name a prediction that is not known",
    "contradicted": "contradict an earlier label of the same prediction",
    "odd": "are nothing that the release answers, and count for nothing",
    "late": "come later than nearly all did before",
    "early": "come sooner than nearly all did before",
}


class Told(msgspec.Struct, frozen=True):
    """Labels that came in a block, by their fate, and those that were used by their delay."""

    n: int = 0
    useless: int = 0
    contradicted: int = 0
    confirmed: int = 0
    delays: list[int] = []
    sources: dict[str, Tally] = {}
    """Labels of each sender that say otherwise than the prediction, among its labels."""
    classes: dict[str, Said] = {}
    """Labels of each class, how many of them others denied, strays, and corrections."""
    callers: dict[int, Tally] = {}
    """The same as of `sources` for each group of callers."""
    odd: int = 0
    """Those that quality cannot be measured by, whatever became of them."""

    def merge(self, other: "Told") -> "Told":
        """The counts of both."""
        return Told(
            self.n + other.n,
            self.useless + other.useless,
            self.contradicted + other.contradicted,
            self.confirmed + other.confirmed,
            sums(self.delays, other.delays),
            _first(merged(self.sources, other.sources)),
            merged(self.classes, other.classes),
            dict(sorted(merged(self.callers, other.callers).items())),
            self.odd + other.odd,
        )


def _first(sources: Mapping[str, Tally]) -> dict[str, Tally]:
    """The first by the alphabet, whose counts are exact however the labels were split."""
    return dict(sorted(sources.items())[:SOURCES])


class State(msgspec.Struct):
    """What changes while labels are heard. `share` are those of the last block that contradict
    others, `confirmed` those that confirm them; `recent` are the delays of blocks that were as
    usual, `others` the last share of labels unlike the prediction of the senders that are not in
    alarm."""

    useless: BreakWatch
    contradicted: Watch
    late: BreakWatch
    early: BreakWatch
    odd: BreakWatch = msgspec.field(
        default_factory=lambda: BreakWatch("odd", "strange", "own past", 0.0)
    )
    share: float = 0.0
    confirmed: float = 0.0
    seen: int = 0
    recent: list[list[int]] = []
    sources: dict[str, BreakWatch] = {}
    others: float | None = None
    denials: Denials = msgspec.field(default_factory=Denials)
    strays: OfClass = msgspec.field(default_factory=OfClass)
    corrections: OfClass = msgspec.field(default_factory=lambda: OfClass(MARGIN))
    callers: Unlike = msgspec.field(default_factory=Unlike)
    blocks: Blocks[Told] = msgspec.field(default_factory=Blocks[Told])


class Feedback:
    """What becomes of labels and how long they take, against their own past; by when they came."""

    name: ClassVar[str] = "feedback"

    def __init__(self, target: Target) -> None:
        self._target = target
        self._classes = target.signature.classes[:CLASSES]
        self._limit = limit(target)
        self.state: State = State(
            BreakWatch("useless", "strange", "own past", 0.0),
            Watch((Zone(None, CONTRADICTED),), None, self._limit),
            BreakWatch("late", "strange", "own past", TAIL),
            BreakWatch("early", "strange", "own past", TAIL),
        )

    @classmethod
    def of(cls, target: Target) -> "Feedback | None":
        """Labels are heard where quality is watched."""
        return cls(target) if target.qualities else None

    def count(self, rows: Rows) -> Mapping[int, Told]:
        """Predictions say nothing here."""
        return {}

    def hear(self, heard: Heard) -> Mapping[int, Told]:
        """Count labels by their fate."""
        numbers = self._numbers(heard.at)
        return {n: self._told(heard.take(numbers == n)) for n in np.unique(numbers).tolist()}

    def _told(self, heard: Heard) -> Told:
        useless = (heard.fate == Fate.UNKNOWN) | (heard.fate == Fate.REPEATED)
        contradicted = heard.fate == Fate.CONTRADICTED
        return Told(
            heard.fate.size,
            int(useless.sum()),
            int(contradicted.sum()),
            int((heard.fate == Fate.CONFIRMED).sum()),
            classes=said(self._classes, heard),
            odd=int((~usable(self._target.signature, heard.label)).sum()),
        )

    def learn(self, labelled: Labelled) -> Mapping[int, Told]:
        """Count labels by how long after the prediction they became known."""
        took = labelled.labelled_at - labelled.rows.fixed["event_time"]
        bins = np.floor(np.log2(np.maximum(took, 1.0))).astype(np.int64).clip(max=DELAYS - 1)
        numbers, timed = self._numbers(labelled.labelled_at), took >= -ASKEW
        return {
            n: self._learned(labelled.take(numbers == n), bins[(numbers == n) & timed])
            for n in np.unique(numbers).tolist()
        }

    def _learned(self, labelled: Labelled, bins: Ints) -> Told:
        """Labels by their delay, and those that say otherwise than the prediction by who sent them
        and by who asked."""
        delays = np.bincount(bins, minlength=DELAYS).tolist()
        signature, source = self._target.signature, labelled.source
        if signature.task == "regression":
            return Told(delays=delays)
        wrong = losses("error", signature, labelled.rows.outputs, labelled.label) > 0.5
        names = [] if source is None else sorted(set(source.tolist()))[:SOURCES]
        sources = {name: Tally.of(wrong[source == name]) for name in names}
        return Told(delays=delays, sources=sources, callers=unlike(labelled.rows, wrong))

    def _numbers(self, at: NDArray[np.float64]) -> NDArray[np.int64]:
        return np.asarray(np.floor(at / self._target.block_seconds), dtype=np.int64)

    def take(self, counted: Mapping[int, Told]) -> None:
        """Late labels count in the oldest open block."""
        self._target.hold(self.state.blocks, counted)

    def close(self, clock: float, breaks: Breaks) -> None:
        """Judge each block that is over; a broken feed changes no label."""
        seconds = self._target.block_seconds
        for number in self.state.blocks.due(clock, seconds):
            told, start = self.state.blocks.pop(number), number * seconds
            self.state.seen += 1
            if told.n >= FEWEST_ROWS:
                self._fates(start, told)
            if sum(told.delays) >= FEWEST_ROWS:
                self._delays(start, told.delays)
            self._senders(start, told.sources)
            self.state.denials.take(start, told.classes, self._limit)
            strays = {name: each.strays for name, each in told.classes.items()}
            self.state.strays.take(start, strays, self._limit)
            corrections = {name: each.corrections for name, each in told.classes.items()}
            self.state.corrections.take(start, corrections, self._limit)
            self.state.callers.take(start, told.callers, self._limit + _EACH_CALLER)

    def _fates(self, start: float, told: Told) -> None:
        state = self.state
        state.useless.take(start, told.useless / told.n, told.n, self._limit)
        state.odd.take(start, told.odd / told.n, told.n, self._limit)
        # Labels come in batches: those of a block are worth no more than a few independent ones.
        state.share, counted = told.contradicted / told.n, min(told.n, CLUSTERS)
        state.confirmed = told.confirmed / told.n
        state.contradicted.take(start, [state.share * counted], counted)

    def _delays(self, start: float, delays: list[int]) -> None:
        """Until the first labels have had time to mature, the late ones are only still to come."""
        state, n = self.state, sum(delays)
        young = start < self._target.started + self._target.spec.monitor.maturity_seconds
        if state.recent and not young:
            past = np.cumsum(np.sum(state.recent, axis=0))
            first, last = np.searchsorted(past, (TAIL * past[-1], (1.0 - TAIL) * past[-1]))
            state.early.take(start, sum(delays[: int(first)]) / n, n, self._limit)
            state.late.take(start, sum(delays[int(last) + 1 :]) / n, n, self._limit)
        if not (state.early.broken or state.late.broken):
            state.recent = [*state.recent, delays][-RECENT:]

    def _senders(self, start: float, sources: Mapping[str, Tally]) -> None:
        """Each sender against its own past, and one that came later against those that were there;
        with those of the same time as the control."""
        watches, enough, staked = self.state.sources, self._enough(sources), []
        control = _share([enough[name] for name in self._settled if name in enough])
        for name, tally in enough.items():
            if name not in watches:
                past = "" if self._settled else "own past"
                watches[name] = BreakWatch(name, "strange", past, 0.0)
            watch = watches[name]
            if not watch.segment:
                # Days differ: its border is what the others say of the same time.
                watch.base, watch.recent = control if control is not None else 1.0, []
            if watch.meet(start, tally.hits / tally.n, tally.n):
                staked.append(watch)
        settle_all(staked, self._limit)
        good = [tally for name, tally in enough.items() if not watches[name].broken]
        self.state.others = _share(good)

    @property
    def _settled(self) -> list[str]:
        """Senders with a past of their own."""
        watches = self.state.sources.values()
        own = [watch for watch in watches if watch.segment and not watch.broken]
        return [watch.column for watch in own if len(watch.recent) >= QUARANTINE]

    def _enough(self, sources: Mapping[str, Tally]) -> dict[str, Tally]:
        """Senders of enough labels to be judged by, as many as are told apart."""
        known = self.state.sources
        many = {name: tally for name, tally in sources.items() if tally.n >= FEWEST_ROWS}
        new = [name for name in many if name not in known][: SOURCES - len(known)]
        return {name: tally for name, tally in many.items() if name in known or name in new}

    def _errs(self) -> list[Verdict]:
        """Senders whose labels changed, or never were like those of others, while these did not:
        when all change, or there is one alone, it is what the labels are about."""
        others = self.state.others
        if others is None:
            return []
        watches = self.state.sources.values()
        broken = [watch for watch in watches if watch.broken and watch.share > others + MARGIN]
        words = f"say otherwise than the predictions, {others:.0%} of those of the other senders"
        return [
            self._broke(f"from {watch.column}", f"from {watch.column} {words}", watch)
            for watch in broken
        ]

    def _strayed(self) -> list[Verdict]:
        """Classes whose labels name no prediction that is known, where not all labels do alike."""
        broken = [] if self.state.useless.broken else self.state.strays.broken
        words = "that say {} name a prediction that is not known, or not any more"
        return [
            self._broke(f"strays {each.column}", words.format(each.column), each) for each in broken
        ]

    def _corrected(self) -> list[Verdict]:
        """Classes that come as corrections of others."""
        words = "that say {} correct what was said before of the same prediction"
        return [
            self._broke(f"corrections {each.column}", words.format(each.column), each)
            for each in self.state.corrections.broken
        ]

    def _opposed(self) -> list[Verdict]:
        """Callers for whose requests labels say the opposite of what was answered."""
        callers = self.state.callers
        return [self._opposes(group, callers.watches[group]) for group in callers.told]

    def _opposes(self, group: int, watch: BreakWatch) -> Verdict:
        words = "for one caller say otherwise than the predictions"
        usual = f"at most {watch.before:.0%} before or of the others'"
        evidence = watch.evidence - _EACH_CALLER
        alarm = Alarm(watch.share, watch.since or 0.0, evidence)
        return self._bad(f"caller {group}", f"{words}, {usual}", alarm)

    def _denied(self) -> list[Verdict]:
        """Classes whose labels others deny."""
        denials = self.state.denials
        return [
            self._broke(f"denied {watch.column}", denials.words(watch.column), watch)
            for watch in denials.broken
        ]

    def verdicts(self) -> tuple[Verdict, ...]:
        """One bad verdict for each way in which labels are at fault, or a single one for none."""
        state = self.state
        watches = (state.useless, state.odd, state.late, state.early)
        broken = [each for each in watches if each.broken]
        bad = [self._broke(each.column, _TOLD[each.column], each) for each in broken]
        if state.contradicted.since is not None:
            contradicted = Alarm(
                state.share, state.contradicted.since, state.contradicted.log10_evidence
            )
            bad.append(self._bad("contradicted", _TOLD["contradicted"], contradicted))
        bad += [*self._denied(), *self._corrected(), *self._strayed(), *self._errs()]
        bad += self._opposed()
        if bad:
            return tuple(bad)
        if state.seen < QUARANTINE:
            reason = f"{QUARANTINE} blocks of labels are needed to know how they come"
            return (describe.unknown("feedback", self._target.release, self._limit, reason),)
        verdict = Verdict(
            signal="feedback",
            tier=budget.tier("feedback"),
            verdict="ok",
            reason=f"labels come {self._usual}, once, and as many for predictions that are known"
            f"{self._confirmed}",
            release=self._target.release,
            evidence_log10=max(
                state.useless.evidence, state.contradicted.log10_evidence, state.denials.evidence
            ),
            threshold_log10=self._limit,
            n=state.useless.n,
        )
        return (verdict,)

    @property
    def _usual(self) -> str:
        """How late labels usually come, in words."""
        if not self.state.recent:
            return "as they did"
        past = np.cumsum(np.sum(self.state.recent, axis=0))
        return f"after about {span(2.0 ** (int(np.searchsorted(past, past[-1] / 2.0)) + 0.5))}"

    @property
    def _confirmed(self) -> str:
        """How many labels confirm what other senders said, in words."""
        share = self.state.confirmed
        return f"; {share:.0%} of them confirm what another sender said" if share else ""

    def _broke(self, what: str, words: str, watch: BreakWatch) -> Verdict:
        return self._bad(what, words, Alarm(watch.share, watch.since or 0.0, watch.evidence))

    def _bad(self, what: str, words: str, alarm: "Alarm") -> Verdict:
        return Verdict(
            signal=f"feedback:{what}",
            tier=budget.tier("feedback"),
            verdict="bad",
            reason=f"{alarm.share:.0%} of the labels {words}, since {describe.day(alarm.since)}",
            release=self._target.release,
            scope={"labels": what},
            evidence_log10=alarm.evidence,
            threshold_log10=self._limit,
            estimate=alarm.share,
            since=alarm.since,
        )


def limit(target: Target) -> float:
    """log10 of the evidence at which labels are at fault in one of the ways that are watched."""
    streams = STREAMS + EACH * len(target.signature.classes[:CLASSES])
    return target.threshold("feedback", target.block_seconds, streams + ASKING)


def _share(tallies: list[Tally]) -> float | None:
    """Of all labels together, those unlike their predictions; None without a label."""
    n = sum(tally.n for tally in tallies)
    return sum(tally.hits for tally in tallies) / n if n else None


class Alarm(NamedTuple):
    """The share of labels that are at fault, since when, and the evidence as log10."""

    share: float
    since: float
    evidence: float
