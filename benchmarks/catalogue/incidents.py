"""A third round of faults, after what papers and reports tell of models in production.

They were written down, with their doses and right causes, before any of them was let loose and
without a look at signals and causes, so that their first runs are a blind test. Behind them are,
among others: Zinkevich, Rules of Machine Learning (skew, tables that change after training);
Sculley et al. 2015 (data that others own); Breck et al. 2019 (constants that code sends in a slice
of the rows); Papasian and Underwood 2020 (ten years of outages of one pipeline: data processed
twice, in part or in mismatched versions); the report on Knight Capital 2013 (one server of eight
with an old file). A number is the one that matters most to the model, so that the fault does harm.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from catalogue.drawn import Drawn
from catalogue.effects import HOSTILE, ConceptFlip, Effect, Scene, Weights, by_caller
from catalogue.postmortems import Remembering
from catalogue.production import wide
from catalogue.releases import Build, fit
from catalogue.tables import DAY, Table
from catalogue.world import Answers, Requests, Told

SLOW = 40
"""Steps in which a slow fault comes to its full dose: most of what a run has left."""
GROWING = 10
"""Steps in which a new version of an app reaches its share of the callers."""
TRIED = 1000
"""Rows of the reference, far from each other, that tell which number matters most."""
SPREAD = 2_654_435_761
"""A prime that scatters the numbers of callers over the numbers below 2**32."""
UNSURE = (0.25, 0.75)
"""Scores between which the model does not know much."""
HEAVY = (0.2, 0.6)
"""Seconds that a call takes which is far too large."""
BEHIND = 0.03
"""Seconds that others wait on average behind such calls."""
MIGRATED = "warehouse-v2"
"""The same source of labels, by its new name."""


class Weighty(Effect):
    """A fault of the number that matters most to the model."""

    _name = ""

    def number(self, scene: Scene) -> str:
        """The column whose values, taken from another row, move scores most."""
        self._name = self._name or max(wide(scene), key=lambda name: _matters(scene, name))
        return self._name


def _matters(scene: Scene, name: str) -> float:
    known = scene.data.reference
    rows = known.take(np.arange(TRIED) * (len(known) // TRIED))
    other = {**rows.inputs, name: np.roll(rows.inputs[name], 1)}
    return float(np.abs(scene.build.scores(other) - scene.build.scores(rows.inputs)).mean())


class ScaleReversed(Weighty):
    """A source sends what a number lacks to the end of its scale, in a share of all rows."""

    def feed(self, scene: Scene, requests: Requests) -> Requests:
        """See `Effect`."""
        name, hit = self.number(scene), scene.share(len(requests))
        kept, values = scene.data.reference.inputs[name], requests.rows.inputs[name]
        lacking = np.nanmin(kept) + np.nanmax(kept) - values
        return requests.changed(**{name: np.where(hit, lacking, values)})


class AppSendsZero(Weighty):
    """A new version of an app, which ever more of the callers have, sends 0 for a number."""

    def feed(self, scene: Scene, requests: Requests) -> Requests:
        """See `Effect`."""
        name = self.number(scene)
        share = scene.dose * min((scene.age + 1) / GROWING, 1.0)
        hit = _among(requests.unit, share)
        return requests.changed(**{name: np.where(hit, 0.0, requests.rows.inputs[name])})


def _among(unit: NDArray[np.uint64], share: float) -> NDArray[np.bool_]:
    """Whether callers are among a share of all, who are the same in each step and stay."""
    return np.asarray((unit * np.uint64(SPREAD)) % np.uint64(2**32) < np.uint64(share * 2**32))


class WindowLonger(Weighty):
    """The online store averages a number over a longer window than training does."""

    def feed(self, scene: Scene, requests: Requests) -> Requests:
        """See `Effect`."""
        name = self.number(scene)
        values = requests.rows.inputs[name]
        if np.isnan(values).all():
            return requests
        return requests.misread(**{name: values + scene.dose * (np.nanmean(values) - values)})


class CachedByCaller(Weighty):
    """The online store never forgets: for most callers a number stays what it was at first."""

    def __init__(self) -> None:
        self._known: dict[int, float] = {}

    def feed(self, scene: Scene, requests: Requests) -> Requests:
        """See `Effect`."""
        name = self.number(scene)
        values = requests.rows.inputs[name]
        pairs = zip(requests.unit.tolist(), values.tolist(), strict=True)
        first = np.array([self._known.setdefault(unit, value) for unit, value in pairs])
        return requests.misread(
            **{name: np.where(_among(requests.unit, scene.dose), first, values)}
        )


class BranchUnlabelled(Remembering, Drawn):
    """A branch reports no outcomes any more: labels of most rows of one category are missing."""

    def told(self, scene: Scene, told: Told) -> Told:
        """See `Effect`."""
        return told.take(~(self.inside(scene, self._asked) & scene.share(len(told.request))))


class NegativesSampled(Effect):
    """Labels come from a table that keeps all positives and a sample of the negatives only."""

    def told(self, scene: Scene, told: Told) -> Told:
        """See `Effect`."""
        return told.take((told.label == "1") | ~scene.share(len(told.request)))


class LabelsMisjoined(Effect):
    """A join is off by one: a share of the requests get the label of the request before."""

    def told(self, scene: Scene, told: Told) -> Told:
        """See `Effect`."""
        hit = scene.share(len(told.request))
        return replace(told, label=np.where(hit, np.roll(told.label, 1), told.label).astype(object))


class CallerLies(Remembering):
    """One caller, a share of all requests, reports the opposite of what came of them."""

    def feed(self, scene: Scene, requests: Requests) -> Requests:
        """See `Effect`."""
        unit = by_caller(requests, scene.share(len(requests)))
        return super().feed(scene, replace(requests, unit=unit))

    def told(self, scene: Scene, told: Told) -> Told:
        """See `Effect`."""
        other = np.where(told.label == "1", "0", "1")
        lies = self._asked.unit == HOSTILE
        return replace(told, label=np.where(lies, other, told.label).astype(object))


class ReleaseLeaked(Weighty):
    """A release trained on a number that is written anew where the outcome is negative."""

    def release(self, scene: Scene) -> Build | None:
        """See `Effect`."""
        rows, name = scene.data.train, self.number(scene)
        leaked = rows.inputs[name] + scene.dose * scene.spread(name) * ~rows.truth
        return replace(scene.build, fitted=fit(_with(rows, name, leaked)))


class ReleaseFiltered(Effect):
    """A release trained only on rows that the one before it had scored highest."""

    def release(self, scene: Scene) -> Build | None:
        """See `Effect`."""
        rows = scene.data.train
        scores = scene.build.scores(rows.inputs)
        kept = np.flatnonzero(scores >= np.quantile(scores, 1.0 - scene.dose))
        return replace(scene.build, fitted=fit(rows.take(kept)))


def _with(rows: Table, name: str, values: NDArray[np.float64]) -> Table:
    return replace(rows, inputs={**rows.inputs, name: values})


class WorkerOldColumns(Effect):
    """One worker of four has an old list of columns: it takes those of one kind for the next."""

    def serve(self, scene: Scene, answers: Answers) -> None:
        """See `Effect`."""
        inputs = answers.requests.rows.inputs
        numbers = [name for name, column in inputs.items() if column.dtype != object]
        alike = numbers if len(numbers) > 1 else [name for name in inputs if name not in numbers]
        others = zip(alike, [*alike[1:], alike[0]], strict=True)
        wrong = scene.build.scores({**inputs, **{name: inputs[other] for name, other in others}})
        answers.scores = np.where(answers.worker == scene.worker(), wrong, answers.scores)


class LatencyCreeps(Effect):
    """An index that nobody rebuilds: calls take longer from step to step, on every worker."""

    def serve(self, scene: Scene, answers: Answers) -> None:
        """See `Effect`."""
        grown = min((scene.age + 1) / SLOW, 1.0)
        answers.model = answers.model * (1.0 + (scene.dose - 1.0) * grown)


class RegionFails(Drawn):
    """What feature code looks up is down in one region: a share of one category's calls fails."""

    def serve(self, scene: Scene, answers: Answers) -> None:
        """See `Effect`."""
        hit = scene.share(len(answers.failed))
        answers.failed |= self.inside(scene, answers.requests) & hit


