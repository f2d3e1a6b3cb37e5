"""How a candidate treats groups beside stable: is a gap wider than stable's beyond doubt?

A gap of the candidate is worse when it lies farther from none, and farther from stable's, than is
harmless: it may vanish, but neither grow nor turn around. So two things are bet on, the candidate's
gap and the difference of both gaps, and on each side only what both of them show counts.

In shadow both releases decide about the same rows, and only rows that they decide differently tell
anything. In canary rows are assigned by chance, at the same time and with the same weight, so that
what the world does to a group happens to both gaps and cancels. Rows wait until every side has
some: a block is closed by numbers of rows and not by what the rows hold.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from trimtab.domain.deployment import MonitorPlan
from trimtab.domain.profile import Measure, group_name
from trimtab.domain.records import Ints, Labelled, Outcome, Rows
from trimtab.domain.signature import Signature
from trimtab.domain.verdicts import Verdict, Word
from trimtab.judge.groups import (
    ANSWERS,
    BEFORE_LABELS,
    LABELS,
    MEASURES,
    WIDTH,
    Cell,
    Division,
    Loss,
    Sums,
    answer_counts,
    label_counts,
    sums_of,
)
from trimtab.judge.signals.bias import MEANT, TOLERANCE
from trimtab.stats.fixed_point import MICRO
from trimtab.stats.gaps import (
    STAKES,
    Centre,
    Growth,
    Sample,
    Signs,
    Term,
    mean_gap,
    settle,
    settle_pairs,
)
from trimtab.stats.logspace import LN10, log_mean_exp

GUARDED: tuple[Measure, ...] = ("selection", "tpr", "fpr", "error")
"""Measures that a candidate can lose by."""

WAITING = 10
"""Rows of a group and of the others, under both releases, that make a block."""

COMMON = 0.02
"""A group of at least this share of the rows holds a candidate until its gap is known."""

SUSPECT = 1.0
"""log10 of the evidence of harm at which a gap that nobody waits for holds a candidate as well."""

NAMED = 3
"""Groups that a verdict names beside the worst."""

WINDOW = 10.0
"""Seconds in which a unit counts once."""

MOST_UNITS = 5000
"""Units whose last window is remembered."""

MOST_WAITING = 5000
"""Answers that wait for the other release's to the same row."""

SIGNS = (1.0, -1.0, -1.0, 1.0)
"""Of the candidate's group and others, and of stable's, in the difference of both gaps."""


class Pile(msgspec.Struct, frozen=True):
    """Rows that wait to be bet on: sums of values in units of 2**-20, and numbers, of the four."""

    totals: tuple[int, ...] = (0, 0, 0, 0)
    rows: tuple[int, ...] = (0, 0, 0, 0)

    def add(self, totals: Sequence[int], rows: Sequence[int]) -> "Pile":
        """With more rows."""
        return Pile(_sums(self.totals, totals), _sums(self.rows, rows))


class Pairs(msgspec.Struct, frozen=True):
    """Rows that both releases decided about: their number, those that the candidate decided
    positive, and those that it alone, and stable alone, did."""

    n: int = 0
    selected: int = 0
    gained: int = 0
    lost: int = 0

    def add(self, other: "Pairs") -> "Pairs":
        """Those of both."""
        mine, theirs = msgspec.structs.astuple(self), msgspec.structs.astuple(other)
        return Pairs(*_sums(mine, theirs))

    @property
    def stables(self) -> int:
        """Those that stable decided positive."""
        return self.selected - self.gained + self.lost

    @property
    def signs(self) -> Signs:
        """The differences, candidate minus stable."""
        return Signs(self.gained, self.lost, self.n)

    @property
    def differing(self) -> float:
        """The share of rows that are decided differently, as it is expected of the next ones."""
        return (self.gained + self.lost + 1.0) / (self.n + 10.0)


