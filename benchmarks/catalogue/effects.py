"""What a fault does: each effect is a small change of what passes through the simulated world.

An effect overrides the few places where it works; all others let things pass as they are.
"""

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from catalogue.releases import Build, fit
from catalogue.tables import DataSet, Table
from catalogue.world import MEBI, Answers, Requests, SimulatedNode, Told, VirtualHost
from trimtab.domain.names import Digest

Weights = NDArray[np.float64]


@dataclass
class Scene:
    """Where a fault happens. `age` counts the steps since it began, `dose` says how strong it is.

    `build` is the release that serves when it begins, `stable` its digest.
    """

    data: DataSet
    build: Build
    stable: Digest
    node: SimulatedNode
    host: VirtualHost
    generator: np.random.Generator
    dose: float
    age: int = 0

    def share(self, n: int) -> NDArray[np.bool_]:
        """Each of `n` with the chance of the dose."""
        return self.generator.random(n) < self.dose

    def spread(self, column: str) -> float:
        """Standard deviation of a number on the reference."""
        return float(np.nanstd(self.data.reference.inputs[column]))

    def commonest(self, column: str) -> str:
        """The commonest category of a text on the reference."""
        words = self.data.reference.inputs[column]
        names, counts = np.unique(words[words != None].astype(str), return_counts=True)  # noqa: E711
        return str(names[np.argmax(counts)])

    def worker(self) -> str:
        """The one worker that a fault is about."""
        return self.node.of(self.stable)[0]


class Effect:
    """Nothing happens. The order of the methods is the way of a request."""

    strategy: ClassVar[str] = "canary"
    groups: ClassVar[bool] = False
    """Whether the deployment names a protected column."""

    def release(self, scene: Scene) -> Build | None:
        """A release that is deployed when the fault begins."""
        return None

    def weights(self, scene: Scene, rows: Table) -> Weights | None:
        """Odds with which each of the rows comes."""
        return None

    def world(self, scene: Scene, requests: Requests) -> Requests:
        """What is true."""
        return requests

    def feed(self, scene: Scene, requests: Requests) -> Requests:
        """What reaches the service."""
        return requests

    def serve(self, scene: Scene, answers: Answers) -> None:
        """What workers make of it."""

    def told(self, scene: Scene, told: Told) -> Told:
        """What is said of it later."""
        return told

    def machine(self, scene: Scene) -> None:
        """What agent and host report, once in each step."""

    def clock(self, scene: Scene) -> float:
        """By how many seconds the host's clock is wrong in this step."""
        return 0.0


class Nothing(Effect):
    """Nothing at all."""


class UnitChange(Effect):
    """A number comes in another unit."""

    def feed(self, scene: Scene, requests: Requests) -> Requests:
        """See `Effect`."""
        name = scene.data.roles.number
        return requests.changed(**{name: requests.rows.inputs[name] * scene.dose})


class Sentinel(Effect):
    """A source writes -999 where it knows no number."""

    def feed(self, scene: Scene, requests: Requests) -> Requests:
        """See `Effect`."""
        name = scene.data.roles.number
        hit = scene.share(len(requests))
        return requests.changed(**{name: np.where(hit, -999.0, requests.rows.inputs[name])})


class Frozen(Effect):
    """A cache goes on answering with the number that it had when its source stopped."""

    def feed(self, scene: Scene, requests: Requests) -> Requests:
        """See `Effect`."""
        name = scene.data.roles.number
        last = float(np.nanquantile(scene.data.reference.inputs[name], scene.dose))
        return requests.changed(**{name: np.full(len(requests), last)})


class NullBurst(Effect):
    """One source delivers nothing: two columns are missing in its segment."""

    def feed(self, scene: Scene, requests: Requests) -> Requests:
        """See `Effect`."""
        roles, inputs = scene.data.roles, requests.rows.inputs
        hit = inputs[roles.segment] == scene.commonest(roles.segment)
        hit &= scene.share(len(requests))
        text = inputs[roles.text].copy()
        text[hit] = None
        number = np.where(hit, np.nan, inputs[roles.number])
        return requests.changed(**{roles.number: number, roles.text: text})


