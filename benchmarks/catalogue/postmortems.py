"""A second round of faults, as post-mortems of models in production tell of them.

They were written down, with their doses and right causes, before any of them was let loose and
without a look at the signals, so that their first runs are a blind test. Where others are about
the hour of a row and a data set has none, they are about its measured number.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from catalogue.drawn import Drawn, common
from catalogue.effects import HOSTILE, ConceptFlip, Effect, Scene, by_caller
from catalogue.production import wide
from catalogue.releases import Build, Inputs, fit
from catalogue.tables import Table
from catalogue.world import CLIENTS, Answers, Requests, Told

HOURS = 24.0
SLOW = 40
"""Steps in which a slow fault comes to its full dose: most of what a run has left."""
RARE = (0.02, 0.1)
"""Shares of the reference between which a category is rare and yet no accident."""
BACKFILLED = 4
"""Steps that a backfill takes."""
LAUNCHED = "launched-2024"
"""A word of a product that nobody knew before."""
LIKE = 0.02
"""By how much the score of a row of the new product may differ from that of its like."""
AT_ONCE = 0.02
"""Part of the usual delay after which something is recorded that is not known yet."""
ROTATED = 10_000
"""Keys of callers are other ones by so much."""


def _by_another_clock(scene: Scene, inputs: Inputs) -> dict[str, NDArray[np.float64]]:
    """The hour by a clock that is off by the dose in whole hours; the measured number of a data
    set without hours is off by as much within its range, as ages are by another year."""
    off = float(round(scene.dose))
    if "hour" in inputs:
        return {"hour": (inputs["hour"] + off) % HOURS}
    name = scene.data.roles.number
    kept = scene.data.reference.inputs[name]
    return {name: np.clip(inputs[name] + off, np.nanmin(kept), np.nanmax(kept))}


class HoursInUtc(Effect):
    """The service reads the hour in another time zone than training does."""

    def feed(self, scene: Scene, requests: Requests) -> Requests:
        """See `Effect`."""
        return requests.misread(**_by_another_clock(scene, requests.rows.inputs))


class SensorClips(Drawn):
    """A sensor saturates: a number is cut at a quantile of its reference."""

    def feed(self, scene: Scene, requests: Requests) -> Requests:
        """See `Effect`."""
        name = self.drawn(scene, "number", wide(scene))
        most = float(np.nanquantile(scene.data.reference.inputs[name], scene.dose))
        return requests.changed(**{name: np.minimum(requests.rows.inputs[name], most)})


class DefaultsFilled(Drawn):
    """A join loses keys of a share of all rows: half of the columns hold their usual values."""

    def feed(self, scene: Scene, requests: Requests) -> Requests:
        """See `Effect`."""
        inputs, hit = requests.rows.inputs, scene.share(len(requests))
        lost = _half(self, scene)
        return requests.changed(**{n: np.where(hit, _usual(scene, n), inputs[n]) for n in lost})


def _half(fault: Drawn, scene: Scene) -> list[str]:
    """Every second of the columns, which of both drawn by the run."""
    names = list(scene.data.reference.inputs)
    return names[int(fault.drawn(scene, "half", ["0", "1"])) :: 2]


def _usual(scene: Scene, name: str) -> str | float:
    column = scene.data.reference.inputs[name]
    return scene.commonest(name) if column.dtype == object else float(np.nanmedian(column))


class RowsShifted(Drawn):
    """An export slips by a row: half of the columns come from the row before."""

    def feed(self, scene: Scene, requests: Requests) -> Requests:
        """See `Effect`."""
        inputs, slipped = requests.rows.inputs, _half(self, scene)
        return requests.changed(**{name: np.roll(inputs[name], 1) for name in slipped})


class ClientReorders(Effect):
    """A new caller, a share of all requests, sends the columns of one kind in another order."""

    def feed(self, scene: Scene, requests: Requests) -> Requests:
        """See `Effect`."""
        inputs, hit = requests.rows.inputs, scene.share(len(requests))
        numbers = [name for name, column in inputs.items() if column.dtype != object]
        texts = [name for name in inputs if name not in numbers]
        alike = numbers if len(numbers) > 1 else texts
        others = zip(alike, [*alike[1:], alike[0]], strict=True)
        moved = {name: np.where(hit, inputs[other], inputs[name]) for name, other in others}
        return replace(requests.changed(**moved), unit=by_caller(requests, hit))


class Scraper(Effect):
    """One caller, a share of all requests, asks about rows that it makes up of valid values."""

    def __init__(self) -> None:
        self._hit = np.zeros(0, dtype=np.bool_)

    def feed(self, scene: Scene, requests: Requests) -> Requests:
        """See `Effect`."""
        n, inputs = len(requests), requests.rows.inputs
        hit = self._hit = scene.share(n)
        known = scene.data.reference.inputs
        made_up = {name: scene.generator.choice(known[name], n) for name in inputs}
        mixed = {name: np.where(hit, made_up[name], inputs[name]) for name in inputs}
        return replace(requests.changed(**mixed), unit=by_caller(requests, hit))

    def told(self, scene: Scene, told: Told) -> Told:
        """See `Effect`. Of rows that are made up nobody ever learns a truth."""
        return told.take(~self._hit)


class Remembering(Effect):
    """A fault of labels that depends on what was asked."""

    _asked: Requests

    def feed(self, scene: Scene, requests: Requests) -> Requests:
        """See `Effect`."""
        self._asked = requests
        return requests

    def _positive(self, scene: Scene) -> NDArray[np.bool_]:
        """What the model decided."""
        return np.asarray(scene.build.scores(self._asked.rows.inputs) >= 0.5)


class LabelsOfAccepted(Remembering):
    """Of most that the model declines nobody learns the outcome any more."""

    def told(self, scene: Scene, told: Told) -> Told:
        """See `Effect`."""
        return told.take(self._positive(scene) | ~scene.share(len(told.request)))


class LabelsEchoed(Remembering):
    """The model's answers come back as labels: people follow them and record what they did."""

    def told(self, scene: Scene, told: Told) -> Told:
        """See `Effect`."""
        echo = np.where(self._positive(scene), "1", "0")
        label = np.where(scene.share(len(told.request)), echo, told.label)
        return replace(told, label=label.astype(object))