class Stretch(msgspec.Struct):
    """What the stakes gained about something, over blocks; `sum` is that times its weights."""

    above: tuple[float, ...] = (0.0,) * STAKES.size
    below: tuple[float, ...] = (0.0,) * STAKES.size
    weight: float = 0.0
    sum: float = 0.0

    def take(self, grown: Growth, value: float) -> None:
        """Take in a block."""
        self.above = tuple((np.array(self.above) + grown.above).tolist())
        self.below = tuple((np.array(self.below) + grown.below).tolist())
        self.weight += grown.weight
        self.sum += grown.weight * value

    @property
    def mean(self) -> float:
        """The weighted mean. There must be a block."""
        return self.sum / self.weight

    @property
    def interval(self) -> tuple[float, float]:
        """The interval for it, at 95 %, valid at any time of looking."""
        return mean_gap(np.array(self.above), np.array(self.below), self.weight)

    def beyond(self, end: float) -> tuple[float, float]:
        """Logarithms of the evidence that the mean is above `end`, and that it is below -`end`."""
        reach = STAKES * self.weight * end
        above, below = np.array(self.above), np.array(self.below)
        return log_mean_exp(above - reach), log_mean_exp(below - reach)

    def within(self, end: float) -> tuple[float, float]:
        """Logarithms of the evidence that it is below `end`, and that it is above -`end`."""
        reach = STAKES * self.weight * end
        above, below = np.array(self.above), np.array(self.below)
        return log_mean_exp(below + reach), log_mean_exp(above + reach)


class Contest(msgspec.Struct):
    """One measure of one group under both releases.

    `seen` are rows of the group and of the others, `piles` wait by the candidate's weight, `pairs`
    and `paired` are those that wait and those that were bet on, and `known` are all rows that were.
    """

    seen: tuple[int, int] = (0, 0)
    piles: dict[int, Pile] = {}
    pairs: tuple[Pairs, Pairs] = (Pairs(), Pairs())
    paired: tuple[Pairs, Pairs] = (Pairs(), Pairs())
    known: Pile = Pile()
    own: Stretch = msgspec.field(default_factory=Stretch)
    more: Stretch = msgspec.field(default_factory=Stretch)

    @property
    def n(self) -> int:
        """Rows of the group under the candidate that were bet on."""
        return self.known.rows[0]

    def add(self, weight: int, candidate: bool, group: Sums, others: Sums) -> None:
        """Count rows under one release, while the candidate's weight was `weight`."""
        self.seen = self.seen[0] + group.n, self.seen[1] + others.n
        before = () if candidate else (0, 0)
        totals, numbers = (*before, group.total, others.total), (*before, group.n, others.n)
        pile = self.piles.pop(weight, Pile()).add(totals, numbers)
        if min(pile.rows) >= WAITING:
            self._settle(pile)
        else:
            self.piles[weight] = pile

    def pair(self, group: Pairs, others: Pairs) -> None:
        """Count rows that both releases decided about."""
        self.seen = self.seen[0] + group.n, self.seen[1] + others.n
        self.pairs = self.pairs[0].add(group), self.pairs[1].add(others)
        if min(each.n for each in self.pairs) >= WAITING:
            self._settle_pairs(*self.pairs)
            self.pairs = Pairs(), Pairs()

    def _terms(self, pile: Pile) -> list[Term]:
        """A block around the rates of all rows before it."""
        return [
            Term(Sample(total / MICRO, n), (known / MICRO + 1.0) / (before + 2.0), sign)
            for total, n, known, before, sign in zip(
                pile.totals, pile.rows, self.known.totals, self.known.rows, SIGNS, strict=True
            )
        ]

    def _settle(self, pile: Pile) -> None:
        terms = self._terms(pile)
        rates = [term.sample.total / term.sample.n for term in terms]
        own = rates[0] - rates[1]
        self.own.take(settle(terms[:2]), own)
        self.more.take(settle(terms), own - rates[2] + rates[3])
        self.known = self.known.add(pile.totals, pile.rows)

    def _settle_pairs(self, group: Pairs, others: Pairs) -> None:
        totals = (group.selected, others.selected, group.stables, others.stables)
        rows = (group.n, others.n, group.n, others.n)
        pile = Pile(tuple(int(total * MICRO) for total in totals), rows)
        own = group.selected / group.n - others.selected / others.n
        gain = [(each.gained - each.lost) / each.n for each in (group, others)]
        differing = Centre(*(each.differing for each in self.paired))
        self.own.take(settle(self._terms(pile)[:2]), own)
        self.more.take(settle_pairs(group.signs, others.signs, differing), gain[0] - gain[1])
        self.paired = self.paired[0].add(group), self.paired[1].add(others)
        self.known = self.known.add(pile.totals, pile.rows)

    def worse(self, harmless: "Harmless") -> float:
        """log10 of the evidence that the gap is harmful: on the same side of both ends."""
        sides = zip(self.own.beyond(harmless.own), self.more.beyond(harmless.more), strict=True)
        return log_mean_exp(np.array([min(both) for both in sides])) / LN10

    def not_worse(self, harmless: "Harmless") -> float:
        """log10 of the evidence that it is on neither side beyond both ends."""
        sides = zip(self.own.within(harmless.own), self.more.within(harmless.more), strict=True)
        return min(max(both) for both in sides) / LN10

    @property
    def gaps(self) -> tuple[float, float]:
        """The gap of the candidate, and of stable. There must be a block."""
        rate = [t / MICRO / n for t, n in zip(self.known.totals, self.known.rows, strict=True)]
        return rate[0] - rate[1], rate[2] - rate[3]


