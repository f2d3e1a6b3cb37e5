"""What labels can say of a release's answers."""

import pytest

from trimtab.domain.signature import Signature, Task
from trimtab.gateway.truths import Truths


def truths(task: Task, *classes: str) -> Truths:
    return Truths("m@3", Signature((), (), task, classes))


@pytest.mark.parametrize(
    ("classes", "label", "spelt"),
    [
        (("0", "1"), "1", "1"),
        (("0", "1"), "1.0", "1"),
        (("0", "1"), "true", "1"),
        (("0", "1"), "7.0", "7.0"),
        (("false", "true"), "False", "false"),
        (("false", "true"), "1", "true"),
        (("no", "yes"), "Yes", "Yes"),
        (("1", "01"), "1.0", "1.0"),
        (("nan", "1"), "NaN", "NaN"),
        ((), "1.0", "1.0"),
        (("0", "1"), None, None),
    ],
)
def test_a_class_is_known_however_a_file_writes_its_number(
    classes: tuple[str, ...], label: str | None, spelt: str | None
) -> None:
    assert truths("binary", *classes).spelt(label) == spelt


@pytest.mark.parametrize(
    ("made", "labels", "n", "words"),
    [
        (truths("binary", "0", "1"), ["0", "1"], 0, ""),
        (
            truths("binary", "0", "1"),
            ["0", "7", "8", "7"],
            3,
            (
                "3 of 4 labels, such as '7', none of the classes '0', '1' of m@3: "
                "stored, but no evidence"
            ),
        ),
        (
            truths("multiclass", *"abcdefg"),
            ["x", None, None],
            3,
            (
                "3 of 3 labels, such as null, none of the classes 'a', 'b', 'c', 'd', 'e' "
                "and 2 more of m@3: stored, a wrong answer each"
            ),
        ),
        (
            truths("regression"),
            ["1.5", "late", "nan"],
            2,
            (
                "2 of 3 labels, such as 'late', no number, as m@3 predicts one: "
                "stored, but no evidence"
            ),
        ),
        (truths("other"), ["late", None], 0, ""),
    ],
)
def test_labels_that_judge_nothing_are_counted_and_told(
    made: Truths, labels: list[str | None], n: int, words: str
) -> None:
    assert made.doubt(labels) == (n, words)
