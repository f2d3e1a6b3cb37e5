"""Spools and the segments that are made of them: an invented attempt, and what lies in a folder."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from trimtab.backends.spool import SpoolLog
from trimtab.domain.records import LABEL_COLUMNS
from trimtab.ports.logsink import Entry, LabelBlock, LogSchema, ValueKind

_SAMPLES: dict[str, Any] = {"string": "s", "int32": 1, "float64": 0.5}


def schema(release: str = "r1", kind: ValueKind = "number", key: str | None = None) -> LogSchema:
    return LogSchema("d", release, (("x", kind), ("c", "text")), (("v", "vector"),), key)


def numbers(*values: float) -> bytes:
    return np.array(values, dtype="<f8").tobytes()


def entry(name: str, rows: int = 1, **fields: Any) -> Entry:
    """An attempt with a sample of everything."""
    whole: dict[str, Any] = {
        "request_id": name,
        "rows": rows,
        "event_time": 0.5,
        "received_at": 0.5,
        "mode": "stable",
        "lane": "realtime",
        "rollout": None,
        "weight": 0,
        "unit": 2**63 + 1,
        "attempt": 0,
        "final": True,
        "outcome": "ok",
        "error": None,
        "worker": "w",
        "queue_seconds": 0.5,
        "model_seconds": 0.5,
        "total_seconds": 0.5,
        "inputs": [[1] * rows, [None] * rows],
        "key": None,
        "outputs": [numbers(*[1, 2.5] * rows)],
    }
    return Entry(**whole | fields)


def labels(*texts: str) -> LabelBlock:
    columns: list[list[Any]] = [[_SAMPLES[kind]] * len(texts) for _, kind in LABEL_COLUMNS]
    columns[3] = list(texts)
    return LabelBlock("d", columns)


def segments(home: Path, kind: str = "rows") -> dict[str, pa.Table]:
    paths = sorted((home / "log" / "d" / kind).glob("*.arrow"))
    return {path.name: pa.ipc.open_file(path.read_bytes()).read_all() for path in paths}


def ids(home: Path) -> list[str]:
    return [str(v) for t in segments(home).values() for v in t.column("request_id").to_pylist()]


def spools(home: Path) -> list[str]:
    return sorted(path.name for path in (home / "spool").glob("[!.]*"))


def handed_over(log: SpoolLog) -> None:
    """What a gateway does from time to time."""
    if log.prepare():
        log.turn()
        log.seal()


def killed(log: SpoolLog) -> None:
    """What a kill does to a writer: its descriptors, and so its lock, are gone."""
    assert log._file is not None
    os.close(log._file.descriptor)


def killed_here(path: Path, *_: Any, **__: Any) -> None:
    raise OSError("killed")
