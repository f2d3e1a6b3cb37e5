"""Relations between columns that hold raise no alarm, however few rows they were learned from.

Rows are drawn, not counts: how well a small reference knows its own scores is what is on trial.
"""

from collections.abc import Iterator

import numpy as np
import pytest
from tests.support.traffic import BINARY, STABLE, spec

from trimtab.domain.profile import ReferenceProfile
from trimtab.domain.records import Rows
from trimtab.judge.budget import TIMES, share
from trimtab.judge.profile import Reference, build_profile
from trimtab.judge.signals.family import Breaks, Target
from trimtab.judge.signals.multivariate import Multivariate

pytestmark = pytest.mark.slow

HOUR = 3600.0
ROWS = 200
BLOCKS = 400
SEEDS = 12
PER_BLOCK = 0.05
"""False pages tolerated a block: so many that the blocks drawn show if that is kept."""


def drawn(rng: np.random.Generator, n: int) -> dict[str, np.ndarray]:
    """Eight columns: two groups of three that go together, one of them of texts, and two alone."""
    first, second = rng.normal(size=(2, n))
    numbers = {f"a{i}": first + rng.normal(size=n) * (i + 0.5) for i in range(3)}
    numbers |= {f"b{i}": second**2 + rng.normal(size=n) for i in range(2)}
    word = np.array(["low", "middle", "high"], dtype=object)[np.digitize(second, [-0.7, 0.7])]
    return {**numbers, "word": word, "x": rng.normal(size=n), "y": rng.exponential(size=n)}


def profile(rng: np.random.Generator, n: int) -> ReferenceProfile:
    """The profile of a reference without time."""
    return build_profile(Reference(BINARY, drawn(rng, n)))


def blocks(rng: np.random.Generator, steep: float = 0.0, by: str = "a0") -> Iterator[Rows]:
    """Hours of the same law, but for the rows that come: the `steep`er, the more of large numbers
    (or of the first words by the alphabet) in one column, and whatever goes with them."""
    for number in range(BLOCKS):
        ids = np.array([f"{number}-{i}" for i in range(ROWS)], dtype=object)
        times = (number + np.arange(ROWS) / ROWS) * HOUR
        fixed = {"request_id": ids, "row": np.zeros(ROWS, np.int64), "event_time": times}
        many = drawn(rng, 20 * ROWS if steep else ROWS)
        column = many[by]
        rank = np.argsort(np.argsort(column, kind="stable")) / len(column)
        odds = np.exp(steep * rank)
        places = rng.choice(len(rank), ROWS, p=odds / odds.sum()) if steep else np.arange(ROWS)
        yield Rows(fixed, {name: values[places] for name, values in many.items()}, {})


def alarms(rows: int, seed: int) -> int:
    """False alarms of a deployment whose streams are re-armed at once."""
    rng = np.random.default_rng(seed)
    year = PER_BLOCK * 365.25 * 24.0
    plan = spec(block_seconds=HOUR, false_alarms_per_year=year)
    family = Multivariate.of(Target(plan, BINARY, profile(rng, rows), STABLE.digest, 0.0))
    assert family is not None
    assert family.state.watches
    found = 0
    for number, block in enumerate(blocks(rng)):
        family.take(family.count(block))
        family.close((number + 2) * HOUR, Breaks())
        for watch in family.state.watches.values():
            if watch.frozen is not None:
                found += 1
                watch.rearm()
    return found


@pytest.mark.parametrize("rows", [500, 2_000, 20_000])
def test_relations_that_hold_keep_the_budget_of_notes(rows: int) -> None:
    found = sum(alarms(rows, seed) for seed in range(SEEDS))
    promised = PER_BLOCK * TIMES["note"] * share("multivariate") * BLOCKS * SEEDS
    print(f"reference of {rows} rows: {found} false alarms, at most {promised:.0f}")
    assert found <= promised


@pytest.mark.parametrize("by", ["a0", "b0", "word", "x"])
@pytest.mark.parametrize("steep", [2.0, 6.0])
def test_a_column_that_moves_far_contradicts_none_of_the_others(by: str, steep: float) -> None:
    rng = np.random.default_rng(5)
    plan = spec(block_seconds=HOUR)
    family = Multivariate.of(Target(plan, BINARY, profile(rng, 20_000), STABLE.digest, 0.0))
    assert family is not None
    for number, block in zip(range(60), blocks(rng, steep, by), strict=False):
        family.take(family.count(block))
        family.close((number + 2) * HOUR, Breaks())
        signals = {verdict.signal for verdict in family.verdicts()}
        assert not any(signal.startswith("upstream:") for signal in signals)
