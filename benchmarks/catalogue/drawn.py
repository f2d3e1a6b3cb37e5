"""Faults whose column or category is drawn by the run's seed: no role of the data set says
beforehand which.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from catalogue.effects import ConceptFlip, Effect, Scene, by_caller
from catalogue.world import Answers, Requests, Told

LEAST = 0.1
"""Categories of a smaller share of the reference are drawn by no fault: few would be harmed."""
GROWING = 10
"""Steps in which a slow fault comes to its full dose."""
RIVAL = "ledger"
"""A source of labels that contradicts the other one."""


class Drawn(Effect):
    """A fault whose place is drawn when it begins."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def number(self, scene: Scene) -> str:
        """A column of numbers that takes some values."""
        inputs = scene.data.reference.inputs
        numbers = [name for name, column in inputs.items() if column.dtype != object]
        varied = [name for name in numbers if np.unique(inputs[name]).size > 8]
        return self.drawn(scene, "number", varied)

    def text(self, scene: Scene) -> str:
        """A column of texts with two categories or more that are common."""
        inputs = scene.data.reference.inputs
        texts = [name for name, column in inputs.items() if column.dtype == object]
        return self.drawn(scene, "text", [name for name in texts if len(common(inputs[name])) > 1])

    def category(self, scene: Scene) -> str:
        """A common category of that column."""
        names = common(scene.data.reference.inputs[self.text(scene)])
        return self.drawn(scene, "category", names)

    def inside(self, scene: Scene, requests: Requests) -> NDArray[np.bool_]:
        """Rows of that category."""
        column = requests.rows.inputs[self.text(scene)]
        return np.asarray(column == self.category(scene), dtype=np.bool_)

    def drawn(self, scene: Scene, what: str, names: list[str]) -> str:
        """One of `names`, the same whenever it is asked for `what` again."""
        if what not in self._names:
            self._names[what] = names[int(scene.generator.integers(len(names)))]
        return self._names[what]


def common(words: NDArray[np.object_]) -> list[str]:
    """Categories of a text that are no rarity, in alphabetical order."""
    names, counts = np.unique(words[words != None].astype(str), return_counts=True)  # noqa: E711
    return [str(name) for name in names[counts >= LEAST * len(words)]]


class UnitInSegment(Drawn):
    """A number comes in another unit from one source: in the rows of one category only."""

    def feed(self, scene: Scene, requests: Requests) -> Requests:
        """See `Effect`."""
        name = self.number(scene)
        values, hit = requests.rows.inputs[name], self.inside(scene, requests)
        return requests.changed(**{name: np.where(hit, values * scene.dose, values)})


class ColumnLost(Drawn):
    """A number is missing in a share of all rows."""

    def feed(self, scene: Scene, requests: Requests) -> Requests:
        """See `Effect`."""
        name, hit = self.number(scene), scene.share(len(requests))
        return requests.changed(**{name: np.where(hit, np.nan, requests.rows.inputs[name])})


class JoinedWrongly(Drawn):
    """The online store looks a number up by a wrong key: a share of rows get that of another."""

    def feed(self, scene: Scene, requests: Requests) -> Requests:
        """See `Effect`."""
        name, hit = self.number(scene), scene.share(len(requests))
        values = requests.rows.inputs[name]
        other = values[scene.generator.permutation(len(values))]
        return requests.misread(**{name: np.where(hit, other, values)})


class ConceptMoves(Drawn, ConceptFlip):
    """The truth turns around in one category, step by step, until the full dose is reached."""

    def world(self, scene: Scene, requests: Requests) -> Requests:
        """See `Effect`."""
        share = scene.dose * min((scene.age + 1) / GROWING, 1.0)
        hit = self.inside(scene, requests) & (scene.generator.random(len(requests)) < share)
        return replace(requests, rows=replace(requests.rows, truth=requests.rows.truth ^ hit))


class NodeFails(Effect):
    """A node with two workers of four fails a share of what it is asked."""

    def serve(self, scene: Scene, answers: Answers) -> None:
        """See `Effect`."""
        mine = np.isin(answers.worker.astype(str), scene.node.of(scene.stable)[:2])
        answers.failed |= mine & scene.share(len(answers.failed))


class DiskStalls(Effect):
    """The disk stalls: work waits for it, calls take longer, and some fail."""

    def serve(self, scene: Scene, answers: Answers) -> None:
        """See `Effect`."""
        n = len(answers.model)
        answers.model = answers.model + scene.dose * scene.generator.exponential(1.0, n)
        answers.failed |= scene.generator.random(n) < 0.03

    def machine(self, scene: Scene) -> None:
        """See `Effect`."""
        scene.host.waiting["io"] = 0.8


class ClientUndefined(Drawn):
    """One caller sends a word that nobody ever sent, in a column of texts."""

    def feed(self, scene: Scene, requests: Requests) -> Requests:
        """See `Effect`."""
        name, hit = self.text(scene), scene.share(len(requests))
        values = np.where(hit, "undefined", requests.rows.inputs[name])
        return replace(requests.changed(**{name: values}), unit=by_caller(requests, hit))


class LabelsTakenBack(Effect):
    """Another source contradicts a share of the labels some time after they came."""

    def told(self, scene: Scene, told: Told) -> Told:
        """See `Effect`."""
        hit = told.take(scene.share(len(told.request)))
        return told.and_these(
            replace(
                hit,
                label=np.where(hit.label == "1", "0", "1").astype(object),
                at=hit.at + 0.2 * scene.data.pace.delay,
                source=np.full(len(hit.request), RIVAL, dtype=object),
            )
        )
