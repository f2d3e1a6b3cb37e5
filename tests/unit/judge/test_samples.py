"""What a bad verdict looks like in the rows of the request log."""

from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest
from tests.support.traffic import BINARY, DAY, STABLE, Change, changed, labelled, profile, rows

from trimtab.domain.deployment import Objective
from trimtab.domain.records import Rows
from trimtab.domain.verdicts import Shown, Tier, Verdict
from trimtab.judge.samples import Known, about, harm_of, shown

PROFILE = profile()
KNOWN = Known(Objective(latency_seconds=0.25), BINARY, PROFILE)
N = 400


def verdict(signal: str, **scope: str) -> Verdict:
    tier: Tier = "note"
    return Verdict(
        signal=signal, tier=tier, verdict="bad", reason="", release=STABLE.digest, scope=scope
    )


def live(**change: Any) -> Rows:
    reasons = np.full(N, "boom", dtype=object)
    return changed(rows(N, seed=3, start=30 * DAY, error=reasons), Change(**change), 3)


def with_fixed(given: Rows, **columns: Any) -> Rows:
    return replace(given, fixed={**given.fixed, **columns})


def seen(signal: str, given: Rows, known: Known = KNOWN, **scope: str) -> Shown:
    label = labelled(given, seed=3).label
    return shown(verdict(signal, **scope), given, label, known, 5)


def places(found: Shown) -> tuple[int, ...]:
    """Where the samples are in the rows; a request's id ends in its place."""
    return tuple(int(each.request_id.partition("-")[2]) for each in found.samples)


def values(found: Shown) -> tuple[str, ...]:
    return tuple(each.value for each in found.samples)


def test_errors_are_those_that_failed_the_newest_first() -> None:
    given = live(failed=0.1)
    found = seen("errors", given)
    failed = np.flatnonzero(given.fixed["outcome"] == "failed")
    assert places(found) == tuple(failed[::-1][:5].tolist())
    assert found.share == pytest.approx(len(failed) / N)
    assert set(values(found)) == {"boom"}


def test_latency_is_that_beyond_the_promise_the_slowest_first() -> None:
    given = live(slow=0.05)
    given.fixed["total_seconds"][7] = 2.0
    found = seen("latency", given)
    assert places(found)[0] == 7
    assert values(found)[0] == "2000 ms"
    assert found.said == "took more than 250 ms"
    assert 0.0 < (found.share or 0.0) < 0.1


def test_of_the_batch_lane_no_answer_is_slow() -> None:
    given = live(slow=0.05)
    lane = np.full(N, "batch", dtype=object)
    batch = Rows({**given.fixed, "lane": lane}, given.inputs, given.outputs)
    assert places(seen("latency", batch)) == ()


def test_values_that_went_missing_are_shown_as_such() -> None:
    found = seen("input:level", live(missing=0.3), column="level")
    assert found.said.startswith("missing: ")
    assert values(found) == ("missing",) * 5
    assert found.share == pytest.approx(0.3, abs=0.1)


@pytest.mark.parametrize(
    ("change", "said"), [({"factor": 10.0}, "more than ever"), ({"shift": -99.0}, "less than ever")]
)
def test_values_beyond_the_reference_are_shown_as_such(change: Any, said: str) -> None:
    found = seen("upstream:level", live(**change), column="level")
    assert said in found.said
    assert "0.0% of the reference" in found.said
    assert len(places(found)) == 5


def test_a_shift_within_the_reference_shows_the_bin_that_grew() -> None:
    given = live(shift=1.5)
    found = seen("input:level", given)
    grown = given.inputs["level"][list(places(found))]
    assert found.said.startswith("above ")
    assert (grown > 10.0).all()


def test_texts_that_were_never_seen_are_named() -> None:
    given = live()
    given.inputs["side"][:90] = "up"
    found = seen("input:side", given)
    assert found.said.startswith("texts that are not in the profile")
    assert values(found) == ("up",) * 5


