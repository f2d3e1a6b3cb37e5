"""Limits of a worker: relieved before it reaches them, ended beyond them."""

import pytest

from trimtab.agent.limits import FORESEEN, Growth, Place, Standing, placed, standing, told
from trimtab.agent.usage import Usage
from trimtab.domain.processes import WorkerLimits

LIMITS = WorkerLimits(memory_bytes=1000, processes=4)


@pytest.mark.parametrize(
    ("used", "fresh", "expected"),
    [
        (Usage(879, 1), 400, "fine"),
        (Usage(881, 1), 400, "worn"),
        (Usage(1001, 1), 400, "over"),
        (Usage(500, 5), 400, "over"),
        (Usage(985, 1), 980, "fine"),
        (Usage(999, 1), 980, "worn"),
    ],
)
def test_a_worker_is_relieved_near_its_limit_and_ended_beyond_it(
    used: Usage, fresh: int, expected: Standing
) -> None:
    assert standing(LIMITS, used, fresh) == expected


def test_a_worker_that_grows_fast_is_relieved_long_before_its_limit() -> None:
    growth = Growth()
    found = []
    for size in (400, 500, 600, 700):
        growth.saw(size)
        found.append(standing(LIMITS, Usage(size, 1), 400, growth.foreseen_bytes))
    assert found == ["fine", "fine", "worn", "worn"]


@pytest.mark.parametrize("sizes", [(400, 500), (400, 600, 600), (600, 400, 500, 500), (500, 400)])
def test_memory_that_is_taken_once_is_no_growth(sizes: tuple[int, ...]) -> None:
    growth = Growth()
    for size in sizes:
        growth.saw(size)
    assert growth.foreseen_bytes == 0


def test_growth_goes_on_as_slowly_as_it_was_seen() -> None:
    growth = Growth()
    for size in (0, 400, 410, 430):
        growth.saw(size)
    assert growth.foreseen_bytes == FORESEEN * 10


def test_without_a_memory_limit_nothing_wears_out() -> None:
    assert standing(WorkerLimits(), Usage(1 << 40, 2), 0) == "fine"


def test_a_worker_that_is_too_large_from_the_start_is_not_relieved_for_ever() -> None:
    assert standing(LIMITS, Usage(1000, 1), 1000) == "fine"


def test_the_usage_is_told_beside_the_limits() -> None:
    limits = WorkerLimits(memory_bytes=2 << 20, processes=8)
    assert told(limits, Usage(1 << 20, 3)) == "uses 1 MiB of its 2 MiB and 3 of its 8 processes"


@pytest.mark.parametrize(
    ("cpus", "index", "expected"),
    [(1.0, 0, (4,)), (0.5, 1, (5,)), (1.5, 1, (6, 7)), (1.5, 2, (4, 5)), (4.0, 0, None)],
)
def test_workers_are_spread_over_the_processors(
    cpus: float, index: int, expected: tuple[int, ...] | None
) -> None:
    assert placed(WorkerLimits(cpus=cpus), index, (4, 5, 6, 7)) == Place(expected)


def test_workers_take_the_gpus_in_turn_and_none_without_any() -> None:
    limits = WorkerLimits(gpus=("0", "GPU-b"))
    found = [placed(limits, index, (0, 1)) for index in (0, 1, 2, -1, -2)]
    assert [each.gpu for each in found] == ["0", "GPU-b", "0", "GPU-b", "0"]


def test_without_a_limit_all_processors_may_be_used_and_no_gpu() -> None:
    assert placed(WorkerLimits(), 0, (0, 1)) == Place(None, None)
