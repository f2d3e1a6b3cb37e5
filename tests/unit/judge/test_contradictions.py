"""Columns that contradict what they went together with are broken; rows that move are not."""

import msgspec
import numpy as np
import pytest
from tests.support.traffic import BINARY, DAY, STABLE, related, related_profile, rows, spec

from trimtab.domain.profile import MultivariateProfile, Pair
from trimtab.domain.records import Rows
from trimtab.domain.verdicts import Cause, Verdict
from trimtab.judge.incidents import reconcile
from trimtab.judge.monitors import Monitors
from trimtab.judge.reports import MonitorReport, Surroundings
from trimtab.judge.signals.contradictions import (
    Contradictions,
    Torn,
    contradicting,
    lately,
    recent,
)
from trimtab.judge.watch import Watch, Zone
from trimtab.stats.lift import log_lift

from .test_incidents import case, causes, of_column, verdict

FIRST = 20
UNTIMED = related_profile(timed=False)
PARTNERS = {
    "a": {"b": 0, "c": 1},
    "b": {"a": 0, "c": 2},
    "c": {"a": 1, "b": 2},
    "d": {"e": 3},
    "e": {"d": 3},
}
USUAL = np.array([0.5, 0.3, 0.2, 0.4])


@pytest.mark.parametrize(
    ("lift", "found"),
    [
        (USUAL, []),
        # Weaker relations, and one that is gone: other rows may come so.
        (USUAL * 0.3, []),
        (np.array([0.0, 0.0, 0.2, 0.4]), []),
        # `a` beside all others; `b` and `c` are intact beside each other.
        (np.array([-0.9, -0.4, 0.2, 0.4]), [("a",)]),
        (np.array([-0.9, -0.4, 0.2, 0.3]), [("a",)]),
        # Two columns in each other's place.
        (np.array([0.5, -0.8, -0.4, 0.4]), [("c",)]),
        # Beside `b`, which is broken, either of the two others.
        (np.array([-2.0, -0.8, -0.9, 0.4]), [("b",), ("a", "c")]),
        # Two that go with no third, whichever was suspected.
        (np.array([0.5, 0.3, 0.2, -0.4]), [("d", "e")]),
        # Everything moved.
        (np.array([-0.9, 0.1, 1.2, 1.4]), []),
    ],
)
def test_a_column_is_named_where_it_alone_contradicts_the_others(
    lift: np.ndarray[tuple[int], np.dtype[np.float64]], found: list[tuple[str, ...]]
) -> None:
    torn = contradicting(PARTNERS, lift, USUAL, ["a", "b", "c", "e"])
    assert [each.columns for each in torn] == found


@pytest.mark.parametrize("seed", range(5))
def test_no_shares_of_one_column_bring_its_mean_lift_below_zero(seed: int) -> None:
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(20_000, rng.dirichlet(np.full(48, 0.3))).reshape(8, 6)
    lift, rows_ = log_lift(counts), counts.sum(axis=1, keepdims=True)
    beside = counts / np.maximum(rows_, 1)
    means = (beside * lift).sum(axis=1)
    assert (rng.dirichlet(np.full(8, 0.1), 200) @ means).min() > -0.05


def test_a_column_that_is_not_suspected_is_never_named() -> None:
    assert not contradicting(PARTNERS, np.array([-0.9, -0.4, 0.2, 0.4]), USUAL, ["c"])


def test_the_last_blocks_tell_and_larger_ones_tell_more() -> None:
    blocks: list[list[int]] = []
    for rows_, lift in ((10, 5000), (100, 0), (200, 0), (300, 60_000)):
        blocks = recent(blocks, rows_, [lift])
    assert lately(blocks).tolist() == [0.1]
    assert not lately([]).size


def test_a_column_that_contradicts_several_is_named_with_them() -> None:
    pairs = tuple(Pair(0, place, (), 500.0) for place in (1, 2))
    profile = MultivariateProfile(pairs=pairs)
    watch = Watch((Zone(None, 0.5),), None, 2.0, since=DAY)
    partners = {"a": {"b": 0, "c": 1}, "b": {"a": 0}, "c": {"a": 1}}
    told = Contradictions("r", profile, 2.0).verdict(partners, Torn(("a",), (0, 1), -0.4), watch)
    assert (told.signal, told.scope) == ("upstream:relations:a", {"column": "a"})
    assert told.reason == (
        "a contradicts b, c since 1970-01-02 00:00: its values come beside theirs more rarely than "
        "by chance (-0.40 nats, +1.00 on the reference), as no move of one column alone would do"
    )


def renumbered(given: Rows) -> Rows:
    """The rows with the words of one column in each other's place."""
    side = np.where(given.inputs["side"] == "right", "left", "right").astype(object)
    return Rows(given.fixed, {**given.inputs, "side": side}, given.outputs)


def watched(broken_from: int, until: int = 10) -> tuple[MonitorReport, dict[str, Verdict]]:
    """What is said after hours of which the later ones are renumbered."""
    monitors = Monitors.start(spec(), BINARY, UNTIMED, STABLE.digest, FIRST * DAY)
    for i in range(until):
        given = related(rows(600, seed=i, start=FIRST * DAY + i * 3600.0, seconds=3600.0))
        monitors.observe(given if i < broken_from else renumbered(given))
    report = monitors.assess((FIRST + 1) * DAY, (), Surroundings())
    return report, {each.signal: each for each in report.verdicts}


def test_words_in_each_others_place_are_a_broken_feed() -> None:
    report, words = watched(4)
    told = [words[name] for name in words if name.startswith("upstream:relations:")]
    assert {each.verdict for each in told} == {"bad"}
    assert all("more rarely than by chance" in each.reason for each in told)
    assert all((each.estimate or 0.0) < 0.0 < (each.reference or 0.0) for each in told)
    broken = next(each for each in report.opened if "upstream" in each.id)
    assert (broken.tier, broken.causes[0].cause) == ("page", Cause.UPSTREAM_BREAK)
    assert any("contradict each other" in each.by for each in broken.ruled_out)


def test_rows_as_they_were_contradict_nothing() -> None:
    report, words = watched(10)
    assert not report.opened
    assert not any(name.startswith("upstream:relations:") for name in words)


def test_what_contradicts_others_has_not_drifted() -> None:
    torn = msgspec.structs.replace(verdict("upstream:relations:x"), scope={"column": "x"})
    (page,) = reconcile(case(), [of_column("multivariate:x"), torn], ()).opened
    assert (page.tier, causes(page)) == ("page", [Cause.UPSTREAM_BREAK])
    evidence = " ".join(page.causes[0].evidence)
    assert "columns contradict none of the others" in evidence
    jumped = [verdict("multivariate:x"), verdict("upstream:y")]
    drifted = next(each for each in reconcile(case(), jumped, ()).opened if "drift" in each.id)
    assert causes(drifted) == [Cause.DATA_DRIFT]
