"""`trimtab monitor` on files."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from tests.support.tables import table

from trimtab.cli.group import trimtab

MEANING = ("--target", "label", "--score", "score", "--time", "when", "--segments", "region")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a reference, and with live data that are fine and that are not."""
    monkeypatch.chdir(tmp_path)
    pq.write_table(table(seed=1), "reference.parquet")
    pq.write_table(table(seed=2, first_day=30), "calm.parquet")
    pq.write_table(table(seed=3, first_day=30, flip=0.4), "flipped.parquet")
    return tmp_path


def call(*arguments: str) -> Result:
    return CliRunner().invoke(trimtab, ["monitor", *arguments])


def test_calm_files_end_with_0_and_say_so(folder: Path) -> None:
    done = call("--reference", "reference.parquet", "--live", "calm.parquet", *MEANING)
    assert done.exit_code == 0, done.output
    assert "live data  ✔ ok" in done.stdout
    assert "judging 9,000 rows" in done.stderr


def test_bad_files_end_with_1_and_tell_the_cause(folder: Path) -> None:
    done = call(
        "--reference", "reference.parquet", "--live", "flipped.parquet", *MEANING,
        "--html", "report.html", "--block", "2d", "--false-alarms", "1 per week",
    )  # fmt: skip
    assert done.exit_code == 1
    assert "concept drift" in done.stdout
    assert "15 blocks of 2 d" in done.stdout
    assert "concept drift" in (folder / "report.html").read_text()


def test_json_is_the_report(folder: Path) -> None:
    files = ("--reference", "reference.parquet", "--live", "fl*.parquet", *MEANING)
    view = json.loads(call(*files, "--json").stdout)
    assert view["verdict"] == "bad"
    assert view["rows"] == 9000


def test_rows_can_be_blocks(folder: Path) -> None:
    files = ("--reference", "reference.parquet", "--live", "calm.parquet", "--ignore", "when")
    view = json.loads(call(*files, "--block", "1000", "--json").stdout)
    assert view["block_rows"] == 1000
    assert view["blocks"] == 9


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("some", "--reference", "x.parquet"),
        ("--reference", "reference.parquet"),
        ("some", "--since", "lately"),
    ],
)
def test_wrong_usage_is_told(folder: Path, arguments: tuple[str, ...]) -> None:
    done = call(*arguments)
    assert done.exit_code == 2
    assert "hint: trimtab monitor -h" in done.stderr