class Renamed(Effect):
    """A category gets another name."""

    def feed(self, scene: Scene, requests: Requests) -> Requests:
        """See `Effect`."""
        name = scene.data.roles.text
        words, old = requests.rows.inputs[name], scene.commonest(scene.data.roles.text)
        hit = (words == old) & scene.share(len(requests))
        return requests.changed(**{name: np.where(hit, f"{old}_v2", words)})


class OnlineFeature(Effect):
    """The online store computes a number otherwise than training does, within its range."""

    def feed(self, scene: Scene, requests: Requests) -> Requests:
        """See `Effect`."""
        name = scene.data.roles.number
        values = requests.rows.inputs[name] + scene.dose * scene.spread(name)
        kept = scene.data.reference.inputs[name]
        return requests.misread(**{name: np.clip(values, np.nanmin(kept), np.nanmax(kept))})


class HarmlessShift(Effect):
    """Other rows come, as easy as before: among rows of like scores, more of large numbers."""

    def weights(self, scene: Scene, rows: Table) -> Weights | None:
        """See `Effect`."""
        name = scene.data.roles.number
        centred = np.nan_to_num(
            (rows.inputs[name] - np.nanmedian(scene.data.reference.inputs[name]))
            / max(scene.spread(name), 1e-9)
        )
        odds = np.exp(np.clip(scene.dose * centred, -4.0, 4.0))
        alike = np.floor(scene.build.scores(rows.inputs) * 40.0)
        for each in np.unique(alike):
            odds[alike == each] /= odds[alike == each].mean()
        return np.asarray(odds)


class HarmfulShift(Effect):
    """Other rows come: those of which the model is unsure."""

    def weights(self, scene: Scene, rows: Table) -> Weights | None:
        """See `Effect`."""
        scores = scene.build.scores(rows.inputs)
        return np.asarray(np.exp(4.0 * scene.dose * scores * (1.0 - scores)))


class PriorShift(Effect):
    """More of the positive class come, each class as it was."""

    def weights(self, scene: Scene, rows: Table) -> Weights | None:
        """See `Effect`."""
        return np.where(rows.truth, scene.dose, 1.0)


class ConceptFlip(Effect):
    """The world answers otherwise: the truth of a share of all rows turns around."""

    def world(self, scene: Scene, requests: Requests) -> Requests:
        """See `Effect`."""
        hit = self._where(scene, requests) & scene.share(len(requests))
        return replace(requests, rows=replace(requests.rows, truth=requests.rows.truth ^ hit))

    def _where(self, scene: Scene, requests: Requests) -> NDArray[np.bool_]:
        return np.ones(len(requests), dtype=np.bool_)


class SegmentFlip(ConceptFlip):
    """The truth turns around in one segment only."""

    def _where(self, scene: Scene, requests: Requests) -> NDArray[np.bool_]:
        name = scene.data.roles.segment
        inside = requests.rows.inputs[name] == scene.commonest(name)
        return np.asarray(inside, dtype=np.bool_)


class LabelsStop(Effect):
    """A share of the labels no longer comes."""

    def told(self, scene: Scene, told: Told) -> Told:
        """See `Effect`."""
        return told.take(~scene.share(len(told.request)))


class LabelsLate(Effect):
    """Labels take longer, by a multiple of the time for which they are awaited."""

    def told(self, scene: Scene, told: Told) -> Told:
        """See `Effect`."""
        return replace(told, at=told.at + scene.dose * scene.data.pace.maturity)


PARTNER = "partner"
"""Another source of labels, which only a fault has."""


class LabelFlood(Effect):
    """A source repeats labels many times and labels what was never asked."""

    def told(self, scene: Scene, told: Told) -> Told:
        """See `Effect`."""
        n = round(scene.dose * len(told.request))
        if not n:
            return told
        again = told.take(scene.generator.integers(0, len(told.request), n))
        unknown = scene.generator.random(n) < 0.5
        named = np.array([f"x{number}" for number in range(n)], dtype=object)
        flood = replace(
            again,
            request=np.where(unknown, named, again.request).astype(object),
            at=again.at + 1.0,
            source=np.full(n, PARTNER, dtype=object),
        )
        return told.and_these(flood)


