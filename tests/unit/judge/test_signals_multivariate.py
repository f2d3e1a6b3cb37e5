"""Columns that come apart are told, with the one they came apart from; what is usual is not."""

import msgspec
import numpy as np
import pytest
from tests.support.traffic import BINARY, DAY, STABLE, related, related_profile, rows, spec

from trimtab.domain.profile import ReferenceProfile
from trimtab.domain.records import Rows
from trimtab.domain.verdicts import Cause, Verdict
from trimtab.judge.monitors import Monitors
from trimtab.judge.reports import Surroundings
from trimtab.judge.signals import counts
from trimtab.judge.signals import multivariate as module
from trimtab.judge.signals.family import Breaks, Target
from trimtab.judge.signals.multivariate import Multivariate, Related

FIRST = 20
TIMED = related_profile()
UNTIMED = related_profile(timed=False)


def target(reference: ReferenceProfile, **plan: object) -> Target:
    """A deployment whose reference has these relations."""
    return Target(spec(**plan), BINARY, reference, STABLE.digest, FIRST * DAY)


def begun(reference: ReferenceProfile = UNTIMED, **plan: object) -> Multivariate:
    """The family at its beginning."""
    family = Multivariate.of(target(reference, **plan))
    assert family is not None
    return family


def swapped(given: Rows) -> Rows:
    """The rows with the levels of others: every column keeps its distribution."""
    level = np.roll(given.inputs["level"], 7)
    return Rows(given.fixed, {**given.inputs, "level": level}, given.outputs)


def part(number: int, n: int = 600, seconds: float = 3600.0) -> Rows:
    """One block of rows as they were on the reference."""
    return related(rows(n, seed=number, start=FIRST * DAY + number * seconds, seconds=seconds))


def lived(family: Multivariate, blocks: list[Rows], seconds: float = 3600.0) -> list[Verdict]:
    """The verdicts after some blocks."""
    for number, block in enumerate(blocks):
        family.take(family.count(block))
        family.close(FIRST * DAY + (number + 2) * seconds, Breaks())
    return list(family.verdicts())


def test_what_goes_together_as_ever_is_fine() -> None:
    verdicts = lived(begun(), [part(i) for i in range(40)])
    assert [verdict.signal for verdict in verdicts] == ["multivariate:level", "multivariate:side"]
    assert {verdict.verdict for verdict in verdicts} == {"ok"}


def test_columns_that_came_apart_are_told_though_each_is_as_it_was() -> None:
    monitors = Monitors(target(UNTIMED))
    for i in range(10):
        monitors.observe(part(i) if i < 4 else swapped(part(i)))
    report = monitors.assess((FIRST + 1) * DAY, (), Surroundings())
    words = {verdict.signal: verdict for verdict in report.verdicts}
    assert words["input:level"].verdict == words["input:side"].verdict == "ok"
    assert words["multivariate:level"].verdict == "bad"
    assert words["multivariate:level"].reason.endswith("; it goes least with side as it did")
    torn = words["upstream:relations:level or side"]
    assert (torn.verdict, torn.scope) == ("bad", {"column": "level", "or": "side"})
    assert torn.reason.startswith("level or side is broken since")
    (incident,) = report.opened
    assert (incident.tier, incident.causes[0].cause) == ("page", Cause.UPSTREAM_BREAK)
    assert incident.severity.startswith("level or side is broken")


def test_columns_that_contradict_each_other_are_broken_feeds_to_all_until_they_agree_again() -> (
    None
):
    family = begun()
    told: list[tuple[frozenset[str], float | None]] = []
    for number in range(20):
        breaks = Breaks(columns={FIRST * DAY + number * 3600.0: frozenset({"other"})})
        family.take(family.count(swapped(part(number)) if 4 <= number < 8 else part(number)))
        family.close(FIRST * DAY + (number + 2) * 3600.0, breaks)
        told.append((breaks.at(FIRST * DAY + number * 3600.0), breaks.mended))
    both = frozenset({"other", "level or side"})
    broken = [number for number, (columns, _) in enumerate(told) if columns == both]
    assert 4 <= broken[0] <= 6 < broken[-1] <= 10
    assert broken == list(range(broken[0], broken[-1] + 1))
    (span,) = family.state.spans
    assert span.since == FIRST * DAY + 4 * 3600.0
    assert span.until == FIRST * DAY + (broken[-1] + 1) * 3600.0
    assert [mended for _, mended in told] == [
        None if number <= broken[-1] else span.until for number in range(20)
    ]