def _sums(left: Sequence[int], right: Sequence[int]) -> tuple[int, ...]:
    """Sums place by place; places that one lacks are zero."""
    return tuple(a + b for a, b in zip_longest(left, right, fillvalue=0))


class Harmless(NamedTuple):
    """How far a gap may lie from none, and from stable's; it is harmful beyond both."""

    own: float
    more: float


class Terms(NamedTuple):
    """How verdicts are given: on which release and since when; at how much evidence (log10) of harm
    a group is harmed, or suspected to be, were it the only one; how much it takes that none is, and
    by how many times the tolerance harm must be excluded. `held` says whether a candidate waits."""

    release: str
    since: float
    limit: float
    proof: float
    margin: float
    held: bool
    suspect: float = SUSPECT


class Judged(NamedTuple):
    """A verdict, and whether a candidate waits where it is unknown."""

    verdict: Verdict
    awaited: bool


class Treatment(msgspec.Struct):
    """What changes while groups are compared. `contests` are by `MEASURE GROUP`, `units` are the
    first two of each group under the candidate, `windows` those in which each unit counted last,
    `waiting` the decisions about rows that one release made, with whether it was in shadow."""

    contests: dict[str, Contest] = {}
    units: dict[str, list[int]] = {}
    windows: dict[str, int] = {}
    waiting: dict[str, tuple[bool, bool]] = {}