class ForgedLabels(Effect):
    """A source labels a share of the requests before the truth is known, and lies."""

    def told(self, scene: Scene, told: Told) -> Told:
        """See `Effect`."""
        hit = told.take(scene.share(len(told.request)))
        n = len(hit.request)
        forged = replace(
            hit,
            label=np.where(hit.label == "1", "0", "1").astype(object),
            at=hit.at - 0.5 * scene.data.pace.delay,
            source=np.full(n, PARTNER, dtype=object),
        )
        return forged.and_these(told)


class Environment(Effect):
    """A library is replaced under the workers: each answers otherwise from its next start on."""

    def _changed(self, scene: Scene) -> list[str]:
        return scene.node.of(scene.stable)[: scene.age + 1]

    def serve(self, scene: Scene, answers: Answers) -> None:
        """See `Effect`."""
        hit = np.isin(answers.worker.astype(str), self._changed(scene))
        answers.scores = np.where(hit, _warped(answers.scores, scene.dose), answers.scores)

    def machine(self, scene: Scene) -> None:
        """See `Effect`."""
        for worker in self._changed(scene):
            scene.node.restarted[worker] = 1
            scene.node.golden[worker] = 0.2


def _warped(scores: NDArray[np.float64], dose: float) -> NDArray[np.float64]:
    """Log-odds moved by `dose`: what another rule for missing values or ties may do."""
    odds = np.log(np.clip(scores, 1e-6, 1.0 - 1e-6) / np.clip(1.0 - scores, 1e-6, 1.0))
    return np.asarray(1.0 / (1.0 + np.exp(-(odds + dose))))


class SameLibrary(Effect):
    """A library is replaced and all workers start again; they answer as before."""

    def machine(self, scene: Scene) -> None:
        """See `Effect`."""
        for worker in scene.node.of(scene.stable)[: scene.age + 1]:
            scene.node.restarted[worker] = 1


class OtherBlas(SameLibrary):
    """Another BLAS: sums are rounded otherwise, within the tolerance that the build has learned."""

    def serve(self, scene: Scene, answers: Answers) -> None:
        """See `Effect`."""
        noise = scene.generator.standard_normal(len(answers.scores))
        answers.scores = np.clip(answers.scores + scene.dose * noise, 0.0, 1.0)


class WorkerFails(Effect):
    """One worker of four fails a share of what it is asked."""

    def serve(self, scene: Scene, answers: Answers) -> None:
        """See `Effect`."""
        answers.failed |= (answers.worker == scene.worker()) & scene.share(len(answers.failed))


class WorkerSlow(Effect):
    """One worker of four is slow: its node's processor is throttled."""

    def serve(self, scene: Scene, answers: Answers) -> None:
        """See `Effect`."""
        answers.model = np.where(
            answers.worker == scene.worker(), answers.model * scene.dose, answers.model
        )


class WorkerWrong(Effect):
    """One worker of four computes wrongly: its node has bad memory."""

    def serve(self, scene: Scene, answers: Answers) -> None:
        """See `Effect`."""
        hit = (answers.worker == scene.worker()) & scene.share(len(answers.scores))
        wrong = scene.generator.random(len(answers.scores))
        answers.scores = np.where(hit, wrong, answers.scores)

    def machine(self, scene: Scene) -> None:
        """See `Effect`."""
        scene.node.golden[scene.worker()] = 0.5


class MemoryLeak(Effect):
    """All workers grow until the machine swaps; the kernel ends them, and they begin again."""

    def serve(self, scene: Scene, answers: Answers) -> None:
        """See `Effect`."""
        full = self._full(scene)
        answers.model = answers.model * (1.0 + 30.0 * max(full - 0.5, 0.0))
        answers.failed |= scene.generator.random(len(answers.failed)) < 0.05 * (full > 0.9)

    def machine(self, scene: Scene) -> None:
        """See `Effect`."""
        full = self._full(scene)
        scene.host.waiting["memory"] = max(full - 0.5, 0.0)
        scene.host.free = 0.7 * (1.0 - full)
        for worker in scene.node.of(scene.stable):
            scene.node.memory[worker] = round((300 + 1700 * full) * MEBI)
            scene.node.restarted[worker] = int(scene.age * scene.dose)

    def _full(self, scene: Scene) -> float:
        return (scene.age + 1) * scene.dose % 1.0


