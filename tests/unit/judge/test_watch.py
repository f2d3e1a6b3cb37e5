"""Bets, alone and together, watches that are settled at once, and what is said of them."""

from copy import deepcopy

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trimtab.judge.bet import STAKES, Bet
from trimtab.judge.describe import Described, Subject
from trimtab.judge.watch import Z99, Block, Point, Watch, Zone, interval, take_all
from trimtab.stats.bets import BetGrid, Side
from trimtab.stats.logspace import LN10, log_mean_exp


def test_a_zone_without_borders_gathers_no_evidence() -> None:
    watch = Watch((Zone(None, 1.0),), None, 1.0)
    watch.take(0.0, [50.0], 100)
    assert watch.log10_evidence == 0.0
    assert watch.since is None


@given(
    st.lists(st.tuples(st.floats(0.0, 1.0), st.integers(1, 500)), min_size=1, max_size=12),
    st.floats(0.01, 0.99),
    st.sampled_from(["above", "below"]),
)
def test_a_bet_is_settled_to_the_bit_as_arrays_would_settle_it(
    blocks: list[tuple[float, int]], m: float, side: Side
) -> None:
    bet, grid, wealth = Bet(m, side), BetGrid(m, side, STAKES), np.zeros(STAKES)
    for mean, rows in blocks:
        bet.take(mean, rows)
        grown = rows * (mean * grid.on_one + (1.0 - mean) * grid.on_zero)
        wealth = grown + np.maximum(0.0, wealth)
    assert list(bet.wealth) == wealth.tolist()
    assert bet.log10_evidence == pytest.approx(log_mean_exp(wealth) / LN10)


def watches() -> list[Watch]:
    """One of each form: of rows, of days, summed, without a border, with two indicators."""
    return [
        Watch((Zone(None, 0.2),), None, 2.0),
        Watch((Zone(0.1, 0.3),), 0.1, 2.0),
        Watch((Zone(None, 0.2),), None, 2.0, summed=True, eased=True),
        Watch((Zone(None, 1.0),), None, 2.0),
        Watch((Zone(0.1, 0.3), Zone(None, 0.5)), 0.05, 2.0),
    ]


@pytest.mark.no_cover
@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=12))
def test_watches_that_are_settled_at_once_end_as_each_by_itself(shares: list[float]) -> None:
    """Through alarms and recoveries, and also where the zones are those of the block."""
    together, alone = watches(), watches()
    zones = (Zone(0.05, 0.35),)
    for number, share in enumerate(shares * 3):
        blocks = [
            Block(each, number * 60.0, [share * 50] * len(each.zones), 50) for each in together
        ]
        blocks[1] = blocks[1]._replace(zones=zones)
        take_all(blocks)
        for each, block in zip(alone, blocks, strict=True):
            each.take(block.start, block.totals, block.n, block.zones)
    assert together == alone


def test_a_verdict_is_made_again_when_its_watch_took_in_a_block_and_only_then() -> None:
    described, watch, subject = Described("r"), watches()[0], Subject("share", 0.1)
    first = described.verdict("errors", watch, subject)
    assert first.verdict.verdict == "unknown"
    watch.take(0.0, [5.0], 50)
    second = described.verdict("errors", watch, subject)
    assert second.verdict.estimate == 0.1
    assert described.verdict("errors", watch, subject) is second
    other = deepcopy(watch)
    other.take(60.0, [5.0], 50)
    third = described.verdict("errors", other, subject)
    assert third.verdict.n == 100
    assert described.verdict("errors", other, Subject("part", 0.1)) is not third


def test_a_verdict_that_is_read_late_is_that_of_the_block_it_was_told_after() -> None:
    described, watch, subject = Described("r"), watches()[0], Subject("share", 0.1)
    watch.take(0.0, [5.0], 50)
    told = described.verdict("errors", watch, subject)
    for block in range(1, 9):
        watch.take(60.0 * block, [40.0], 50)
    assert watch.since is not None
    assert (told.bad, told.verdict.verdict, told.verdict.n) == (False, "ok", 50)
    assert told.verdict.evidence_log10 == told.evidence_log10
    assert described.verdict("errors", watch, subject).bad


