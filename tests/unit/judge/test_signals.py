"""Laws that every family of signals obeys, and what the engine does with families."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial, reduce
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.traffic import (
    BINARY,
    DAY,
    STABLE,
    Change,
    changed,
    labelled,
    profile,
    related,
    related_profile,
    rows,
    spec,
)

from trimtab.domain.records import CodedTexts, Lazy, Rows
from trimtab.domain.signature import Signature
from trimtab.judge.budget import GROUPS, TIMES, share
from trimtab.judge.incidents import KINDS
from trimtab.judge.monitors import Monitors, Saved
from trimtab.judge.reports import Surroundings
from trimtab.judge.signals.counts import merged, sums
from trimtab.judge.signals.family import Breaks, Family, Target
from trimtab.judge.signals.prediction import Prediction
from trimtab.judge.signals.registry import FAMILIES

FIRST = 20
PROFILE = msgspec.structs.replace(
    profile(groups=("side",)), multivariate=related_profile().multivariate
)
PLAN = spec(
    quality=("brier", "f1", "cost", "roc_auc"),
    costs={"1": {"0": 1.0}, "0": {"1": 5.0}},
    audit=0.3,
    groups=("side",),
)
TARGET = Target(PLAN, BINARY, PROFILE, STABLE.digest, FIRST * DAY)
BARE = Target(spec(), BINARY, None, STABLE.digest, FIRST * DAY)

every_family = pytest.mark.parametrize("kind", FAMILIES, ids=lambda kind: str(kind.name))


def traffic(seed: int, n: int = 240) -> Rows:
    """Rows of two days with everything wrong that a family may have to count."""
    change = Change(missing=0.2, failed=0.1, slow=0.1, factor=1.2)
    return changed(rows(n, seed=seed, start=FIRST * DAY, seconds=2 * DAY), change, seed)


def begun(kind: type[Family[Any, Any]], target: Target = TARGET) -> Family[Any, Any]:
    """The family of a target that has something for it."""
    family = kind.of(target)
    assert family is not None
    return family


def parts(owner: np.ndarray) -> list[np.ndarray]:
    """The rows of each of eight workers."""
    return [np.flatnonzero(owner == worker) for worker in range(8)]


@pytest.mark.no_cover
@every_family
@settings(max_examples=10, deadline=None)
@given(st.integers(0, 99), st.permutations(range(8)))
def test_eight_workers_count_what_one_counts(
    kind: type[Family[Any, Any]], seed: int, order: list[int]
) -> None:
    family, given_rows = begun(kind), traffic(seed)
    truth = labelled(given_rows, seed=seed)
    owned = parts(np.random.default_rng(seed).integers(0, 8, len(given_rows)))
    counted = [family.count(given_rows.take(owned[worker])) for worker in order]
    told = [family.learn(truth.take(owned[worker])) for worker in order]
    assert encoded(reduce(merged, counted)) == encoded(family.count(given_rows))
    assert encoded(reduce(merged, told)) == encoded(family.learn(truth))


def encoded(counted: Any) -> bytes:
    """Counts to the last bit."""
    return msgspec.msgpack.encode(dict(sorted(counted.items())))


def coded(columns: Mapping[str, Any]) -> Lazy:
    """The same columns as the log holds them."""
    made = {
        name: CodedTexts.of(values) if values.dtype == object else values
        for name, values in columns.items()
    }
    return Lazy({name: partial(made.__getitem__, name) for name in made}, 240)


@every_family
def test_texts_count_the_same_whether_they_are_coded_or_not(kind: type[Family[Any, Any]]) -> None:
    family, plain = begun(kind), traffic(3)
    lazy = Rows(coded(plain.fixed), coded(plain.inputs), plain.outputs)
    assert len(lazy) == len(plain) == 240
    assert encoded(family.count(lazy)) == encoded(family.count(plain))
    truth = labelled(plain, seed=3)
    same = replace(truth, rows=lazy)
    assert encoded(family.learn(same)) == encoded(family.learn(truth))


@every_family
@settings(max_examples=10, deadline=None)
@given(st.integers(0, 99))
def test_merging_is_associative(kind: type[Family[Any, Any]], seed: int) -> None:
    family, given_rows = begun(kind), traffic(seed, 90)
    one, two, three = (
        family.count(given_rows.take(np.arange(start, start + 30))) for start in (0, 30, 60)
    )
    assert merged(merged(one, two), three) == merged(one, merged(two, three))


@every_family
def test_counting_changes_nothing(kind: type[Family[Any, Any]]) -> None:
    family = begun(kind)
    before = msgspec.msgpack.encode(family.state)
    family.count(traffic(1))
    family.learn(labelled(traffic(1)))
    assert msgspec.msgpack.encode(family.state) == before


@every_family
def test_the_state_is_all_that_changes(kind: type[Family[Any, Any]]) -> None:
    """A family that goes on from its encoded state after each step ends like one that lived on."""
    straight, broken = begun(kind), begun(kind)
    for day in range(3):
        part = changed(rows(200, seed=day, start=(FIRST + day) * DAY), Change(missing=0.5), day)
        for family in (straight, broken):
            family.take(family.count(part))
            family.take(family.learn(labelled(part, seed=day, flip=0.4)))
            family.close((FIRST + day + 1) * DAY + 3600.0, Breaks())
        state = msgspec.msgpack.decode(
            msgspec.msgpack.encode(broken.state), type=type(broken.state)
        )
        broken = begun(kind)
        broken.state = state
    assert msgspec.msgpack.encode(broken.state) == msgspec.msgpack.encode(straight.state)
    assert broken.verdicts() == straight.verdicts()


@every_family
def test_before_any_block_a_family_knows_nothing(kind: type[Family[Any, Any]]) -> None:
    verdicts = begun(kind).verdicts()
    assert {verdict.verdict for verdict in verdicts} == {"unknown"}
    assert all(verdict.reason for verdict in verdicts)


@every_family
def test_signals_have_a_share_of_the_budget_and_a_kind_of_incident(
    kind: type[Family[Any, Any]],
) -> None:
    groups = {verdict.signal.partition(":")[0] for verdict in begun(kind).verdicts()}
    assert groups <= set(GROUPS)
    assert groups <= set(KINDS)


def test_the_shares_of_a_tier_sum_to_its_budget() -> None:
    for tier in TIMES:
        assert sum(share(name) for name, group in GROUPS.items() if group.tier == tier) == (
            pytest.approx(1.0)
        )


def test_without_a_profile_what_needs_none_is_watched() -> None:
    begun = {kind.name for kind in FAMILIES if kind.of(BARE) is not None}
    assert begun == {"callers", "service", "workers", "parity"}


@pytest.mark.no_cover
def test_counts_made_elsewhere_are_judged_as_rows_are() -> None:
    counting, judging, straight = (Monitors(TARGET) for _ in range(3))
    for day in range(4):
        part = rows(300, seed=day, start=(FIRST + day) * DAY)
        judging.take(counting.count(part))
        straight.observe(part)
    for monitors in (judging, straight):
        monitors.assess((FIRST + 5) * DAY, (), Surroundings())
    assert judging.dump() == straight.dump()


def resumed(change: Callable[[dict[str, msgspec.Raw]], None]) -> Monitors:
    """Monitors that go on from a saved state that was tampered with."""
    monitors = Monitors(TARGET)
    monitors.observe(related(rows(400, start=FIRST * DAY)))
    monitors.assess((FIRST + 1) * DAY + 3600.0, (), Surroundings())
    saved = msgspec.msgpack.decode(monitors.dump(), type=Saved)
    families = {name: msgspec.Raw(bytes(state)) for name, state in saved.families.items()}
    change(families)
    return Monitors.load(msgspec.msgpack.encode(Saved(saved.target, saved.opened, families)))


def test_the_state_of_a_family_that_is_gone_is_dropped_with_a_note() -> None:
    monitors = resumed(lambda states: states.update(moods=msgspec.Raw(b"\x80")))
    assert monitors.notes == ("moods is no longer watched: its evidence is dropped",)
    assert b"moods" not in monitors.dump()


@pytest.mark.parametrize("state", [None, msgspec.Raw(b"\x07")])
def test_a_family_that_cannot_be_resumed_starts_anew_and_the_others_go_on(
    state: msgspec.Raw | None,
) -> None:
    def change(states: dict[str, msgspec.Raw]) -> None:
        del states["inputs"]
        if state is not None:
            states["inputs"] = state

    monitors = resumed(change)
    report = monitors.assess((FIRST + 1) * DAY + 3600.0, (), Surroundings())
    words = {verdict.signal: verdict.verdict for verdict in report.verdicts}
    assert monitors.notes[0].startswith("inputs is watched anew: ")
    assert (words["input:level"], words["prediction"]) == ("unknown", "ok")


def test_a_model_without_outputs_of_a_known_kind_has_predictions_without_counts() -> None:
    other = Target(spec(), Signature((), (), "other"), PROFILE, STABLE.digest, FIRST * DAY)
    family = begun(Prediction, other)
    family.take(family.count(rows(50, start=FIRST * DAY)))
    family.close((FIRST + 2) * DAY, Breaks())
    assert {verdict.verdict for verdict in family.verdicts()} == {"unknown"}


def test_counts_of_other_bins_have_no_sum() -> None:
    assert sums([1, 2], []) == sums([], [1, 2]) == [1, 2]
    assert sums([1, 2], [3, 4]) == [4, 6]
    with pytest.raises(ValueError, match="counts of 1 places and of 2 have no sum"):
        sums([1], [1, 2])
