"""A fourth round of faults, of what breaks around models in production rather than in them.

They were written down, with their doses and right causes, before any of them was let loose and
without a look at signals and causes, so that their first runs are a blind test. Behind them are
vocabularies that a source consolidates, counters that overflow, positives that learn to look like
others, exports of labels whose spelling or sense changes, values that are complete in training and
not yet when they are served, an export that breaks off, buffers that workers share, arithmetic that
a machine falls back to, a table that is rebuilt at noon, and queues.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from catalogue.drawn import GROWING, Drawn, common
from catalogue.effects import HOSTILE, Effect, Environment, Scene, Weights
from catalogue.incidents import Weighty
from catalogue.postmortems import asked_of, mixed
from catalogue.production import wide
from catalogue.releases import Build, fit
from catalogue.tables import DAY, Table
from catalogue.world import Answers, Requests, Told

TRIED = 2000
"""Rows of the reference, far from each other, that tell what matters to the model."""
BEHIND = 0.03
"""Seconds that requests wait on average where one caller asks as much as all others."""
BANDS = 10
"""Parts of a number, as many rows in each, that keep their shares."""
EVERY = 3
"""A queue is held up in one step of so many."""
CAUGHT_UP = 0.25
"""Part of the next step in which what was held up comes."""
SPELT = {"0": "no", "1": "yes"}
"""Another spelling of labels, which means the same to people."""


def _spread_out(rows: Table) -> Table:
    """Some rows from all over a table."""
    return rows.take(np.arange(min(TRIED, len(rows))) * max(len(rows) // TRIED, 1))


class WordsMerged(Effect):
    """Two words of a column are made one by its source: one comes as the other from now on."""

    def __init__(self) -> None:
        self._merged: tuple[str, str, str] | None = None

    def feed(self, scene: Scene, requests: Requests) -> Requests:
        """See `Effect`."""
        self._merged = self._merged or _weightiest(scene)
        name, gone, kept = self._merged
        words = requests.rows.inputs[name]
        hit = (words == gone) & scene.share(len(words))
        return requests.changed(**{name: np.where(hit, kept, words)})


def _weightiest(scene: Scene) -> tuple[str, str, str]:
    """The column, and of its common words the two, whose merging moves scores most."""
    rows = _spread_out(scene.data.reference)
    usual = scene.build.scores(rows.inputs)

    def moved(merged: tuple[str, str, str]) -> float:
        name, gone, kept = merged
        words = rows.inputs[name]
        other = {**rows.inputs, name: np.where(words == gone, kept, words)}
        return float(np.abs(scene.build.scores(other) - usual).mean())

    return max(_pairs(rows), key=moved)


def _pairs(rows: Table) -> Iterator[tuple[str, str, str]]:
    for name, column in rows.inputs.items():
        words = common(column) if column.dtype == object else []
        yield from ((name, gone, kept) for gone in words for kept in words if gone != kept)


class CounterWraps(Weighty):
    """A number is kept in too small a type: what passes the largest begins at the least again."""

    def feed(self, scene: Scene, requests: Requests) -> Requests:
        """See `Effect`."""
        name = self.number(scene)
        known, values = scene.data.reference.inputs[name], requests.rows.inputs[name]
        least = float(np.nanmin(known))
        room = float(np.nanquantile(known[known > least], scene.dose)) - least
        return requests.changed(**{name: least + np.mod(values - least, room)})


class Mimicry(Effect):
    """Positives learn to look like others: a share of them come with the inputs of a negative."""

    def world(self, scene: Scene, requests: Requests) -> Requests:
        """See `Effect`."""
        truth, inputs = requests.rows.truth, requests.rows.inputs
        models = np.flatnonzero(~truth)
        if not len(models):
            return requests
        whose = scene.generator.choice(models, len(truth))
        hit = truth & scene.share(len(truth))
        return requests.changed(**{n: np.where(hit, c[whose], c) for n, c in inputs.items()})


class HardMarketGrows(Effect):
    """The business grows step by step where the model always erred most: in one category."""

    def __init__(self) -> None:
        self._where: tuple[str, str] | None = None

    def weights(self, scene: Scene, rows: Table) -> Weights | None:
        """See `Effect`."""
        self._where = self._where or _hardest(scene)
        name, word = self._where
        grown = scene.dose ** min((scene.age + 1) / GROWING, 1.0)
        return np.where(rows.inputs[name] == word, grown, 1.0)


def _hardest(scene: Scene) -> tuple[str, str]:
    """The column, and of its common words the one, of whose rows most are decided wrongly."""
    rows = scene.data.reference
    wrong = (scene.build.scores(rows.inputs) >= 0.5) != rows.truth
    texts = [(name, column) for name, column in rows.inputs.items() if column.dtype == object]
    places = [(name, word) for name, column in texts for word in common(column)]
    return max(places, key=lambda at: float(wrong[rows.inputs[at[0]] == at[1]].mean()))


class GoesTogether(Drawn):
    """Two columns go together more closely than they did: each as it was, and rows as easy."""

    def weights(self, scene: Scene, rows: Table) -> Weights | None:
        """See `Effect`."""
        one, two = (self._place(scene, rows, which) for which in ("one", "two"))
        odds = np.exp(scene.dose * _centred(one) * _centred(two))
        bands = [_bands(one), _bands(two), np.floor(scene.build.scores(rows.inputs) * 40.0)]
        for band in bands * 5:
            for each in np.unique(band):
                odds[band == each] /= odds[band == each].mean()
        return np.asarray(odds)

    def _place(self, scene: Scene, rows: Table, which: str) -> NDArray[np.float64]:
        """A column as numbers: of a number itself, of a text whether it is its commonest word."""
        texts = [n for n, c in scene.data.reference.inputs.items() if c.dtype == object]
        names = wide(scene) if len(wide(scene)) > 1 else [*wide(scene), *texts]
        taken = self._names.get("one") if which == "two" else None
        name = self.drawn(scene, which, [each for each in names if each != taken])
        column = rows.inputs[name]
        if column.dtype == object:
            return np.asarray(column == scene.commonest(name), dtype=np.float64)
        return np.asarray(np.nan_to_num(column, nan=float(np.nanmedian(column))))


def _centred(values: NDArray[np.float64]) -> NDArray[np.float64]:
    spread = max(float(values.std()), 1e-9)
    return np.asarray(np.clip((values - values.mean()) / spread, -2.0, 2.0))


def _bands(values: NDArray[np.float64]) -> NDArray[np.int64]:
    borders = np.unique(np.quantile(values, np.arange(1, BANDS) / BANDS))
    return np.asarray(np.searchsorted(borders, values, side="right"))


class LabelsRespelt(Effect):
    """A new version of the export of labels writes yes and no, in a share of all labels."""

    def told(self, scene: Scene, told: Told) -> Told:
        """See `Effect`."""
        hit = scene.share(len(told.request))
        spelt = np.array([SPELT[label] for label in told.label.tolist()], dtype=object)
        return replace(told, label=np.where(hit, spelt, told.label).astype(object))


class LabelsInverted(Effect):
    """The export of labels now answers the opposite question: almost every label is inverted."""

    def told(self, scene: Scene, told: Told) -> Told:
        """See `Effect`."""
        other = np.where(told.label == "1", "0", "1")
        label = np.where(scene.share(len(told.request)), other, told.label)
        return replace(told, label=label.astype(object))


class CountedSoFar(Weighty):
    """Training knows a number of the whole day; served is what of it had come until the request."""

    def feed(self, scene: Scene, requests: Requests) -> Requests:
        """See `Effect`."""
        name = self.number(scene)
        least = float(np.nanmin(scene.data.reference.inputs[name]))
        passed = requests.at % DAY / DAY
        come = 1.0 - scene.dose * (1.0 - passed)
        return requests.misread(**{name: least + (requests.rows.inputs[name] - least) * come})


class ReleaseTruncated(Effect):
    """A release that was fitted to the first rows only: the export of its data broke off."""

    def release(self, scene: Scene) -> Build | None:
        """See `Effect`."""
        first = scene.data.train.take(np.arange(round(scene.dose * len(scene.data.train))))
        return replace(scene.build, fitted=fit(first))


class WorkerMixesUp(Effect):
    """One worker of four shares a buffer between calls: most answers are of the call before."""

    def serve(self, scene: Scene, answers: Answers) -> None:
        """See `Effect`."""
        mine = np.flatnonzero(answers.worker == scene.worker())
        before = np.roll(answers.scores[mine], 1)
        answers.scores[mine] = np.where(scene.share(len(mine)), before, answers.scores[mine])


class EngineRounds(Environment):
    """The engine falls back to coarse integers under each worker from its next start on."""

    def serve(self, scene: Scene, answers: Answers) -> None:
        """See `Effect`."""
        known = np.clip(answers.scores, 1e-6, 1.0 - 1e-6)
        odds = np.round(np.log(known / (1.0 - known)) / scene.dose) * scene.dose
        hit = np.isin(answers.worker.astype(str), self._changed(scene))
        answers.scores = np.where(hit, 1.0 / (1.0 + np.exp(-odds)), answers.scores)


class RebuiltAtNoon(Effect):
    """What feature code looks up is rebuilt every day at noon, and all calls fail meanwhile."""

    def serve(self, scene: Scene, answers: Answers) -> None:
        """See `Effect`."""
        since = answers.requests.at % DAY - DAY / 2.0
        answers.failed |= (since >= 0.0) & (since < scene.dose * 3600.0)


class Flood(Effect):
    """One caller asks a multiple of what all others ask, valid rows, and all wait in the queue."""

    def __init__(self) -> None:
        self._more = np.zeros(0, dtype=np.bool_)

    def feed(self, scene: Scene, requests: Requests) -> Requests:
        """See `Effect`."""
        n, known = round(scene.dose * len(requests)), scene.data.reference
        rows = known.take(scene.generator.integers(0, len(known), n))
        asked = asked_of(scene, requests, rows)
        flood = replace(asked, unit=np.full(n, HOSTILE, dtype=np.uint64))
        order, self._more = mixed(requests, flood)
        return requests.and_these(flood).take(order)

    def serve(self, scene: Scene, answers: Answers) -> None:
        """See `Effect`."""
        waited = scene.generator.exponential(BEHIND * scene.dose, len(answers.queue))
        answers.queue = answers.queue + waited

    def told(self, scene: Scene, told: Told) -> Told:
        """See `Effect`. Nobody follows up what this caller asks."""
        return told.take(~self._more)


class Backlog(Effect):
    """The queue before the service is held up now and then: what waited comes all at once later."""

    def __init__(self) -> None:
        self._waiting: Requests | None = None

    def feed(self, scene: Scene, requests: Requests) -> Requests:
        """See `Effect`."""
        come = requests
        if scene.age % EVERY == 0:
            held = scene.share(len(requests))
            self._waiting = requests.take(np.flatnonzero(held))
            come = requests.take(np.flatnonzero(~held))
        elif self._waiting is not None:
            come = requests.and_these(_later(scene, self._waiting, requests))
            self._waiting = None
        return come.take(np.argsort(come.at, kind="stable"))


def _later(scene: Scene, waiting: Requests, requests: Requests) -> Requests:
    """What waited, at the beginning of the step of `requests`."""
    step = scene.data.pace.step
    begin = np.floor(requests.at.min() / step) * step
    came = begin + CAUGHT_UP * step * scene.generator.random(len(waiting))
    return replace(waiting, at=came)