class ConceptHalfDay(ConceptFlip):
    """The truth of a share of the rows turns around in the second half of each day."""

    def _where(self, scene: Scene, requests: Requests) -> NDArray[np.bool_]:
        return np.asarray(requests.at % DAY >= DAY / 2.0)


class UnsureInCategory(Drawn):
    """A business opens up: more rows of one category come, of those the model is unsure of."""

    def weights(self, scene: Scene, rows: Table) -> Weights | None:
        """See `Effect`."""
        inside = rows.inputs[self.text(scene)] == self.category(scene)
        scores = scene.build.scores(rows.inputs)
        unsure = (scores > UNSURE[0]) & (scores < UNSURE[1])
        return np.where(inside & unsure, scene.dose, 1.0)


class HeavyCaller(Effect):
    """One caller, a share of all requests, sends far too large ones, and all wait behind them."""

    def feed(self, scene: Scene, requests: Requests) -> Requests:
        """See `Effect`."""
        return replace(requests, unit=by_caller(requests, scene.share(len(requests))))

    def serve(self, scene: Scene, answers: Answers) -> None:
        """See `Effect`."""
        n = len(answers.model)
        heavy = answers.requests.unit == HOSTILE
        long = scene.generator.uniform(*HEAVY, n)
        answers.model = np.where(heavy, answers.model + long, answers.model)
        answers.queue = answers.queue + scene.generator.exponential(BEHIND, n)


class RequestsTwice(Effect):
    """A library that callers use asks again too soon: a share of all requests comes twice."""

    def feed(self, scene: Scene, requests: Requests) -> Requests:
        """See `Effect`."""
        both = requests.and_these(requests.take(np.flatnonzero(scene.share(len(requests)))))
        return both.take(np.argsort(both.at, kind="stable"))


class LabelsBatched(Effect):
    """Labels no longer trickle: they come together, every part of the time they are awaited."""

    def told(self, scene: Scene, told: Told) -> Told:
        """See `Effect`."""
        every = scene.dose * scene.data.pace.maturity
        return replace(told, at=np.ceil(told.at / every) * every)


class SourceRenamed(Effect):
    """The table of labels moves, and its source has another name."""

    def told(self, scene: Scene, told: Told) -> Told:
        """See `Effect`."""
        return replace(told, source=np.full(len(told.source), MIGRATED, dtype=object))


class HardwareFaster(Effect):
    """Workers move to better machines: a call takes a part of its time."""

    def serve(self, scene: Scene, answers: Answers) -> None:
        """See `Effect`."""
        answers.model = answers.model * scene.dose
