"""How a report is looked at."""

from pathlib import Path

import pytest

import trimtab

ROWS = {
    "size": [0, 1, 2, 3] * 300,
    "age": [1.5, 2.5, 3.5] * 400,
    "score": [0.25, 0.75] * 600,
    "label": [0, 1] * 600,
}


@pytest.fixture(scope="module")
def report() -> trimtab.Report:
    return trimtab.monitor(ROWS, ROWS, score="score", target="label")


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("qualty", "did you mean 'quality'"),
        ("size", "'input:size'"),
        ("9", "there are '"),
    ],
)
def test_of_an_unknown_stream_it_is_said_which_there_are(
    report: trimtab.Report, typed: str, told: str
) -> None:
    with pytest.raises(KeyError) as caught:
        report[typed]
    assert f"no stream {typed!r}; " in str(caught.value)
    assert told in str(caught.value)


def test_the_bin_of_a_count_that_ends_at_zero_is_told_so(report: trimtab.Report) -> None:
    shown = {each.column: each for each in report.view.distributions}
    assert shown["size"].bins[0] == "up to 0"


def test_categories_have_no_range_that_they_could_be_outside_of(tmp_path: Path) -> None:
    rows = {**ROWS, "carrier": ["UA", "AA", "DL"] * 400}
    report = trimtab.monitor(rows, rows, score="score", target="label")
    shown = {each.column: each for each in report.view.distributions}
    assert shown["carrier"].outside_ratio is None
    assert shown["age"].outside_ratio == 0.0
    html = report.html(tmp_path / "report.html").read_text(encoding="utf-8")
    numbers = [each for each in shown.values() if each.kind == "continuous"]
    assert html.count("outside the range") == len(numbers)
    assert "others 0 % (reference 0 %)" in html
