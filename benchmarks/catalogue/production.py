"""Faults as those who run models in production tell of them, and changes that are none.

They were written down, with their doses and right causes, before any of them was let loose and
without a look at the signals, so that their first runs are a blind test.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from catalogue.drawn import Drawn, common
from catalogue.effects import ConceptFlip, Effect, Scene, Weights, by_caller
from catalogue.releases import Build, fit
from catalogue.tables import Table
from catalogue.world import Answers, Requests, Told

EVERY = 3
"""A fault that comes and goes is there in one step of so many."""
SLOW = 40
"""Steps in which a slow fault comes to its full dose: most of what a run has left."""
TAKEN_OVER = 0.3
"""Share of the labels that a new annotator gives."""
ANNOTATOR = "annotator"


def wide(scene: Scene) -> list[str]:
    """Columns of numbers of which the middle half of the rows are not all the same."""
    columns = scene.data.reference.inputs.items()
    numbers = [(name, column) for name, column in columns if column.dtype != object]
    return [
        name
        for name, column in numbers
        if np.unique(column).size > 8 and np.ptp(np.nanquantile(column, (0.25, 0.75))) > 0.0
    ]


class Swapped(Drawn):
    """Two columns of one kind come in each other's place in a share of all rows."""

    def feed(self, scene: Scene, requests: Requests) -> Requests:
        """See `Effect`."""
        one, two = self._pair(scene)
        hit, inputs = scene.share(len(requests)), requests.rows.inputs
        first = np.where(hit, inputs[two], inputs[one])
        return requests.changed(**{one: first, two: np.where(hit, inputs[one], inputs[two])})

    def _pair(self, scene: Scene) -> tuple[str, str]:
        inputs = scene.data.reference.inputs
        numbers = wide(scene)
        texts = [name for name, column in inputs.items() if column.dtype == object]
        alike = numbers if len(numbers) > 1 else [n for n in texts if len(common(inputs[n])) > 1]
        one = self.drawn(scene, "one", alike)
        return one, self.drawn(scene, "two", [name for name in alike if name != one])


class ComesAndGoes(Effect):
    """The online store knows 0 instead of a number for most rows, in every third step only."""

    def feed(self, scene: Scene, requests: Requests) -> Requests:
        """See `Effect`."""
        if scene.age % EVERY:
            return requests
        name, hit = scene.data.roles.number, scene.share(len(requests))
        return requests.misread(**{name: np.where(hit, 0.0, requests.rows.inputs[name])})


class Rounded(Drawn):
    """A number comes rounded to multiples of the dose in standard deviations."""

    def feed(self, scene: Scene, requests: Requests) -> Requests:
        """See `Effect`."""
        name = self.drawn(scene, "number", wide(scene))
        grain = scene.dose * scene.spread(name)
        return requests.changed(**{name: np.round(requests.rows.inputs[name] / grain) * grain})


class WordsCut(Drawn):
    """A source cuts the words of a column to half of their length, in a share of all rows."""

    def feed(self, scene: Scene, requests: Requests) -> Requests:
        """See `Effect`."""
        name, hit = self._long(scene), scene.share(len(requests))
        words = requests.rows.inputs[name]
        cut = np.array([_half(word) for word in words.tolist()], dtype=object)
        return requests.changed(**{name: np.where(hit, cut, words)})

    def _long(self, scene: Scene) -> str:
        inputs = scene.data.reference.inputs
        texts = [name for name, column in inputs.items() if column.dtype == object]
        long = [n for n in texts if any(len(word) > 1 for word in common(inputs[n]))]
        return self.drawn(scene, "text", long)


