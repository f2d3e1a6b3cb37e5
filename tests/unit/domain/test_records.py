"""Columns of rows: texts by their names, and what is made only when somebody asks."""

from functools import partial
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from trimtab.domain.records import CodedTexts, Column, Lazy, Rows, kept


def texts(*values: str | None) -> NDArray[Any]:
    made = np.empty(len(values), dtype=object)
    made[:] = values
    return made


class Made:
    """Makers that note what was asked for."""

    def __init__(self, **columns: Column) -> None:
        self.columns = columns
        self.asked: list[str] = []

    def lazy(self) -> Lazy:
        size = len(next(iter(self.columns.values())))
        return Lazy({name: partial(self._make, name) for name in self.columns}, size)

    def _make(self, name: str) -> Column:
        self.asked.append(name)
        return self.columns[name]


OUTCOMES = CodedTexts(("ok", "failed"), np.array([0, 1, -1, 0]))


def test_texts_become_positions_among_their_names_and_back() -> None:
    values = texts("b", None, "a", "b")
    coded = CodedTexts.of(values)
    assert coded.names == ("b", "a")
    assert coded.objects().tolist() == values.tolist()
    assert coded.counts().tolist() == [2, 1]
    assert coded[np.array([False, True, True, False])].objects().tolist() == [None, "a"]
    assert CodedTexts.of(coded) is coded
    assert CodedTexts.missing(2).objects().tolist() == [None, None]
    assert CodedTexts.missing(2).counts().tolist() == []


def test_a_name_that_no_row_has_is_counted_as_none() -> None:
    assert CodedTexts(("a", "b"), np.array([1, 1])).counts().tolist() == [0, 2]
    assert not CodedTexts(("a", "b"), np.array([1, 1])).equal("a").any()
    assert not CodedTexts(("a", "b"), np.array([1, 1])).equal("c").any()


def test_a_lazy_column_is_made_once_and_only_when_it_is_asked_for() -> None:
    made = Made(outcome=OUTCOMES, row=np.arange(4))
    columns = made.lazy()
    assert (list(columns), len(columns), "row" in columns) == (["outcome", "row"], 2, True)
    assert "other" not in columns
    assert made.asked == []
    assert columns["outcome"] is columns["outcome"]
    assert columns["outcome"].tolist() == ["ok", "failed", None, "ok"]
    assert columns["row"].tolist() == [0, 1, 2, 3]
    assert made.asked == ["outcome", "row"]
    with pytest.raises(KeyError):
        columns["other"]


@pytest.mark.parametrize("index", [np.array([0, 2]), np.array([True, False, True, False])])
def test_rows_that_are_taken_of_lazy_ones_are_lazy_and_know_how_many_they_are(
    index: NDArray[Any],
) -> None:
    made = Made(outcome=OUTCOMES, row=np.arange(4))
    taken = Rows(made.lazy(), {}, {}).take(index)
    assert len(taken) == 2
    assert made.asked == []
    assert taken.fixed["row"].tolist() == [0, 2]
    assert taken.texts("outcome").objects().tolist() == ["ok", None]
    assert taken.take(np.array([True, True])) is taken


def test_rows_say_which_have_a_text_whether_it_is_coded_or_not() -> None:
    for fixed in (Made(outcome=OUTCOMES).lazy(), {"outcome": OUTCOMES.objects()}):
        rows = Rows(fixed, {}, {})
        assert rows.has("outcome", "ok").tolist() == [True, False, False, True]
        assert rows.texts("outcome").counts().tolist() == [2, 1]


def test_an_input_is_given_as_it_is_held() -> None:
    rows = Rows({}, Made(kind=OUTCOMES).lazy(), {})
    assert rows.input("kind") is OUTCOMES
    assert rows.input("other") is None
    plain = np.zeros(4)
    assert Rows({}, {"x": plain}, {}).input("x") is plain


def test_rows_of_a_table_came_by_no_lane_and_were_waited_for() -> None:
    ids = texts("a", "b")
    assert Rows({"request_id": ids}, {}, {}).prompt.all()
    lanes = texts("batch", "realtime")
    assert Rows({"request_id": ids, "lane": lanes}, {}, {}).prompt.tolist() == [False, True]


def test_rows_that_are_held_keep_the_wanted_inputs_and_nothing_that_was_made_of_others() -> None:
    made = Made(outcome=OUTCOMES, kind=OUTCOMES)
    rows = Rows(made.lazy(), made.lazy(), made.lazy())
    assert rows.fixed["outcome"].size == 4
    kept = rows.keeping(("kind", "gone"), 256)
    assert list(kept.inputs) == ["kind"]
    assert list(kept.fixed) == ["outcome", "kind"]
    assert kept.has("outcome", "failed").sum() == 1
    assert made.asked == ["outcome", "outcome"]
    plain = Rows({"row": np.arange(2)}, {"x": np.zeros(2), "y": np.zeros(2)}, {})
    assert list(plain.keeping(("y",), 256).inputs) == ["y"]


def test_of_texts_that_are_held_no_more_than_so_many_characters_are_kept() -> None:
    """Whether they are coded or not; two that begin alike are one then."""
    long, listed = "abcdef", np.empty(2, dtype=object)
    listed[:] = [[1.0, 2.0], [3.0]]
    columns: dict[str, Column] = {
        "coded": CodedTexts((long, "abc", f"{long}g"), np.array([0, 1, -1, 2])),
        "short": CodedTexts(("abc",), np.array([0, 0])),
        "plain": texts("x", None, long),
        "same": texts("x", "y"),
        "list": listed,
        "number": np.arange(2.0),
    }
    lazy = Lazy({name: partial(dict.__getitem__, columns, name) for name in columns}, 4)
    held = Rows({}, lazy, {}).keeping(tuple(columns), 4).inputs
    assert isinstance(held, Lazy)
    coded = held.made("coded")
    assert isinstance(coded, CodedTexts)
    assert (coded.names, coded.places.tolist()) == (("abcd", "abc"), [0, 1, -1, 0])
    assert held["plain"].tolist() == ["x", None, "abcd"]
    for name in ("short", "same", "list", "number"):
        assert held.made(name) is columns[name]


def test_where_all_rows_are_kept_nothing_is_copied() -> None:
    values = np.array([3.0, 1.0, 2.0])
    assert kept(values, np.ones(3, dtype=np.bool_)) is values
    assert kept(values, np.array([True, False, True])).tolist() == [3.0, 2.0]
