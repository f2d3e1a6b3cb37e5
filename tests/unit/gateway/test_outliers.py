"""A bad worker is told apart from a bad release."""

import pytest

from trimtab.gateway.outliers import FAILURES, REST_SECONDS, Outliers
from trimtab.gateway.retries import RESERVE, SHARE, RetryBudget

THREE = ["a", "b", "c"]


def failing(outliers: Outliers, *workers: str) -> None:
    """These fail often enough to be rested."""
    for _ in range(FAILURES):
        for worker in workers:
            outliers.failed(worker)


def test_a_worker_that_fails_while_its_siblings_answer_rests_longer_each_time() -> None:
    outliers = Outliers()
    for turn in (1, 2):
        outliers.answered("b")
        outliers.answered("c")
        failing(outliers, "a")
        assert outliers.rest("a", THREE, turn * 100.0) == REST_SECONDS * turn
        assert outliers.resting == {"a"}
        outliers.resting.clear()
    outliers.answered("a")
    failing(outliers, "a")
    assert outliers.rest("a", THREE, 10_000.0) == REST_SECONDS


def test_when_all_workers_fail_alike_it_is_the_release() -> None:
    outliers = Outliers()
    for worker in THREE:
        outliers.answered(worker)
    failing(outliers, *THREE)
    assert not any(outliers.rest(worker, THREE, 0.0) for worker in THREE)
    assert not any(outliers.suspect(worker, THREE) for worker in THREE)


def test_workers_that_never_answered_say_nothing_for_a_release() -> None:
    outliers = Outliers()
    failing(outliers, "a")
    assert outliers.rest("a", THREE, 0.0) == 0.0


def test_one_answer_ends_a_row_of_failures() -> None:
    outliers = Outliers()
    outliers.answered("b")
    for _ in range(FAILURES - 1):
        outliers.failed("a")
    assert outliers.suspect("a", ["a", "b"])
    outliers.answered("a")
    outliers.failed("a")
    assert not outliers.suspect("a", ["a", "b"])
    assert outliers.rest("a", ["a", "b"], 0.0) == 0.0


@pytest.mark.parametrize(("workers", "most"), [(1, 0), (2, 1), (3, 1), (5, 2)])
def test_never_more_than_half_of_the_workers_rest(workers: int, most: int) -> None:
    outliers = Outliers()
    names = [str(number) for number in range(workers)]
    for turn, worker in enumerate(names):
        for other in names[turn + 1 :]:
            outliers.answered(other)
        failing(outliers, worker)
        outliers.rest(worker, names, float(turn))
    assert len(outliers.resting) <= most


def test_a_worker_that_left_is_forgotten() -> None:
    outliers = Outliers()
    outliers.answered("b")
    failing(outliers, "a")
    assert outliers.rest("a", ["a", "b"], 0.0)
    outliers.keep(["b"])
    assert not outliers.resting
    assert not outliers.suspect("a", ["a", "b"])


def test_repetitions_are_a_share_of_what_comes_beyond_a_reserve() -> None:
    budget = RetryBudget()
    assert sum(budget.take(0) for _ in range(2 * RESERVE)) == RESERVE
    assert sum(budget.take(1000) for _ in range(1000)) == min(int(1000 * SHARE), RESERVE)
    assert not budget.take(1000)
