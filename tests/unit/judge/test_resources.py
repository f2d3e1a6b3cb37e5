"""What is said of the memory and the processors of workers."""

import pytest

from trimtab.domain.verdicts import Cause, Verdict
from trimtab.judge.causes.case import Trouble
from trimtab.judge.causes.place import infrastructure
from trimtab.judge.reports import Resources, Surroundings
from trimtab.judge.resources import FEWEST_SIZES, LASTING, verdicts

MIB = 2**20
CALM = (0.05,) * LASTING


def said(
    sizes: list[float],
    waits: tuple[float, ...] = CALM,
    limit: int | None = None,
    free: float = 1e12,
) -> tuple[Verdict, Verdict]:
    """The verdicts on workers of these sizes (MiB) in each minute."""
    whole = tuple(int(size * MIB) for size in sizes)
    used = Resources(whole, waits, None if limit is None else limit * MIB, free)
    memory, processors = verdicts("a", Surroundings(resources=used))
    return memory, processors


def growing(by: float, minutes: int = 30) -> list[float]:
    """Sizes that rise by so much in each minute."""
    return [100.0 + by * minute for minute in range(minutes)]


def test_without_workers_nothing_is_said() -> None:
    assert verdicts("a", Surroundings()) == ()


def test_a_growth_that_reaches_the_limit_within_hours_is_a_ticket_that_says_when() -> None:
    memory, _ = said(growing(2.0), limit=400)
    assert (memory.signal, memory.tier, memory.verdict) == ("resources:memory", "ticket", "bad")
    assert memory.reason == (
        "its largest worker has 158 MiB and grows by 2 MiB a minute; at that, it reaches its limit "
        "of 400 MiB and is ended in about 2.0 hours"
    )
    assert "about 21 minutes" in said(growing(2.0), limit=200)[0].reason
    assert "about 0 minutes" in said(growing(2.0), limit=120)[0].reason


def test_without_a_limit_the_machine_is_the_limit_and_so_it_is_where_it_has_less() -> None:
    for limit in (None, 4000):
        memory, _ = said(growing(2.0), limit=limit, free=100.0 * MIB)
        assert memory.verdict == "bad"
        assert "the machine has no memory left in about 50 minutes" in memory.reason
    memory, _ = said(growing(2.0), limit=200, free=100.0 * MIB)
    assert "its limit of 200 MiB" in memory.reason


def test_where_nothing_is_measured_only_a_limit_can_be_reached() -> None:
    sizes = tuple(int(size * MIB) for size in growing(2.0))
    unlimited, _ = verdicts("a", Surroundings(resources=Resources(sizes, CALM)))
    assert unlimited.verdict == "ok"
    assert "no limit is within 6 hours" in unlimited.reason
    limited, _ = verdicts("a", Surroundings(resources=Resources(sizes, CALM, 200 * MIB)))
    assert limited.verdict == "bad"


@pytest.mark.parametrize(
    "sizes",
    [
        [100.0] * 30,
        [*growing(20.0, 15), *([385.0] * 15)],
        [*([100.0] * 29), 390.0],
        [400.0 - size for size in growing(2.0)],
    ],
    ids=["still", "levels off", "one jump", "shrinks"],
)
def test_what_does_not_go_on_is_not_forecast(sizes: list[float]) -> None:
    memory, _ = said(sizes, limit=400)
    assert memory.verdict == "ok"
    assert "does not grow" in memory.reason


def test_a_growth_that_is_days_from_its_end_is_told_and_no_alarm() -> None:
    memory, _ = said(growing(0.25), limit=4000)
    assert memory.verdict == "ok"
    assert "grows by 0.25 MiB a minute; no limit is within 6 hours" in memory.reason


def test_too_few_minutes_tell_nothing() -> None:
    memory, processors = said(growing(50.0, FEWEST_SIZES - 1), CALM[1:], limit=200)
    assert (memory.verdict, processors.verdict) == ("unknown", "unknown")
    assert "19 minutes, 20 are needed" in memory.reason
    assert "4 minutes, 5 are needed" in processors.reason


def test_workers_that_wait_minute_after_minute_are_a_ticket_and_a_burst_is_none() -> None:
    _, starved = said([1.0], (0.0, *((0.5,) * (LASTING - 1)), 0.4))
    assert (starved.signal, starved.tier, starved.verdict) == ("resources:cpu", "ticket", "bad")
    assert "40% or more" in starved.reason
    _, burst = said([1.0], (0.9, 0.9, 0.9, 0.9, 0.1))
    assert burst.verdict == "ok"
    assert "10% of the time" in burst.reason


def test_what_workers_lack_is_the_infrastructure() -> None:
    memory, _ = said(growing(2.0), limit=200)
    opinion = infrastructure(Trouble("resources", None, [memory], [memory]))  # type: ignore[arg-type]
    assert opinion is not None
    assert opinion.cause is Cause.INFRASTRUCTURE


def test_one_minute_is_no_minutes() -> None:
    memory, processors = said([100.0], CALM[:1])
    assert "is known of 1 minute, 20 are needed" in memory.reason
    assert "is known of 1 minute, 5 are needed" in processors.reason
    assert "in about 1 minute" in said(growing(2.0), limit=160)[0].reason
