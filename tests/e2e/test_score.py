"""A table is scored by the running system, and by the same command again after a kill."""

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.project import people, write_csv
from tests.support.system import CLI, System, copied, running, until

pytestmark = pytest.mark.e2e

ROWS = 60_000


@pytest.fixture(scope="module")
def system(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system that serves risk@1."""
    with running(copied(built, tmp_path_factory.mktemp("score") / "project")) as made:
        made.json("deploy", "risk", "--release", "risk@1", "--wait")
        yield made


def test_a_killed_scoring_goes_on_and_gives_every_row_once(system: System) -> None:
    import pyarrow.parquet as pq

    folder = system.folder
    rows = people(ROWS, 7)
    write_csv(folder / "people.csv", rows)
    command = [*CLI, "score", "risk", "people.csv", "out.parquet"]
    begun = subprocess.Popen(command, cwd=folder, env=system.environment())
    work = folder / "out.parquet.scoring"
    until(lambda: len(list(work.glob("*.arrows"))) >= 1)
    begun.send_signal(signal.SIGKILL)
    begun.wait()
    assert not (folder / "out.parquet").exists()
    done = system.json("score", "risk", "people.csv", "out.parquet")
    assert done["rows"] == ROWS
    assert 0 < done["resumed_rows"] < ROWS
    assert done["releases"] == {"risk@1": ROWS - done["resumed_rows"]}
    assert not work.exists()
    found = pq.read_table(folder / "out.parquet")
    assert found.column("person").to_pylist() == [row["person"] for row in rows]
    assert found.column("spend").to_pylist() == [row["spend"] for row in rows]
    sample = [3, ROWS // 2, ROWS - 1]
    with system.client() as client:
        answered = client.predict("risk", [sent(rows[row]) for row in sample])
    for name, values in answered.outputs.items():
        assert [found.column(name)[row].as_py() for row in sample] == values


def sent(row: dict[str, Any]) -> dict[str, Any]:
    """What the deployment takes of a person."""
    return {name: row[name] for name in row if name != "left"}


def test_a_table_with_wrong_columns_is_told_before_anything_is_written(system: System) -> None:
    write_csv(system.folder / "short.csv", [{"age": 1.0, "left": "no"}])
    said = system.verb("score", "risk", "short.csv", "none.parquet")
    assert said.code == 2
    assert "there is no column 'plan'" in said.err
    assert "unchanged: no row was sent" in said.err
    assert not list(system.folder.glob("none.parquet*"))
