"""What a build remembers of groups."""

from dataclasses import replace

import numpy as np
import pytest
from tests.support.traffic import DAY
from tests.unit.judge.test_bias import people, reference

from trimtab.domain.records import CodedTexts
from trimtab.judge import groups
from trimtab.judge.group_profile import group_values
from trimtab.judge.profile import build_profile
from trimtab.judge.signals.bias import reference_gap


def test_values_alone_come_first_then_pairs_by_their_size() -> None:
    made = [group.name for group in build_profile(reference()).groups]
    assert made[:5] == ["sex=F", "sex=M", "race=a", "race=b", "race=c"] or made[:5] == [
        "sex=M",
        "sex=F",
        "race=a",
        "race=b",
        "race=c",
    ]
    assert set(made[5:7]) == {"sex=F & race=a", "sex=M & race=a"}
    assert all("race=c" not in name for name in made[5:])


def test_the_counts_are_those_of_the_rows() -> None:
    known = reference()
    profile = build_profile(known)
    group = next(each for each in profile.groups if each.values == {"race": "b"})
    mine = np.asarray(known.inputs["race"] == "b")
    chosen = known.outputs["score"] >= 0.5
    gap = next(each for each in group.gaps if each.measure == "selection")
    assert (gap.n, gap.others_n) == (mine.sum(), (~mine).sum())
    assert reference_gap(gap) == pytest.approx(chosen[mine].mean() - chosen[~mine].mean())


def test_rows_without_the_column_are_in_no_group_and_among_no_others() -> None:
    who = people(6000, 0)
    who["sex"][:1000] = None
    profile = build_profile(reference(inputs=who))
    gap = next(each for each in profile.groups if set(each.values) == {"sex"}).gaps[0]
    assert gap.n + gap.others_n == 5000


def test_without_answers_or_labels_only_what_is_there_is_counted() -> None:
    assert build_profile(reference(outputs={}, label=None)).groups == ()
    measures = {
        g.measure for each in build_profile(reference(label=None)).groups for g in each.gaps
    }
    assert measures == {"selection", "score"}


def test_a_value_that_everybody_has_is_no_group_and_is_not_crossed() -> None:
    known = reference()
    same = {**known.inputs, "race": np.full(6000, "a", dtype=object)}
    assert {g.name for g in build_profile(reference(inputs=same)).groups} == {"sex=F", "sex=M"}


def test_numbers_of_few_values_make_groups_and_those_of_many_do_not() -> None:
    assert set(group_values(np.repeat([1.0, 2.0, np.nan], 200))) == {"1", "2"}
    assert group_values(np.repeat(np.arange(30.0), 200)) == ()


def test_only_the_largest_groups_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trimtab.judge.group_profile.MOST_GROUPS", 6)
    assert len(build_profile(reference()).groups) == 6


def test_days_on_which_a_gap_moves_by_itself_are_remembered() -> None:
    known = reference()
    time = np.asarray(np.arange(6000) // 300 * DAY + 1.0, dtype=np.float64)
    calm = build_profile(replace(known, time=time))
    own = np.where(known.inputs["sex"] == "F", np.sin(time), 0.0)
    score = np.clip(known.outputs["score"] + 0.3 * own, 0.0, 1.0)
    moved = build_profile(replace(known, time=time, outputs={"score": score}))
    pairs = [
        next(g.gaps[0].variance for g in each.groups if g.values == {"sex": "F"})
        for each in (calm, moved)
    ]
    assert pairs[0] < 0.005 < pairs[1]


def test_a_day_without_the_group_tells_nothing_of_its_gap() -> None:
    who, day = people(6000, 0), np.arange(6000) // 300
    who["sex"][day == 3] = "M"
    time = np.asarray(day * DAY + 1.0, dtype=np.float64)
    profile = build_profile(reference(time=time, inputs=who))
    assert profile.groups


def test_texts_by_position_are_the_same_groups_as_texts() -> None:
    who = people(6000, 0)
    who["sex"][:500] = None
    places = np.array([{"F": 0, "M": 1, None: -1}[each] for each in who["sex"].tolist()])
    coded = {"sex": CodedTexts(("F", "M"), places), "race": who["race"]}
    assert (
        build_profile(reference(inputs=coded)).groups == build_profile(reference(inputs=who)).groups
    )


def test_codes_name_missing_and_other_values() -> None:
    values = np.array(["x", None, "y", "z"], dtype=object)
    assert groups.code(values, ["y", "x"]).tolist() == [1, -1, 0, 2]