def _half(word: str | None) -> str | None:
    return word if word is None else word[: (len(word) + 1) // 2]


class CodesShuffled(Drawn):
    """The words of a column are numbered anew: each common one comes in the place of another."""

    def feed(self, scene: Scene, requests: Requests) -> Requests:
        """See `Effect`."""
        name = self.text(scene)
        known = common(scene.data.reference.inputs[name])
        other = dict(zip(known, [*known[1:], known[0]], strict=True))
        words = requests.rows.inputs[name]
        shuffled = np.array([other.get(word, word) for word in words.tolist()], dtype=object)
        return requests.changed(**{name: np.where(scene.share(len(words)), shuffled, words)})


class SensorDrifts(Effect):
    """A sensor loses its calibration: a number moves away step by step."""

    def feed(self, scene: Scene, requests: Requests) -> Requests:
        """See `Effect`."""
        name = scene.data.roles.number
        moved = scene.dose * scene.spread(name) * min((scene.age + 1) / SLOW, 1.0)
        return requests.changed(**{name: requests.rows.inputs[name] + moved})


class Redefined(ConceptFlip):
    """The definition of the label is widened: a share of what was negative counts as positive."""

    def _where(self, scene: Scene, requests: Requests) -> NDArray[np.bool_]:
        return ~requests.rows.truth


class PositivesLate(Effect):
    """Positive labels take longer, by a multiple of the time for which labels are awaited."""

    def told(self, scene: Scene, told: Told) -> Told:
        """See `Effect`."""
        longer = scene.dose * scene.data.pace.maturity
        return replace(told, at=np.where(told.label == "1", told.at + longer, told.at))


class AnnotatorErrs(Effect):
    """A new annotator takes over a part of the labels, and most of hers are wrong."""

    def told(self, scene: Scene, told: Told) -> Told:
        """See `Effect`."""
        n = len(told.request)
        hers = scene.generator.random(n) < TAKEN_OVER
        other = np.where(told.label == "1", "0", "1")
        label = np.where(hers & scene.share(n), other, told.label).astype(object)
        source = np.where(hers, ANNOTATOR, told.source).astype(object)
        return replace(told, label=label, source=source)


class CandidateMisreads(Effect):
    """The feature code of a release that is as good as the one before loses a number online."""

    def release(self, scene: Scene) -> Build | None:
        """See `Effect`."""
        return replace(scene.build, fitted=fit(scene.data.train, seed=1))

    def serve(self, scene: Scene, answers: Answers) -> None:
        """See `Effect`."""
        inputs, name = answers.requests.rows.inputs, scene.data.roles.number
        old = np.isin(answers.worker.astype(str), scene.node.of(scene.stable))
        hit = scene.share(len(old)) & ~old
        lost = {**inputs, name: np.where(hit, np.nan, inputs[name])}
        answers.scores = np.where(hit, scene.build.scores(lost), answers.scores)


class Pauses(Effect):
    """All workers stop for a moment now and then: a small share of the calls waits for long."""

    def serve(self, scene: Scene, answers: Answers) -> None:
        """See `Effect`."""
        n = len(answers.model)
        long = 0.2 + 0.8 * scene.generator.random(n)
        answers.model = np.where(scene.share(n), answers.model + long, answers.model)


class RetryLoop(Effect):
    """One caller sends the same row again and again, as a share of all requests."""

    def __init__(self) -> None:
        self._row: Requests | None = None

    def feed(self, scene: Scene, requests: Requests) -> Requests:
        """See `Effect`."""
        row = self._row = self._row or requests.take(np.array([0]))
        hit, inputs = scene.share(len(requests)), requests.rows.inputs
        same = {name: np.where(hit, row.rows.inputs[name], inputs[name]) for name in inputs}
        made = requests.changed(**same)
        truth = np.where(hit, row.rows.truth, made.rows.truth)
        return replace(made, rows=replace(made.rows, truth=truth), unit=by_caller(requests, hit))


class Campaign(Drawn):
    """A campaign brings more rows of one category, as easy as the others."""

    def weights(self, scene: Scene, rows: Table) -> Weights | None:
        """See `Effect`."""
        inside = rows.inputs[self.text(scene)] == self.category(scene)
        odds = np.where(inside, scene.dose, 1.0)
        alike = np.floor(scene.build.scores(rows.inputs) * 40.0)
        for each in np.unique(alike):
            odds[alike == each] /= odds[alike == each].mean()
        return np.asarray(odds)


class TrafficFalls(Effect):
    """Holidays: only a share of the requests comes."""

    def feed(self, scene: Scene, requests: Requests) -> Requests:
        """See `Effect`."""
        return requests.take(np.flatnonzero(scene.share(len(requests))))


class CallerMovesIn(Effect):
    """A share of the callers goes through one gateway from now on, and asks what it asked."""

    def feed(self, scene: Scene, requests: Requests) -> Requests:
        """See `Effect`."""
        return replace(requests, unit=by_caller(requests, scene.share(len(requests))))


class LabelsConfirmed(Effect):
    """Another source confirms a share of the labels some time after they came."""

    def told(self, scene: Scene, told: Told) -> Told:
        """See `Effect`."""
        hit = told.take(scene.share(len(told.request)))
        source = np.full(len(hit.request), ANNOTATOR, dtype=object)
        later = hit.at + 0.2 * scene.data.pace.delay
        return told.and_these(replace(hit, at=later, source=source))


class SinglePrecision(Effect):
    """The online store keeps numbers in single precision."""

    def feed(self, scene: Scene, requests: Requests) -> Requests:
        """See `Effect`."""
        inputs = requests.rows.inputs
        numbers = {name: column for name, column in inputs.items() if column.dtype != object}
        kept = {name: column.astype(np.float32) for name, column in numbers.items()}
        return requests.misread(**{n: column.astype(np.float64) for n, column in kept.items()})
