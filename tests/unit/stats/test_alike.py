"""Evidence that two groups end otherwise is fair whatever both have in common."""

from itertools import product
from math import factorial, prod

import numpy as np
import pytest

from trimtab.stats.alike import log_evidence

LAWS = [(0.2, 0.3, 0.5), (1.0, 0.0, 0.0), (0.0, 0.5, 0.5), (0.98, 0.01, 0.01)]
GUESSES = [(0.2, 0.3, 0.5), (0.9, 0.05, 0.05), (1 / 3, 1 / 3, 1 / 3)]


def outcomes(n: int) -> list[tuple[int, ...]]:
    """Counts of three ends of n units."""
    return [each for each in product(range(n + 1), repeat=3) if sum(each) == n]


def chance(counts: tuple[int, ...], law: tuple[float, ...]) -> float:
    """Of these counts under a law of one unit."""
    ways = factorial(sum(counts)) / prod(map(factorial, counts))
    return ways * prod(p**n for p, n in zip(law, counts, strict=True))


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("p", GUESSES)
@pytest.mark.parametrize("q", GUESSES)
def test_its_mean_is_one_at_most_under_any_law_that_both_share(
    law: tuple[float, ...], p: tuple[float, ...], q: tuple[float, ...]
) -> None:
    mean = sum(
        chance(one, law) * chance(other, law) * np.exp(log_evidence([one], [other], [p], [q]))
        for one, other in product(outcomes(2), outcomes(5))
    )
    assert mean <= 1.0 + 1e-9


def test_it_grows_where_the_guess_is_right_and_strata_add_up() -> None:
    one, other = [[90, 10], [0, 0]], [[10, 90], [50, 50]]
    p, q = [[0.9, 0.1], [0.7, 0.3]], [[0.1, 0.9], [0.2, 0.8]]
    assert log_evidence(one, other, p, q) == pytest.approx(
        100 * 2 * (0.9 * np.log(1.8) + 0.1 * np.log(0.2))
    )
    assert log_evidence(other, one, p, q) < 0.0


def test_a_group_alone_and_guesses_that_are_the_same_say_nothing() -> None:
    assert log_evidence([[3, 4]], [[0, 0]], [[0.9, 0.1]], [[0.5, 0.5]]) == pytest.approx(0.0)
    assert log_evidence([[3, 4]], [[1, 0]], [[0.9, 0.1]], [[0.9, 0.1]]) == pytest.approx(0.0)
    assert log_evidence(np.zeros((2, 3, 4)), np.zeros((2, 3, 4)), 0.25, 0.25).tolist() == [0, 0]
