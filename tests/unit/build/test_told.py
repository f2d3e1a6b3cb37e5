"""What a pipeline run tells of served answers, and that it changes nothing about the run."""

import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.support.request_log import SegmentWriter

from trimtab.app.parity import compare_run
from trimtab.backends.requestlog import FolderRequestLog
from trimtab.build.run import RunJob
from trimtab.build.told import told_by
from trimtab.domain.deployment import PipelineSpec
from trimtab.domain.signature import Column, Datatype, Signature
from trimtab.ports.requestlog import Cursor

SIGNATURE = Signature((Column("x", Datatype.FP64), Column("carrier", Datatype.BYTES)), ())
OWN_SOURCES = "def dataset(source, out): ...\ndef model(dataset, params, out): ...\n"
SERVED_ROWS = "def dataset(source, labelled, out): ...\ndef model(dataset, params, out): ...\n"
NOON = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.UTC)


class Made:
    """A run whose last step left tables, and the log of what was served."""

    def __init__(self, home: Path, pipeline: str) -> None:
        self.home, self.said = home, list[str]()
        self.output = home / "run" / "model"
        self.output.mkdir(parents=True)
        (home / "pipeline.py").write_text(pipeline)
        self.log = FolderRequestLog(home, key=lambda deployment: "flight")
        self.spec = PipelineSpec("m", "pipeline.py", ("dataset", "model"), "r.txt", time="seen")
        SegmentWriter(home, "d").rows(
            {"request_id": "a", "in.flight": "k1", "event_time": NOON.timestamp()},
            {"request_id": "b", "in.flight": "k2", "event_time": NOON.timestamp()},
        )

    def leave(self, name: str, **columns: Any) -> None:
        """A table that the last step left."""
        pq.write_table(pa.table(columns), self.output / name)

    def compare(self) -> list[list[float]]:
        """Values that were told, by segment."""
        job = RunJob("r", self.spec, self.home, self.home / "run", lambda: None)
        compare_run(job, self.log, "d", SIGNATURE, self.said.append)
        found = self.log.segments("d", Cursor())
        return [self.log.paired(s).told["x"].tolist() for s in found if s.kind == "parity"]


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return Made(tmp_path, OWN_SOURCES)


def test_a_reference_from_own_sources_is_compared_by_key_and_time(made: Made) -> None:
    near = [NOON, NOON + datetime.timedelta(hours=2), NOON]
    made.leave("reference.parquet", flight=["k1", "k2", "k3"], x=[5.0, 6.0, 7.0], seen=near)
    assert made.compare() == [[5.0]]
    assert made.said == ["parity: 1 answers compared, 0 were before, 2 rows name none"]


def test_a_reference_that_may_hold_what_was_served_says_nothing(tmp_path: Path) -> None:
    made = Made(tmp_path, SERVED_ROWS)
    made.leave("reference.parquet", flight=["k1"], x=[5.0])
    assert made.compare() == []
    assert made.said == []


def test_a_table_for_parity_is_taken_from_any_pipeline(tmp_path: Path) -> None:
    made = Made(tmp_path, SERVED_ROWS)
    made.leave("reference.parquet", flight=["k1"], x=[5.0])
    made.leave("parity.parquet", id=["b"], x=[6.0])
    assert made.compare() == [[6.0]]


def test_long_tables_are_compared_a_piece_at_a_time(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trimtab.app.parity.MOST_ROWS", 1)
    made.leave("reference.parquet", flight=["k1", "k2"], x=[5.0, 6.0])
    assert sorted(made.compare()) == [[5.0], [6.0]]


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"x": [5.0]}, "needs a column 'id' or 'flight'"),
        ({"flight": ["k1"], "x": ["five"]}, "x[0] is five, not a number"),
        ({}, "No such file"),
    ],
)
def test_what_cannot_be_compared_is_said_and_fails_nothing(
    made: Made, columns: dict[str, Any], said: str
) -> None:
    if columns:
        made.leave("reference.parquet", **columns)
    assert made.compare() == []
    assert said in made.said[0]


def test_a_pipeline_is_asked_what_its_steps_take(tmp_path: Path) -> None:
    spec = PipelineSpec("m", "pipeline.py", ("dataset", "model"), "r.txt")
    (tmp_path / "pipeline.py").write_text(OWN_SOURCES)
    assert told_by(tmp_path, spec, tmp_path) == tmp_path / "reference.parquet"
    for served in (SERVED_ROWS, SERVED_ROWS.replace("source, labelled, out", "out, **files")):
        (tmp_path / "pipeline.py").write_text(served)
        assert told_by(tmp_path, spec, tmp_path) is None
