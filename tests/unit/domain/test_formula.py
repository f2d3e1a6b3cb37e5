"""What a formula may say, what it is worth, and where it is wrong."""

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trimtab.domain.formula import DEEPEST, LONGEST, Kind, Unreadable, column_key, formula

KNOWN: dict[str, Kind] = {
    "label": "number",
    "prediction": "number",
    "carrier": "text",
    column_key("dep delay"): "number",
}
VALUES: dict[str, Any] = {
    "label": np.array([1.0, 2.0, 4.0, np.nan]),
    "prediction": np.array([2.0, 1.0, 4.0, 3.0]),
    "carrier": np.array(["AA", "7", None, "AA"], dtype=object),
    column_key("dep delay"): np.array([0.0, 1.0, 2.0, 3.0]),
}


def worth(text: str) -> list[float]:
    """The value of a formula in each row."""
    read = formula(text)
    read.check(KNOWN)
    return [round(value, 6) for value in read.of(VALUES).tolist()]


def refused(text: str) -> str:
    """Why a formula is refused."""
    with pytest.raises(Unreadable) as caught:
        formula(text).check(KNOWN)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("where(label > prediction, 3, 1) * abs(label - prediction)", [1.0, 3.0, 0.0]),
        ("(label\n + 1) / 2", [1.0, 1.5, 2.5]),
        ("-label ** 2 + +1", [0.0, -3.0, -15.0]),
        ("where(1 < label <= 4, 1, 0)", [0.0, 1.0, 1.0]),
        ("where(not label != 2 or label >= 4, 1, 0)", [0.0, 1.0, 1.0]),
        ("where(label == 2 and prediction < 2, 1, 0)", [0.0, 1.0, 0.0]),
        ("min(label, prediction, 3) + max(label, prediction)", [3.0, 3.0, 7.0]),
        ("clip(label, 1.5, 3)", [1.5, 2.0, 3.0]),
        ("sqrt(label) + log(exp(0 * label))", [1.0, 1.414214, 2.0]),
        ('column("dep delay") * label', [0.0, 2.0, 8.0]),
        ('label * number("2.5")', [2.5, 5.0, 10.0]),
        ('where("é" == "e", 0, 1) * label', [1.0, 2.0, 4.0]),
    ],
)
def test_a_formula_is_worth_what_it_says_in_each_row(text: str, values: list[float]) -> None:
    assert worth(text)[:3] == values


def test_a_row_that_lacks_a_column_is_worth_nothing_even_where_it_would_not_matter() -> None:
    assert np.isnan(worth("where(label > prediction, 1, 0)")[3])
    assert np.isnan(worth('where(carrier == "AA", 1, 0)')).tolist() == [False, False, True, False]


def test_texts_are_read_as_numbers_when_asked_and_are_none_when_they_are_not() -> None:
    assert np.isnan(worth("number(carrier)")).tolist() == [True, False, True, True]


def test_what_is_not_defined_is_nothing_and_what_has_no_end_is_infinite() -> None:
    assert worth("label / 0")[0] == np.inf
    assert worth("log(0 * label)")[0] == -np.inf
    assert np.isnan(worth("0 * label / 0")[0])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("lable", "at character 1, 'lable': there is no column 'lable'; did you mean label?"),
        ("xyz", "there are label, prediction, carrier"),
        ("abs(label - carrier)", "at character 13, 'carrier': this is a text where a number"),
        ("label > 1", "where(condition, 1, 0)"),
        ("where(label, 1, 2)", "at character 7, 'label': this is a number where a truth"),
        ("where(carrier == 7, label, 0)", "at character 18, '7'"),
        ('where(carrier < "B", label, 0)', "in no order"),
        ("where(label == (label > 1), 1, 0)", "joined by and, or, not"),
        ('column("none") + label', "there is no column 'none'"),
        ("column(label)", 'write column("name")'),
        ("column(7)", 'write column("name")'),
        ('column("a", "b")', 'write column("name")'),
        ("column()", 'write column("name")'),
        ("label.real", "is not allowed"),
        ("label[0]", "is not allowed"),
        ("[label]", "is not allowed"),
        ("lambda: label", "is not allowed"),
        ("1 if label else 2", "is not allowed"),
        ("(label := 1)", "is not allowed"),
        ("f'{label}'", "is not allowed"),
        ("min(*label, 1)", "is not allowed"),
        ("label % 2", "the operator is not allowed"),
        ("where(label is 2, 1, 0)", "the operator is not allowed"),
        ("where(carrier in 'AB', 1, 0)", "the operator is not allowed"),
        ("~label", "the operator is not allowed"),
        ("open(label)", "there is no function open"),
        ("label.mean()", "there is no function"),
        ("abs(label)(1)", "there is no function"),
        ("clip(label, lower=1)", "by their place"),
        ("abs(label, 1)", "abs takes 1, not 2"),
        ("max(label)", "max takes two or more, not 1"),
        ("True * label", "only numbers and texts are known"),
        ("2j * label", "only numbers and texts are known"),
        ("1e999 * label", "the number is too large"),
        ("label + * 2", "at character 9: this cannot be read"),
        ("label; label", "cannot be read"),
        ("(" * 300 + "label" + ")" * 300, "cannot be read"),
        ("label\0", "cannot be read"),
        ("-" * (DEEPEST + 1) + "label", f"more than {DEEPEST} expressions"),
        ("label + " * LONGEST, "characters"),
        ("1 + 2", "names no column"),
        ("", "cannot be read"),
        ("éé + lable", "at character 1, 'éé'"),
        ("label + éé + xx", "at character 9, 'éé'"),
    ],
)
def test_what_is_not_allowed_is_refused_with_its_place(text: str, words: str) -> None:
    assert words in refused(text)


def test_a_place_counts_characters_as_people_do() -> None:
    assert refused("where('é' == carrier, xx, 0)").startswith("at character 23, 'xx'")


def test_formulas_are_equal_however_they_are_spaced() -> None:
    assert formula("abs(label-prediction)") == formula(" abs( label\n- prediction ) ")
    assert formula("label - prediction") != formula("prediction - label")


def test_without_known_columns_only_the_form_is_judged() -> None:
    assert formula("abs(anything - other)").names == {"anything", "other"}
    with pytest.raises(Unreadable, match="a number is needed"):
        formula("anything > other")


WORDS = st.sampled_from(
    [
        *(
            "label",
            "carrier",
            "prediction",
            "where",
            "abs",
            "max",
            "number",
            "column",
            "__import__",
        ),
        *(
            "(",
            ")",
            "[",
            "]",
            ",",
            "+",
            "-",
            "**",
            "==",
            "<",
            "and",
            "not",
            "if",
            "lambda",
            ".",
            ":",
        ),
        *("1", "0.5", '"a"', "'", "\n", "é", "True", "None", "import os", "**1e9", "@", "*"),
    ]
)


@given(st.lists(WORDS, max_size=30).map(" ".join) | st.text(max_size=60))
@example("'\\d' == label")
def test_whatever_is_written_is_read_or_refused_and_never_run(text: str) -> None:
    try:
        read = formula(text)
        read.check(KNOWN)
    except Unreadable:
        return
    assert read.of(VALUES).shape == (4,)