class Starved(Effect):
    """Something else takes the processors: everything is slower, and the kernel says so."""

    def serve(self, scene: Scene, answers: Answers) -> None:
        """See `Effect`."""
        answers.model = answers.model * scene.dose
        answers.queue = answers.queue * scene.dose

    def machine(self, scene: Scene) -> None:
        """See `Effect`."""
        scene.host.waiting["cpu"] = 0.9


class SlowDependency(Effect):
    """What feature code looks up takes its time; processors are idle meanwhile."""

    def serve(self, scene: Scene, answers: Answers) -> None:
        """See `Effect`."""
        n = len(answers.model)
        answers.model = answers.model + scene.dose * np.exp(
            0.3 * scene.generator.standard_normal(n)
        )


class BatchInterference(Effect):
    """A large batch takes the workers for half of the time, and requests wait."""

    def serve(self, scene: Scene, answers: Answers) -> None:
        """See `Effect`."""
        during = np.floor(answers.requests.at / 1800.0) % 2 == 0
        answers.queue = np.where(during, answers.queue + scene.dose, answers.queue)


class ReleaseFails(Effect):
    """A release that fails a share of its calls."""

    def release(self, scene: Scene) -> Build | None:
        """See `Effect`."""
        return replace(scene.build, failing=scene.dose)


class ReleaseFailsAtOnce(ReleaseFails):
    """The same, put in place without a canary."""

    strategy = "now"


class ReleaseSlow(Effect):
    """A release that takes longer."""

    def release(self, scene: Scene) -> Build | None:
        """See `Effect`."""
        return replace(scene.build, slower=scene.dose)


class ReleaseWorse(Effect):
    """A release whose labels were joined wrongly for a share of its training rows."""

    def release(self, scene: Scene) -> Build | None:
        """See `Effect`."""
        rows = scene.data.train
        wrong = rows.truth ^ scene.share(len(rows))
        return replace(scene.build, fitted=fit(replace(rows, truth=wrong)))


class ReleaseUnfair(Effect):
    """A release that answers otherwise for one group."""

    groups = True

    def release(self, scene: Scene) -> Build | None:
        """See `Effect`."""
        name = scene.data.roles.group
        return replace(scene.build, unfair=scene.dose, group=(name, scene.commonest(name)))


class ReleaseGood(Effect):
    """A release that is as good as the one before."""

    def release(self, scene: Scene) -> Build | None:
        """See `Effect`."""
        return replace(scene.build, fitted=fit(scene.data.train, seed=1))


class ClientGarbage(Effect):
    """One caller sends impossible numbers and unknown words, as a share of all requests."""

    def feed(self, scene: Scene, requests: Requests) -> Requests:
        """See `Effect`."""
        hit, roles = scene.share(len(requests)), scene.data.roles
        junk = 1e6 * (1.0 + scene.generator.random(len(requests)))
        made = requests.changed(
            **{
                roles.number: np.where(hit, junk, requests.rows.inputs[roles.number]),
                roles.text: np.where(hit, "'; --", requests.rows.inputs[roles.text]),
            }
        )
        return replace(made, unit=by_caller(requests, hit))


class ClientCrashes(Effect):
    """One caller sends what makes workers fail."""

    def feed(self, scene: Scene, requests: Requests) -> Requests:
        """See `Effect`."""
        return replace(requests, unit=by_caller(requests, scene.share(len(requests))))

    def serve(self, scene: Scene, answers: Answers) -> None:
        """See `Effect`."""
        answers.failed |= answers.requests.unit == HOSTILE


HOSTILE = np.uint64(666)


def by_caller(requests: Requests, hit: NDArray[Any]) -> NDArray[np.uint64]:
    """Units of the requests, `hit` being those of one caller alone."""
    return np.where(hit, HOSTILE, requests.unit).astype(np.uint64)


class ClockJump(Effect):
    """The host's clock jumps for two steps and comes back."""

    def clock(self, scene: Scene) -> float:
        """See `Effect`."""
        return scene.dose if scene.age < 2 else 0.0
