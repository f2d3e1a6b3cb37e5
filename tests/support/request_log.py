"""Writes finished segments as a gateway does, for tests of what reads them."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from trimtab.domain import layout
from trimtab.domain.records import FIXED_COLUMNS, LABEL_COLUMNS

ROW: dict[str, Any] = {
    "request_id": "r0",
    "row": 0,
    "event_time": 0.0,
    "received_at": 0.0,
    "release": "sha256:aa",
    "mode": "stable",
    "lane": "realtime",
    "rollout": "",
    "weight": 0,
    "unit": 1,
    "attempt": 0,
    "final": True,
    "outcome": "ok",
    "error": "",
    "worker": "aa-0",
    "queue_seconds": 0.001,
    "model_seconds": 0.002,
    "total_seconds": 0.004,
    "trace_id": None,
    "in.x": 1.0,
    "in.carrier": "UA",
    "out.score": 0.5,
}
LABEL: dict[str, Any] = {
    "request_id": "r0",
    "row": 0,
    "key": None,
    "label": "1",
    "at": 0.0,
    "received_at": 0.0,
    "source": "api",
}
_TYPES = {
    "string": pa.string(),
    "int32": pa.int32(),
    "uint64": pa.uint64(),
    "float64": pa.float64(),
    "bool": pa.bool_(),
}


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[tuple[str, str]]) -> pa.Table:
    """Rows as a table: the fixed columns with their types, the others by their values."""
    data: dict[str, Any] = {
        name: pa.array([row[name] for row in rows], type=_TYPES[kind]) for name, kind in columns
    }
    for name in rows[0]:
        if name not in data:
            data[name] = pa.array([row.get(name) for row in rows])
    return pa.table(data)


class SegmentWriter:
    """One gateway's segments of one deployment; each call makes one finished file."""

    def __init__(self, home: Path, deployment: str, writer: str = "g0-1700000000000") -> None:
        self.home = home
        self.deployment = deployment
        self.writer = writer
        self.sequences = {"rows": 0, "labels": 0}
        self.seconds = 1_700_000_000.0

    def rows(self, *rows: Mapping[str, Any]) -> Path:
        """A row segment; each mapping overrides `ROW`."""
        return self._write("rows", table([{**ROW, **row} for row in rows], FIXED_COLUMNS))

    def labels(self, *labels: Mapping[str, Any]) -> Path:
        """A label segment; each mapping overrides `LABEL`."""
        return self._write("labels", table([{**LABEL, **each} for each in labels], LABEL_COLUMNS))

    def _write(self, kind: str, data: pa.Table) -> Path:
        folder = self.home / layout.segments(self.deployment, kind)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.writer}-{self.sequences[kind]}.arrow"
        self.sequences[kind] += 1
        self.seconds += 1.0
        with pa.ipc.new_file(str(path.with_suffix(".tmp")), data.schema) as sink:
            sink.write_table(data)
        os.utime(path.with_suffix(".tmp"), (self.seconds, self.seconds))
        path.with_suffix(".tmp").rename(path)
        return path


class Killed(BaseException):
    """The process ends here."""


class Countdown:
    """Disk steps that end the process after `left` of them."""

    def __init__(self, left: int) -> None:
        self.left = left

    def _step(self) -> None:
        if self.left == 0:
            raise Killed
        self.left -= 1

    def rename(self, source: Path, target: Path) -> None:
        self._step()
        source.rename(target)

    def delete(self, path: Path) -> None:
        self._step()
        path.unlink()