@dataclass(frozen=True, slots=True)
class Treated:
    """Compares the groups of a division under two releases; `candidate` is the digest of one."""

    plan: MonitorPlan
    signature: Signature
    division: Division
    loss: Loss
    candidate: str
    state: Treatment

    @property
    def measures(self) -> list[Measure]:
        """What is compared."""
        return [each for each in GUARDED if each in MEASURES[self.signature.task]]

    def observe(self, rows: Rows) -> None:
        """Count answers."""
        for at, weight, candidate in self._parts(rows, "a"):
            part = rows.take(at)
            counts = np.zeros((len(part), WIDTH), dtype=np.int64)
            counts[:, ANSWERS] = answer_counts(self.signature, part.outputs, len(part))
            cells = self._cells(part, counts, candidate)
            self._add(cells, weight, candidate, before_labels=True)
        if "selection" in self.measures:
            self._pair(rows)

    def _pair(self, rows: Rows) -> None:
        """Bring together a shadow copy and the answer to the same row, whichever comes first."""
        fixed = rows.fixed
        shadow = fixed["mode"] == "shadow"
        both = shadow | ((fixed["mode"] == "stable") & (fixed["weight"] == 0))
        both &= (fixed["outcome"] == Outcome.OK) & (fixed["row"] == 0)
        places = np.flatnonzero(np.asarray(both, dtype=np.bool_))
        part = rows.take(places)
        counts = answer_counts(self.signature, part.outputs, len(part))
        found, made = [], []
        for at in np.flatnonzero(counts[:, 1]).tolist():
            copy, chosen = bool(shadow[places[at]]), bool(counts[at, 2])
            other = self._met(str(part.fixed["request_id"][at]), copy, chosen)
            if other is not None:
                mine, stable = (chosen, other) if copy else (other, chosen)
                found.append(at)
                made.append((1, mine, mine and not stable, stable and not mine))
        if found:
            self._add_pairs(part.take(np.array(found)), np.array(made, dtype=np.int64))

    def _met(self, request: str, copy: bool, chosen: bool) -> bool | None:
        """The other release's decision; None while it has not come."""
        waiting = self.state.waiting
        other = waiting.pop(request, None)
        if other is not None and other[0] != copy:
            return other[1]
        waiting[request] = copy, chosen
        if len(waiting) > MOST_WAITING:
            del waiting[next(iter(waiting))]
        return None

    def _add_pairs(self, rows: Rows, counts: Ints) -> None:
        fresh = self._fresh(rows, "p")
        rows, counts = rows.take(np.flatnonzero(fresh)), counts[fresh]
        places = self.division.places(rows)
        self._meet(rows.fixed["unit"], places)
        sums = self.division.sums(places, counts)
        for values in self.division.groups:
            name = group_name(values)
            group = Pairs(*sums[name].tolist())
            others = Pairs(*(sums[" & ".join(values)] - sums[name]).tolist())
            if group.n or others.n:
                self._contest("selection", name).pair(group, others)

    def _contest(self, measure: Measure, name: str) -> Contest:
        return self.state.contests.setdefault(f"{measure} {name}", Contest())

    def learn(self, labelled: Labelled) -> None:
        """Count labels."""
        for at, weight, candidate in self._parts(labelled.rows, "l"):
            part = labelled.take(at)
            counts = np.zeros((len(at), WIDTH), dtype=np.int64)
            outputs, label = part.rows.outputs, part.label
            counts[:, LABELS] = label_counts(self.signature, self.loss, outputs, label)
            cells = self._cells(part.rows, counts, candidate)
            self._add(cells, weight, candidate, before_labels=False)

    def _cells(self, rows: Rows, counts: Ints, candidate: bool) -> dict[str, Cell]:
        places = self.division.places(rows)
        if candidate:
            self._meet(rows.fixed["unit"], places)
        return self.division.cells(places, counts)

    def _parts(self, rows: Rows, kind: str) -> Iterator[tuple[Ints, int, bool]]:
        """Positions of first attempts that were assigned by chance, by the candidate's weight and
        by release; a unit counts once in each window."""
        fixed = rows.fixed
        chance = (fixed["weight"] > 0) & (fixed["attempt"] == 0) & (fixed["row"] == 0)
        chance &= (fixed["mode"] == "canary") | (fixed["mode"] == "stable")
        chance &= fixed["outcome"] == Outcome.OK
        places = np.flatnonzero(np.asarray(chance, dtype=np.bool_))
        places = places[self._fresh(rows.take(places), kind)]
        weights, releases = fixed["weight"][places], fixed["release"][places]
        for weight in np.unique(weights).tolist():
            for candidate in (True, False):
                mine = (weights == weight) & ((releases == self.candidate) == candidate)
                if mine.any():
                    yield places[np.asarray(mine, dtype=np.bool_)], weight, candidate

    def _fresh(self, rows: Rows, kind: str) -> NDArray[np.bool_]:
        windows = self.state.windows
        fresh = np.zeros(len(rows), dtype=np.bool_)
        at = np.floor(rows.fixed["event_time"] / WINDOW).astype(np.int64).tolist()
        for place, (unit, window) in enumerate(zip(rows.fixed["unit"].tolist(), at, strict=True)):
            key = f"{kind}{unit}"
            fresh[place] = windows.pop(key, None) != window
            windows[key] = window
            if len(windows) > MOST_UNITS:
                del windows[next(iter(windows))]
        return fresh

    def _meet(self, unit: NDArray[np.uint64], places: dict[str, Ints]) -> None:
        """Note the first two units of each group: one client alone decides nothing."""
        for basis in self.division.bases:
            for values in self.division.groups:
                met = self.state.units.setdefault(group_name(values), [])
                if list(values) == list(basis.values) and len(met) < 2:
                    came = unit[places[basis.name] == basis.place(values)]
                    met[:] = sorted({*met, *came.tolist()})[:2]

    def _add(
        self, cells: dict[str, Cell], weight: int, candidate: bool, before_labels: bool
    ) -> None:
        measures = [each for each in self.measures if (each in BEFORE_LABELS) == before_labels]
        for values in self.division.groups:
            name = group_name(values)
            cell = cells[name]
            others = cells[" & ".join(values)].less(cell)
            for measure in measures:
                group, rest = sums_of(measure, cell), sums_of(measure, others)
                if group.n or rest.n:
                    self._contest(measure, name).add(weight, candidate, group, rest)

    def harmless(self, measure: Measure) -> Harmless:
        """A tolerance beyond none and beyond stable's gap; or beyond a bound that the user states,
        where it is wider than stable's at all."""
        bound = self.plan.bias.get(measure)
        width = self._tolerance(measure)
        return Harmless(width, width) if bound is None else Harmless(bound, 0.0)

    def _tolerance(self, measure: Measure) -> float:
        return self.plan.tolerances.get(f"bias:{measure}", TOLERANCE)

    def judged(self, terms: Terms) -> list[Judged]:
        """`bias:MEASURE` for each measure: a group that is harmed, else the least known one."""
        streams = math.log10(max(len(self.measures) * len(self.division.groups), 1))
        shared = terms._replace(limit=terms.limit + streams, suspect=terms.suspect + streams)
        return [self._judged(measure, shared) for measure in self.measures]

    def _judged(self, measure: Measure, terms: Terms) -> Judged:
        harmless, contests = self.harmless(measure), self._contests(measure)
        evidence = {name: contest.worse(harmless) for name, contest in contests.items()}
        units = self.state.units
        bad = [n for n, e in evidence.items() if e >= terms.limit and len(units[n]) > 1]
        loudest = max(evidence, key=lambda name: evidence[name], default="")
        if bad:
            worst = max(bad, key=lambda name: evidence[name])
            also = [name for name in bad if name != worst][:NAMED]
            note = f"; also {', '.join(also)}" if also else ""
            return Judged(self._told(measure, worst, "bad", note, terms), awaited=True)
        if loudest and evidence[loudest] >= terms.suspect:
            note = f"; suspected, evidence 10^{evidence[loudest]:.1f} of 10^{terms.limit:.1f}"
            return Judged(self._told(measure, loudest, "unknown", note, terms), terms.held)
        awaited = terms.held and measure in BEFORE_LABELS
        return Judged(self._unharmed(measure, contests, loudest, terms), awaited)

    def _contests(self, measure: Measure) -> dict[str, Contest]:
        """Those of a measure in which something was bet, by group."""
        names = map(group_name, self.division.groups)
        found = ((name, self.state.contests.get(f"{measure} {name}")) for name in names)
        return {name: each for name, each in found if each is not None and each.n}

    def _unharmed(
        self, measure: Measure, contests: dict[str, Contest], loudest: str, terms: Terms
    ) -> Verdict:
        """Not harmful as far as can be told: `ok` where that is known of every common group."""
        width = self._tolerance(measure) * terms.margin
        excluded = Harmless(max(self.plan.bias.get(measure, 0.0), width), width)
        awaited = self._awaited(measure)
        if not awaited:
            return self._bare(measure, f"{MEANT[measure]} by group: {self._lacking()}", terms)
        proof = {n: contests[n].not_worse(excluded) if n in contests else 0.0 for n in awaited}
        least = min(proof, key=lambda name: proof[name])
        if proof[least] >= terms.proof:
            return self._told(measure, loudest, "ok", "", terms)
        reason = (
            f"{MEANT[measure]} of {least} beside the others: evidence 10^{proof[least]:.1f} of "
            f"10^{terms.proof:.1f} that it is less than {width:.3g} farther off than under stable"
        )
        if least not in contests:
            return self._bare(measure, reason, terms)
        told = self._told(measure, least, "unknown", "", terms)
        return msgspec.structs.replace(told, reason=f"{reason} (n={told.n})")

    def _awaited(self, measure: Measure) -> list[str]:
        """Groups of one column that are common enough to wait for."""
        names = [group_name(values) for values in self.division.groups if len(values) == 1]
        found = ((name, self.state.contests.get(f"{measure} {name}")) for name in names)
        return [n for n, c in found if c is not None and c.seen[0] >= COMMON * sum(c.seen)]

    def _lacking(self) -> str:
        if not self.division.groups:
            wanted = ", ".join(self.plan.groups)
            return f"the release has no counts of {wanted}: build it anew with them as groups"
        return "no row of a group was compared yet"

    def _told(self, measure: Measure, name: str, word: Word, note: str, terms: Terms) -> Verdict:
        contest = self.state.contests[f"{measure} {name}"]
        harmless = self.harmless(measure)
        lower, upper = contest.more.interval
        gap, stables = contest.gaps
        reason = (
            f"{MEANT[measure]} of {name} is {gap:+.3f} from that of the others, {stables:+.3f} "
            f"under stable: a difference of {contest.more.mean:+.3f} [{lower:+.3f}, {upper:+.3f}] "
            f"(n={contest.n}), harmless up to {harmless.own:.3g}{note}"
        )
        values = next(each for each in self.division.groups if group_name(each) == name)
        return msgspec.structs.replace(
            self._bare(measure, reason, terms),
            verdict=word,
            scope=dict(values) if word == "bad" else {},
            evidence_log10=contest.worse(harmless),
            estimate=contest.more.mean,
            lower=lower,
            upper=upper,
            reference=0.0,
            tolerance=harmless.own,
            n=contest.n,
        )

    def _bare(self, measure: Measure, reason: str, terms: Terms) -> Verdict:
        return Verdict(
            signal=f"bias:{measure}",
            tier="page",
            verdict="unknown",
            reason=reason,
            release=terms.release,
            threshold_log10=terms.limit,
            since=terms.since,
        )