class LabelsPremature(Remembering):
    """What is not known yet is recorded as negative at once, and corrected when it is known."""

    def told(self, scene: Scene, told: Told) -> Told:
        """See `Effect`."""
        at = self._asked.at + AT_ONCE * scene.data.pace.delay
        negative = np.full(len(at), "0", dtype=object)
        early = replace(told, label=negative, at=np.minimum(at, told.at))
        return early.take(scene.share(len(at))).and_these(told)


class NodeInUtc(Effect):
    """Two workers of four run on a node whose clock is in another time zone, and misread hours."""

    def serve(self, scene: Scene, answers: Answers) -> None:
        """See `Effect`."""
        inputs = answers.requests.rows.inputs
        misread = {**inputs, **_by_another_clock(scene, inputs)}
        mine = np.isin(answers.worker.astype(str), scene.node.of(scene.stable)[:2])
        answers.scores = np.where(mine, scene.build.scores(misread), answers.scores)


class WorkerPauses(Effect):
    """One worker of four collects garbage: a share of its calls waits for long."""

    def serve(self, scene: Scene, answers: Answers) -> None:
        """See `Effect`."""
        n = len(answers.model)
        long = 0.2 + 0.8 * scene.generator.random(n)
        hit = (answers.worker == scene.worker()) & scene.share(n)
        answers.model = np.where(hit, answers.model + long, answers.model)


class LookupsFail(Effect):
    """What feature code looks up refuses a share of all calls, on every worker."""

    def serve(self, scene: Scene, answers: Answers) -> None:
        """See `Effect`."""
        answers.failed |= scene.share(len(answers.failed))


class ConceptInRarity(Drawn, ConceptFlip):
    """The truth turns around in a rare category."""

    def _where(self, scene: Scene, requests: Requests) -> NDArray[np.bool_]:
        inputs = scene.data.reference.inputs
        texts = [name for name, column in inputs.items() if column.dtype == object]
        name = self.drawn(scene, "text", [name for name in texts if _rare(inputs[name])])
        inside = requests.rows.inputs[name] == self.drawn(scene, "category", _rare(inputs[name]))
        return np.asarray(inside, dtype=np.bool_)


def _rare(words: NDArray[np.object_]) -> list[str]:
    names, counts = np.unique(words[words != None].astype(str), return_counts=True)  # noqa: E711
    shares = counts / len(words)
    return [str(name) for name in names[(shares >= RARE[0]) & (shares < RARE[1])]]