def test_a_segment_shows_its_own_rows() -> None:
    given = live(missing=1.0, only="left")
    found = seen("upstream:level", given, column="level", side="left")
    assert (given.inputs["side"][list(places(found))] == "left").all()
    assert found.share == pytest.approx(1.0)
    assert found.of == int((given.inputs["side"] == "left").sum())


def test_a_worker_shows_what_it_failed_or_else_what_it_was_slow_with() -> None:
    worker = np.where(np.arange(N) % 2 == 0, "w-0", "w-1").astype(object)
    given = with_fixed(live(failed=0.2), worker=worker)
    found = seen("workers:w-1", given, worker="w-1", differs="service")
    assert found.said == "failed"
    assert found.of == N // 2
    assert all(place % 2 for place in places(found))
    slow = with_fixed(live(slow=0.1), worker=worker)
    found = seen("workers:w-1", slow, worker="w-1", differs="service")
    assert found.column == "total_seconds"
    assert all(place % 2 for place in places(found))


def test_a_group_of_callers_shows_its_own_rows() -> None:
    given = with_fixed(live(failed=0.5), unit=(np.arange(N) % 3 + 256).astype(np.uint64))
    found = seen("callers:2", given, callers="2 of 256")
    assert found.of == sum(at % 3 == 2 for at in range(N))
    assert all(place % 3 == 2 for place in places(found))


@pytest.mark.parametrize(
    "signal", ["multivariate:level", "bias:selection", "parity:level", "labels"]
)
def test_what_is_of_many_rows_at_once_is_shown_by_none(signal: str) -> None:
    assert seen(signal, live(shift=5.0)).said == "not told by single rows"


def test_a_score_that_moved_shows_the_scores() -> None:
    given = live()
    given.outputs["score"][:200] = 0.99
    found = seen("prediction", given)
    assert found.column == "score"
    assert set(values(found)) == {"0.99"}


def test_quality_shows_the_answers_furthest_from_the_truth() -> None:
    given = live()
    label = labelled(given, seed=3).label
    label[::2] = ""
    found = shown(verdict("quality"), given, label, KNOWN, 3)
    truth = (label == "1") * 1.0
    distance = np.abs(given.outputs["score"] - truth)
    distance[::2] = 0.0
    assert places(found)[0] == int(distance.argmax())
    assert found.of == N // 2
    assert found.share is None
    assert values(found)[0] == f"{given.outputs['score'][places(found)[0]]}, the truth is 1"


def test_without_labels_quality_shows_nothing() -> None:
    found = shown(verdict("quality"), live(), np.full(N, "", dtype=object), KNOWN, 3)
    assert (places(found), found.said) == ((), "no label of these rows is known")


def test_a_task_without_a_loss_shows_nothing_of_its_quality() -> None:
    other = msgspec.structs.replace(BINARY, task="other", classes=())
    found = seen("quality", live(), Known(Objective(), other, PROFILE))
    assert places(found) == ()


@pytest.mark.parametrize("known", [KNOWN, Known(Objective(), BINARY, None)])
def test_what_no_row_shows_is_said(known: Known) -> None:
    found = seen("input:elsewhere", live(), known)
    assert (found.said, found.share, places(found)) == ("not told by single rows", None, ())


def test_without_rows_there_is_nothing_to_show() -> None:
    none = live().take(np.zeros(N, dtype=np.bool_))
    for signal in ("errors", "latency", "input:level"):
        assert seen(signal, none).share is None


def test_a_column_without_any_number_in_its_reference_has_no_ends() -> None:
    (level,) = [column for column in PROFILE.inputs if column.name == "level"]
    bare = msgspec.structs.replace(
        level, cuts=(), masses=(0.0,), missing=1.0, minimum=None, maximum=None
    )
    one = Known(Objective(), BINARY, msgspec.structs.replace(PROFILE, inputs=(bare,)))
    assert seen("input:level", live(), one).said.startswith("any number: 100.0% of the rows")


