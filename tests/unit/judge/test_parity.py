"""Values as they were served against values as training computes them."""

import math
from functools import reduce
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.traffic import BINARY, DAY, STABLE, column, rows, spec

from trimtab.domain.records import Paired
from trimtab.domain.signature import Column, Datatype, Signature
from trimtab.domain.verdicts import Verdict
from trimtab.judge.monitors import Monitors
from trimtab.judge.reports import Surroundings
from trimtab.judge.signals.counts import merged
from trimtab.judge.signals.family import Breaks, Target
from trimtab.judge.signals.parity import (
    CLUSTERS,
    PORTION,
    Differences,
    Example,
    Parity,
    differs,
    in_order,
)

TARGET = Target(spec(), BINARY, None, STABLE.digest, 0.0)


def paired(
    n: int, *, wrong: float = 0.0, seed: int = 0, start: float = 0.0, **fixed: Any
) -> Paired:
    """Answers of which a share was served a tenth of the level that was told."""
    answers = rows(n, seed=seed, start=start, **fixed)
    told = dict(answers.inputs)
    here = np.random.default_rng(seed).random(n) < wrong
    told["level"] = np.where(here, told["level"] * 10.0, told["level"])
    return Paired(answers, told)


def after(family: Parity, told: Paired, clock: float) -> dict[str, Verdict]:
    """The verdicts once `told` was judged."""
    family.take(family.compare(told))
    family.close(clock, Breaks())
    return {verdict.signal: verdict for verdict in family.verdicts()}


def test_values_that_are_served_as_they_are_told_are_in_order() -> None:
    verdicts = after(Parity.of(TARGET), paired(500), 60.0)
    assert {name: each.verdict for name, each in verdicts.items()} == {
        "parity:level": "ok",
        "parity:side": "ok",
    }
    assert verdicts["parity:level"].estimate == 0.0
    assert verdicts["parity:level"].n == 500


def test_a_column_in_another_unit_is_bad_and_says_which_values() -> None:
    told = paired(500, wrong=1.0, start=DAY)
    bad = after(Parity.of(TARGET), told, 2 * DAY)["parity:level"]
    assert (bad.verdict, bad.tier, bad.estimate) == ("bad", "ticket", 1.0)
    assert bad.scope == {"column": "level"}
    assert bad.since == DAY, "the time of the first answer that differs, not of the telling"
    first, other = told.rows.inputs["level"][0], told.told["level"][0]
    assert f"served {first:g} for {other:g} (0-0), " in bad.reason


def test_corrections_within_the_tolerance_are_harmless_however_often_they_are_told() -> None:
    family = Parity.of(TARGET)
    for day in range(100):
        verdicts = after(family, paired(2000, wrong=0.005, seed=day), (day + 1) * DAY)
    assert verdicts["parity:level"].verdict == "ok"
    assert 0.0 < verdicts["parity:level"].estimate < 0.01  # type: ignore[operator]
    assert "lately" in verdicts["parity:level"].reason


def test_one_burst_of_corrections_is_not_enough_and_a_lasting_difference_is() -> None:
    family = Parity.of(TARGET)
    assert after(family, paired(2000, wrong=0.04), DAY)["parity:level"].verdict == "ok"
    for day in range(1, 10):
        verdicts = after(family, paired(2000, wrong=0.04, seed=day), (day + 1) * DAY)
    assert verdicts["parity:level"].verdict == "bad"


def test_an_alarm_ends_by_values_that_agree_again() -> None:
    family = Parity.of(TARGET)
    assert after(family, paired(300, wrong=0.5), DAY)["parity:level"].verdict == "bad"
    for day in range(1, 4):
        verdicts = after(family, paired(300, seed=day), (day + 1) * DAY)
    assert verdicts["parity:level"].verdict == "ok"


def test_a_column_of_which_nothing_is_told_stays_unknown() -> None:
    told = paired(100)
    verdicts = after(Parity.of(TARGET), Paired(told.rows, {"side": told.told["side"]}), DAY)
    assert verdicts["parity:side"].verdict == "ok"
    assert verdicts["parity:level"].verdict == "unknown"
    assert "told" in verdicts["parity:level"].reason


def test_what_is_told_within_a_minute_is_one_block() -> None:
    family = Parity.of(TARGET)
    after(family, paired(100), 10 * PORTION)
    verdicts = after(family, paired(100, seed=1), 10 * PORTION + 1.0)
    assert verdicts["parity:level"].n == 100
    family.close(11 * PORTION, Breaks())
    assert family.state.streams["level"].watch.n == 200
    family.close(12 * PORTION, Breaks())
    assert family.state.streams["level"].watch.n == 200


def test_a_block_counts_as_no_more_rows_than_bursts_leave_of_it() -> None:
    family = Parity.of(TARGET)
    assert after(family, paired(3 * CLUSTERS), DAY)["parity:level"].n == 3 * CLUSTERS
    assert family.state.streams["level"].watch.n == CLUSTERS


def test_no_pairs_are_no_block() -> None:
    assert Parity.of(TARGET).compare(paired(0)) == {}


