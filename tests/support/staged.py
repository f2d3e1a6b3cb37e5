"""A small invented data set for single faults of `benchmarks/catalogue`, without a control loop."""

from functools import cache

import numpy as np
from catalogue.effects import Effect, Scene
from catalogue.faults import BY_NAME
from catalogue.releases import Build, fit
from catalogue.tables import DAY, DataSet, Pace, Pool, Roles, Table
from catalogue.world import Answers, Gateway, Requests, SimulatedNode, Told, VirtualHost, truth_told

from trimtab.domain.names import Digest

STABLE = Digest("sha256:" + "0" * 64)
N = 2000


class Four(SimulatedNode):
    """Four workers of every release."""

    def of(self, release: Digest) -> list[str]:
        """See `SimulatedNode`."""
        return ["w0", "w1", "w2", "w3"]


def invented(seed: int) -> Table:
    """Truth follows `level`, a little `side`, and not `noise`."""
    draw = np.random.default_rng(seed)
    level = draw.standard_normal(N) + 2.0
    side = draw.choice(np.array(["left", "right"], dtype=object), N)
    branch = draw.choice(np.array(["a", "b", "c"], dtype=object), N)
    odds = 3.0 * (level - 2.0) + 1.0 * (side == "left")
    truth = draw.random(N) < 1.0 / (1.0 + np.exp(-odds))
    noise = 0.1 * draw.standard_normal(N)
    inputs = {"noise": noise, "level": level, "side": side, "branch": branch}
    return Table(inputs, truth, np.linspace(0.0, DAY, N, endpoint=False))


@cache
def data() -> DataSet:
    """The tables as a data set."""
    pace = Pace(
        step=DAY, share=1.0, delay=900.0, maturity=3600.0, before=(DAY, DAY), after=10 * DAY
    )
    roles = Roles("level", "side", "branch", "branch")
    train, reference, live = map(invented, range(3))
    return DataSet("invented", "invented", train, reference, None, Pool(live, N), pace, roles)


@cache
def build() -> Build:
    """The release that serves."""
    return Build(fit(data().train))


def begun(name: str, age: int = 0, high: bool = True) -> tuple[Effect, Scene]:
    """A fault in its largest (or smallest) dose."""
    fault = BY_NAME[name]
    draw = np.random.default_rng(5)
    dose = fault.doses[int(high)]
    scene = Scene(data(), build(), STABLE, Four(), VirtualHost(), draw, dose, age)
    return fault.effect(), scene


def requests() -> Requests:
    """A day of requests."""
    rows = invented(2)
    unit = np.random.default_rng(6).integers(1000, 1200, N).astype(np.uint64)
    return Requests(rows, rows.inputs, rows.seconds, unit)


def answered(scene: Scene, asked: Requests) -> Answers:
    """What workers answer before a fault touches it."""
    gateway = Gateway({STABLE: scene.build}, scene.node, np.random.default_rng(7))
    return gateway.ask(STABLE, asked)


def told(asked: Requests) -> Told:
    """True labels on their way."""
    ids = np.array([f"q{number}" for number in range(len(asked))], dtype=object)
    return truth_told(ids, asked, np.random.default_rng(8).exponential(900.0, len(asked)))


def wrong(name: str, age: int = 40) -> tuple[float, float]:
    """Share of wrong decisions before and while a fault is there."""
    effect, scene = begun(name, age)
    before = answered(scene, requests())
    made = effect.feed(scene, effect.world(scene, requests()))
    after = Gateway({STABLE: effect.release(scene) or scene.build}, scene.node, scene.generator)
    answers = after.ask(STABLE, made)
    effect.serve(scene, answers)
    shares = [float(((a.scores >= 0.5) != a.requests.rows.truth).mean()) for a in (before, answers)]
    return shares[0], shares[1]