def test_days_are_compared_with_days() -> None:
    family = begun(TIMED)
    days = [part(i, 400, DAY) for i in range(8)]
    assert {each.verdict for each in lived(family, days, DAY)} == {"ok"}
    assert family.state.watches["level"].n == 8 * 400


def test_a_day_in_part_and_one_of_few_rows_say_nothing() -> None:
    family = Multivariate.of(msgspec.structs.replace(target(TIMED), started=FIRST * DAY + 1.0))
    assert family is not None
    lived(family, [part(0, 400, DAY), part(1, 20, DAY), part(2, 400, DAY)], DAY)
    assert [point.n for point in family.state.watches["level"].history] == [400]


def test_a_broken_feed_is_no_evidence_of_its_relations() -> None:
    family = begun()
    family.take(family.count(part(0)))
    family.close((FIRST + 1) * DAY, Breaks(columns={FIRST * DAY: frozenset({"side"})}))
    assert not family.state.watches["level"].history


def test_of_large_blocks_a_sample_is_scored_the_same_for_any_split(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(counts, "SAMPLED", 100)
    family = begun()
    lived(family, [part(i) for i in range(3)])
    block = part(3)
    whole = family.count(block)
    (counted,) = whole.values()
    assert counted.rows == 600
    assert 50 < counted.columns["level"].n < 200
    pieces = [family.count(block.take(np.arange(start, 600, 4))) for start in range(4)]
    joined = Related()
    for piece in pieces:
        joined = joined.merge(*piece.values())
    assert joined == counted
    family.take(whole)
    family.close(FIRST * DAY + 5 * 3600.0, Breaks())
    assert len(family.state.watches["level"].history) == 4


def test_a_block_that_outgrows_what_was_foreseen_is_scored_no_further_and_not_judged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MOST_SCORED", 1000)
    family, begin = begun(), FIRST * DAY
    number = int(begin // 3600.0)
    family.take(family.count(part(0, 1500)))
    family.close(begin + 1800.0, Breaks())
    assert family.state.full == [number]
    more = family.count(part(0, 500))
    assert more == {number: Related(500, passed=500)}
    family.take(more)
    family.take(family.count(part(1, 1000)))
    family.close(begin + 3 * 3600.0, Breaks())
    assert family.state.sizes == [2000, 1000]
    assert [point.n for point in family.state.watches["level"].history] == [1000]
    assert family.state.full == []


def test_a_release_of_before_is_unknown_and_told_to_build_again() -> None:
    old = msgspec.structs.replace(UNTIMED, multivariate=None)
    (verdict,) = lived(begun(old), [part(0)])
    assert (verdict.signal, verdict.verdict) == ("multivariate", "unknown")
    assert "build it again" in verdict.reason


def test_a_small_reference_is_unknown_by_its_rows() -> None:
    small = related_profile(days=1, timed=False)
    (verdict,) = begun(small).verdicts()
    assert verdict.reason == "the reference holds 400 rows, 500 are needed"


def test_without_relations_or_a_second_column_there_is_nothing_to_watch() -> None:
    learned = UNTIMED.multivariate
    assert learned is not None
    apart = msgspec.structs.replace(learned, columns=(), pairs=(), scores=())
    none = msgspec.structs.replace(UNTIMED, multivariate=apart)
    single = msgspec.structs.replace(UNTIMED, inputs=UNTIMED.inputs[:1])
    for reference in (none, single, None):
        assert Multivariate.of(Target(spec(), BINARY, reference, STABLE.digest, 0.0)) is None


def test_a_tolerance_of_the_user_holds() -> None:
    family = begun(tolerances={"multivariate:level": 0.9})
    words = {v.signal: v.verdict for v in lived(family, [swapped(part(i)) for i in range(8)])}
    assert words == {
        "multivariate:level": "ok",
        "multivariate:side": "bad",
        "upstream:relations:level or side": "bad",
    }