@pytest.mark.parametrize(("summed", "most"), [(True, 28), (False, 40)])
def test_a_small_lasting_change_is_found_where_rows_are_the_observations(
    summed: bool, most: int
) -> None:
    """A stake three times the best one loses on it: the timid ones have to find it."""
    watch = Watch((Zone(None, 0.17),), None, 3.3, summed)
    blocks = 0
    while watch.frozen is None and blocks < 100:
        watch.take(3600.0 * blocks, [20.0], 100)
        blocks += 1
    assert blocks <= most


def test_stakes_that_show_nothing_in_time_do_not_add_up() -> None:
    """Of days that are worth a row or two, a few months at the border itself are no alarm."""
    watch = Watch((Zone(None, 0.17),), 0.8, 1.9, summed=True)
    for number in range(300):
        watch.take(86_400.0 * number, [17.0], 100)
    assert watch.frozen is None


def in_alarm(zone: Zone, share: float) -> Watch:
    """A watch of rows whose alarm ends when half of the harm is refuted."""
    watch = Watch((zone,), None, 3.3, eased=True)
    while watch.frozen is None:
        block(watch, share)
    return watch


def block(watch: Watch, share: float) -> None:
    """A block of 250 rows."""
    watch.take(3600.0 * len(watch.history), [250 * share], 250)


@pytest.mark.parametrize(
    ("zone", "share", "half"),
    [
        (Zone(None, 0.18), 0.22, [0.2]),
        (Zone(0.88, None), 0.84, [0.86]),
        (Zone(0.1, 0.3), 0.4, [0.35, 0.1]),
        (Zone(0.1, 0.3), 0.06, [0.3, 0.08]),
    ],
)
def test_an_eased_alarm_ends_on_half_of_the_way_to_what_the_harm_was(
    zone: Zone, share: float, half: list[float]
) -> None:
    assert [bet.m for bet in in_alarm(zone, share).back] == pytest.approx(half)


def test_an_eased_alarm_ends_as_soon_as_it_came() -> None:
    """Against the border itself a mean that is five thousandths inside takes 30,000 rows."""
    watch = in_alarm(Zone(None, 0.175), 0.21)
    blocks = 0
    while watch.frozen is not None:
        block(watch, 0.17)
        blocks += 1
    assert blocks <= 20
    assert (watch.since, watch.back, watch.log10_evidence) == (None, [], 0.0)


def test_an_eased_alarm_goes_on_while_the_mean_is_less_harm_and_not_inside() -> None:
    watch = in_alarm(Zone(None, 0.175), 0.25)
    for _ in range(200):
        block(watch, 0.18)
    assert watch.frozen is not None
    assert min(bet.log10_evidence for bet in watch.back) > 2.0
    for _ in range(60):
        block(watch, 0.17)
    assert watch.frozen is None


@pytest.mark.parametrize(
    ("hits", "n", "lower", "upper"),
    [(1, 1, 0.2065, 1.0), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (50, 100, 0.4038, 0.5962)],
)
def test_the_interval_of_rows_is_wilsons(hits: int, n: int, lower: float, upper: float) -> None:
    """Newcombe, Statistics in Medicine 1998, method 3; one row is no certainty."""
    found = interval([Point(0.0, n, hits / n, 0.0)], None)
    assert found == pytest.approx((hits / n, lower, upper), abs=1e-4)


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_the_interval_of_rows_that_are_all_alike_holds_their_mean(rate: float) -> None:
    for n in range(1, 2000):
        mean, lower, upper = interval([Point(0.0, n, rate, 0.0)], None)
        assert 0.0 <= lower <= mean <= upper <= 1.0, n


def test_the_interval_of_days_knows_how_days_differ_before_there_are_many() -> None:
    days = [Point(float(day), 500, 0.3 + 0.02 * (-1) ** day, 0.0) for day in range(60)]
    mean, lower, upper = interval(days[:1], 0.05)
    assert upper - mean == pytest.approx(1.96 * 0.05 / Z99)
    assert mean - lower == pytest.approx(upper - mean)
    mean, _, upper = interval(days, 0.05)
    assert upper - mean == pytest.approx(1.96 * 0.02 / 60**0.5, rel=0.02)