def test_a_column_like_its_reference_concerns_nobody() -> None:
    one = Known(Objective(), BINARY, msgspec.structs.replace(PROFILE, inputs=(alike(),)))
    found = seen("input:side", live(), one)
    assert found.share == pytest.approx(0.0)
    assert places(found) == ()


def alike() -> Any:
    (side,) = [column for column in PROFILE.inputs if column.name == "side"]
    given = live().inputs["side"]
    masses = [float((given == each).mean()) for each in side.categories]
    return msgspec.structs.replace(side, masses=(*masses, 0.0), missing=0.0)


def test_a_gap_shows_rows_of_its_group_and_how_many_they_are() -> None:
    given = live()
    found = seen("bias:selection", given, side="left")
    mine = np.asarray(given.inputs["side"] == "left")
    assert found.said == "rows of side=left"
    assert found.share == pytest.approx(mine.mean())
    assert found.of == N
    assert mine[list(places(found))].all()
    assert set(values(found)) <= {str(each) for each in given.outputs["score"].tolist()}


def test_a_gap_of_no_rows_or_of_a_task_without_answers_has_no_values() -> None:
    none = live().take(np.zeros(N, dtype=np.bool_))
    assert seen("bias:selection", none, side="left").share is None
    other = msgspec.structs.replace(BINARY, task="other", classes=())
    found = seen("bias:error", live(), Known(Objective(), other, PROFILE), side="left")
    assert values(found) == ("",) * 5


def test_answers_that_a_torn_segment_lost_are_missing() -> None:
    torn, label = replace(live(), outputs={}), np.full(N, "", dtype=object)
    side = next(column for column in PROFILE.inputs if column.name == "side")
    worded = msgspec.structs.replace(PROFILE, score=msgspec.structs.replace(side, name=""))
    for reference in (PROFILE, worded):
        known = Known(Objective(), BINARY, reference)
        found = shown(verdict("prediction"), torn, label, known, 5)
        assert found.said.startswith("missing: 100.0%")


def test_quality_harms_by_the_loss_of_labelled_answers() -> None:
    given, label = live(failed=0.2), labelled(live(), seed=3).label
    label[::2] = ""
    harm = harm_of(verdict("quality"), given, KNOWN)
    assert harm is not None
    told = harm(given, label)
    truth = (label == "1") * 1.0
    known = (label != "") & (given.fixed["outcome"] == "ok")
    assert (np.isnan(told) == ~known).all()
    assert told[known] == pytest.approx((given.outputs["score"] - truth)[known] ** 2)
    unlabelled = harm(given, np.full(N, "", dtype=object))
    assert np.isnan(unlabelled).all()


def test_a_column_harms_by_the_rows_that_came_more_often() -> None:
    given = live(missing=0.3)
    harm = harm_of(verdict("input:level", column="level"), given, KNOWN)
    assert harm is not None
    told = harm(given, np.full(N, "", dtype=object))
    assert (told == np.isnan(given.inputs["level"])).all()


def test_other_signals_have_no_harm_in_single_rows() -> None:
    other = msgspec.structs.replace(BINARY, task="other", classes=())
    assert harm_of(verdict("errors"), live(), KNOWN) is None
    assert harm_of(verdict("quality"), live(), Known(Objective(), other, None)) is None
    assert harm_of(verdict("input:level"), live(), Known(Objective(), BINARY, None)) is None


def test_a_verdict_is_about_its_column_or_about_answers() -> None:
    assert about(verdict("input:level")) == "level"
    assert about(verdict("upstream", column="side")) == "side"
    assert about(verdict("prediction")) == ""


def test_long_values_are_shortened() -> None:
    given = live(failed=1.0)
    given.fixed["error"][:] = "boom " * 40
    assert {len(each) for each in values(seen("errors", given))} == {80}
    assert values(seen("errors", given))[0].endswith("…")
