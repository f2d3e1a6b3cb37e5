"""What the page about the library says to run, runs."""

import contextlib
from pathlib import Path

import pytest
from tests.support.documents import blocks

PAGE = "docs/monitor-library.md"


def test_the_example_of_the_page_runs_and_finds_what_it_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (code,) = blocks(PAGE, "An example", "python")
    with contextlib.chdir(tmp_path):
        exec(compile(code, PAGE, "exec"), {})  # noqa: S102 - it is ours, and under test
    verdict, reason, cause = capsys.readouterr().out.splitlines()
    assert (verdict, cause) == ("bad", "concept_drift")
    assert reason.startswith("roc_auc")
    assert (tmp_path / "report.html").stat().st_size < 2_000_000