def test_a_column_that_the_log_has_lost_was_served_as_nothing() -> None:
    told = paired(50)
    lost = Paired(
        type(told.rows)(told.rows.fixed, {}, told.rows.outputs), {**told.told, "gone": np.ones(50)}
    )
    counted = Parity.of(TARGET).compare(lost)[0].columns
    assert {name: each.differing for name, each in counted.items()} == {"level": 50, "side": 50}
    assert counted["side"].examples[0].served == "nothing"


def test_values_told_of_another_type_are_not_compared() -> None:
    told = paired(50)
    other = {"level": told.told["side"], "side": told.told["side"]}
    counted = Parity.of(TARGET).compare(Paired(told.rows, other))[0].columns
    assert list(counted) == ["side"]


@pytest.mark.parametrize(
    ("datatype", "served", "told", "apart"),
    [
        (Datatype.FP64, 1.0, 1.0 + 1e-7, False),
        (Datatype.FP64, 1.0, 1.00001, True),
        (Datatype.FP64, 0.0, 1e-300, True),
        (Datatype.FP16, 1.0, 1.0005, False),
        (Datatype.INT64, 10_000_000.0, 10_000_001.0, True),
        (Datatype.BOOL, 1.0, 0.0, True),
        (Datatype.FP64, math.nan, math.nan, False),
        (Datatype.FP64, math.nan, 0.0, True),
        (Datatype.FP64, 0.0, math.nan, True),
        (Datatype.FP64, math.inf, math.inf, False),
        (Datatype.FP64, math.inf, 1.0, True),
        (Datatype.FP64, math.inf, -math.inf, True),
        (Datatype.BYTES, "a", "a", False),
        (Datatype.BYTES, "a", "A", True),
        (Datatype.BYTES, None, None, False),
        (Datatype.BYTES, None, "", True),
    ],
)
def test_texts_and_whole_numbers_differ_exactly_and_others_by_more_than_rounding(
    datatype: Datatype, served: Any, told: Any, apart: bool
) -> None:
    kind = float if datatype.numeric else object
    one, other = np.array([served], dtype=kind), np.array([told], dtype=kind)
    assert differs(Column("x", datatype), one, other).tolist() == [apart]


def test_the_examples_are_the_first_by_event_time_whatever_the_order_of_rows() -> None:
    told = paired(60, wrong=1.0, row=np.arange(60), event_time=column(5.0, 60))
    turned = told.take(np.arange(60)[::-1])
    level = BINARY.inputs[0]
    seen = Differences.of(level, in_order(turned))
    assert seen == Differences.of(level, in_order(told))
    assert [each.request_id for each in seen.examples] == ["0-0", "0-1", "0-10"]
    assert str(Example(0.0, "a", 2, "1", "nothing")) == "1 for nothing (a row 2)"


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 99), st.permutations(range(8)))
def test_eight_workers_compare_what_one_compares(seed: int, order: list[int]) -> None:
    family, told = Parity.of(TARGET), paired(160, wrong=0.3, seed=seed)
    owner = np.random.default_rng(seed).integers(0, 8, len(told))
    counted = [family.compare(told.take(owner == worker)) for worker in order]
    assert reduce(merged, counted) == family.compare(told)


def test_the_state_is_all_that_changes() -> None:
    straight, broken = Parity.of(TARGET), Parity.of(TARGET)
    for day in range(4):
        for family in (straight, broken):
            after(family, paired(100, wrong=0.4 * (day % 2), seed=day), (day + 1) * DAY)
        saved = msgspec.msgpack.encode(broken.state)
        broken = Parity.of(TARGET)
        broken.state = msgspec.msgpack.decode(saved, type=type(broken.state))
    assert broken.verdicts() == straight.verdicts()


def test_tolerances_are_set_for_all_columns_or_for_one() -> None:
    target = Target(
        spec(tolerances={"parity": 0.2, "parity:side": 0.5}), BINARY, None, STABLE.digest, 0.0
    )
    streams = Parity.of(target).state.streams
    assert {name: each.watch.zones[0].high for name, each in streams.items()} == {
        "level": 0.2,
        "side": 0.5,
    }


def test_a_release_of_tensors_alone_has_nothing_to_compare() -> None:
    tensors = Signature((Column("image", Datatype.FP32, shape=(4,)),), ())
    family = Parity.of(Target(spec(), tensors, None, STABLE.digest, 0.0))
    assert [each.verdict for each in family.verdicts()] == ["unknown"]


def test_monitors_compare_what_their_release_answered() -> None:
    monitors = Monitors(TARGET)
    for told in (
        paired(200, wrong=1.0, release="sha256:other"),
        paired(200, wrong=1.0, outcome="failed"),
        paired(200, wrong=1.0, mode="shadow"),
    ):
        monitors.compare(told)
    assert parity(monitors) == {"parity": "unknown"}
    monitors.compare(paired(200, wrong=1.0))
    assert parity(monitors)["parity:level"] == "bad"


def parity(monitors: Monitors) -> dict[str, str]:
    """The verdicts on parity after a day."""
    said = monitors.assess(DAY, (), Surroundings()).verdicts
    return {each.signal: each.verdict for each in said if each.signal.startswith("parity")}
