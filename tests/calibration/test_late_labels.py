"""Labels that come sooner for some truths than for others: what weights by their delay can do.

Rows of a day are judged a day after its end, so that a row's label had one to two days to come. Why
quality is not weighted is in docs/decisions/0032-late-labels-are-not-weighted.md.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from trimtab.domain.records import Floats
from trimtab.judge.watch import Watch, Zone

pytestmark = pytest.mark.slow

BLOCKS, ROWS, BORDER, LIMIT = 4_000, 300, 0.1, 2.0
"""A false alarm in a hundred blocks is promised, so 40 are allowed."""
ALLOWED = BLOCKS / 10**LIMIT
LARGEST = 4.0
"""The largest weight: what is bounded can be bet on."""


@dataclass(frozen=True)
class Days:
    """Mean days until the label of a right and of a wrong row is known."""

    right: float
    wrong: float

    def known(self, age: Floats, wrong: bool) -> Floats:
        """The chance that a label is known by an age."""
        return np.asarray(1.0 - np.exp(-age / (self.wrong if wrong else self.right)))


SAME, COMPLAINTS, DEFAULTS = Days(1.0, 1.0), Days(1.0, 0.5), Days(1.0, 2.0)
"""Labels by chance; those of wrong rows first; and last."""

Weight = Callable[[Floats, bool], Floats]


def unweighted(age: Floats, wrong: bool) -> Floats:
    """Each label stands for itself."""
    return np.ones(age.size)


def overall(law: Days) -> Weight:
    """One over the chance that any label is known by now."""

    def weight(age: Floats, wrong: bool) -> Floats:
        known = (1.0 - BORDER) * law.known(age, False) + BORDER * law.known(age, True)
        return np.minimum(1.0 / known, LARGEST)

    return weight


def by_truth(law: Days) -> Weight:
    """One over the chance that a label that says the same is known by now."""
    return lambda age, wrong: np.minimum(1.0 / law.known(age, wrong), LARGEST)


def alarms(weight: Weight, law: Days, error: float = BORDER, seed: int = 1) -> int:
    """Alarms of a watch that is re-armed at each of them; weights are known before each block."""
    rng, found = np.random.default_rng(seed), 0
    weighted = weight is not unweighted
    border = BORDER / LARGEST if weighted else BORDER
    watch = Watch((Zone(None, border),), None, LIMIT, summed=True)
    for block in range(BLOCKS):
        age, wrong = rng.uniform(1.0, 2.0, ROWS), rng.random(ROWS) < error
        chance = np.where(wrong, law.known(age, True), law.known(age, False))
        known = rng.random(ROWS) < chance
        lost = weight(age[known & wrong], True)
        total, n = float(lost.sum()), int(known.sum())
        watch.take(float(block), [total / LARGEST if weighted else total], ROWS if weighted else n)
        if watch.frozen is not None:
            found += 1
            watch.rearm()
    return found


WEIGHTS = {"none": lambda law: unweighted, "overall": overall, "by truth": by_truth}


@pytest.mark.parametrize("name", WEIGHTS)
def test_labels_that_come_by_chance_need_no_weights(name: str) -> None:
    assert alarms(WEIGHTS[name](SAME), SAME) <= ALLOWED


@pytest.mark.parametrize("name", ["none", "overall"])
def test_weights_by_the_delay_of_all_labels_do_not_mend_what_comes_by_the_truth(name: str) -> None:
    assert alarms(WEIGHTS[name](COMPLAINTS), COMPLAINTS) > 2.0 * ALLOWED


def test_weights_by_the_delay_of_each_truth_mend_it_while_the_delays_stay() -> None:
    for law in (COMPLAINTS, DEFAULTS):
        assert alarms(by_truth(law), law) <= ALLOWED
    assert alarms(by_truth(DEFAULTS), DEFAULTS, 0.15) > 5.0 * alarms(unweighted, DEFAULTS, 0.15)


def test_weights_by_truth_alarm_when_labelling_gets_faster_and_the_model_is_as_it_was() -> None:
    assert alarms(by_truth(DEFAULTS), SAME) > 5.0 * ALLOWED
    assert alarms(unweighted, SAME) <= ALLOWED
