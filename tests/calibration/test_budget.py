"""The alarm budget of a whole deployment, with every stream at the very border of its zone.

Counts are drawn and given to the families as other workers would give them, so that years pass in
seconds. Every alarm is counted and the stream re-armed at once, as if nobody ever fixed a thing.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import msgspec
import numpy as np
import pytest
from tests.support.traffic import BINARY, DAY, STABLE, reference, related_profile, spec

from trimtab.domain.profile import ColumnProfile, ReferenceProfile
from trimtab.domain.verdicts import Tier
from trimtab.judge.budget import TIMES, YEAR, tier
from trimtab.judge.gaps import Block, Expected, GapWatch, gap_watch
from trimtab.judge.groups import Sums
from trimtab.judge.profile import build_profile
from trimtab.judge.segment_watch import Part, SegmentWatch
from trimtab.judge.signals import answers, crowded
from trimtab.judge.signals.awaited import CALLERS, Awaited
from trimtab.judge.signals.bias import Bias
from trimtab.judge.signals.breaks import Cell, Seen
from trimtab.judge.signals.calibration import Calibration, Matured
from trimtab.judge.signals.callers import Brought, Callers, Crowd
from trimtab.judge.signals.columns import error, tolerance, zones
from trimtab.judge.signals.counts import Bins, Tally
from trimtab.judge.signals.denials import Said
from trimtab.judge.signals.estimate import Estimated
from trimtab.judge.signals.family import Breaks, Family, Target
from trimtab.judge.signals.feedback import DELAYS, Feedback, Told
from trimtab.judge.signals.inputs import Columns, Inputs
from trimtab.judge.signals.labels import Labels
from trimtab.judge.signals.multivariate import Multivariate, Related
from trimtab.judge.signals.parity import Differences, Pairs, Parity
from trimtab.judge.signals.prediction import Answers, Prediction
from trimtab.judge.signals.prominent import Marked
from trimtab.judge.signals.quality import Cohort, Quality
from trimtab.judge.signals.registry import FAMILIES
from trimtab.judge.signals.segments import Segments
from trimtab.judge.signals.service import Answers as Served
from trimtab.judge.signals.service import Service
from trimtab.judge.signals.unlabelled import Sampled, Shared, Unlabelled
from trimtab.judge.signals.upstream import Feeds, Upstream
from trimtab.judge.signals.workers import (
    ANSWERS_RATIO,
    PARTS,
    RATIO,
    Deal,
    Dealt,
    Workers,
)
from trimtab.judge.watch import Z99, Watch, Zone
from trimtab.stats.fixed_point import MICRO

pytestmark = pytest.mark.slow

HOUR = 3600.0
INPUTS = 6
METRICS = ("brier", "log_loss", "recall")
GROUPS = ("side",)
SELECTED = 0.3
"""Rate of the others that a group is compared with."""
ROWS = 300
PER_YEAR = 365.0
"""False pages tolerated a year of hours: so many that the blocks drawn show if that is kept."""


def deployment(timed: bool) -> Target:
    """A binary model with six inputs and two groups, in blocks of an hour, or of a day where days
    are known."""
    known = build_profile(reference(days=30, timed=timed, groups=GROUPS))
    level, side = known.inputs
    more = tuple(msgspec.structs.replace(level, name=f"level{i}") for i in range(INPUTS - 2))
    together = related_profile(timed, days=30).multivariate
    profile = msgspec.structs.replace(known, inputs=(level, side, *more), multivariate=together)
    seconds = DAY if timed else HOUR
    plan = {"false_alarms_per_year": PER_YEAR * HOUR / seconds, "maturity_seconds": 0.0}
    given = spec(block_seconds=seconds, quality=METRICS, groups=GROUPS, **plan)
    return Target(given, BINARY, profile, STABLE.digest, 0.0)


class World:
    """Draws the counts of a block whose shares lie at the border, days differing as they may."""

    def __init__(self, target: Target, seed: int) -> None:
        self.target = target
        self.rng = np.random.default_rng(seed)
        assert target.profile is not None
        self.profile: ReferenceProfile = target.profile

    def around(self, share: float, spread: float | None) -> float:
        """The share of a day whose expectation is `share`."""
        if spread is None:
            return share
        return float(np.clip(self.rng.normal(share, spread / Z99), 0.0, 1.0))

    def total(self, watch: Watch, rows: int = ROWS) -> float:
        """The total over rows of a signal with one border, in expectation at that. Where days are
        known to differ, that holds what is left to chance within a day."""
        zone = watch.zones[0]
        border = (zone.high if zone.low is None else zone.low) or 0.0
        if watch.spread is None:
            return float(self.rng.binomial(rows, border))
        return self.around(border, watch.spread) * rows

    def tally(self, share: float, spread: float | None = None) -> Tally:
        """A 0/1 signal."""
        return Tally(int(self.rng.binomial(ROWS, self.around(share, spread))), ROWS)

    def denied(self) -> dict[str, Said]:
        """Labels of both classes, of which others deny some, and some deny others."""
        shares = self.rng.beta(1.0, 40.0, 2).tolist()
        given = dict(zip(BINARY.classes, (ROWS - ROWS // 4, ROWS // 4), strict=True))
        return {
            name: Said(n, int(self.rng.binomial(n, share)), corrected=int(n * share))
            for (name, n), share in zip(given.items(), shares, strict=True)
        }

    def dealt(self, worse: bool) -> Dealt:
        """Requests of a worker, of which one does as much worse as it may."""
        failed, slow = self.rng.binomial(ROWS, np.array([0.01, 0.02]) * (RATIO if worse else 1.0))
        first = 0.2 * (ANSWERS_RATIO if worse else 1.0)
        rest = np.full(PARTS - 1, (1.0 - first) / (PARTS - 1))
        parts = self.rng.multinomial(ROWS - failed, [first, *rest]).tolist()
        return Dealt(ROWS, int(ROWS - failed), [int(failed), int(slow), *parts, 0])

    def apart(self, watch: GapWatch, start: float) -> Block:
        """A group that is as far above the others as it may be, days differing as they may."""
        gap = self.rng.normal(watch.zone[1], watch.variance**0.5)
        rate = float(np.clip(SELECTED + gap, 0.0, 1.0))
        hits, others = self.rng.binomial(ROWS // 2, [rate, SELECTED]).tolist()
        return Block(start, *(Sums(int(n * MICRO), 0, ROWS // 2) for n in (hits, others)))

    def parted(self, family: Segments) -> tuple[Part, Part]:
        """Segments that are as far above the others as they may be, days differing as they may."""
        known, n = family.borders, np.full(len(family.segments), float(ROWS // 4))
        gap = self.rng.normal(known.high, np.sqrt(known.variance))
        lost = self.rng.binomial(ROWS // 4, np.clip(known.others + gap, 0.0, 1.0))
        others = self.rng.binomial(ROWS - ROWS // 4, known.others)
        rest = np.full(n.size, float(ROWS - ROWS // 4))
        return Part(n, lost.astype(float), n), Part(rest, others.astype(float), rest)

    def bins(self, column: ColumnProfile) -> Bins:
        """Every cut point at its upper border; of categories every other one."""
        every = zones(column, tolerance(self.target, column, ""), error(self.target, column))
        high = [min(zone.high or 0.0, 1.0) for zone in every]
        shares = at_border(column, np.array(high[:-2]))
        missing = int(self.rng.binomial(ROWS, high[-2]))
        counts = self.rng.multinomial(ROWS - missing, shares).tolist()
        return Bins(counts, missing, int(self.rng.binomial(ROWS, high[-1])), ROWS)


def at_border(column: ColumnProfile, high: np.ndarray) -> np.ndarray:
    """Bin shares whose cumulative sums, or every other category, are at the border."""
    masses = np.array(column.masses)
    if column.kind == "continuous":
        return np.asarray(np.diff([0.0, *high, 1.0]))
    room = high - masses
    moved = masses + np.where(np.arange(masses.size) % 2 == 0, room, -room)
    moved = np.clip(moved, 0.0, None)
    return np.asarray(moved / moved.sum())


def draw(world: World, family: object) -> Any:
    """The counts of one block for a family."""
    profile = world.profile
    match family:
        case Service(state=state):
            highs = [watch.zones[0].high or 0.0 for watch in (state.errors, state.latency)]
            return Served(*(world.tally(high) for high in highs))
        case Inputs() | Multivariate():
            return distributions(world, family)
        case Prediction(state=state):
            assert profile.score is not None
            assert state.positive is not None
            high = state.positive.zones[0].high or 0.0
            return Answers(world.bins(profile.score), world.tally(high, profile.score.spread))
        case Quality(state=state):
            *losses, recall = METRICS
            lost = {name: int(world.total(state.watches[name]) * MICRO) for name in losses}
            up = int(world.rng.binomial(ROWS, 0.25))
            right = int(world.total(state.watches[recall], up) + world.rng.random())
            return Cohort(ROWS, ROWS, losses=lost, right=[ROWS - up, right], wrong=[0, up - right])
        case Calibration(width=width):
            score = world.rng.beta(2.0, 6.0, ROWS).mean()
            gap = (profile.calibration or 0.0) + width
            rate = world.around(score + gap, profile.calibration_spread)
            positive = int(world.rng.binomial(ROWS, rate))
            return Matured(ROWS, ROWS, positive, int(score * MICRO * ROWS))
        case Labels(state=state):
            parts = len(state.parts)
            some = world.rng.multinomial(ROWS, [1.0 / parts] * parts)
            known = world.rng.binomial(some, world.rng.beta(40.0, 1.0, parts)).tolist()
            nobody = [0] * parts * CALLERS
            return Awaited([*some.tolist(), *nobody], [*known, *nobody], sum(known))
        case Upstream(state=state):
            shares = {watch.key: world.rng.beta(1.0, 40.0, 2) for watch in state.watches}
            cells = {
                key: Cell(ROWS, *world.rng.binomial(ROWS, both).tolist())
                for key, both in shares.items()
            }
            return Feeds({column.name: Seen() for column in profile.inputs}, cells)
        case _:
            return drawn_around(world, family)


def drawn_around(world: World, family: object) -> Any:
    """The counts of one block for a family that watches what is around the model."""
    match family:
        case Unlabelled():
            part = np.full(len(family.segments), ROWS // 4)
            known = world.rng.binomial(part, world.rng.beta(40.0, 1.0, part.size)).tolist()
            n = int(world.rng.binomial(ROWS, 40.0 / 41.0))
            callers = Awaited([ROWS, *[0] * CALLERS], [n, *[0] * CALLERS])
            return Sampled(callers, Shared(ROWS, part.tolist()), Shared(n, known))
        case crowded.Crowded(state=state):
            drawn = world.rng.random((crowded.DRAWN, 1 + len(state.watches))).tolist()
            held = {name: world.tally(world.rng.beta(1.0, 40.0)) for name in state.sought}
            return crowded.Crowd(held, list(map(tuple, drawn)))
        case Workers():
            return Deal({f"w{each}": world.dealt(each == 0) for each in range(4)})
        case answers.Answers():
            shares = np.full(math.prod(family.shape[1:]), 1.0 / math.prod(family.shape[1:]))
            names = [f"w{each}" for each in range(4)]
            came = world.rng.multinomial(ROWS, shares, (len(names), family.shape[0]))
            return answers.Answered(dict(zip(names, came.reshape(4, -1).tolist(), strict=True)))
        case Callers():
            bad, far = world.rng.binomial(ROWS, world.rng.beta(1.0, 40.0, (2, 8))).tolist()
            return Crowd(
                {each: Brought(ROWS, n, "r") for each, n in enumerate(bad)},
                {},
                {each: Marked(Tally(n, ROWS), "r") for each, n in enumerate(far)},
            )
        case Feedback(state=state):
            wrong = world.tally(state.contradicted.zones[0].high or 0.0).hits
            useless, odd = world.rng.binomial(ROWS, world.rng.beta(1.0, 40.0, 2)).tolist()
            delays = world.rng.multinomial(ROWS, np.full(DELAYS, 1.0 / DELAYS)).tolist()
            return Told(ROWS, useless, wrong, delays=delays, classes=world.denied(), odd=odd)
        case Parity(state=state):
            high = next(iter(state.streams.values())).watch.zones[0].high or 0.0
            differing = {name: world.tally(high).hits for name in state.streams}
            return Pairs({name: Differences(ROWS, hits) for name, hits in differing.items()})
    raise AssertionError(family)


def distributions(world: World, family: Inputs | Multivariate) -> Columns | Related:
    """The counts of inputs, or of how they go together."""
    together = world.profile.multivariate
    if isinstance(family, Inputs) or together is None:
        return Columns({column.name: world.bins(column) for column in world.profile.inputs})
    scores = {each.name: world.bins(each) for each in together.scores}
    return Related(ROWS, scores, [0] * len(together.pairs))


def live(world: World, family: Family[Any, Any], number: int) -> None:
    """A block of a family. Estimates, gaps and segments are put at their borders as such: no counts
    of rows say where all of them are."""
    start = number * world.target.block_seconds
    if isinstance(family, Bias):
        for gap in family.state.watches.values():
            gap.take(world.apart(gap, start))
    elif isinstance(family, Segments):
        limit = world.target.threshold("segments", world.target.block_seconds)
        family.state.watch.take(start, world.parted(family), family.borders, limit)
    elif isinstance(family, Estimated):
        for stream in family.state.streams.values():
            stream.watch.take(start, [world.total(stream.watch)], ROWS)
    else:
        family.take({number: draw(world, family)})


def alarms(family: object) -> Iterator[tuple[str, Callable[[], None]]]:
    """The group of each stream that is in alarm, and how to re-arm it."""
    watches: dict[str, list[Watch]] = {}
    match family:
        case Service(state=state):
            watches = {"errors": [state.errors], "latency": [state.latency]}
        case Inputs(state=state) | Multivariate(state=state):
            group = "input" if isinstance(family, Inputs) else "multivariate"
            watches = {group: list(state.watches.values())}
        case Prediction(state=state):
            watches = {
                "prediction": [state.score],
                "positive_rate": [state.positive or state.score],
            }
        case Quality(state=state):
            watches = {"quality": list(state.watches.values())}
        case Calibration(state=state):
            watches = {"calibration": [state.watch]}
        case Estimated(state=state):
            watches = {"estimate": [each.watch for each in state.streams.values()]}
        case Labels(state=state):
            each = [state.watch, *state.parts]
            yield from (("labels", lambda: None) for watch in each if watch.broken)
        case Upstream(state=state) | Unlabelled(state=state):
            group = "upstream" if isinstance(family, Upstream) else "labels"
            yield from ((group, lambda: None) for watch in state.watches if watch.broken)
        case _:
            yield from around(family)
    for group, every in watches.items():
        yield from ((group, watch.rearm) for watch in every if watch.frozen is not None)


def around(family: object) -> Iterator[tuple[str, Callable[[], None]]]:
    """The same of a family that watches what is around the model."""
    watches: dict[str, list[Watch]] = {}
    match family:
        case Bias(state=state):
            bad = [key for key, gap in state.watches.items() if gap.bad]
            yield from (("bias", partial(begin_again, state.watches, key)) for key in bad)
        case Segments(state=state):
            again = partial(setattr, state, "watch", SegmentWatch())
            yield from (("segments", again) for _ in [state.watch] if state.watch.harmed)
        case Parity(state=state):
            watches = {"parity": [stream.watch for stream in state.streams.values()]}
        case Workers(state=state):
            watches = {"workers": [pair.watch for pair in state.pairs.values()]}
        case crowded.Crowded(state=state):
            each = list(state.watches.values())
            yield from (("upstream", lambda: None) for watch in each if watch.broken)
        case answers.Answers(state=state):
            habits = state.habits.workers
            bad = [name for name, habit in habits.items() if habit.since is not None]
            yield from (("workers", partial(habits.__delitem__, name)) for name in bad)
        case Callers(state=state):
            each = [*state.watches.values(), *state.farfetched.watches.values()]
            yield from (("callers", lambda: None) for watch in each if watch.broken)
        case Feedback(state=state):
            watches = {"feedback": [state.contradicted]}
            classes = (state.denials, state.strays, state.corrections)
            each = [watch for kind in classes for watch in kind.watches.values()]
            shares = (state.useless, state.odd, state.late, state.early, *each)
            yield from (("feedback", lambda: None) for watch in shares if watch.broken)
    for group, every in watches.items():
        yield from ((group, watch.rearm) for watch in every if watch.frozen is not None)


def begin_again(watches: dict[str, GapWatch], key: str) -> None:
    """Watch a gap as if nothing had been seen of it."""
    seen = watches[key]
    expected = Expected.of(SELECTED + seen.zone[1], SELECTED)
    limit = seen.watch.log10_threshold
    watches[key] = gap_watch(Zone(*seen.zone), seen.variance, expected, limit)


@pytest.mark.parametrize("timed", [False, True])
def test_a_deployment_at_the_border_of_all_its_zones_alarms_no_more_than_its_budget(
    timed: bool,
) -> None:
    """Pages, tickets and notes a year, each against what was promised of its tier."""
    target = deployment(timed)
    world = World(target, seed=11)
    begun = [kind.of(target) for kind in FAMILIES]
    families = [family for family in begun if family is not None]
    blocks, seconds = 8766, target.spec.monitor.block_seconds
    found: Counter[str] = Counter()
    for number in range(blocks):
        breaks = Breaks()
        for family in families:
            live(world, family, number)
            family.close((number + 2) * seconds, breaks)
            for group, rearm in alarms(family):
                found[group] += 1
                rearm()
    years = blocks * seconds / YEAR
    told: Counter[Tier] = Counter()
    for group, count in found.items():
        told[tier(group)] += count
    budget = target.spec.monitor.false_alarms_per_year
    print(found, years)
    assert {name: told[name] / years <= budget * times for name, times in TIMES.items()} == (
        dict.fromkeys(TIMES, True)
    )