class Decay(Effect):
    """The world moves on over weeks: the truth of ever more rows turns around."""

    def world(self, scene: Scene, requests: Requests) -> Requests:
        """See `Effect`."""
        share = scene.dose * min((scene.age + 1) / SLOW, 1.0)
        hit = scene.generator.random(len(requests)) < share
        return replace(requests, rows=replace(requests.rows, truth=requests.rows.truth ^ hit))


class ReleaseRebalanced(Effect):
    """A release that was fitted to a sample with far more positive rows than there are."""

    def release(self, scene: Scene) -> Build | None:
        """See `Effect`."""
        rows = scene.data.train
        odds = np.where(rows.truth, scene.dose, 1.0)
        drawn = scene.generator.choice(len(rows), len(rows), p=odds / odds.sum())
        return replace(scene.build, fitted=fit(rows.take(drawn)))


class Backfill(Effect):
    """A job asks for some steps about old rows, a multiple of all requests; nobody labels them."""

    def __init__(self) -> None:
        self._old = np.zeros(0, dtype=np.bool_)

    def feed(self, scene: Scene, requests: Requests) -> Requests:
        """See `Effect`."""
        n = round(scene.dose * len(requests)) if scene.age < BACKFILLED else 0
        places = scene.generator.integers(0, len(scene.data.train), n)
        old = asked_of(scene, requests, scene.data.train.take(places))
        old = replace(old, unit=np.full(n, HOSTILE, dtype=np.uint64))
        order, self._old = mixed(requests, old)
        return requests.and_these(old).take(order)

    def told(self, scene: Scene, told: Told) -> Told:
        """See `Effect`."""
        return told.take(~self._old)


def asked_of(scene: Scene, requests: Requests, rows: Table) -> Requests:
    """Requests for `rows` at the times of others, by callers that there are."""
    n = len(rows)
    unit = scene.generator.integers(1000, 1000 + CLIENTS, n).astype(np.uint64)
    return Requests(rows, rows.inputs, scene.generator.choice(requests.at, n), unit)


def mixed(requests: Requests, others: Requests) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The order of both by time, and which of them are `others` in that order."""
    order = np.argsort(np.concatenate([requests.at, others.at]), kind="stable")
    return order, order >= len(requests)


class Launch(Drawn):
    """A new product: more rows come, with a word that is new, and as easy as their like."""

    def feed(self, scene: Scene, requests: Requests) -> Requests:
        """See `Effect`."""
        known, name = scene.data.reference, self._launched(scene)
        tried = known.take(scene.generator.integers(0, len(known), 4 * len(requests)))
        word = np.full(len(tried), LAUNCHED, dtype=object)
        named = replace(tried, inputs={**tried.inputs, name: word})
        before, after = (scene.build.scores(each.inputs) for each in (tried, named))
        alike = np.flatnonzero(np.abs(before - after) < LIKE)
        new = named.take(alike[: round(scene.dose * len(requests))])
        others = asked_of(scene, requests, new)
        return requests.and_these(others).take(mixed(requests, others)[0])

    def _launched(self, scene: Scene) -> str:
        """The text whose words matter least to the model."""
        known = scene.data.reference
        texts = [name for name, column in known.inputs.items() if len(_words(column)) > 1]
        return min(texts, key=lambda name: _matters(scene, name))


def _words(column: NDArray[np.object_]) -> list[str]:
    return common(column) if column.dtype == object else []


def _matters(scene: Scene, name: str) -> float:
    """By how much scores of the first reference rows differ with a word that is new."""
    rows = scene.data.reference.take(np.arange(1000))
    new = {**rows.inputs, name: np.full(len(rows), LAUNCHED, dtype=object)}
    return float(np.abs(scene.build.scores(new) - scene.build.scores(rows.inputs)).mean())


class KeysRotated(Effect):
    """All callers get new keys, and ask what they asked."""

    def feed(self, scene: Scene, requests: Requests) -> Requests:
        """See `Effect`."""
        return replace(requests, unit=requests.unit + np.uint64(ROTATED))


class LabelsSooner(Remembering):
    """Labels come in a part of the time that they took."""

    def told(self, scene: Scene, told: Told) -> Told:
        """See `Effect`."""
        asked = self._asked.at
        return replace(told, at=asked + scene.dose * (told.at - asked))
