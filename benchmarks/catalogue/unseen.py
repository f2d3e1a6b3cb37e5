"""Faults that were written before the causes were last changed, and let loose only after that.

The column or category that they are about is drawn by the run's seed. What `StaleInSegment`,
`WordsInRange` and `LabelsDenied` showed was learned from since (marked ‡ in the catalogue).
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from catalogue.drawn import RIVAL, Drawn
from catalogue.effects import ConceptFlip, Effect, Scene
from catalogue.releases import Build, fit
from catalogue.world import Answers, Requests, Told


class StaleInSegment(Drawn):
    """A cache goes on answering with one number, in the rows of one category only."""

    def feed(self, scene: Scene, requests: Requests) -> Requests:
        """See `Effect`."""
        name, hit = self.number(scene), self.inside(scene, requests)
        last = float(np.nanquantile(scene.data.reference.inputs[name], scene.dose))
        values = np.where(hit, last, requests.rows.inputs[name])
        return requests.changed(**{name: values})


class WordsInRange(Drawn):
    """One source spells the words of a column otherwise: where a number lies in its upper part."""

    def feed(self, scene: Scene, requests: Requests) -> Requests:
        """See `Effect`."""
        name, number = self.text(scene), self.number(scene)
        border = np.nanquantile(scene.data.reference.inputs[number], scene.dose)
        hit = requests.rows.inputs[number] >= border
        words = requests.rows.inputs[name]
        spelled = [word if word is None else f" {word.lower()}" for word in words.tolist()]
        return requests.changed(**{name: np.where(hit, np.array(spelled, dtype=object), words)})


class ConceptInRange(Drawn, ConceptFlip):
    """The truth turns around where a number is among the largest of the reference."""

    def _where(self, scene: Scene, requests: Requests) -> NDArray[np.bool_]:
        name = self.number(scene)
        border = np.nanquantile(scene.data.reference.inputs[name], 0.8)
        return np.asarray(requests.rows.inputs[name] >= border, dtype=np.bool_)


class SkewInSegment(Drawn):
    """The online store computes a number otherwise than training does, in one category only."""

    def feed(self, scene: Scene, requests: Requests) -> Requests:
        """See `Effect`."""
        name, hit = self.number(scene), self.inside(scene, requests)
        kept, values = scene.data.reference.inputs[name], requests.rows.inputs[name]
        moved = values + scene.dose * scene.spread(name)
        moved = np.clip(moved, np.nanmin(kept), np.nanmax(kept))
        return requests.misread(**{name: np.where(hit, moved, values)})


class NodeSlow(Effect):
    """A node with two workers of four is slow: its processors are throttled."""

    def serve(self, scene: Scene, answers: Answers) -> None:
        """See `Effect`."""
        mine = np.isin(answers.worker.astype(str), scene.node.of(scene.stable)[2:])
        answers.model = np.where(mine, answers.model * scene.dose, answers.model)


class LookupStalls(Drawn):
    """What feature code looks up for the rows of one category takes its time."""

    def serve(self, scene: Scene, answers: Answers) -> None:
        """See `Effect`."""
        hit = self.inside(scene, answers.requests)
        stalled = scene.dose * scene.generator.exponential(1.0, len(hit))
        answers.model = np.where(hit, answers.model + stalled, answers.model)


class ReleaseWorseInSegment(Drawn):
    """A release whose labels were joined wrongly for most training rows of one category."""

    def release(self, scene: Scene) -> Build | None:
        """See `Effect`."""
        rows = scene.data.train
        inside = rows.inputs[self.text(scene)] == self.category(scene)
        wrong = rows.truth ^ (np.asarray(inside, dtype=np.bool_) & scene.share(len(rows)))
        return replace(scene.build, fitted=fit(replace(rows, truth=wrong)))


class LabelsDenied(Effect):
    """Another source denies a share of the positive labels soon after they came."""

    def told(self, scene: Scene, told: Told) -> Told:
        """See `Effect`."""
        hit = told.take((told.label == "1") & scene.share(len(told.request)))
        return told.and_these(
            replace(
                hit,
                label=np.full(len(hit.request), "0", dtype=object),
                at=hit.at + 0.1 * scene.data.pace.delay,
                source=np.full(len(hit.request), RIVAL, dtype=object),
            )
        )
